"""What decides how bits are read, in integers."""
