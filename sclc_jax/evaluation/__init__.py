"""Measuring codecs, and showing what was measured."""
