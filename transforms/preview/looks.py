"""One field under a recipe, as the page shows it: pictures with outlines, counts, values to draw, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...store.images.picture import OUTLINE_COLOURS, limits_of, middle, outlines, stretched, to_jpeg_text
from ...store.images.plate import open_plate
from ..batches import PlateJob, reason_of
from ..field import process_field

if TYPE_CHECKING:
    from ..recipe import BoundRecipe
    from ..work import FieldName

#: Longest side of a picture, and side of the part shown at full size, in pixels.
WHOLE, DETAIL = 560, 420


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One channel with the outlines of all objects: the whole field, and its middle at full size (JPEG, base64)."""

    channel: str
    whole: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the page says of one field.

    Attributes
    ----------
    plate_id, name
        Which field: (acquisition, well, field).
    objects
        Object set to how many were found at the first time point.
    dropped
        Object set to how many its rules of size and border left out, where there are any.
    values
        Column to its values, float32, of the columns that are drawn.
    seconds, seconds_of
        Wall seconds for the field, and for each step.
    failed
        Why there is nothing to see; None where there is.
    """

    plate_id: str
    name: FieldName
    objects: Mapping[str, int]
    dropped: Mapping[str, int]
    pictures: Sequence[Picture]
    values: Mapping[str, NDArray[np.float32]]
    seconds: float
    seconds_of: Mapping[str, float]
    skipped: Mapping[str, str]
    failed: str | None = None

    @classmethod
    def of_failed(cls, plate_id: str, name: FieldName, reason: str, *, seconds: float = 0.0) -> Look:
        """Say of a field that there is nothing to be seen, and why."""
        return cls(
            plate_id=plate_id,
            name=name,
            objects={},
            dropped={},
            pictures=(),
            values={},
            seconds=seconds,
            seconds_of={},
            skipped={},
            failed=reason,
        )


def look_at(job: PlateJob, plate_id: str, name: FieldName) -> Look:
    """Process the first time point of one field on a worker, writing nothing, and draw it."""
    acquisition_id, well_id, field_id = name
    bound = job.recipes[acquisition_id]
    seen: list[tuple[NDArray[Any], Mapping[str, NDArray[np.int32]]]] = []
    started = perf_counter()
    try:
        field = open_plate(job.storage, job.path).field(well_id, field_id, acquisition_id)
        result = process_field(
            field,
            bound,
            full_scale=job.full_scale[acquisition_id],
            profiles=job.profiles.get(acquisition_id),
            write_labels=False,
            timepoints=[0],
            watch=lambda image, labels: seen.append((image, labels)),
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, the page says so, and shows the other fields
        return Look.of_failed(plate_id, name, reason_of(error), seconds=perf_counter() - started)
    seconds = perf_counter() - started
    image, labels = seen[0]
    values = {
        column: table[column].to_numpy(zero_copy_only=False)
        for object_set, table in result.objects.items()
        for column in columns_to_draw(bound, object_set)
    }
    return Look(
        plate_id=plate_id,
        name=name,
        objects={object_set: table.num_rows for object_set, table in result.objects.items()},
        dropped={
            row["object_set"]: int(row["value"])
            for row in result.quality
            if row["metric"] == "Dropped" and row["value"]
        },
        pictures=_pictures(bound, image, labels),
        values=values,
        seconds=seconds,
        seconds_of=result.seconds,
        skipped=result.skipped,
    )


def columns_to_draw(bound: BoundRecipe, object_set: str, most: int = 8) -> list[str]:
    """Choose the columns whose histograms tell most at a glance: size, form, and the mean of every channel.

    A recipe that measures none of them has its first columns drawn.
    """
    columns = bound.plans[object_set].columns
    wanted = [c.name for c in columns if c.operator in ("Area", "Volume", "FormFactor", "MeanIntensity")]
    return (wanted or [c.name for c in columns if "Location" not in c.family])[:most]


def _pictures(bound: BoundRecipe, image: NDArray[Any], labels: Mapping[str, NDArray[np.int32]]) -> list[Picture]:
    return [
        Picture(
            channel=role or name,
            whole=_drawn(_shrunk(plane, WHOLE), {key: _shrunk(one, WHOLE) for key, one in labels.items()}),
            detail=_drawn(middle(plane, DETAIL), {key: middle(one, DETAIL) for key, one in labels.items()}),
        )
        for plane, role, name in zip(image, bound.roles, bound.channel_names, strict=True)
    ]


def _shrunk(plane: NDArray[Any], most: int) -> NDArray[Any]:
    """Take every n-th pixel, so that labels stay labels."""
    step = -(-max(plane.shape) // most)
    return plane[::step, ::step]


def _drawn(plane: NDArray[Any], labels: Mapping[str, NDArray[np.int32]]) -> str:
    from PIL import Image

    grey = (stretched(plane, limits_of(plane)) * 255).astype(np.uint8)
    pixels = np.repeat(grey[..., np.newaxis], 3, axis=2)
    # Sets made later lie inside or around the first: those are drawn last, on top.
    for place, objects in reversed(list(enumerate(labels.values()))):
        pixels[outlines(objects)] = OUTLINE_COLOURS[place % len(OUTLINE_COLOURS)]
    return to_jpeg_text(Image.fromarray(pixels))
