"""What the header of one TIFF file says of its planes and of the size of a pixel, from the tags alone.

A size counts only where it can be one: microscope software writes it as OME-XML, as ImageJ's or MetaMorph's
calibration, or as Gen5's XML; a bare resolution tag is believed between 0.05 and 20 µm, since 72 dots per inch says how
to print, and not where it says the size of a camera chip's pixels. Pages are told apart too: planes of one size are
data, smaller ones are a pyramid or a thumbnail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, BinaryIO

import tifffile
from lxml import etree

from ...errors import SourceFileError
from ..sources.base import PIXEL_TYPES, guard
from ..sources.xml_tree import number_in, parse_tree
from ..units import to_um
from .safe_xml import local_name

#: µm that a bare resolution tag may say of a pixel, and that a calibration may.
_BELIEVED_TAG, _BELIEVED = (0.05, 20.0), (0.01, 100.0)
#: µm of the pixels of common camera chips: some software (Harmony, for one) writes these, not those at the sample.
_CHIPS = (3.45, 4.54, 5.86, 6.45, 6.5, 7.4, 11.0, 13.0, 16.0)
_MOST_PAGES = 10_000
_LONGEST_TEXT = 1 << 24
_RESOLUTION_UM = {2: 25_400.0, 3: 10_000.0}
_IMAGEJ_VALUE = re.compile(r"^(\w+)=(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffHeader:
    """One file.

    ``pages`` are those of the size of the first; ``steps`` says for each which time point, channel and z it is, from 0,
    and ``axes`` which of these the file's own metadata names (none: they are taken for z). ``is_tag`` says that the
    size of a pixel is a bare resolution tag's; ``resolution`` what that tag says where it is not believed.
    """

    height: int
    width: int
    dtype: str
    pages: tuple[int, ...]
    other_pages: int
    steps: tuple[tuple[int, int, int], ...]
    axes: frozenset[str]
    pixel_size_um: tuple[float, float] | None
    is_tag: bool
    resolution: str | None
    z_step_um: float | None
    excitation_nm: float | None = None
    emission_nm: float | None = None
    magnification: float | None = None
    numerical_aperture: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calibration:
    """What a description says, with None for what it leaves out; ``sizes`` are axis and length, slowest first."""

    x_um: float | None = None
    y_um: float | None = None
    z_step_um: float | None = None
    sizes: tuple[tuple[str, int], ...] = ()
    excitation_nm: float | None = None
    emission_nm: float | None = None
    magnification: float | None = None
    numerical_aperture: float | None = None


def parse_tiff_header(file: BinaryIO, name: str) -> TiffHeader:
    """Read the header of an open file.

    Parameters
    ----------
    file
        The file, or its bytes.
    name
        What to call it in messages.

    Raises
    ------
    SourceFileError
        It is no readable TIFF of planes of 8- or 16-bit integers.
    """
    with guard(name, "is no readable TIFF"), tifffile.TiffFile(file, is_ome=False) as tiff:
        return _header(tiff, name)


def _header(tiff: tifffile.TiffFile, name: str) -> TiffHeader:
    first = tiff.pages[0]
    dtype = None if first.dtype is None else first.dtype.name
    if dtype not in PIXEL_TYPES or len(first.shape) != 2:
        raise SourceFileError(
            f"{name} holds {dtype or 'unknown'} pixels of the shape {first.shape}; planes are rows × columns of "
            f"{' or '.join(PIXEL_TYPES)}",
            hint="Export the raw channels, not colour pictures or computed images.",
        )
    height, width = (int(side) for side in first.shape)
    if height <= 0 or width <= 0:
        raise SourceFileError(f"{name} has a plane of {height} × {width} pixels")
    count = len(tiff.pages)
    if count > _MOST_PAGES:
        raise SourceFileError(f"{name} has {count} pages; {_MOST_PAGES:,} are the most")
    pages = tuple(number for number in range(count) if number == 0 or _is_alike(tiff.pages[number], first))
    said = _calibration(first, width, height)
    steps = _steps(said.sizes, len(pages), name)
    size = (said.x_um, said.y_um) if said.x_um and said.y_um else None
    tagged, resolution = _resolution(first)
    return TiffHeader(
        height=height,
        width=width,
        dtype=dtype,
        pages=pages,
        other_pages=count - len(pages),
        steps=steps,
        axes=frozenset(axis for axis, length in said.sizes if length > 1),
        pixel_size_um=size or tagged,
        is_tag=size is None and tagged is not None,
        resolution=resolution,
        z_step_um=said.z_step_um,
        excitation_nm=said.excitation_nm,
        emission_nm=said.emission_nm,
        magnification=said.magnification,
        numerical_aperture=said.numerical_aperture,
    )


def _is_alike(page: Any, first: Any) -> bool:
    return page.shape == first.shape and page.dtype == first.dtype and not page.is_reduced


def _steps(sizes: tuple[tuple[str, int], ...], pages: int, name: str) -> tuple[tuple[int, int, int], ...]:
    """Return time point, channel and z of each page, by the axes that the file names; all z where it names none."""
    if not sizes or prod(length for _, length in sizes) == 1:
        return tuple((0, 0, z) for z in range(pages))
    told = prod(length for _, length in sizes)
    if told != pages:
        shape = " × ".join(f"{length} {axis}" for axis, length in sizes)
        raise SourceFileError(
            f"{name} says that it holds {shape} = {told} planes, and has {pages} pages",
            hint="Save it as a TIFF with one page per plane.",
        )
    axes = [axis for axis, _ in sizes]
    found = []
    for indices in product(*(range(length) for _, length in sizes)):
        at = dict(zip(axes, indices, strict=True))
        found.append((at.get("t", 0), at.get("c", 0), at.get("z", 0)))
    return tuple(found)


def _calibration(page: Any, width: int, height: int) -> _Calibration:
    text = page.description or ""
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
        return _Calibration()
    if text.startswith("ImageJ="):
        return _imagej(text, page)
    if "<" not in text:
        return _Calibration()
    root = _xml(text)
    if root is None:
        return _Calibration()
    if local_name(root) == "OME":
        return _ome(root)
    if local_name(root) == "MetaData":
        return _metaseries(root)
    return _gen5(root, width, height) if "BTIImageMetaData" in text[:1_000] else _Calibration()


def _xml(text: str) -> etree._Element | None:
    """Return the root of a description that is XML without a document type, else None."""
    try:
        return parse_tree(text[text.index("<") :], "the description of the image")
    except SourceFileError:
        return None


def _imagej(text: str, page: Any) -> _Calibration:
    said = dict(_IMAGEJ_VALUE.findall(text))
    scale = to_um(said.get("unit"))
    per_x, per_y = _ratio(page, "XResolution"), _ratio(page, "YResolution")
    spacing = number_in(said.get("spacing"))
    sizes = tuple((axis, _count(said.get(key))) for axis, key in (("t", "frames"), ("z", "slices"), ("c", "channels")))
    images = _count(said.get("images"))
    if prod(length for _, length in sizes) != images:
        sizes = (("z", images),)
    return _Calibration(
        x_um=_size(scale / per_x if scale and per_x else None),
        y_um=_size(scale / per_y if scale and per_y else None),
        z_step_um=_step(spacing * scale if scale and spacing else None),
        sizes=sizes if images > 1 else (),
    )


def _ome(root: etree._Element) -> _Calibration:
    pixels = next(root.iter("{*}Pixels"), None)
    if pixels is None:
        return _Calibration()

    def length(axis: str) -> float | None:
        value = number_in(pixels.get(f"PhysicalSize{axis}"))
        scale = to_um(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        return value * scale if value and scale else None

    order = (pixels.get("DimensionOrder") or "XYCZT").upper()
    slowest_first = [axis for axis in reversed(order) if axis in "TCZ"]
    sizes = tuple((axis.lower(), _count(pixels.get(f"Size{axis}"))) for axis in slowest_first)
    # One file of a set that the OME-XML describes whole: its own pages say nothing of the axes.
    in_several_files = len({one.get("FileName") for one in root.iter("{*}UUID")}) > 1
    return _Calibration(
        x_um=_size(length("X")),
        y_um=_size(length("Y")),
        z_step_um=_step(length("Z")),
        sizes=() if in_several_files else sizes,
    )


def _metaseries(root: etree._Element) -> _Calibration:
    said = {one.get("id"): one.get("value") for one in root.iter("prop")}
    scale = to_um(said.get("spatial-calibration-units"))
    if said.get("spatial-calibration-state") != "on" or scale is None:
        return _Calibration()
    x, y = (number_in(said.get(f"spatial-calibration-{axis}")) for axis in "xy")
    return _Calibration(
        x_um=_size(x * scale if x else None),
        y_um=_size(y * scale if y else None),
        emission_nm=_positive(said.get("wavelength")),
        magnification=_positive(said.get("_MagSetting_")),
        numerical_aperture=_positive(said.get("_MagNA_")),
    )


def _gen5(root: etree._Element, width: int, height: int) -> _Calibration:
    """Read Gen5's ``BTIImageMetaData``: the size of the whole image in µm, the objective and the wavelengths."""

    def said(tag: str) -> float | None:
        element = next(root.iter(f"{{*}}{tag}"), None)
        return None if element is None else _positive(element.text)

    across, down = said("ImageWidthMicrons"), said("ImageHeightMicrons")
    return _Calibration(
        x_um=_size(across / width if across else None),
        y_um=_size(down / height if down else None),
        z_step_um=_step(said("ZStackStepSizeMicrons")),
        excitation_nm=said("ExcitationWavelength"),
        emission_nm=said("EmissionWavelength"),
        magnification=said("ObjectiveSize"),
        numerical_aperture=said("NumericalAperture"),
    )


def _resolution(page: Any) -> tuple[tuple[float, float] | None, str | None]:
    """Return µm per pixel from the resolution tags where that is believed, else what they say."""
    unit = page.tags.get("ResolutionUnit")
    unit_um = _RESOLUTION_UM.get(int(unit.value) if unit is not None else 0)
    per_x, per_y = _ratio(page, "XResolution"), _ratio(page, "YResolution")
    if unit_um is None or not per_x or not per_y:
        return None, None
    x, y = unit_um / per_x, unit_um / per_y
    if any(abs(x / binning - chip) < 0.005 * chip for chip in _CHIPS for binning in (1, 2)):
        return None, f"{x:.4g} µm, as the pixels of a camera chip"
    if all(_BELIEVED_TAG[0] <= side <= _BELIEVED_TAG[1] for side in (x, y)):
        return (round(x, 6), round(y, 6)), None
    return None, f"{x:.4g} µm ({per_x * 25_400 / unit_um:.4g} dots per inch), as for printing"


def _ratio(page: Any, tag: str) -> float | None:
    found = page.tags.get(tag)
    if found is None or not isinstance(found.value, tuple) or len(found.value) != 2:
        return None
    above, below = found.value
    return above / below if above > 0 and below > 0 else None


def _positive(text: str | None) -> float | None:
    value = number_in(text, most=1e6)
    return value if value is not None and value > 0 else None


def _count(text: str | None) -> int:
    value = number_in(text)
    return int(value) if value is not None and 1 <= value <= _MOST_PAGES else 1


def _size(value: float | None) -> float | None:
    return round(value, 6) if value is not None and _BELIEVED[0] < value < _BELIEVED[1] else None


def _step(value: float | None) -> float | None:
    return round(abs(value), 6) if value is not None and 1e-3 < abs(value) < 1e3 else None
