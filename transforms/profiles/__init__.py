"""Profiles: features of objects to rows of wells and treatments, with parameters that are fitted, kept and applied."""
