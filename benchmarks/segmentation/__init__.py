"""How right and how fast segmentation is."""
