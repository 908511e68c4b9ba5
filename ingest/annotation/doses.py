"""Doses of one treatment beside each other: equal in whatever unit, completed, or contradicting. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

#: What is said together of a dose, by the slot whose column says it: an amount goes with its unit and its text.
_PARTS = (
    ("concentration", ("concentration", "concentration_unit", "concentration_text", "concentration_um")),
    ("concentration", ("solvent_percent",)),
    ("duration_h", ("duration_h",)),
    ("start_h", ("start_h",)),
)
#: Units of mass, and of activity, against the first of their kind.
_FACTORS = {
    "g/L": ("g", 1.0), "mg/mL": ("g", 1.0), "g/mL": ("g", 1e3), "mg/L": ("g", 1e-3), "ug/mL": ("g", 1e-3),
    "ug/L": ("g", 1e-6), "ng/mL": ("g", 1e-6), "pg/mL": ("g", 1e-9), "U/L": ("U", 1.0), "U/mL": ("U", 1e3),
}  # fmt: skip
#: Numbers that went through a spreadsheet are equal to this.
_NEAR = 1e-6


def merged_dose(
    old: Mapping[str, Any], new: Mapping[str, Any], *, erase: Collection[str] = ()
) -> tuple[dict[str, Any], bool]:
    """Return what is known of a dose once it is told anew, and whether the two contradict each other.

    Parameters
    ----------
    old, new
        Rows of ``well_perturbations`` about the same treatment of the same well. What the new one leaves open stays;
        an equal amount stays as it was written first.
    erase
        Slots that go where the new one leaves them open.
    """
    row = dict(old)
    differs = False
    for column, slots in _PARTS:
        if new.get(slots[0]) is None:
            if column in erase:
                row |= dict.fromkeys(slots)
        elif not _same(old, new, slots):
            differs |= old.get(slots[0]) is not None
            row |= {slot: new.get(slot) for slot in slots}
    return row, differs


def facts_of(dose: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a dose says: without who said it, and how the number was typed."""
    return {slot: dose.get(slot) for _, slots in _PARTS for slot in slots if slot != "concentration_text"}


def dose_text(dose: Mapping[str, Any]) -> str:
    """Return a dose as people write it: ``10 uM, for 24 h``; empty where nothing is said of it."""
    parts = []
    if dose.get("concentration") is not None:
        parts.append(dose.get("concentration_text") or f"{dose['concentration']:g} {dose['concentration_unit']}")
    elif dose.get("solvent_percent") is not None:
        parts.append(f"{dose['solvent_percent']:g} %")
    if dose.get("duration_h") is not None:
        parts.append(f"for {dose['duration_h']:g} h")
    if dose.get("start_h") is not None:
        parts.append(f"from {dose['start_h']:g} h")
    return ", ".join(parts)


def _same(old: Mapping[str, Any], new: Mapping[str, Any], slots: tuple[str, ...]) -> bool:
    if old.get(slots[0]) is None:
        return False
    one, other = _amount(old, slots), _amount(new, slots)
    return one[0] == other[0] and math.isclose(one[1], other[1], rel_tol=_NEAR, abs_tol=0.0)


def _amount(dose: Mapping[str, Any], slots: tuple[str, ...]) -> tuple[str, float]:
    """Return an amount with what it is counted in."""
    if dose.get("concentration_um") is not None and "concentration_um" in slots:
        return "umol/L", float(dose["concentration_um"])
    unit = str(dose.get("concentration_unit")) if "concentration_unit" in slots else slots[0]
    kind, factor = _FACTORS.get(unit, (unit, 1.0))
    return kind, float(dose[slots[0]]) * factor
