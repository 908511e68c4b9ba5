"""Code made from the LinkML sources by ``schemas/generate.py``; use it through the modules of the parent package."""
