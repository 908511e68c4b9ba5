"""Pixels to objects: one label image per object set of a recipe.

``methods.METHODS`` names what a recipe may ask for; ``segment.segment_field`` runs a whole recipe on one field.
Nothing is imported here, so that checking a recipe loads neither scikit-image nor Numba.
"""
