"""New annotation beside old: what changes, and what contradicts. Pure functions on rows.

A slot without a value is filled; an equal value is left; a different one is a contradiction, or overruled when
``replace`` says so. Treatments of a well are one fact, their doses facts of each. What somebody inferred, and nobody
said, gives way: a role that follows from the treatment, and a compound that is called by its identifier.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...schemas.identifiers import parse_well
from ...wording import listed
from .doses import dose_text, facts_of, merged_dose
from .fit import NOTHING_GIVEN, misfits, role_of
from .result import Treatment, WellAnnotation, dose_rows, treatment_slots, well_row

#: Values of slots that mean that nobody has said anything yet.
_UNSAID = (None, "")
_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedWells:
    """All rows of a plate after the merge, and what came of it.

    Attributes
    ----------
    changed
        The wells that change, with the run that made each what it was; None for a well that nobody knew.
    contradictions
        What the sheets say otherwise than the lake; with ``replace`` it is what they overrule.
    warnings
        What somebody should know.
    """

    wells: list[dict[str, Any]]
    doses: list[dict[str, Any]]
    changed: dict[str, str | None]
    contradictions: list[str]
    warnings: list[str]


@dataclass(slots=True, kw_only=True)
class _Merge:
    """The merge of one plate, while it is under way."""

    study_id: str
    run_id: str
    replace: bool
    perturbations: Mapping[str, Mapping[str, Any]]
    yielding: Collection[str]
    contradictions: list[str] = field(default_factory=list)
    yielded: list[str] = field(default_factory=list)
    kept_roles: dict[str, str] = field(default_factory=dict)
    odd: list[tuple[str, str | None, list[Treatment]]] = field(default_factory=list)

    def differ(self, row: Mapping[str, Any], words: str) -> None:
        """Note that a sheet says something else than a row."""
        gives_way = row["run_id"] in self.yielding and not self.replace
        (self.yielded if gives_way else self.contradictions).append(words)

    def treatments(self, doses: Iterable[Mapping[str, Any]]) -> list[Treatment]:
        """Return the treatments of a well as they are in the lake."""
        unknown = {"type": "other"}
        return [
            Treatment(
                perturbation={"name": d["perturbation_id"], **self.perturbations.get(d["perturbation_id"], unknown)},
                dose=d,
            )
            for d in doses
        ]

    def warnings(self, plate_id: str) -> list[str]:
        told = [f"plate {plate_id}: {words}" for words in misfits(self.odd)]
        if self.kept_roles:
            told.append(
                f"plate {plate_id}: the sheets change the treatment of wells and say no control_type, which stays as "
                f"somebody said it: {listed([f'{well} ({role})' for well, role in self.kept_roles.items()], _SHOWN)}"
            )
        if self.yielded:
            told.append(
                f"plate {plate_id}: the sheet counts where the assay layout says otherwise: "
                f"{listed(self.yielded, _SHOWN, between='; ')}"
            )
        return told


def merge_wells(
    annotations: Sequence[WellAnnotation],
    wells: Iterable[Mapping[str, Any]],
    doses: Iterable[Mapping[str, Any]],
    *,
    study_id: str,
    run_id: str,
    replace: bool,
    perturbations: Mapping[str, Mapping[str, Any]],
    renamed: Collection[str] = (),
    yielding: Collection[str] = (),
) -> MergedWells:
    """Merge the annotation of one plate into its rows.

    Parameters
    ----------
    annotations
        What the sheets say, each well once.
    wells, doses
        The plate's rows of ``wells`` (attributes as a mapping) and ``well_perturbations``.
    perturbations
        Rows of ``perturbations`` as they are going to be, by identifier.
    renamed
        Those of them of which wells repeat something that changes.
    yielding
        Runs whose rows give way to a sheet, and are told: those of assay layouts, which nobody wrote for the lake.
    """
    merge = _Merge(study_id=study_id, run_id=run_id, replace=replace, perturbations=perturbations, yielding=yielding)
    rows = {row["well_id"]: dict(row) for row in wells}
    treated: dict[str, list[dict[str, Any]]] = {}
    for dose in doses:
        treated.setdefault(dose["well_id"], []).append(dict(dose))
    changed: dict[str, str | None] = {}
    for annotation in annotations:
        well = annotation.well_id
        if well not in rows:
            treated[well] = dose_rows([annotation], study_id, run_id)
            rows[well] = well_row(annotation, study_id, run_id) | treatment_slots(merge.treatments(treated[well]))
            changed[well] = None
            continue
        updates, treated[well] = _merge_well(merge, annotation, rows[well], treated.get(well, []))
        if updates:
            changed[well] = rows[well]["run_id"]
            rows[well] |= {**updates, "run_id": run_id}
        said = annotation.treatments and annotation.values.get("control_type")
        if not said and well not in merge.kept_roles:  # what the sheet says of both is told with the sheet
            merge.odd.append((well, rows[well].get("control_type"), merge.treatments(treated[well])))
    for well, found in treated.items() if renamed else ():
        if well in rows and not set(renamed).isdisjoint(dose["perturbation_id"] for dose in found):
            slots = treatment_slots(merge.treatments(found))
            if any(rows[well].get(name) != value for name, value in slots.items()):
                changed.setdefault(well, rows[well]["run_id"])
                rows[well] |= {**slots, "run_id": run_id}
    ordered = sorted(rows.values(), key=lambda row: parse_well(row["well_id"]))
    return MergedWells(
        wells=ordered,
        doses=[dose for row in ordered for dose in treated.get(row["well_id"], [])],
        changed=changed,
        contradictions=merge.contradictions,
        warnings=merge.warnings(annotations[0].plate_id) if annotations else [],
    )


def _merge_well(
    merge: _Merge, annotation: WellAnnotation, row: Mapping[str, Any], old: list[dict[str, Any]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the slots of a well that change, and its doses."""
    updates = _merge_values(merge, annotation, row)
    doses = _merge_doses(merge, annotation, row, old)
    if list(map(_fact, doses)) != list(map(_fact, old)):
        updates |= treatment_slots(merge.treatments(doses))
    role = _merge_role(merge, annotation, row, old, doses)
    if role != row.get("control_type"):
        updates["control_type"] = role
    return updates, doses


def _fact(dose: Mapping[str, Any]) -> tuple[Any, ...]:
    return dose["perturbation_id"], *facts_of(dose).items()


def _merge_doses(
    merge: _Merge, annotation: WellAnnotation, row: Mapping[str, Any], old: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the doses of a well: a dose that a sheet does not speak of stays with its treatment."""
    if annotation.treatments is None or not (annotation.treatments or (merge.replace and old)):
        return old
    new = {d["perturbation_id"]: d for d in dose_rows([annotation], merge.study_id, merge.run_id)}
    before = {d["perturbation_id"]: d for d in old}
    erase = annotation.columns if merge.replace else ()
    differs = bool(before) and before.keys() != new.keys()
    merged = []
    for name in (*(n for n in before if n in new), *(n for n in new if n not in before)):
        if name not in before:
            merged.append(new[name])
            continue
        dose, other = merged_dose(before[name], new[name], erase=erase)
        differs |= other
        merged.append(dose if facts_of(dose) == facts_of(before[name]) else dose | {"run_id": merge.run_id})
    if differs:
        merge.differ(row, _other_treatment(annotation, row, old if before.keys() == new.keys() else None))
    return merged


def _merge_role(
    merge: _Merge,
    annotation: WellAnnotation,
    row: Mapping[str, Any],
    old: Sequence[Mapping[str, Any]],
    doses: Sequence[Mapping[str, Any]],
) -> str | None:
    """Return the role of a well: one that was inferred from the treatment goes with it, one that was said stays.

    The lake does not tell which it was: a role that the old treatment alone would give is taken for inferred.
    """
    role: str | None = row.get("control_type")
    said: str | None = annotation.values.get("control_type")
    if said is not None and not annotation.role_inferred:
        if role not in (None, said):
            merge.differ(row, _otherwise(annotation, "control_type", role, said))
        return said
    if role is None or (merge.replace and annotation.columns & {"control_type", "pert_type"}):
        return said
    if role == said or [d["perturbation_id"] for d in old] == [d["perturbation_id"] for d in doses]:
        return role
    inferred = role_of(merge.treatments(old)) == role if old else role in NOTHING_GIVEN
    if inferred and (old or merge.replace):
        return said
    if (old and (role != "treatment" or not doses)) or role in NOTHING_GIVEN:
        merge.kept_roles[annotation.well_id] = role
    return role


def _merge_values(merge: _Merge, annotation: WellAnnotation, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the slots of a well that change, without its role and those of its treatments."""
    updates: dict[str, Any] = {}
    for slot, value in annotation.values.items():
        if slot == "control_type":
            continue
        old = row.get(slot)
        if value in _UNSAID and not (merge.replace and slot != "excluded"):
            continue
        if old == value:
            continue
        # Nobody has to have said that a well is not excluded.
        if old not in _UNSAID and not (slot == "excluded" and old is False):
            merge.differ(row, _otherwise(annotation, slot, old, value))
        updates[slot] = value
    if updates.get("excluded") is False and not annotation.values.get("exclusion_reason") and row["exclusion_reason"]:
        updates["exclusion_reason"] = None
    attributes = dict(row.get("attributes") or {})
    for name, text in annotation.attributes.items():
        old = attributes.get(name)
        if old not in (None, text):
            merge.differ(row, _otherwise(annotation, name, old, text))
        attributes[name] = text
    if attributes != dict(row.get("attributes") or {}):
        updates["attributes"] = attributes
    return updates


def _otherwise(annotation: WellAnnotation, slot: str, old: Any, new: Any) -> str:
    return (
        f"{slot} of {annotation.well_id} of {annotation.plate_id} is {old}, row {annotation.line} of "
        f"{annotation.file} says {new}"
    )


def _other_treatment(
    annotation: WellAnnotation, row: Mapping[str, Any], doses: Sequence[Mapping[str, Any]] | None
) -> str:
    """Say how the treatment of a well differs from the one it has; where only the doses do, which these are."""
    new = annotation.slots()["perturbation"]
    old = row["perturbation"] or "a combination"
    if doses is not None:
        by_name = {t.perturbation["perturbation_id"]: t.dose for t in annotation.treatments or ()}
        old = f"{old} at {_doses_text(doses)}"
        new = _doses_text([by_name[d["perturbation_id"]] for d in doses])
    return (
        f"{annotation.well_id} of {annotation.plate_id} has {old}, row {annotation.line} of {annotation.file} says "
        f"{new or 'none'}"
    )


def _doses_text(doses: Iterable[Mapping[str, Any]]) -> str:
    return " + ".join(dose_text(dose) or "no dose" for dose in doses)


def merge_records(
    wanted: Iterable[Mapping[str, Any]],
    known: Iterable[Mapping[str, Any]],
    *,
    key: str,
    replace: bool,
    yielding: Collection[str] = (),
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
    replace
        Whether the sheets overrule the lake; the contradictions are then what they overrule.
    yielding
        Runs whose rows give way to a sheet.
    """
    before = {row[key]: dict(row) for row in known}
    rows: list[dict[str, Any]] = []
    found: list[str] = []
    for new in wanted:
        old = before.get(new[key])
        if old is None:
            rows.append(dict(new))
            continue
        different = {
            slot: value
            for slot, value in new.items()
            if slot != "run_id" and value is not None and old.get(slot) != value and not _invented(new, slot, old)
        }
        if replace or old.get("run_id") not in yielding:
            found += [
                f"{slot} of {new[key]} is {old[slot]}, the sheet says {value}"
                for slot, value in different.items()
                if old.get(slot) is not None and not _invented(old, slot, new)
            ]
        if different:
            rows.append(old | different | {"run_id": new["run_id"]})
    return rows, found


def _invented(row: Mapping[str, Any], slot: str, other: Mapping[str, Any]) -> bool:
    """Whether a fact of a perturbation was made up for want of a better one, which the other row may have.

    A compound of which only an identifier is known is called by that, and a kind that nobody says is ``other``.
    """
    if "perturbation_id" not in row or other.get(slot) is None:
        return False
    return (slot == "compound" and row.get(slot) == row.get("name")) or (slot == "type" and row.get(slot) == "other")


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
