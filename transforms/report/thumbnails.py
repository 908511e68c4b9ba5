"""Small pictures of suspicious fields beside a typical one of the same channel, so that people look for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import NotFoundError, StorageError
from ...store.images.picture import limits_of, middle, stretched, to_jpeg_text
from ...store.images.plate import open_plate
from .data import FieldName, PlateQuality
from .judgement import Problem

if TYPE_CHECKING:
    from ...store.images.plate import Plate
    from ...store.storage import Storage

#: Pictures in the report of a plate, and their side in pixels.
MOST = 12
SIDE = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The whole field, small, and its middle at full size, as JPEG in base64; ``caption`` says which field it is."""

    caption: str
    whole: str
    detail: str


def pairs(storage: Storage, plate: PlateQuality, problems: Sequence[Problem]) -> tuple[list[list[Pair]], list[str]]:
    """Draw the field that shows each problem, and a typical field of its channel with the same grey values.

    Parameters
    ----------
    storage, plate
        Where the images are.
    problems
        What to show; the first :data:`MOST` of them, whose channel is known or the first channel.

    Returns
    -------
    pairs
        For each problem the suspicious field, then the typical one where there is another.
    notes
        Why pictures are missing.
    """
    try:
        images = open_plate(storage, plate.path)
    except (NotFoundError, StorageError) as error:
        return [], [f"No pictures of fields: {error.message}."]
    shown, notes = [], []
    for problem in problems[:MOST]:
        try:
            shown.append(_pair(images, plate, problem))
        except (NotFoundError, StorageError) as error:
            notes.append(f"No picture of {problem.first.well_id} field {problem.first.field_id}: {error.message}.")
    return shown, notes


def _pair(images: Plate, plate: PlateQuality, problem: Problem) -> list[Pair]:
    flag = problem.first
    channel = flag.channel_index or 0
    own = (flag.well_id, flag.field_id)
    whole, detail = _pixels(images, own, flag.acquisition_id, channel, flag.timepoint)
    typical = _typical_field(plate, flag.acquisition_id, own)
    if typical is None:
        return [_drawn(f"{flag.well_id} field {flag.field_id}", whole, detail, limits_of(whole))]
    other_whole, other_detail = _pixels(images, typical, flag.acquisition_id, channel, flag.timepoint)
    limits = limits_of(other_whole)
    name = _channel_name(images, own, flag.acquisition_id, channel)
    return [
        _drawn(f"{flag.well_id} field {flag.field_id}, {name}", whole, detail, limits),
        _drawn(f"typical: {typical[0]} field {typical[1]}", other_whole, other_detail, limits),
    ]


def _typical_field(plate: PlateQuality, acquisition_id: int, own: FieldName) -> FieldName | None:
    """Give a field without flags whose first series (object counts, where there are some) is nearest the median."""
    flagged = {(flag.well_id, flag.field_id) for flag in plate.flags}
    values = plate.series[0].fields if plate.series else {}
    good = [
        name
        for name, acquisition in plate.fields.items()
        if acquisition == acquisition_id and name not in flagged and name != own and name in values
    ]
    if not good:
        return None
    middle = median(values[name] for name in good)
    return min(good, key=lambda name: abs(values[name] - middle))


def _channel_name(images: Plate, name: FieldName, acquisition_id: int, channel: int) -> str:
    spec = images.field(*name, acquisition_id).channels[channel]
    return spec.role or spec.name


def _pixels(
    images: Plate, name: FieldName, acquisition_id: int, channel: int, timepoint: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read the smallest level of a field that is large enough, and its middle at full size; of stacks the maximum."""
    field = images.field(*name, acquisition_id)
    enough = [level for level in range(field.levels) if min(field.level_shape(level)[-2:]) >= SIDE]
    whole = field.read([channel], t=timepoint, level=max(enough, default=0)).max(axis=1)[0]
    return whole, middle(field.read([channel], t=timepoint).max(axis=1)[0], SIDE)


def _drawn(caption: str, whole: NDArray[Any], detail: NDArray[Any], limits: tuple[float, float]) -> Pair:
    return Pair(caption=caption, whole=_jpeg(whole, limits), detail=_jpeg(detail, limits))


def _jpeg(pixels: NDArray[Any], limits: tuple[float, float]) -> str:
    from PIL import Image

    image = Image.fromarray((stretched(pixels, limits) * 255).astype(np.uint8))
    image.thumbnail((SIDE, SIDE))
    return to_jpeg_text(image)
