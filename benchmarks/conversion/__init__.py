"""Speed and memory of conversion: a vendor's TIFF files to one OME-Zarr plate."""
