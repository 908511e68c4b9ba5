"""Plates of images as OME-Zarr: writing, reading, labels, checking, pictures.

The layout on disk is this package's alone. Names are loaded when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .check import Problem as Problem
    from .check import check_plate as check_plate
    from .illumination import correct as correct
    from .labels import label_source as label_source
    from .labels import remove_label as remove_label
    from .labels import write_label as write_label
    from .model import AcquisitionSpec as AcquisitionSpec
    from .model import ChannelSpec as ChannelSpec
    from .model import FieldKey as FieldKey
    from .model import ImageSpec as ImageSpec
    from .model import Plane as Plane
    from .model import PlateSpec as PlateSpec
    from .model import Window as Window
    from .model import WrittenImage as WrittenImage
    from .ngff import image_path as image_path
    from .picture import field_picture as field_picture
    from .picture import plate_picture as plate_picture
    from .plate import Field as Field
    from .plate import Plate as Plate
    from .plate import open_plate as open_plate
    from .writer import ImageWriter as ImageWriter
    from .writer import PlateWriter as PlateWriter

_WHERE = {
    "AcquisitionSpec": "model",
    "ChannelSpec": "model",
    "Field": "plate",
    "FieldKey": "model",
    "ImageSpec": "model",
    "ImageWriter": "writer",
    "Plane": "model",
    "Plate": "plate",
    "PlateSpec": "model",
    "PlateWriter": "writer",
    "Problem": "check",
    "Window": "model",
    "WrittenImage": "model",
    "check_plate": "check",
    "correct": "illumination",
    "field_picture": "picture",
    "image_path": "ngff",
    "label_source": "labels",
    "open_plate": "plate",
    "plate_picture": "picture",
    "remove_label": "labels",
    "write_label": "labels",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
