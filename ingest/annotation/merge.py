"""New annotation beside old: what changes, and what contradicts. Pure functions on rows.

A slot without a value is filled; an equal value is left; a different one is a contradiction, or overruled when
``replace`` says so. Treatments of a well are one fact: the set of its doses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...schemas.identifiers import parse_well
from .result import TREATMENT_SLOTS, WellAnnotation, dose_rows, well_row

#: Values of slots that mean that nobody has said anything yet.
_UNSAID = (None, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedWells:
    """All rows of a plate after the merge, how many wells changed, and what contradicts."""

    wells: list[dict[str, Any]]
    doses: list[dict[str, Any]]
    changed: int
    contradictions: list[str]


def merge_wells(
    annotations: Sequence[WellAnnotation],
    wells: Iterable[Mapping[str, Any]],
    doses: Iterable[Mapping[str, Any]],
    *,
    study_id: str,
    run_id: str,
    replace: bool,
) -> MergedWells:
    """Merge the annotation of one plate into its rows.

    Parameters
    ----------
    annotations
        What the sheets say, each well once.
    wells, doses
        The plate's rows of ``wells`` (attributes as a mapping) and ``well_perturbations``.
    """
    rows = {row["well_id"]: dict(row) for row in wells}
    treated: dict[str, list[dict[str, Any]]] = {}
    for dose in doses:
        treated.setdefault(dose["well_id"], []).append(dict(dose))
    changed = 0
    contradictions: list[str] = []
    for annotation in annotations:
        new_doses = dose_rows([annotation], study_id, run_id)
        row = rows.get(annotation.well_id)
        if row is None:
            rows[annotation.well_id] = well_row(annotation, study_id, run_id)
            treated[annotation.well_id] = new_doses
            changed += 1
            continue
        updates, found = _merge_values(annotation, row, replace=replace)
        contradictions += found
        if annotation.treatments is not None:
            old_doses = treated.get(annotation.well_id, [])
            if _facts(old_doses) != _facts(new_doses) and (new_doses or replace):
                if old_doses and not replace:
                    contradictions.append(_other_treatment(annotation, row["perturbation"]))
                treated[annotation.well_id] = new_doses
                slots = annotation.slots()
                updates |= {name: slots[name] for name in TREATMENT_SLOTS}
        if updates:
            row |= updates
            row["run_id"] = run_id
            changed += 1
    ordered = sorted(rows.values(), key=lambda row: parse_well(row["well_id"]))
    return MergedWells(
        wells=ordered,
        doses=[dose for row in ordered for dose in treated.get(row["well_id"], [])],
        changed=changed,
        contradictions=contradictions,
    )


def _merge_values(
    annotation: WellAnnotation, row: Mapping[str, Any], *, replace: bool
) -> tuple[dict[str, Any], list[str]]:
    """Return the slots of a well that change, without those of its treatments, and the contradictions."""
    updates: dict[str, Any] = {}
    found: list[str] = []
    for slot, value in annotation.values.items():
        old = row.get(slot)
        if value in _UNSAID and not (replace and slot != "excluded"):
            continue
        if old == value:
            continue
        # Nobody has to have said that a well is not excluded.
        if old not in _UNSAID and not (slot == "excluded" and old is False) and not replace:
            found.append(
                f"{slot} of {annotation.well_id} of {annotation.plate_id} is {old}, row {annotation.line} of "
                f"{annotation.file} says {value}"
            )
        updates[slot] = value
    if updates.get("excluded") is False and not annotation.values.get("exclusion_reason") and row["exclusion_reason"]:
        updates["exclusion_reason"] = None
    attributes = dict(row.get("attributes") or {})
    for name, text in annotation.attributes.items():
        old = attributes.get(name)
        if old not in (None, text) and not replace:
            found.append(
                f"{name} of {annotation.well_id} of {annotation.plate_id} is {old}, row {annotation.line} of "
                f"{annotation.file} says {text}"
            )
        attributes[name] = text
    if attributes != dict(row.get("attributes") or {}):
        updates["attributes"] = attributes
    return updates, found


def _other_treatment(annotation: WellAnnotation, old: str | None) -> str:
    """Say how the treatment of a well differs from the one it has in the lake."""
    new = annotation.slots()["perturbation"]
    has = f"{annotation.well_id} of {annotation.plate_id} has {old or 'a combination'}"
    says = f"row {annotation.line} of {annotation.file} says"
    return f"{has} at another dose than {says}" if old == new else f"{has}, {says} {new}"


def _facts(doses: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what doses say, by perturbation: without who said it, and how the number was typed."""
    return {
        dose["perturbation_id"]: {
            name: dose.get(name)
            for name in ("concentration", "concentration_unit", "concentration_um", "duration_h", "start_h")
        }
        for dose in doses
    }


def merge_records(
    wanted: Iterable[Mapping[str, Any]], known: Iterable[Mapping[str, Any]], *, key: str, replace: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows of a table that are new or say more than before, and the contradictions.

    Parameters
    ----------
    wanted
        What the sheets say; slots that they do not speak of are absent or None.
    known
        The rows that the lake has of the same things.
    key
        The column that tells the rows apart.
    """
    before = {row[key]: dict(row) for row in known}
    rows: list[dict[str, Any]] = []
    found: list[str] = []
    for new in wanted:
        old = before.get(new[key])
        if old is None:
            rows.append(dict(new))
            continue
        facts = {name: value for name, value in new.items() if name != "run_id" and value is not None}
        different = {name: value for name, value in facts.items() if old.get(name) != value}
        if not replace:
            found += [
                f"{name} of {new[key]} is {old[name]}, the sheet says {value}"
                for name, value in different.items()
                if old.get(name) is not None
            ]
        if different:
            rows.append(old | facts | {"run_id": new["run_id"]})
    return rows, found


def fill_records(
    rows: Iterable[Mapping[str, Any]], said: Mapping[str, Any], *, run_id: str, replace: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows in which open slots are filled, and what was said otherwise before and stays so.

    With ``replace`` what is said now goes before.
    """
    changed: list[dict[str, Any]] = []
    kept: dict[str, None] = {}
    for row in rows:
        updates = {}
        for slot, value in said.items():
            if row.get(slot) in (None, "") or replace:
                updates[slot] = value
            elif row[slot] != value:
                kept[f"{slot} is {row[slot]}, as the export says; the sheet says {value} (--replace overrules)"] = None
        if any(row.get(slot) != value for slot, value in updates.items()):
            changed.append(dict(row) | updates | {"run_id": run_id})
    return changed, list(kept)
