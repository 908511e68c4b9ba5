"""Vendor export in, OME-Zarr plate and metadata rows out.

:mod:`.export` is the vendor-neutral description of a plate, :mod:`.readers` finds the reader that makes it,
:mod:`.vendors` holds one module per microscope, :mod:`.pixels` reads planes, :mod:`.channels` names the stains,
:mod:`.annotation` reads plate maps and :mod:`.convert` writes it all into a lake.
"""
