"""The unit of transform work: one field, all its channels, from pixels to rows.

Nothing here knows of Dask, tables or other fields. A field in which a stain that segmentation needs has no pixels
gives no objects *and says so* in its quality rows; a feature of a channel that is missing is NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..errors import InvalidDataError, RecipeError
from ..store.images.labels import write_label
from .features.families import measure
from .features.family import FieldPixels, default_full_scale
from .features.label_index import LabelIndex, label_index
from .illumination.correct import corrected
from .quality import image_quality, object_counts, object_quality
from .segmentation.segment import segment_field
from .segmentation.sources import read_masks
from .tracking.rows import FieldTracker

if TYPE_CHECKING:
    from ..store.images.plate import Field
    from .recipe import BoundRecipe

Pixels = npt.NDArray[Any]

#: Columns that say which object a row is about; the features follow. ``study_id``, ``plate_id`` and ``run_id`` are the
#: same for a whole plate and are added when its file is written.
_IDENTITY_FIELDS: list[pa.Field[Any]] = [
    pa.field("acquisition_id", pa.int32(), nullable=False),
    pa.field("well_id", pa.string(), nullable=False),
    pa.field("field_id", pa.int32(), nullable=False),
    pa.field("timepoint", pa.int32(), nullable=False),
    pa.field("object_id", pa.int32(), nullable=False),
    pa.field("parent_id", pa.int32()),
]
OBJECT_IDENTITY = pa.schema(_IDENTITY_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldResult:
    """What one field gave.

    Attributes
    ----------
    objects
        Object set to its rows: :data:`OBJECT_IDENTITY`, then one float32 column per feature, undefined values NULL.
    quality
        Rows of the ``quality`` table without the columns that are the same for a whole plate.
    skipped
        Object set to the reason why it could not be made in this field, at some time point.
    seconds
        Step to the wall seconds that it took: ``read``, ``correct``, ``segment``, each family (in stacks all together:
        ``measure``), ``quality``, ``labels``, ``tracks``.
    failed
        Why the field could not be processed at all; None where it could.
    tracks
        Rows of the ``tracks`` table without the columns that are the same for a whole plate; None where nothing is
        tracked.
    """

    objects: Mapping[str, pa.Table]
    quality: Sequence[Mapping[str, Any]]
    skipped: Mapping[str, str]
    seconds: Mapping[str, float]
    failed: str | None = None
    tracks: pa.Table | None = None


def process_field(
    field: Field,
    bound: BoundRecipe,
    *,
    full_scale: Sequence[float | None] | None = None,
    profiles: Sequence[npt.NDArray[np.float32] | None] | None = None,
    write_labels: bool = True,
    timepoints: Sequence[int] | None = None,
    watch: Callable[[Pixels, Mapping[str, npt.NDArray[np.int32]]], None] | None = None,
) -> FieldResult:
    """Segment and measure every time point of one field; recipes that keep the stack go to :mod:`.volume_field`.

    Parameters
    ----------
    field
        The image; axes t, c, z, y, x.
    bound
        The recipe with the channels of the field's acquisition found.
    full_scale
        Grey value at which the camera saturates, for each channel; the pixel type's largest where it is None.
    profiles
        How evenly each channel was lit, (y, x) of mean 1, for recipes that correct it; None: it stays as it is.
    write_labels
        Whether the label images are written into the plate, as ``<object set>_<segmentation hash>``.
    timepoints
        Which; all by default. Labels are written for all or none.
    watch
        Called for each time point with the image (c, y, x) that was measured and the label images of the sets; of a
        stack with the largest of its planes and labels.

    Raises
    ------
    RecipeError
        The field is a stack and the recipe does not say how to reduce it.
    StorageError
        The plate cannot be read or written.
    """
    if bound.recipe.projection == "volume":
        from .volume_field import process_volume

        return process_volume(
            field,
            bound,
            full_scale=full_scale,
            profiles=profiles,
            write_labels=write_labels,
            timepoints=timepoints,
            watch=watch,
        )
    tables: dict[str, list[pa.Table]] = {}
    quality: list[Mapping[str, Any]] = []
    skipped: dict[str, str] = {}
    steps = Steps()
    scale = default_full_scale(field.dtype)
    labels: dict[str, list[npt.NDArray[np.int32]]] = {}
    imported: dict[str, list[Mapping[str, str] | None]] = {}
    # Nothing can be followed through some of the time points.
    tracker = _tracker(field, bound) if timepoints is None else None
    n_timepoints, _, _, height, width = field.shape
    for timepoint in range(n_timepoints) if timepoints is None else timepoints:
        with steps("read"):
            raw, present = projected(field, timepoint, bound.recipe.projection)
            masks = read_masks(bound, field, timepoint)
        identity = identity_of(field, timepoint)
        image = raw
        if bound.recipe.corrects:
            with steps("correct"):
                light = [None] * len(raw) if profiles is None else profiles
                image = corrected_planes(field, bound, raw, light, bound.channel_names, present)
        with steps("segment"):
            found = segment_field(
                bound,
                image,
                present=present,
                pixel_size_um=_pixel_size(field),
                imported={name: mask if isinstance(mask, str) else mask.labels for name, mask in masks.items()},
            )
        skipped.update(found.skipped)
        for name, mask in masks.items():
            imported.setdefault(name, []).append(None if isinstance(mask, str) else mask.source())
        if watch is not None:
            watch(image, found.labels)
        for name, plane in found.labels.items():
            labels.setdefault(name, [np.zeros((height, width), np.int32)] * timepoint).append(plane)
        for name in found.skipped.keys() & labels.keys():
            labels[name].append(np.zeros((height, width), np.int32))
        counts: dict[str, int | None] = dict.fromkeys(found.skipped)
        indices: dict[str, LabelIndex] = {}
        for name, values, index in _measured(bound, found.labels, image, present, scale, steps.seconds):
            indices[name] = index
            counts[name] = len(index)
            ids = index.object_ids
            parent = ids if name in found.parents else None
            columns = [column.name for column in bound.plans[name].columns]
            tables.setdefault(name, []).append(object_rows(identity, ids, parent, columns, values))
            with steps("quality"):
                quality += [{**identity, **row} for row in object_quality(name, index)]
        with steps("quality"):
            measured = image_quality(
                raw, present, bound, missing=missing_planes(field, timepoint), full_scale=full_scale
            )
        quality += [{**identity, **row} for row in measured]
        quality += [{**identity, **row} for row in object_counts(counts, found.skipped, found.unmatched, found.dropped)]
        if tracker is not None:
            with steps("tracks"):
                tracker.add(indices, image, present)
    if write_labels:
        with steps("labels"):
            for name, stack in labels.items():
                write_objects(field, bound, name, np.stack(stack), imported.get(name))
    tracks = None
    if tracker is not None:
        with steps("tracks"):
            tracks = tracker.tracks(field.key)
            quality += tracker.quality(field.key)
            skipped.update(tracker.skipped)
    return FieldResult(
        objects={name: pa.concat_tables(parts) for name, parts in tables.items()},
        quality=quality,
        skipped=skipped,
        seconds=steps.seconds,
        tracks=tracks,
    )


def _tracker(field: Field, bound: BoundRecipe) -> FieldTracker | None:
    """Start to follow objects over time, where the recipe asks for it."""
    settings = bound.recipe.tracking
    if settings is None:
        return None
    return FieldTracker(
        settings,
        drift_channel=bound.drift_channel,
        pixel_size_um=_pixel_size(field),
        time_interval_s=field.info.time_interval_s,
    )


def identity_of(field: Field, timepoint: int) -> dict[str, Any]:
    """Give the columns that say which image a row is about."""
    return {
        "acquisition_id": field.key.acquisition_id,
        "well_id": field.key.well_id,
        "field_id": field.key.field_id,
        "timepoint": timepoint,
    }


def corrected_planes(
    field: Field,
    bound: BoundRecipe,
    planes: Pixels,
    light: Sequence[npt.NDArray[np.float32] | None],
    channels: Sequence[str],
    present: npt.NDArray[np.bool_],
) -> Pixels:
    """Correct planes as the recipe says: (n, y, x) float32; light and channel's name for each of them."""
    recipe = bound.recipe
    for profile, name in zip(light, channels, strict=True):
        if profile is not None and profile.shape != planes.shape[1:]:
            raise InvalidDataError(
                f"field {field.key.field_id} of well {field.key.well_id} has {planes.shape[1]} × {planes.shape[2]} "
                f"pixels, and the light of channel {name!r} is known for {profile.shape[0]} × {profile.shape[1]}",
                hint="The fields of an acquisition have one size; this one cannot be corrected as the others are.",
            )
    return corrected(
        planes,
        light,
        *(() if recipe.background is None else (recipe.background,)),
        dark_level=0.0 if recipe.illumination is None else recipe.illumination.dark_level,
        pixel_size_um=_pixel_size(field),
        present=present,
    )


def failed_field(bound: BoundRecipe, name: tuple[int, str, int], reason: str) -> FieldResult:
    """Say of a field that it could not be processed: no rows, and object counts that give the reason.

    ``name`` is (acquisition, well, field).
    """
    acquisition_id, well_id, field_id = name
    identity = {"acquisition_id": acquisition_id, "well_id": well_id, "field_id": field_id, "timepoint": 0}
    skipped = {one.name: f"the field could not be processed: {reason}" for one in bound.recipe.objects}
    counts = object_counts(dict.fromkeys(skipped), skipped)
    return FieldResult(
        objects={}, quality=[{**identity, **row} for row in counts], skipped=skipped, seconds={}, failed=reason
    )


class Steps:
    """Wall seconds of the steps of some work: ``with steps("read"): ...`` adds to ``steps.seconds["read"]``."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Add the time of the block to a step."""
        started = perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + perf_counter() - started


def projected(field: Field, timepoint: int, projection: str) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """Read one time point and reduce its stack to (c, y, x); also bool (c,): which channels have pixels.

    A stack is read plane by plane, and planes that are missing take no part in its projection. The largest of planes
    has their type, their mean is float32.
    """
    missing = {(c, z) for t, c, z in field.missing_planes if t == timepoint}
    _, n_channels, n_z, height, width = field.shape
    there = np.array([[(c, z) not in missing for z in range(n_z)] for c in range(n_channels)])
    if n_z == 1:
        return field.read(t=timepoint)[:, 0], there[:, 0]
    if projection == "single":
        raise RecipeError(
            f"field {field.key.field_id} of well {field.key.well_id} is a stack of {n_z} planes, and the recipe takes "
            f"single planes",
            hint='Set projection = "max" or "mean" in the recipe.',
        )
    image = np.zeros((n_channels, height, width), np.float32 if projection == "mean" else field.dtype)
    for z in range(n_z):
        planes = field.read(t=timepoint, z=z)[:, 0]
        for c in np.flatnonzero(there[:, z]):
            if projection == "mean":
                image[c] += planes[c]
            elif there[c, :z].any():
                np.maximum(image[c], planes[c], out=image[c])
            else:
                image[c] = planes[c]
    if projection == "mean":
        image /= np.maximum(there.sum(axis=1), 1)[:, None, None].astype(np.float32)
    return image, np.asarray(there.any(axis=1), dtype=np.bool_)


def missing_planes(field: Field, timepoint: int) -> Mapping[int, int]:
    """Count the missing planes of each channel that has some."""
    counts: dict[int, int] = {}
    for t, c, _ in field.missing_planes:
        if t == timepoint:
            counts[c] = counts.get(c, 0) + 1
    return counts


def _pixel_size(field: Field) -> float | None:
    _, y, x = field.pixel_size_um
    return float(np.sqrt(y * x)) if y and x else None


def _measured(
    bound: BoundRecipe,
    labels: Mapping[str, npt.NDArray[np.int32]],
    image: Pixels,
    present: npt.NDArray[np.bool_],
    full_scale: float,
    seconds: dict[str, float],
) -> Iterator[tuple[str, npt.NDArray[np.float64], LabelIndex]]:
    """Give for each object set its name, values (n, k) float64 and where its n objects are."""
    pixels = FieldPixels(
        image=image,
        present=present,
        roles=bound.roles,
        full_scale=full_scale,
        sets={name: label_index(plane) for name, plane in labels.items()},
    )
    for name, index in pixels.sets.items():
        yield name, measure(pixels, name, bound.plans[name], seconds=seconds), index


def object_rows(
    identity: Mapping[str, Any],
    ids: npt.NDArray[np.int32],
    parent: npt.NDArray[np.int32] | None,
    columns: Sequence[str],
    values: npt.NDArray[np.float64],
) -> pa.Table:
    """Make the rows of one object set: :data:`OBJECT_IDENTITY`, then a float32 column per feature."""
    n = len(ids)
    arrays: list[pa.Array[Any]] = [
        pa.repeat(pa.scalar(identity[field.name], field.type), n) for field in list(OBJECT_IDENTITY)[:4]
    ]
    arrays.append(pa.array(ids, pa.int32()))
    arrays.append(pa.nulls(n, pa.int32()) if parent is None else pa.array(parent, pa.int32()))
    # from_pandas: NaN, which the kernels give for what is undefined, becomes NULL.
    stored = values.astype(np.float32)
    arrays += [pa.array(stored[:, k], pa.float32(), from_pandas=True) for k in range(len(columns))]
    schema = pa.schema([*OBJECT_IDENTITY, *(pa.field(name, pa.float32()) for name in columns)])
    return pa.Table.from_arrays(arrays, schema=schema)


def write_objects(
    field: Field,
    bound: BoundRecipe,
    name: str,
    labels: npt.NDArray[np.int32],
    imported: Sequence[Mapping[str, str] | None] | None = None,
) -> None:
    """Write the objects of a set, with what they were made by; ``imported`` is what was read for each time point."""
    segmentation = bound.recipe.segmentation_hash(name)
    write_label(
        field,
        f"{name}_{segmentation}",
        labels,
        source={
            "object_set": name,
            "segmentation": segmentation,
            "recipe": bound.recipe.name,
            **({} if imported is None else {"imported": imported}),
        },
    )
