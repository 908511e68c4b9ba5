"""The truth about a synthetic field as rows: where each nucleus is, and how large it and its cell were drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .scene import Labels

if TYPE_CHECKING:
    import pyarrow as pa


def measure(nuclei: Labels, cells: Labels) -> dict[str, npt.NDArray[Any]]:
    """Measure the label images (y, x) of one field: one array entry per nucleus, in the order of its label.

    Positions and areas are in pixels; an object that lies outside the image altogether is not in it.
    """
    size = nuclei.shape[0]
    top = int(nuclei.max(initial=0)) + 1
    where = np.flatnonzero(nuclei)
    owner = nuclei.ravel()[where]
    area = np.bincount(owner, minlength=top)
    ids = np.flatnonzero(area)
    y = np.bincount(owner, weights=where // size, minlength=top)[ids] / area[ids]
    x = np.bincount(owner, weights=where % size, minlength=top)[ids] / area[ids]
    border = np.unique(np.concatenate([nuclei[0], nuclei[-1], nuclei[:, 0], nuclei[:, -1]]))
    return {
        "object_id": ids.astype(np.int32),
        "x_px": x,
        "y_px": y,
        "nucleus_area_px": area[ids].astype(np.int32),
        "cell_area_px": np.bincount(cells.ravel(), minlength=top)[ids].astype(np.int32),
        "touches_border": np.isin(ids, border),
    }


def objects_table(tables: list[dict[str, Any]]) -> pa.Table:
    """Put the fields of a plate together; each entry is of :func:`measure`, with its ``well_id`` and ``field_id``."""
    import pyarrow as pa

    columns: list[pa.Field[Any]] = [
        pa.field("well_id", pa.string()),
        pa.field("field_id", pa.int32()),
        pa.field("object_id", pa.int32()),
        pa.field("x_px", pa.float64()),
        pa.field("y_px", pa.float64()),
        pa.field("nucleus_area_px", pa.int32()),
        pa.field("cell_area_px", pa.int32()),
        pa.field("touches_border", pa.bool_()),
    ]
    schema = pa.schema(columns)
    parts = []
    for table in tables:
        count = len(table["object_id"])
        same = {"well_id": [table["well_id"]] * count, "field_id": [table["field_id"]] * count}
        parts.append(pa.table({**table, **same}, schema=schema))
    return pa.concat_tables([schema.empty_table(), *parts])
