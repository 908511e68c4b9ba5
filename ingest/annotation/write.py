"""Checked annotation into the tables: compared with what is there, and written in one commit, if anything is new."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...errors import AlreadyExistsError, ConflictError
from ...schemas.tables import arrow_schema
from ...store.commit import Commit
from ...store.lineage import PreviousRows, Run
from ...store.plates import locked
from ...wording import listed
from .merge import MergedWells, fill_records, merge_records, merge_wells
from .result import LAYOUT, AnnotationResult, biosample_rows, perturbation_rows

if TYPE_CHECKING:
    from ...store.root import LakeRoot

_MOST_NAMED = 20  # plates that the name of a commit lists
#: Faults and contradictions that a message lists.
MOST_SHOWN = 1000
_LINE = "\n  "


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
    ConflictError
        Somebody changed the study meanwhile.
    """
    status = "partial" if result.errors else "ok"
    first = changes_of(root, result, run.run_id, replace=replace)
    first.refuse_contradictions()
    if not first:
        return _told(report(None, "partial" if result.errors else "skipped", 0, result), first)
    plates = sorted({a.plate_id for a in result.annotations} | result.facts.plates.keys() | first.plates.keys())
    with locked(root, result.study_id, plates):  # an ingest of a plate writes its wells as well
        changes = changes_of(root, result, run.run_id, replace=replace)
        changes.refuse_contradictions()
        if not changes:
            return _told(report(None, "partial" if result.errors else "skipped", 0, result), changes)
        if not changes.plates.keys() <= set(plates):
            raise ConflictError(
                f"study {result.study_id!r} was annotated by somebody else meanwhile; nothing was written",
                hint="Run the same command again.",
            )
        for name, sha256 in result.inputs:
            run.add_input("file", name, sha256=sha256, detail=result.origin)
        for before, rows_of in changes.previous.items():
            run.add_previous(before, rows_of)
        for warning in (*result.warnings, *changes.warnings):
            run.warn(warning)
        run.add_output("table", "wells", rows=len(changes.wells))
        named = "+".join(plates) if len(plates) <= _MOST_NAMED else f"{len(plates)} plates"
        with Commit(root, run_id=run.run_id, app_id=f"annotate/{result.study_id}/{named}") as commit:
            for plate, merged in changes.plates.items():
                key = {"study_id": result.study_id, "plate_id": plate}
                commit.replace("wells", key, _table("wells", merged.wells))
                commit.replace("well_perturbations", key, _table("well_perturbations", merged.doses))
            for table, rows in changes.records.items():
                if rows:
                    commit.upsert(table, _table(table, rows), on=_KEYS[table])
            commit.append("runs", run.record(status))
            commit.commit()
    return _told(report(run.run_id, status, len(changes.wells), result), changes)


def preview(result: AnnotationResult, changes: Changes, *, accept_valid: bool) -> dict[str, Any]:
    """Return the report that :func:`write` would give of changes, with all ``contradictions``.

    With ``replace`` the contradictions are what the sheets would overrule.
    """
    wrong = result.errors and not (accept_valid and result.annotations)
    refused = wrong or (changes.contradictions and not changes.replace)
    status = "failed" if refused else "partial" if result.errors else "ok" if changes else "skipped"
    told = _told(report(None, status, len(changes.wells), result), changes)
    return told | {"contradictions": changes.contradictions}


def _told(told: dict[str, Any], changes: Changes) -> dict[str, Any]:
    told["warnings"] = list(dict.fromkeys((*told["warnings"], *changes.warnings)))
    return told


_KEYS = {
    "perturbations": ["study_id", "perturbation_id"],
    "biosamples": ["study_id", "biosample_id"],
    "studies": ["study_id"],
    "plates": ["study_id", "plate_id"],
    "acquisitions": ["study_id", "plate_id", "acquisition_id"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a result changes in the lake as it is now.

    Attributes
    ----------
    plates
        Plate -> its merged rows, of plates whose wells change.
    records
        Rows of other tables.
    contradictions
        What the sheets say otherwise than the lake.
    previous
        Run -> the rows that it made and that change: table -> plate -> wells, None for all that change there.
    """

    run_id: str
    plates: dict[str, MergedWells]
    records: dict[str, list[dict[str, Any]]]
    contradictions: list[str]
    warnings: list[str]
    previous: dict[str, PreviousRows]
    replace: bool

    @property
    def wells(self) -> set[tuple[str, str]]:
        """The wells that change, with their plates."""
        return {(plate, well) for plate, merged in self.plates.items() for well in merged.changed}

    def __bool__(self) -> bool:
        return bool(self.plates or any(self.records.values()))

    def refuse_contradictions(self, hint: str = "Run annotate with --replace to let the sheet overrule.") -> None:
        """Raise ``AlreadyExistsError`` where the sheets contradict the lake and may not overrule it."""
        if self.contradictions and not self.replace:
            raise AlreadyExistsError(
                f"the sheet contradicts what the lake holds, and nothing was written:\n  "
                f"{listed(self.contradictions, MOST_SHOWN, between=_LINE)}",
                hint=hint,
            )


def changes_of(
    root: LakeRoot, result: AnnotationResult, run_id: str, *, replace: bool, onto: Changes | None = None
) -> Changes:
    """Compare annotation with the lake; ``onto`` is what is to be written before."""
    study_id = result.study_id
    by_plate: dict[str, list[Any]] = {}
    for annotation in result.annotations:
        by_plate.setdefault(annotation.plate_id, []).append(annotation)
    annotated = list(by_plate)
    wells = _rows_by_plate(root, "wells", study_id, annotated)
    doses = _rows_by_plate(root, "well_perturbations", study_id, annotated)
    for plate, before in onto.plates.items() if onto else ():
        wells[plate], doses[plate] = before.wells, before.doses
    wanted = _wanted(result, run_id, annotated)
    known = {table: _known(root, table, study_id, rows, onto) for table, rows in wanted.items()}
    yielding = _yielding(root, [*(r for rows in wells.values() for r in rows), *(r for k in known.values() for r in k)])
    yielding |= {onto.run_id} if onto else set()
    contradictions: list[str] = []
    records: dict[str, list[dict[str, Any]]] = {}
    for table, rows in wanted.items():
        records[table], more = merge_records(
            rows, known[table], key=_KEYS[table][-1], replace=replace, yielding=yielding
        )
        contradictions += more
    renamed = _renamed(known["perturbations"], records["perturbations"])
    for plate in _plates_with(root, study_id, renamed) - by_plate.keys():
        by_plate[plate] = []
        wells |= _rows_by_plate(root, "wells", study_id, [plate])
        doses |= _rows_by_plate(root, "well_perturbations", study_id, [plate])
    of_doses = {d["perturbation_id"] for rows in doses.values() for d in rows}
    perturbations = {
        row["perturbation_id"]: row
        for row in (
            *_known(root, "perturbations", study_id, [{"perturbation_id": name} for name in of_doses], onto),
            *known["perturbations"],
            *records["perturbations"],
        )
    }
    plates: dict[str, MergedWells] = {}
    warnings: list[str] = []
    found: list[str] = []
    for plate, said in by_plate.items():
        merged = merge_wells(
            said,
            wells.get(plate, ()),
            doses.get(plate, ()),
            study_id=study_id,
            run_id=run_id,
            replace=replace,
            perturbations=perturbations,
            renamed=renamed,
            yielding=yielding,
        )
        found += merged.contradictions
        warnings += merged.warnings
        if merged.changed:
            plates[plate] = merged
    records["acquisitions"], more = _acquisitions(root, result, run_id, annotated, replace=replace)
    return Changes(
        run_id=run_id,
        plates=plates,
        records=records,
        contradictions=found + contradictions,
        warnings=warnings + more,
        previous=_previous(plates, records["plates"], known["plates"]),
        replace=replace,
    )


def _yielding(root: LakeRoot, rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the runs that made rows of nothing but an assay layout."""
    names = sorted({str(row["run_id"]) for row in rows})
    if not names:
        return set()
    runs = root.tables.read("runs", columns=["run_id", "inputs"], where={"run_id": names}).to_pylist()
    files = {run["run_id"]: [i for i in run["inputs"] or () if i["kind"] == "file"] for run in runs}
    return {run_id for run_id, read in files.items() if read and all(i["detail"] == LAYOUT for i in read)}


def _renamed(known: Iterable[Mapping[str, Any]], rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the perturbations that change in what wells repeat of them."""
    before = {row["perturbation_id"]: row for row in known}
    return {
        name
        for row in rows
        if (name := row["perturbation_id"]) in before
        and any(row.get(slot) != before[name].get(slot) for slot in ("name", "compound", "gene"))
    }


def _plates_with(root: LakeRoot, study_id: str, perturbations: Collection[str]) -> set[str]:
    """Return the plates of a study that have some perturbations."""
    if not perturbations:
        return set()
    rows = root.tables.read("well_perturbations", columns=["plate_id", "perturbation_id"], where={"study_id": study_id})
    return {row["plate_id"] for row in rows.to_pylist() if row["perturbation_id"] in perturbations}


def _previous(
    plates: Mapping[str, MergedWells], records: Iterable[Mapping[str, Any]], known: Iterable[Mapping[str, Any]]
) -> dict[str, PreviousRows]:
    """Return the runs that made the rows which change, with these rows."""
    found: dict[str, PreviousRows] = {}
    for plate, merged in plates.items():
        for run_id in dict.fromkeys(merged.changed.values()):
            if run_id is not None:
                wells = [well for well, before in merged.changed.items() if before == run_id]
                whole = len(wells) == len(merged.changed)
                found.setdefault(run_id, {}).setdefault("wells", {})[plate] = None if whole else wells
    changed = {row["plate_id"] for row in records}
    for row in known:
        if row["plate_id"] in changed:
            found.setdefault(row["run_id"], {}).setdefault("plates", {})[row["plate_id"]] = None
    return found


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


def _known(
    root: LakeRoot, table: str, study_id: str, wanted: Iterable[Mapping[str, Any]], onto: Changes | None
) -> list[dict[str, Any]]:
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
    if onto is None:
        return rows
    newer = {row[key]: row for row in onto.records.get(table, ())}
    return [*(row for row in rows if row[key] not in newer), *newer.values()]


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


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in rows], schema=arrow_schema(name))
