"""The commands of `sclc`, which `cli` registers, and what they share."""
