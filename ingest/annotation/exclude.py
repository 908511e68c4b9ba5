"""Wells taken out of every question, and back: one commit, a reason, and a run that remembers both.

The views leave excluded wells out; ``wells`` keeps them, with the reason, and older versions of the table and the table
``runs`` keep who was excluded when.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...errors import InvalidDataError, NotFoundError, UsageError
from ...schemas.identifiers import format_well, parse_well
from ...schemas.tables import arrow_schema
from ...store.commit import Commit
from ...store.derived import made_of_plate
from ...store.lineage import Run
from ...store.plates import locked, one_plate
from ...wording import listed
from .cells import read_well

if TYPE_CHECKING:
    from ...store.root import LakeRoot

_RANGE = re.compile(r"\s*(\S+?)\s*(?::|\.\.|–|-)\s*([A-Za-z]{1,2}[0-9]{1,3})\s*")
_SHOWN = 10


def exclude_wells(
    root: LakeRoot,
    *,
    study_id: str,
    wells: Sequence[str],
    plate_id: str | None = None,
    reason: str | None = None,
    include: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Exclude wells of a plate, or take them in again.

    Parameters
    ----------
    root
        The lake.
    study_id, plate_id
        Where the wells are; a study with one plate needs no name of it.
    wells
        Names of wells, and rectangles of them (``A01:C12``).
    reason
        Why they are excluded; required, unless ``include``.
    include
        Take the wells in again, and forget the reason.
    dry_run
        Say what would change and write nothing.

    Returns
    -------
    dict
        ``run_id`` (None where nothing was written), ``status`` (``ok``, or ``skipped`` where the wells were so
        already), ``rows`` (wells that changed), ``wells`` (their names) and ``warnings``.

    Raises
    ------
    UsageError
        There is no well, no reason, or the study has several plates and none is named.
    NotFoundError
        The study, the plate or one of the wells does not exist. Nothing was changed.
    ConflictError
        The plate is being ingested or annotated.
    """
    if not wells:
        raise UsageError("no well is named", hint="Name them with --well, such as --well B03 or --well A01:A12.")
    if include and reason:
        raise UsageError("a well that is taken in again has no reason to be excluded", hint="Leave --reason out.")
    if not include and not (reason and reason.strip()):
        raise UsageError("an excluded well needs a reason", hint="Say why with --reason.")
    plate = one_plate(root, study_id, plate_id)
    named = _wells(wells)
    key = {"study_id": study_id, "plate_id": plate}
    text = None if include or reason is None else reason.strip()
    changed, _ = _changed(root, key, named, text)
    if not changed or dry_run:
        return _report(None, "ok" if changed else "skipped", changed)
    with locked(root, study_id, [plate]):
        changed, rows = _changed(root, key, named, text)
        if not changed:
            return _report(None, "skipped", changed)
        run = Run.start(
            "exclude",
            study_id=study_id,
            plate_ids=(plate,),
            parameters={"wells": changed, "reason": text, "include": include},
        )
        before = {row["well_id"]: row["run_id"] for row in rows}
        for one in dict.fromkeys(before[well] for well in changed):
            wells_of = [well for well in changed if before[well] == one]
            run.add_previous(one, {"wells": {plate: None if len(wells_of) == len(changed) else wells_of}})
        for row in rows:
            if row["well_id"] in set(changed):
                row |= {"excluded": not include, "exclusion_reason": text, "run_id": run.run_id}
        run.add_output("table", "wells", rows=len(changed))
        labels = dict.fromkeys(one.set.label for one in made_of_plate(root, study_id, plate))
        if labels:
            run.warn(
                f"treatments and curves of study {study_id} stay as they were made before, of {', '.join(labels)}. "
                f"Make them anew with `cytolake profile --study {study_id}`."
            )
        with Commit(root, run_id=run.run_id, app_id=f"annotate/{study_id}/{plate}") as commit:
            commit.replace("wells", key, pa.Table.from_pylist(rows, schema=arrow_schema("wells")))
            commit.append("runs", run.record("ok"))
            commit.commit()
    return _report(run.run_id, "ok", changed, run.warnings)


def _wells(texts: Sequence[str]) -> list[str]:
    """Return the wells that names and rectangles mean, in order, each once."""
    found: dict[tuple[int, int], None] = {}
    for text in (part for one in texts for part in one.replace(";", ",").split(",") if part.strip()):
        span = _RANGE.fullmatch(text)
        try:
            first, last = (read_well(span[1]), read_well(span[2])) if span else (read_well(text), read_well(text))
        except InvalidDataError:
            if span is None:
                raise
            first = last = read_well(text)  # "B-3" is a well, not a rectangle
        if first > last or first[1] > last[1]:
            raise UsageError(f"{text!r} ends before it begins", hint="Write a rectangle as A01:C12.")
        for row in range(first[0], last[0] + 1):
            found |= dict.fromkeys((row, column) for column in range(first[1], last[1] + 1))
    return [format_well(*at) for at in sorted(found)]


def _changed(
    root: LakeRoot, key: dict[str, str], named: Sequence[str], reason: str | None
) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the wells that change, and all rows of the plate."""
    rows: list[dict[str, Any]] = root.tables.read("wells", where=key).to_pylist(maps_as_pydicts="strict")
    by_name = {row["well_id"]: row for row in rows}
    absent = [well for well in named if well not in by_name]
    if absent:
        raise NotFoundError(
            f"plate {key['plate_id']!r} has no well {listed(absent, _SHOWN)}; nothing was changed",
            hint=f"Its {len(rows)} wells run from {rows[0]['well_id']} to {rows[-1]['well_id']}." if rows else None,
        )
    wanted = {"excluded": reason is not None, "exclusion_reason": reason}
    changed = [well for well in named if any(by_name[well][slot] != value for slot, value in wanted.items())]
    return sorted(changed, key=parse_well), rows


def _report(run_id: str | None, status: str, wells: Sequence[str], warnings: Sequence[str] = ()) -> dict[str, Any]:
    return {"run_id": run_id, "status": status, "rows": len(wells), "wells": list(wells), "warnings": list(warnings)}
