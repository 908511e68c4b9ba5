"""A plate or a whole study out of the lake: its rows leave every table in one commit.

Treatments and curves of dose and response go with the last plate that they were made from. Fitted parameters stay,
since plates of other studies may have taken them.

History keeps them: older versions of the tables, and ``runs``, stay. So do the images of a removed plate, which those
versions name, until somebody deletes their folder; nothing that is asked now sees them. A kill leaves the lake with all
of the rows or none (see :mod:`cytolake.store.commit`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConflictError
from ..store.commit import Commit
from ..store.derived import made_of_plate
from ..store.lineage import Run
from ..store.plates import locked, one_plate, plates_of

if TYPE_CHECKING:
    from ..store.root import LakeRoot

#: Tables of the study as a whole: they go with it, never with one plate.
_OF_STUDY = ("studies", "biosamples", "perturbations")
#: Tables that remember what was done, how features are defined, and what was learned, by which rows of other plates may
#: have been made: they stay.
_RECORDS = frozenset({"runs", "feature_sets", "feature_dictionary", "profile_fits"})


def remove(
    root: LakeRoot, *, study_id: str, plate_id: str | None = None, reason: str | None = None, dry_run: bool = False
) -> dict[str, Any]:
    """Remove a plate, or all of a study.

    Parameters
    ----------
    root
        The lake.
    study_id, plate_id
        What goes: one plate, or the study with all its plates.
    reason
        Why, for the record.
    dry_run
        Say what would go and write nothing.

    Returns
    -------
    dict
        ``run_id`` (None where nothing was written), ``status``, ``rows`` (of all tables together), ``tables`` (rows
        of each), ``plates``, ``kept`` (paths of the images, which stay) and ``warnings``: of treatments that
        the plate has a share in, among others.

    Raises
    ------
    NotFoundError
        There is no such study or plate.
    ConflictError
        Somebody is at work on one of the plates, or changed them meanwhile. Nothing was removed.
    """
    plates, paths, tables = _what(root, study_id, plate_id)
    if dry_run:
        return _report(None, plates, paths, tables, _stale(root, study_id, plate_id))
    with locked(root, study_id, plates):
        now, paths, tables = _what(root, study_id, plate_id)
        if now != plates:
            raise ConflictError(
                f"the plates of study {study_id} changed meanwhile; nothing was removed",
                hint="Look at what is there, then run the same command again.",
            )
        run = Run.start(
            "remove",
            study_id=study_id,
            plate_ids=plates,
            parameters={"plate": plate_id, "reason": reason},
        )
        for text in _stale(root, study_id, plate_id):
            run.warn(text)
        for name, rows in tables.items():
            run.add_output("table", name, rows=rows, detail="removed")
        # The same name as an ingest's: the two exclude each other where there are no locks.
        about = f"ingest/{study_id}/{plate_id}" if plate_id is not None else f"remove/{study_id}"
        left = [] if plate_id is None else _made_of_alone(root, study_id, plate_id)
        with Commit(root, run_id=run.run_id, app_id=about) as commit:
            for plate, path in zip(plates, paths, strict=True):
                commit.expect("plates", {"study_id": study_id, "plate_id": plate}, {"path": path})
            for name in tables.keys() - {name for name, _ in left}:
                key = {"study_id": study_id}
                commit.delete(name, key if plate_id is None else key | {"plate_id": plate_id})
            for name, key in left:
                commit.delete(name, key)
            commit.append("runs", run.record("ok"))
            commit.commit()
    return _report(run.run_id, plates, paths, tables, run.warnings)


def _what(root: LakeRoot, study_id: str, plate_id: str | None) -> tuple[list[str], list[str | None], dict[str, int]]:
    """Return the plates that go, where their images are (None: nowhere), and how many rows of which tables go too."""
    plates = [one_plate(root, study_id, plate_id)] if plate_id is not None else _all_plates(root, study_id)
    where: dict[str, Any] = {"study_id": study_id} if plate_id is None else {"study_id": study_id, "plate_id": plate_id}
    found = root.tables.read("plates", columns=["plate_id", "path"], where=where).to_pylist()
    paths = {row["plate_id"]: row["path"] for row in found}
    counts: dict[str, int] = {}
    for name in root.tables.names():
        if name in _RECORDS or (name in _OF_STUDY and plate_id is not None):
            continue
        columns = root.tables.schema(name).names
        if not where.keys() <= set(columns):
            continue
        rows = root.tables.read(name, columns=["study_id"], where=where).num_rows
        if rows:
            counts[name] = rows
    for name, of_plate in [] if plate_id is None else _made_of_alone(root, study_id, plate_id):
        counts[name] = counts.get(name, 0) + root.tables.read(name, columns=["study_id"], where=of_plate).num_rows
    return plates, [paths[plate] for plate in plates], counts


def _made_of_alone(root: LakeRoot, study_id: str, plate_id: str) -> list[tuple[str, dict[str, str]]]:
    """Return treatments and curves that were made from the wells of this plate alone: they go with it."""
    return [(one.table, dict(one.where)) for one in made_of_plate(root, study_id, plate_id) if one.alone]


def _stale(root: LakeRoot, study_id: str, plate_id: str | None) -> list[str]:
    """Say which profile sets have treatments or curves of the study that were made with other plates too, and stay."""
    made = [] if plate_id is None else made_of_plate(root, study_id, plate_id)
    labels = list(dict.fromkeys(one.set.label for one in made if not one.alone))
    if not labels:
        return []
    return [
        f"treatments and curves of study {study_id} were made with wells of {plate_id}, and stay as they are: of "
        f"{', '.join(labels)}. Make them anew with `cytolake profile --study {study_id}`."
    ]


def _all_plates(root: LakeRoot, study_id: str) -> list[str]:
    """Return the plates of a study, none for one whose plates were removed one by one."""
    known = root.tables.read("studies", columns=["study_id"], where={"study_id": study_id}).num_rows
    there = root.tables.read("plates", columns=["plate_id"], where={"study_id": study_id}).num_rows
    return [] if known and not there else plates_of(root, study_id)


def _report(
    run_id: str | None,
    plates: list[str],
    paths: list[str | None],
    tables: dict[str, int],
    warnings: list[str],
) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "status": "ok",
        "rows": sum(tables.values()),
        "tables": tables,
        "plates": plates,
        "kept": [path for path in paths if path is not None],
        "warnings": warnings,
    }
