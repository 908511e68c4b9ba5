"""Checked annotation into the tables: compared with what is there, and written in one commit, if anything is new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...errors import AlreadyExistsError
from ...schemas.tables import arrow_schema
from ...store.commit import Commit
from ...store.lineage import Run
from ...store.plates import locked
from ...wording import listed
from .merge import MergedWells, fill_records, merge_records, merge_wells
from .result import AnnotationResult, biosample_rows, perturbation_rows

if TYPE_CHECKING:
    from ...store.root import LakeRoot

_MOST_NAMED = 20  # plates that the name of a commit lists


def report(run_id: str | None, status: str, rows: int, result: AnnotationResult) -> dict[str, Any]:
    """Return the report of an annotation, as the command line documents it."""
    return {
        "run_id": run_id,
        "status": status,
        "rows": rows,
        "errors": [asdict(error) for error in result.errors],
        "warnings": list(result.warnings),
    }


def write(root: LakeRoot, run: Run, result: AnnotationResult, *, replace: bool) -> dict[str, Any]:
    """Merge annotation into the tables in one commit, if anything changes, and return the report.

    Raises
    ------
    AlreadyExistsError
        The sheets contradict the lake and ``replace`` is not given. Nothing was written.
    """
    status = "partial" if result.errors else "ok"
    nothing_new = report(None, "partial" if result.errors else "skipped", 0, result)
    if not _changes(root, result, run.run_id, replace=replace):
        return nothing_new
    plates = sorted({a.plate_id for a in result.annotations} | result.facts.plates.keys())
    with locked(root, result.study_id, plates):  # an ingest of a plate writes its wells as well
        changes = _changes(root, result, run.run_id, replace=replace)
        if not changes:
            return nothing_new
        for name, sha256 in result.inputs:
            run.add_input("file", name, sha256=sha256)
        for warning in (*result.warnings, *changes.warnings):
            run.warn(warning)
        run.add_output("table", "wells", rows=changes.wells)
        named = "+".join(plates) if len(plates) <= _MOST_NAMED else f"{len(plates)} plates"
        with Commit(root, run_id=run.run_id, app_id=f"annotate/{result.study_id}/{named}") as commit:
            for key, merged in changes.plates:
                commit.replace("wells", key, _table("wells", merged.wells))
                commit.replace("well_perturbations", key, _table("well_perturbations", merged.doses))
            for table, rows in changes.records.items():
                if rows:
                    commit.upsert(table, _table(table, rows), on=_KEYS[table])
            commit.append("runs", run.record(status))
            commit.commit()
    told = report(run.run_id, status, changes.wells, result)
    told["warnings"] += changes.warnings
    return told


_KEYS = {
    "perturbations": ["study_id", "perturbation_id"],
    "biosamples": ["study_id", "biosample_id"],
    "studies": ["study_id"],
    "plates": ["study_id", "plate_id"],
    "acquisitions": ["study_id", "plate_id", "acquisition_id"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changes:
    """What a result changes in the lake as it is now.

    ``plates`` are (key, merged rows) of plates whose wells change, ``records`` rows of other tables.
    """

    plates: list[tuple[dict[str, str], MergedWells]]
    records: dict[str, list[dict[str, Any]]]
    warnings: list[str]

    @property
    def wells(self) -> int:
        return sum(merged.changed for _, merged in self.plates)

    def __bool__(self) -> bool:
        return bool(self.plates or any(self.records.values()))


def _changes(root: LakeRoot, result: AnnotationResult, run_id: str, *, replace: bool) -> _Changes:
    """Compare annotation with the lake.

    Raises
    ------
    AlreadyExistsError
        They contradict each other, and ``replace`` is not given.
    """
    study_id = result.study_id
    by_plate: dict[str, list[Any]] = {}
    for annotation in result.annotations:
        by_plate.setdefault(annotation.plate_id, []).append(annotation)
    wells = _rows_by_plate(root, "wells", study_id, by_plate)
    doses = _rows_by_plate(root, "well_perturbations", study_id, by_plate)
    plates = []
    contradictions: list[str] = []
    for plate, said in by_plate.items():
        merged = merge_wells(
            said,
            wells.get(plate, ()),
            doses.get(plate, ()),
            study_id=study_id,
            run_id=run_id,
            replace=replace,
        )
        contradictions += merged.contradictions
        if merged.changed:
            plates.append(({"study_id": study_id, "plate_id": plate}, merged))
    records: dict[str, list[dict[str, Any]]] = {}
    for table, wanted in _wanted(result, run_id, list(by_plate)).items():
        known = _known(root, table, study_id, wanted)
        records[table], more = merge_records(wanted, known, key=_KEYS[table][-1], replace=replace)
        contradictions += more
    records["acquisitions"], warnings = _acquisitions(root, result, run_id, list(by_plate), replace=replace)
    if contradictions:
        raise _contradiction(contradictions)
    return _Changes(plates=plates, records=records, warnings=warnings)


def _wanted(result: AnnotationResult, run_id: str, annotated: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return what the tables beside ``wells`` are to say."""
    study_id, facts = result.study_id, result.facts
    plates = {p: facts.of_plate(p) for p in dict.fromkeys((*(annotated if facts.plate else ()), *facts.plates))}
    return {
        "perturbations": perturbation_rows(result.annotations, study_id, run_id),
        "biosamples": biosample_rows(result.annotations, study_id, run_id, facts.biosample),
        "studies": [{"study_id": study_id, "run_id": run_id, **facts.study}] if facts.study else [],
        "plates": [{"study_id": study_id, "plate_id": p, "run_id": run_id, **said} for p, said in plates.items()],
    }


def _known(root: LakeRoot, table: str, study_id: str, wanted: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that the lake has of the same things; slots that nobody has filled are None."""
    key = _KEYS[table][-1]
    names = [row[key] for row in wanted]
    if not names:
        return []
    where = {"study_id": study_id} if len(names) > 5000 or key == "study_id" else {"study_id": study_id, key: names}
    rows: list[dict[str, Any]] = root.tables.read(table, where=where).to_pylist(maps_as_pydicts="strict")
    for row in rows:
        if table == "studies" and row["title"] == study_id:
            row["title"] = None  # what an ingest calls a study of which it knows nothing
    return rows


def _acquisitions(
    root: LakeRoot, result: AnnotationResult, run_id: str, plates: Sequence[str], *, replace: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """Fill what the microscope left open; where it said otherwise, that stays, unless ``replace`` says so."""
    said = result.facts.acquisition
    if not said or not plates:
        return [], []
    where = {"study_id": result.study_id, "plate_id": list(plates)}
    rows = root.tables.read("acquisitions", where=where).to_pylist()
    return fill_records(rows, said, run_id=run_id, replace=replace)


def _rows_by_plate(root: LakeRoot, table: str, study_id: str, plates: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    names = list(plates)
    found: dict[str, list[dict[str, Any]]] = {}
    if names:
        rows = root.tables.read(table, where={"study_id": study_id, "plate_id": names})
        for row in rows.to_pylist(maps_as_pydicts="strict"):
            found.setdefault(row["plate_id"], []).append(row)
    return found


def _contradiction(found: Sequence[str]) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"the sheet contradicts what the lake holds: {listed(found, 3, between='; ')}. Nothing was written",
        hint="Run annotate with --replace to let the sheet overrule.",
    )


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in rows], schema=arrow_schema(name))
