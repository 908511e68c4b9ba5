"""Annotation into the lake: new facts beside what is known, never silently over it.

A sheet says only what it has columns for, and an empty cell says nothing, so that a plate map and, later, a sheet of
cell lines complete each other. Where a sheet contradicts what the lake holds, nothing is written unless ``replace``
says so; where it says nothing new, no table changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import AlreadyExistsError, InvalidDataError
from ...schemas.identifiers import parse_well, slug
from ...store.lineage import Run
from ...store.plates import rows_of_plates
from ...wording import listed
from ..export import PlateExport
from ..rows import export_wells
from .layout import read_layout
from .platemap import read_annotation
from .result import AnnotationResult, PlateFormat
from .write import MOST_SHOWN, changes_of, preview, report, write

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
    dry_run: bool = False,
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
    dry_run
        Say what would happen and write nothing.

    Returns
    -------
    dict
        ``run_id`` (None where nothing was written), ``status``, ``rows`` (wells that changed), ``errors`` and
        ``warnings``. The status is ``ok``, ``skipped`` (the lake knew all of it), ``partial`` (some rows were left
        out), or ``failed`` (there are errors and nothing was written). With ``dry_run`` these are what would be, and
        ``contradictions`` lists what the sheets say otherwise than the lake (what they would overrule, with
        ``replace``) instead of raising.

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
    result = replace_fields(result, warnings=(*result.warnings, *_without_images(result, _imaged(root, result))))
    if dry_run:
        return preview(result, changes_of(root, result, run.run_id, replace=replace), accept_valid=accept_valid)
    if result.errors and not (accept_valid and result.annotations):
        return report(None, "failed", 0, result)
    return write(root, run, result, replace=replace)


def check_annotation(
    root: LakeRoot,
    exports: Sequence[PlateExport],
    files: Sequence[Path | str],
    *,
    study_id: str,
    plate_id: str | None = None,
    keep_unknown: bool = False,
    accept_valid: bool = False,
) -> dict[str, Any]:
    """Check plate maps against exports that are not in the lake yet, and against what it holds of them already.

    Returns
    -------
    dict
        As :func:`annotate` with ``dry_run``: what :func:`annotate_export` is going to make of all this.

    Raises
    ------
    AlreadyExistsError
        The maps contradict what the lake holds.
    InvalidDataError
        Something in the maps is wrong, or they are about no well of a plate; the message lists the faults.
    NotFoundError
        A file does not exist.
    """
    formats = [_format(export, plate_id) for export in exports]
    layouts = [_usable_layout(root, e, f, study_id) for e, f in zip(exports, formats, strict=True)]
    layout = AnnotationResult(
        study_id=study_id,
        run_id="layout",
        annotations=tuple(a for one in layouts for a in one.annotations),
        errors=(),
        warnings=tuple(warning for one in layouts for warning in one.warnings),
    )
    before = changes_of(root, layout, layout.run_id, replace=False)
    if not files:
        return preview(layout, before, accept_valid=False)
    result = read_annotation(
        files,
        study_id=study_id,
        plates=formats,
        plate_id=formats[0].plate_id if len(formats) == 1 else None,
        keep_unknown=keep_unknown,
        run_id="check",
    )
    _refuse(result, accept_valid=accept_valid)
    imaged = _imaged(root, result)
    for export, place in zip(exports, formats, strict=True):
        imaged.setdefault(place.plate_id, set()).update(export_wells(export))
    _refuse_other_plates(result, imaged)
    changes = changes_of(root, result, result.run_id, replace=False, onto=before)
    changes.refuse_contradictions(
        "Ingest without --plate-map, then run annotate with --replace to let the sheet overrule."
    )
    result = replace_fields(result, warnings=(*layout.warnings, *result.warnings, *_without_images(result, imaged)))
    return preview(result, changes, accept_valid=accept_valid) | {"rows": len(before.wells | changes.wells)}


def annotate_export(
    root: LakeRoot,
    export: PlateExport,
    files: Sequence[Path | str],
    *,
    study_id: str,
    plate_id: str | None = None,
    keep_unknown: bool = False,
    accept_valid: bool = False,
) -> dict[str, Any]:
    """Annotate an ingested plate from what travels with its export, and then from plate maps.

    The maps count where the two contradict each other, and the wells are told. That is what :func:`annotate` makes of
    the maps, too, when it comes later.

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
    told: dict[str, Any] = {"run_id": None, "status": "skipped", "rows": 0, "errors": [], "warnings": []}
    if export.annotation.num_rows:
        run = Run.start(
            "annotate",
            study_id=study_id,
            plate_ids=[place.plate_id],
            parameters={"files": list(export.annotation_files)},
        )
        layout = read_layout(export, place, study_id=study_id, run_id=run.run_id)
        try:
            told = write(root, run, layout, replace=False)
        except AlreadyExistsError as error:
            told["warnings"] = [f"the assay layout is not used: {error.message}"]
    if not files:
        return told
    run = Run.start(
        "annotate",
        study_id=study_id,
        plate_ids=[place.plate_id],
        parameters={
            "files": [Path(f).name for f in files], "keep_unknown": keep_unknown, "accept_valid": accept_valid,
        },
    )  # fmt: skip
    result = read_annotation(
        files,
        study_id=study_id,
        plates=[place],
        plate_id=place.plate_id,
        keep_unknown=keep_unknown,
        run_id=run.run_id,
    )
    _refuse(result, accept_valid=accept_valid)
    warnings = (*told["warnings"], *result.warnings, *_without_images(result, _imaged(root, result)))
    mapped = write(root, run, replace_fields(result, warnings=warnings), replace=False)
    if mapped["run_id"] is None and told["run_id"] is not None:
        mapped |= {"run_id": told["run_id"], "status": "partial" if mapped["errors"] else told["status"]}
    return mapped | {"rows": mapped["rows"] + told["rows"]}


def _usable_layout(root: LakeRoot, export: PlateExport, place: PlateFormat, study_id: str) -> AnnotationResult:
    """Return what the assay layout of an export says; nothing but a warning where it contradicts the lake."""
    if not export.annotation.num_rows:
        return AnnotationResult(study_id=study_id, run_id="layout", annotations=(), errors=(), warnings=())
    layout = read_layout(export, place, study_id=study_id, run_id="layout")
    try:
        changes_of(root, layout, layout.run_id, replace=False).refuse_contradictions()
    except AlreadyExistsError as error:
        return replace_fields(layout, annotations=(), warnings=(f"the assay layout is not used: {error.message}",))
    return layout


def _imaged(root: LakeRoot, result: AnnotationResult) -> dict[str, set[str]]:
    """Return the wells that plates have images of, of the plates that sheets annotate."""
    plates = list(dict.fromkeys(a.plate_id for a in result.annotations))
    where = {"study_id": result.study_id, "plate_id": plates}
    found: dict[str, set[str]] = {}
    if plates:
        rows = root.tables.read("images", columns=["plate_id", "well_id"], where=where)
        for pair in rows.group_by(["plate_id", "well_id"]).aggregate([]).to_pylist():
            found.setdefault(pair["plate_id"], set()).add(pair["well_id"])
    return found


def _named(result: AnnotationResult) -> dict[str, list[str]]:
    """Return the wells that sheets speak of, by plate."""
    wells: dict[str, list[str]] = {}
    for annotation in result.annotations:
        wells.setdefault(annotation.plate_id, []).append(annotation.well_id)
    return wells


def _without_images(result: AnnotationResult, imaged: Mapping[str, set[str]]) -> list[str]:
    """Warn of annotated wells that the plate has no image of: more often a shifted map than a well left out."""
    warnings = []
    for plate, named in _named(result).items():
        empty = [well for well in named if well not in imaged.get(plate, ())]
        if imaged.get(plate) and empty:
            why = "; the map may be that of another plate" if len(empty) == len(named) else ""
            warnings.append(
                f"plate {plate}: the sheets speak of {len(empty)} well(s) that have no images: "
                f"{listed(empty, _SHOWN)}{why}"
            )
    return warnings


def _refuse_other_plates(result: AnnotationResult, imaged: Mapping[str, set[str]]) -> None:
    """Raise where a map and a plate have no well in common."""
    for plate, named in _named(result).items():
        if imaged[plate].isdisjoint(named):
            there = sorted(imaged[plate], key=parse_well)
            raise InvalidDataError(
                f"plate {plate}: the plate map speaks of {listed(named, _SHOWN)} and of no well that has images "
                f"({listed(there, _SHOWN)})",
                hint="It may be the map of another plate; nothing was written.",
            )


def _refuse(result: AnnotationResult, *, accept_valid: bool) -> None:
    if result.errors and not (accept_valid and result.annotations):
        shown = listed(result.errors, MOST_SHOWN, between="\n  ")
        more = " `cytolake validate FILE --json` lists all." if len(result.errors) > MOST_SHOWN else ""
        raise InvalidDataError(
            f"the plate map has {len(result.errors)} fault(s):\n  {shown}",
            hint="Correct the sheet and run the same command again, or add --accept-valid to take the rows that are "
            f"right; nothing was written.{more}",
        )


def _format(export: PlateExport, plate_id: str | None) -> PlateFormat:
    return PlateFormat(
        plate_id=plate_id or slug(export.plate_id),
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
