"""Probability tables and range coders."""
