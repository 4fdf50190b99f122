"""The control path: it decides how bits are read, in integers."""
