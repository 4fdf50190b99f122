"""Frozen models and their files."""
