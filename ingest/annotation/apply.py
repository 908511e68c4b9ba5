"""Annotation into the lake: new facts beside what is known, never silently over it.

A sheet says only what it has columns for, and an empty cell says nothing, so that a plate map and, later, a sheet of
cell lines complete each other. Where a sheet contradicts what the lake holds, nothing is written unless ``replace``
says so; where it says nothing new, no table changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import AlreadyExistsError, InvalidDataError
from ...store.lineage import Run
from ...store.plates import rows_of_plates
from ...wording import listed
from ..export import PlateExport
from .layout import read_layout
from .platemap import read_annotation
from .result import AnnotationResult, PlateFormat
from .write import report, write

if TYPE_CHECKING:
    from ...store.root import LakeRoot

_SHOWN = 10


def annotate(
    root: LakeRoot,
    *,
    study_id: str,
    files: Sequence[Path | str],
    plate_id: str | None = None,
    replace: bool = False,
    keep_unknown: bool = False,
    accept_valid: bool = False,
) -> dict[str, Any]:
    """Annotate the wells of a study from plate maps and sample sheets.

    Parameters
    ----------
    root
        The lake.
    study_id, plate_id
        Where the wells are; without a plate the sheets must name it, or the study must have only one.
    files
        CSV, TSV and XLSX files, and folders with a ``barcode_platemap.csv``; see :func:`.platemap.read_annotation`.
    replace
        Let the sheets overrule what the lake holds.
    keep_unknown
        Keep columns that look like misspellings as attributes.
    accept_valid
        Write the valid rows although others are not.

    Returns
    -------
    dict
        ``run_id`` (None where nothing was written), ``status``, ``rows`` (wells that changed), ``errors`` and
        ``warnings``. The status is ``ok``, ``skipped`` (the lake knew all of it), ``partial`` (some rows were left
        out), or ``failed`` (there are errors and nothing was written).

    Raises
    ------
    NotFoundError
        The study, the plate or a file does not exist.
    AlreadyExistsError
        The sheets contradict the lake and ``replace`` is not given. Nothing was written.
    InvalidDataError
        A file is no table.
    """
    formats = _plates_of(root, study_id, plate_id)
    run = Run.start(
        "annotate",
        study_id=study_id,
        plate_ids=[plate_id] if plate_id else [p.plate_id for p in formats],
        parameters={
            "files": [Path(f).name for f in files],
            "replace": replace,
            "keep_unknown": keep_unknown,
            "accept_valid": accept_valid,
        },
    )
    result = read_annotation(
        files,
        study_id=study_id,
        plates=formats,
        plate_id=plate_id,
        keep_unknown=keep_unknown,
        run_id=run.run_id,
    )
    result = replace_fields(result, warnings=(*result.warnings, *_without_images(root, result)))
    if result.errors and not (accept_valid and result.annotations):
        return report(None, "failed", 0, result)
    return write(root, run, result, replace=replace)


def check_annotation(
    exports: Sequence[PlateExport], files: Sequence[Path | str], *, study_id: str, plate_id: str | None = None
) -> None:
    """Check plate maps against exports that are not in the lake yet.

    Raises
    ------
    InvalidDataError
        Something in the maps is wrong; the message lists the first faults.
    NotFoundError
        A file does not exist.
    """
    formats = [_format(export, plate_id) for export in exports]
    result = read_annotation(
        files,
        study_id=study_id,
        plates=formats,
        plate_id=formats[0].plate_id if len(formats) == 1 else None,
        run_id="check",
    )
    _refuse(result)


def annotate_export(
    root: LakeRoot, export: PlateExport, files: Sequence[Path | str], *, study_id: str, plate_id: str | None = None
) -> dict[str, Any]:
    """Annotate an ingested plate from plate maps or, where there are none, from what travels with its export.

    Returns
    -------
    dict
        As :func:`annotate`. What an assay layout of the microscope says wrongly is a warning, not an error: nobody
        asked for it.

    Raises
    ------
    AlreadyExistsError, InvalidDataError, NotFoundError
        As :func:`annotate`, for plate maps.
    """
    place = _format(export, plate_id)
    run = Run.start(
        "annotate",
        study_id=study_id,
        plate_ids=[place.plate_id],
        parameters={"files": [Path(f).name for f in files] or ["assay layout"]},
    )
    if files:
        result = read_annotation(files, study_id=study_id, plates=[place], plate_id=place.plate_id, run_id=run.run_id)
        _refuse(result)
        result = replace_fields(result, warnings=(*result.warnings, *_without_images(root, result)))
    elif export.annotation.num_rows:
        result = read_layout(export, place, study_id=study_id, run_id=run.run_id)
    else:
        return {"run_id": None, "status": "skipped", "rows": 0, "errors": [], "warnings": []}
    try:
        return write(root, run, result, replace=False)
    except AlreadyExistsError as error:
        if files:
            raise
        warnings = [f"the assay layout is not used: {error.message}"]
        return {"run_id": None, "status": "skipped", "rows": 0, "errors": [], "warnings": warnings}


def _without_images(root: LakeRoot, result: AnnotationResult) -> list[str]:
    """Warn of annotated wells that the plate has no image of: more often a shifted map than a well left out."""
    wells: dict[str, list[str]] = {}
    for annotation in result.annotations:
        wells.setdefault(annotation.plate_id, []).append(annotation.well_id)
    where = {"study_id": result.study_id, "plate_id": list(wells)}
    found = root.tables.read("images", columns=["plate_id", "well_id"], where=where) if wells else None
    if found is None or not found.num_rows:
        return []
    pairs = found.group_by(["plate_id", "well_id"]).aggregate([])
    imaged = set(zip(pairs["plate_id"].to_pylist(), pairs["well_id"].to_pylist(), strict=True))
    with_images = {plate for plate, _ in imaged}
    warnings = []
    for plate, named in wells.items():
        empty = [well for well in named if (plate, well) not in imaged]
        if plate in with_images and empty:
            warnings.append(
                f"plate {plate}: the sheets speak of {len(empty)} well(s) that have no images: {listed(empty, _SHOWN)}"
            )
    return warnings


def _refuse(result: AnnotationResult) -> None:
    if result.errors:
        shown = listed(result.errors, _SHOWN, between="\n  ")
        raise InvalidDataError(
            f"the plate map has {len(result.errors)} fault(s):\n  {shown}",
            hint="Correct the sheet and run the same command again; nothing was written.",
        )


def _format(export: PlateExport, plate_id: str | None) -> PlateFormat:
    return PlateFormat(
        plate_id=plate_id or export.plate_id,
        n_rows=export.n_rows,
        n_columns=export.n_columns,
        barcode=export.barcode,
        name=export.name,
    )


def _plates_of(root: LakeRoot, study_id: str, plate_id: str | None) -> list[PlateFormat]:
    """Return the plates of a study, all of them: also of a named one the sheets may speak beside others."""
    columns = ["n_rows", "n_columns", "barcode", "name"]
    if plate_id is not None:
        rows_of_plates(root, study_id, [plate_id], columns=())
    return [PlateFormat(**row) for row in rows_of_plates(root, study_id, columns=columns)]
