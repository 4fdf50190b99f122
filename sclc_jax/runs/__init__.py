"""Experiments and sweeps, from config to files."""
