"""The unit of transform work: one field, all its channels, from pixels to rows.

Nothing here knows of Dask, tables or other fields. A field in which a stain that segmentation needs has no pixels
gives no objects *and says so* in its quality rows; a feature of a channel that is missing is NULL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..errors import RecipeError
from ..store.images.labels import write_label
from .features.families import compute
from .features.label_index import label_index
from .quality import image_quality, object_counts
from .segmentation.segment import segment_field

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
    """

    objects: Mapping[str, pa.Table]
    quality: Sequence[Mapping[str, Any]]
    skipped: Mapping[str, str]


def process_field(
    field: Field,
    bound: BoundRecipe,
    *,
    full_scale: Sequence[float | None] | None = None,
    write_labels: bool = True,
) -> FieldResult:
    """Segment and measure every time point of one field.

    Parameters
    ----------
    field
        The image; axes t, c, z, y, x.
    bound
        The recipe with the channels of the field's acquisition found.
    full_scale
        Grey value at which the camera saturates, for each channel; the pixel type's largest where it is None.
    write_labels
        Whether the label images are written into the plate, as ``<object set>_<segmentation hash>``.

    Raises
    ------
    RecipeError
        The field is a stack and the recipe does not say how to reduce it.
    StorageError
        The plate cannot be read or written.
    """
    tables: dict[str, list[pa.Table]] = {}
    quality: list[Mapping[str, Any]] = []
    skipped: dict[str, str] = {}
    labels: dict[str, list[npt.NDArray[np.int32]]] = {}
    n_timepoints, _, _, height, width = field.shape
    for timepoint in range(n_timepoints):
        image, present = projected(field, timepoint, bound.recipe.projection)
        identity = {
            "acquisition_id": field.key.acquisition_id,
            "well_id": field.key.well_id,
            "field_id": field.key.field_id,
            "timepoint": timepoint,
        }
        found = segment_field(bound, image, present=present, pixel_size_um=_pixel_size(field))
        skipped.update(found.skipped)
        for name, plane in found.labels.items():
            labels.setdefault(name, [np.zeros((height, width), np.int32)] * timepoint).append(plane)
        for name in found.skipped.keys() & labels.keys():
            labels[name].append(np.zeros((height, width), np.int32))
        counts: dict[str, int | None] = dict.fromkeys(found.skipped)
        for name, columns, values, ids in _measured(bound, found.labels, image, present):
            counts[name] = len(ids)
            parent = ids if name in found.parents else None
            tables.setdefault(name, []).append(_table(identity, ids, parent, columns, values))
        measured = image_quality(image, present, bound, missing=_missing(field, timepoint), full_scale=full_scale)
        quality += [{**identity, **row} for row in measured]
        quality += [{**identity, **row} for row in object_counts(counts, found.skipped)]
    if write_labels:
        for name, stack in labels.items():
            _write_label(field, bound, name, np.stack(stack))
    return FieldResult(
        objects={name: pa.concat_tables(parts) for name, parts in tables.items()},
        quality=quality,
        skipped=skipped,
    )


def projected(field: Field, timepoint: int, projection: str) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """Read one time point and reduce its stack to (c, y, x); also bool (c,): which channels have pixels.

    Planes that are missing from a stack take no part in its projection.
    """
    missing = {(c, z) for t, c, z in field.missing_planes if t == timepoint}
    pixels = field.read(t=timepoint)
    n_channels, n_z = pixels.shape[:2]
    present = np.array([any((c, z) not in missing for z in range(n_z)) for c in range(n_channels)])
    if n_z == 1:
        return pixels[:, 0], present
    if projection != "max":
        raise RecipeError(
            f"field {field.key.field_id} of well {field.key.well_id} is a stack of {n_z} planes, and the recipe takes "
            f"single planes",
            hint='Set projection = "max" in the recipe.',
        )
    # A missing plane reads as 0, the least value there is, so that it never wins a maximum.
    return pixels.max(axis=1), present


def _missing(field: Field, timepoint: int) -> Mapping[int, int]:
    counts: dict[int, int] = {}
    for t, c, _ in field.missing_planes:
        if t == timepoint:
            counts[c] = counts.get(c, 0) + 1
    return counts


def _pixel_size(field: Field) -> float | None:
    _, y, x = field.pixel_size_um
    return float(np.sqrt(y * x)) if y and x else None


def families_of(bound: BoundRecipe, object_set: str) -> dict[str, tuple[str, ...]]:
    """Give the families that are computed for an object set, each with the roles of the channels it measures."""
    chosen: dict[str, tuple[str, ...]] = {}
    for use in bound.recipe.features:
        if object_set in use.objects:
            roles = (bound.roles[index] for index in bound.feature_channels[use.family])
            chosen[use.family] = tuple(role for role in roles if role is not None)
    return chosen


def _measured(
    bound: BoundRecipe,
    labels: Mapping[str, npt.NDArray[np.int32]],
    image: Pixels,
    present: npt.NDArray[np.bool_],
) -> Iterator[tuple[str, list[str], npt.NDArray[np.float64], npt.NDArray[np.int32]]]:
    """Give for each object set its name, column names, values (n, k) float64 and object ids (n,)."""
    for name, plane in labels.items():
        index = label_index(plane)
        columns, values = compute(families_of(bound, name), name, index, image, bound.roles, present=present)
        yield name, [column.name for column in columns], values, index.object_ids


def _table(
    identity: Mapping[str, Any],
    ids: npt.NDArray[np.int32],
    parent: npt.NDArray[np.int32] | None,
    columns: Sequence[str],
    values: npt.NDArray[np.float64],
) -> pa.Table:
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


def _write_label(field: Field, bound: BoundRecipe, name: str, labels: npt.NDArray[np.int32]) -> None:
    segmentation = bound.recipe.segmentation_hash(name)
    write_label(
        field,
        f"{name}_{segmentation}",
        labels,
        source={"object_set": name, "segmentation": segmentation, "recipe": bound.recipe.name},
    )
