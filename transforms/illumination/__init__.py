"""How evenly a plate was lit, estimated from its own images where the vendor does not say, and pixels freed of it.

``settings`` is what a recipe may say, ``basic`` and ``cellprofiler`` estimate on small grids, ``estimate`` judges them
on images that they did not see, ``plates`` finds or makes the profiles of a plate, ``correct`` applies them.
"""
