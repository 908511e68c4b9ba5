"""Annotation into the lake: new facts beside what is known, never silently over it.

A sheet says only what it has columns for, and an empty cell says nothing, so that a plate map and, later, a sheet of
cell lines complete each other. Where a sheet contradicts what the lake holds, nothing is written unless ``replace``
says so; where it says nothing new, no table changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...errors import AlreadyExistsError, InvalidDataError, NotFoundError
from ...schemas.identifiers import parse_well
from ...schemas.tables import arrow_schema
from ...store.commit import Commit
from ...store.lineage import Run
from ...wording import did_you_mean
from ..export import PlateExport
from .merge import MergedWells, merge_perturbations, merge_wells
from .platemap import check_sheets, read_annotation
from .result import AnnotationResult, PlateFormat, biosample_rows, perturbation_rows
from .sheet import Sheet, sheet_of

if TYPE_CHECKING:
    from ...store.root import LakeRoot

_LOCK_WAIT_S = 30.0
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
        CSV or TSV files.
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
        A file is no text table.
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
        return _report(None, "failed", 0, result)
    return _write(root, run, result, replace=replace)


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
        result = _from_layout(export, place, study_id=study_id, run_id=run.run_id)
    else:
        return {"run_id": None, "status": "skipped", "rows": 0, "errors": [], "warnings": []}
    try:
        return _write(root, run, result, replace=False)
    except AlreadyExistsError as error:
        if files:
            raise
        warnings = [f"the assay layout is not used: {error.message}"]
        return {"run_id": None, "status": "skipped", "rows": 0, "errors": [], "warnings": warnings}


def _without_images(root: LakeRoot, result: AnnotationResult) -> list[str]:
    """Warn of annotated wells that the plate has no image of: more often a shifted map than a well left out."""
    warnings = []
    for plate in dict.fromkeys(a.plate_id for a in result.annotations):
        where = {"study_id": result.study_id, "plate_id": plate}
        imaged = set(root.tables.read("images", columns=["well_id"], where=where)["well_id"].to_pylist())
        empty = [a.well_id for a in result.annotations if a.plate_id == plate and a.well_id not in imaged]
        if imaged and empty:
            more = f" and {len(empty) - _SHOWN} more" if len(empty) > _SHOWN else ""
            warnings.append(
                f"plate {plate}: the sheets speak of {len(empty)} well(s) that have no images: "
                f"{', '.join(empty[:_SHOWN])}{more}"
            )
    return warnings


def _report(run_id: str | None, status: str, rows: int, result: AnnotationResult) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "status": status,
        "rows": rows,
        "errors": [asdict(error) for error in result.errors],
        "warnings": list(result.warnings),
    }


def _refuse(result: AnnotationResult) -> None:
    if result.errors:
        shown = "\n  ".join(str(error) for error in result.errors[:_SHOWN])
        more = f"\n  and {len(result.errors) - _SHOWN} more" if len(result.errors) > _SHOWN else ""
        raise InvalidDataError(
            f"the plate map has {len(result.errors)} fault(s):\n  {shown}{more}",
            hint="Correct the sheet and run the same command again; nothing was written.",
        )


def _format(export: PlateExport, plate_id: str | None) -> PlateFormat:
    return PlateFormat(
        plate_id=plate_id or export.plate_id,
        n_rows=export.n_rows,
        n_columns=export.n_columns,
        barcode=export.barcode,
    )


def _plates_of(root: LakeRoot, study_id: str, plate_id: str | None) -> list[PlateFormat]:
    columns = ["study_id", "plate_id", "n_rows", "n_columns", "barcode"]
    rows = root.tables.read("plates", columns=columns, where={"study_id": study_id}).to_pylist()
    if not rows:
        known: list[Any] = root.tables.read("plates", columns=["study_id"])["study_id"].unique().sort().to_pylist()
        raise NotFoundError(
            f"the lake has no plates of a study {study_id!r}{did_you_mean(study_id, known)}",
            hint=f"Studies are {', '.join(known)}."
            if known
            else "Ingest a plate first; annotation is about its wells.",
        )
    formats = [PlateFormat(**{k: v for k, v in row.items() if k != "study_id"}) for row in rows]
    names = sorted(p.plate_id for p in formats)
    if plate_id is not None and plate_id not in names:
        raise NotFoundError(
            f"study {study_id!r} has no plate {plate_id!r}{did_you_mean(plate_id, names)}",
            hint=f"Its plates are {', '.join(names)}.",
        )
    return sorted(formats, key=lambda p: p.plate_id)


def _from_layout(export: PlateExport, place: PlateFormat, *, study_id: str, run_id: str) -> AnnotationResult:
    """Read the layers of an assay layout as columns; a layer that breaks a rule becomes an attribute."""
    sheet = _layout_sheet(export.annotation)
    result = check_sheets([sheet], study_id=study_id, plates=[place], plate_id=place.plate_id, run_id=run_id)
    if not result.errors:
        return result
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
        inputs=plain.inputs,
    )


def _layout_sheet(annotation: pa.Table) -> Sheet:
    """Turn the long table of layers into one row per well."""
    layers: dict[str, None] = {}
    wells: dict[str, dict[str, str]] = {}
    for row in annotation.to_pylist():
        layers[row["layer"]] = None
        wells.setdefault(row["well_id"], {})[row["layer"]] = row["value"]
    ordered = sorted(wells.items(), key=lambda item: parse_well(item[0]))
    cells = ((well, *(values.get(layer, "") for layer in layers)) for well, values in ordered)
    return sheet_of("assay layout", ("well", *layers), cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changes:
    """What a result changes in the lake as it is now; ``plates`` are (key, merged rows) of plates that change."""

    plates: list[tuple[dict[str, str], MergedWells]]
    perturbations: list[dict[str, Any]]
    biosamples: list[dict[str, Any]]

    @property
    def wells(self) -> int:
        return sum(merged.changed for _, merged in self.plates)

    def __bool__(self) -> bool:
        return bool(self.plates or self.perturbations or self.biosamples)


def _changes(root: LakeRoot, result: AnnotationResult, run_id: str, *, replace: bool) -> _Changes:
    """Compare annotation with the lake.

    Raises
    ------
    AlreadyExistsError
        They contradict each other, and ``replace`` is not given.
    """
    study_id = result.study_id
    plates = []
    contradictions: list[str] = []
    for plate in dict.fromkeys(a.plate_id for a in result.annotations):
        key = {"study_id": study_id, "plate_id": plate}
        merged = merge_wells(
            [a for a in result.annotations if a.plate_id == plate],
            root.tables.read("wells", where=key).to_pylist(maps_as_pydicts="strict"),
            root.tables.read("well_perturbations", where=key).to_pylist(),
            study_id=study_id,
            run_id=run_id,
            replace=replace,
        )
        contradictions += merged.contradictions
        if merged.changed:
            plates.append((key, merged))
    wanted = perturbation_rows(result.annotations, study_id, run_id)
    perturbations, more = merge_perturbations(wanted, _known_perturbations(root, study_id, wanted), replace=replace)
    if contradictions or more:
        raise _contradiction([*contradictions, *more])
    return _Changes(plates=plates, perturbations=perturbations, biosamples=_new_biosamples(root, result, run_id))


def _write(root: LakeRoot, run: Run, result: AnnotationResult, *, replace: bool) -> dict[str, Any]:
    """Merge annotation into the tables in one commit, if anything changes, and return the report."""
    status = "partial" if result.errors else "ok"
    nothing_new = _report(None, "partial" if result.errors else "skipped", 0, result)
    if not _changes(root, result, run.run_id, replace=replace):
        return nothing_new
    plates = sorted({a.plate_id for a in result.annotations})
    with ExitStack() as locks:
        for plate in plates:
            # An ingest of the plate writes its wells as well.
            locks.enter_context(root.storage.lock(f"plate-{result.study_id}-{plate}", wait=_LOCK_WAIT_S))
        changes = _changes(root, result, run.run_id, replace=replace)
        if not changes:
            return nothing_new
        for name, sha256 in result.inputs:
            run.add_input("file", name, sha256=sha256)
        for warning in result.warnings:
            run.warn(warning)
        run.add_output("table", "wells", rows=changes.wells)
        with Commit(root, run_id=run.run_id, app_id=f"annotate/{result.study_id}/{'+'.join(plates)}") as commit:
            for key, merged in changes.plates:
                commit.replace("wells", key, _table("wells", merged.wells))
                commit.replace("well_perturbations", key, _table("well_perturbations", merged.doses))
            for name, on, rows in (
                ("perturbations", "perturbation_id", changes.perturbations),
                ("biosamples", "biosample_id", changes.biosamples),
            ):
                if rows:
                    commit.upsert(name, _table(name, rows), on=["study_id", on])
            commit.append("runs", run.record(status))
            commit.commit()
    return _report(run.run_id, status, changes.wells, result)


def _contradiction(found: Sequence[str]) -> AlreadyExistsError:
    shown = "; ".join(found[:3])
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return AlreadyExistsError(
        f"the sheet contradicts what the lake holds: {shown}{more}. Nothing was written",
        hint="Run annotate with --replace to let the sheet overrule.",
    )


def _known_perturbations(root: LakeRoot, study_id: str, wanted: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = [row["perturbation_id"] for row in wanted]
    if not names:
        return []
    rows: list[dict[str, Any]] = root.tables.read(
        "perturbations", where={"study_id": study_id, "perturbation_id": names}
    ).to_pylist()
    return rows


def _new_biosamples(root: LakeRoot, result: AnnotationResult, run_id: str) -> list[dict[str, Any]]:
    """Return the cell lines that the lake has no biosample of; it may know more of the others."""
    rows = biosample_rows(result.annotations, result.study_id, run_id)
    if not rows:
        return []
    where = {"study_id": result.study_id}
    known = set(root.tables.read("biosamples", columns=["biosample_id"], where=where)["biosample_id"].to_pylist())
    return [row for row in rows if row["biosample_id"] not in known]


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in rows], schema=arrow_schema(name))
