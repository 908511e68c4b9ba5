"""What one image of an OME-Zarr plate is as planes: which page each is, how large its pixels are, where it lies."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...errors import InvalidDataError, PixelSizeError
from ..sources.zarr_layout import MOST_PLANES, ZarrLayout, chunk_count
from .ome_zarr_files import FoundImage
from .ome_zarr_meta import ZarrAxis, ZarrImage

_PIXEL_SIZES_UM = (1e-3, 1e3)
_OWN_NAME = re.compile(r"a\d+f(\d{1,7})\Z")
_ONE_STEP = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """An image as planes. ``origin_*`` is the middle of its first pixel, in a frame that only its writer knows.

    ``strides`` are those of t, c and z among the planes of the array.
    """

    n_timepoints: int
    n_channels: int
    n_z_planes: int
    height: int
    width: int
    pixel_y_um: float
    pixel_x_um: float
    origin_y_um: float | None
    origin_x_um: float | None
    z_step_um: float | None
    origin_z_um: float | None
    time_interval_s: float | None
    strides: tuple[int, int, int]

    def page(self, t: int, c: int, z: int) -> int:
        """Return the number of a plane in the array."""
        return t * self.strides[0] + c * self.strides[1] + z * self.strides[2]

    def planes(self) -> Iterable[tuple[int, int, int]]:
        """Give (t, c, z) of every plane."""
        return (
            (t, c, z) for t in range(self.n_timepoints) for c in range(self.n_channels) for z in range(self.n_z_planes)
        )

    def z_um(self, z: int) -> float | None:
        """Return the height of a plane."""
        return None if self.z_step_um is None else (self.origin_z_um or 0.0) + z * self.z_step_um


def geometry(
    image: ZarrImage, layout: ZarrLayout, where: str, *, pixel_size_um: float | None, warnings: list[str]
) -> Geometry:
    """Combine what an image says of its axes with the array that is there.

    Parameters
    ----------
    where
        The image, for messages.
    pixel_size_um
        The user's word, which stands above the image's.
    warnings
        Gets what was assumed.

    Raises
    ------
    InvalidDataError
        The axes do not fit the array or are not those of planes; the size of a pixel is not known.
    """
    names = [axis.name for axis in image.axes]
    if len(names) != len(layout.shape):
        raise InvalidDataError(f"{where} names the axes {names}, its array has {len(layout.shape)}")
    if names[-2:] != ["y", "x"]:
        raise InvalidDataError(
            f"{where} has the axes {', '.join(names)}; a plane is rows × columns, so y and x must be the last two",
            hint="Write the image again with its axes in the order t, c, z, y, x.",
        )
    odd = [name for name, n in zip(names[:-2], layout.shape, strict=False) if name not in "tcz" and n > 1]
    if odd:
        raise InvalidDataError(f"{where} has the axes {', '.join(names)}; {', '.join(odd)} cannot be brought in")
    if layout.planes > MOST_PLANES:
        raise InvalidDataError(f"{where} describes {layout.planes} planes, which cannot be")
    axes = {axis.name: axis for axis in image.axes}
    counts = dict(zip(names, layout.shape, strict=True))
    strides = {name: math.prod(layout.shape[i + 1 : -2]) for i, name in enumerate(names[:-2])}
    pixel_y, pixel_x = _pixel_size(axes, where, pixel_size_um, warnings)
    z, t, own = axes.get("z"), axes.get("t"), image.own
    step = own.z_step_um if own else _known(z)
    return Geometry(
        n_timepoints=counts.get("t", 1),
        n_channels=counts.get("c", 1),
        n_z_planes=counts.get("z", 1),
        height=layout.shape[-2],
        width=layout.shape[-1],
        pixel_y_um=pixel_y,
        pixel_x_um=pixel_x,
        origin_y_um=axes["y"].origin,
        origin_x_um=axes["x"].origin,
        z_step_um=step if counts.get("z", 1) > 1 else None,
        origin_z_um=z.origin if z else None,
        time_interval_s=t.step if t and t.unit and counts["t"] > 1 else None,
        strides=(strides.get("t", 0), strides.get("c", 0), strides.get("z", 0)),
    )


def _known(axis: ZarrAxis | None) -> float | None:
    """Return the step of an axis; 1 without a unit is what writers put where they know nothing."""
    return None if axis is None or (axis.unit is None and axis.step == _ONE_STEP) else axis.step


def _pixel_size(
    axes: Mapping[str, ZarrAxis], where: str, told: float | None, warnings: list[str]
) -> tuple[float, float]:
    if told is not None:
        return told, told
    y, x = axes["y"], axes["x"]
    # One that is 1 may be a whole number by chance; both without a unit are a placeholder.
    unknown = y.step is None or x.step is None or (_known(y) is None and _known(x) is None)
    if unknown or y.step is None or x.step is None:
        raise PixelSizeError(f"{where} does not say the size of its pixels", hint="Give it with --pixel-size UM.")
    if y.unit is None or x.unit is None:
        warnings.append("the size of a pixel has no unit; it is taken as µm")
    if not all(_PIXEL_SIZES_UM[0] <= step <= _PIXEL_SIZES_UM[1] for step in (y.step, x.step)):
        raise PixelSizeError(
            f"{where} says pixels of {y.step:g} × {x.step:g} µm, no microscope's", hint="Give it with --pixel-size UM."
        )
    return round(y.step, 9), round(x.step, 9)


def middles(images: Sequence[tuple[FoundImage, Geometry]], warnings: list[str]) -> dict[str, tuple[float, float]]:
    """Return path -> middle of the field, x and y in µm with y down, for the images whose place is known.

    cytolake's own images say it from the middle of the well. The translation of others is from a point that nobody
    names: where the images of a well lie in several places, these are told from the middle between the outermost.
    """
    found: dict[str, tuple[float, float]] = {}
    wells: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for one, shape in images:
        own = one.image.own if one.image else None
        if own is not None:
            if own.stage_um is not None:
                found[one.path] = own.stage_um[:2]
        elif shape.origin_x_um is not None and shape.origin_y_um is not None:
            x = shape.origin_x_um + (shape.width - 1) / 2 * shape.pixel_x_um
            y = shape.origin_y_um + (shape.height - 1) / 2 * shape.pixel_y_um
            wells[one.well.path].append((one.path, x, y))
    assumed = False
    for fields in wells.values():
        xs, ys = [x for _, x, _ in fields], [y for _, _, y in fields]
        if len({(round(x, 3), round(y, 3)) for x, y in zip(xs, ys, strict=True)}) < 2:
            continue  # one place tells nothing: 0 is what writers put where they know nothing
        assumed = True
        middle_x, middle_y = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
        found |= {path: (x - middle_x, y - middle_y) for path, x, y in fields}
    if assumed:
        warnings.append(
            "positions of fields are right among each other; the plate does not say where the middle of a well is, so "
            "the middle between the outermost fields is taken for it"
        )
    return found


def field_numbers(images: Sequence[FoundImage], warnings: list[str]) -> dict[str, int]:
    """Return path -> number of the field: the name of the image where it is one, else the next that is free."""
    names = sorted({one.name for one in images}, key=lambda name: (len(name), name))
    is_ours = any(one.image is not None and one.image.own is not None for one in images)
    by_name: dict[str, int] = {}
    for name in names:
        own_name = _OWN_NAME.match(name) if is_ours else None
        if own_name:
            by_name[name] = int(own_name.group(1))
        elif name.isascii() and name.isdigit() and len(name) <= 6 and int(name) not in by_name.values():
            by_name[name] = int(name)
    following = max(by_name.values(), default=0) + 1
    others = [name for name in names if name not in by_name]
    by_name |= {name: following + i for i, name in enumerate(others)}
    if others:
        said = ", ".join(f"{name} = {by_name[name]}" for name in others[:5])
        warnings.append(f"{len(others)} names of images are no numbers; as fields they are numbered {said}")
    return {one.path: one.image.own.field_id if one.image and one.image.own else by_name[one.name] for one in images}


def absent_pages(one: FoundImage, shape: Geometry) -> set[int]:
    """Return the pages of an image of which nothing is stored."""
    if one.layout is None or one.stored is None:
        return set()
    missing = one.image.own.missing if one.image and one.image.own else frozenset()
    pages = {place: shape.page(*place) for place in shape.planes()}
    return {page for place, page in pages.items() if place in missing or not one.stored.has(one.layout, page)}


def filled_chunks(layout: ZarrLayout, stored_leading: int, stored: int) -> int:
    """Return how many chunks are not stored of planes of which others are."""
    leading = math.prod(-(-n // c) for n, c in zip(layout.shape[:-2], layout.chunks[:-2], strict=True))
    of_plane = chunk_count(layout) // leading
    return max(0, min(stored_leading, leading) * of_plane - stored)
