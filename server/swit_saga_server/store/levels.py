"""Levels: what a version reads and writes."""

LEVEL = 1
"""Of records, inbox messages and scripts."""
