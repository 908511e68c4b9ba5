"""Roles of wells beside their treatments: what a treatment alone says of the role, and roles that do not fit one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...wording import listed
from .controls import VEHICLES, plain, settle_control
from .doses import dose_text
from .result import Treatment

#: Roles of wells that got nothing but the vehicle, if that.
NOTHING_GIVEN = frozenset({"negative_vehicle", "untreated", "empty"})
_SHOWN = 10


def role_of(treatments: Sequence[Treatment]) -> str | None:
    """Return the role that is inferred from treatments where nobody says one; None where they say nothing of it."""
    role, _ = settle_control(
        {}, tuple(treatments), hint=None, solvent=False, nothing=None, blank_is_treatment=False, untreated=False
    )
    return role


def misfits(wells: Iterable[tuple[str, str | None, Sequence[Treatment]]]) -> list[str]:
    """Say which wells (name, role, treatments) have a dose of a compound and the role of wells without one."""
    odd: dict[str, list[str]] = {}
    for well, role, treatments in wells:
        if role not in NOTHING_GIVEN or any(map(is_vehicle, treatments)):
            continue
        dosed = [t for t in treatments if t.perturbation.get("type") == "compound" and t.dose.get("concentration")]
        if dosed:
            given = " + ".join(f"{t.perturbation['name']} {dose_text(t.dose)}" for t in dosed)
            odd.setdefault(role, []).append(f"{well} ({given})")
    return [
        f"a dose of a compound in wells that are {role}: {listed(found, _SHOWN)}; check the role or the treatment"
        for role, found in odd.items()
    ]


def is_vehicle(treatment: Treatment) -> bool:
    """Whether a treatment is the vehicle."""
    return any(plain(str(treatment.perturbation.get(slot) or "")) in VEHICLES for slot in ("name", "compound"))
