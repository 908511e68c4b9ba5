"""The assay layout that travels with an export, as annotation: nobody asked for it, so nothing in it is an error."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from ...schemas.identifiers import parse_well
from ..export import PlateExport
from .platemap import check_sheets
from .result import LAYOUT, AnnotationResult, PlateFormat
from .sheet import Sheet, sheet_of


def read_layout(export: PlateExport, place: PlateFormat, *, study_id: str, run_id: str) -> AnnotationResult:
    """Read the layers of an assay layout as columns; a layer that breaks a rule becomes an attribute."""
    sheet = _layout_sheet(export.annotation)
    result = check_sheets([sheet], study_id=study_id, plates=[place], plate_id=place.plate_id, run_id=run_id)
    if not result.errors:
        return replace(result, inputs=_inputs(export), origin=LAYOUT)
    bad = {e.column for e in result.errors} & set(sheet.headers)
    plain = check_sheets(
        [sheet],
        study_id=study_id,
        plates=[place],
        plate_id=place.plate_id,
        run_id=run_id,
        as_attributes=bad or set(sheet.headers[1:]),
    )
    reasons = dict.fromkeys(f"layer {e.column!r} is kept as an attribute only: {e.message}" for e in result.errors[:3])
    return AnnotationResult(
        study_id=study_id,
        run_id=run_id,
        annotations=plain.annotations,
        errors=(),
        warnings=(*plain.warnings, *(f"assay layout: {reason}" for reason in reasons)),
        inputs=_inputs(export),
        origin=LAYOUT,
    )


def _inputs(export: PlateExport) -> tuple[tuple[str, str | None], ...]:
    """Return the files that say it, relative to the export, with the SHA-256 of their bytes."""

    def sha256(name: str) -> str | None:
        try:
            return hashlib.sha256((Path(export.root) / name).read_bytes()).hexdigest()
        except OSError:  # gone since it was read
            return None

    return tuple((name, sha256(name)) for name in export.annotation_files) or ((LAYOUT, None),)


def _layout_sheet(annotation: pa.Table) -> Sheet:
    """Turn the long table of layers into one row per well."""
    layers: dict[str, None] = {}
    wells: dict[str, dict[str, str]] = {}
    for row in annotation.to_pylist():
        layers[row["layer"]] = None
        wells.setdefault(row["well_id"], {})[row["layer"]] = row["value"]
    ordered = sorted(wells.items(), key=lambda item: parse_well(item[0]))
    cells = ((well, *(values.get(layer, "") for layer in layers)) for well, values in ordered)
    return sheet_of(LAYOUT, ("well", *layers), cells)
