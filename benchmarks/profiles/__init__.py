"""Profiles beside pycytominer: the same numbers, and what they cost."""
