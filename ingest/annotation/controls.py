"""What a well is to be compared as: the words people have for it, and what a row says where no column does.

Whatever is inferred is told in a warning, and a column ``control_type`` overrules it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .result import Treatment
from .treatments import GENETIC

#: A well is called negative: of the vehicle, or of a reagent without a target, as its treatment says.
NEGATIVE = "negative"
NEGATIVE_WORDS = frozenset({
    "negative", "negative control", "neg", "neg control", "negcon", "neg ctrl", "negative ctrl", "nc", "negctrl",
    "negative controls", "neg con", "neutral control",
})  # fmt: skip
#: Words for controls beyond those of the schema.
CONTROLS = {
    "pos": "positive", "poscon": "positive", "pos control": "positive", "pos ctrl": "positive",
    "positive ctrl": "positive", "pc": "positive", "posctrl": "positive", "positive controls": "positive",
    "treated": "treatment", "treatment": "treatment", "compound": "treatment", "experimental": "treatment",
    "test compound": "treatment", "perturbation": "treatment", "library": "treatment",
    "untreated cells": "untreated", "untreated ctrl": "untreated", "nontreated": "untreated",
    "non treated": "untreated", "not treated": "untreated",
    "no treatment control": "untreated", "untreated control": "untreated", "mock control": "untreated",
    "mock transfection": "untreated", "mock transfected": "untreated", "cells only": "untreated",
    "vehicle control": "negative_vehicle", "solvent control": "negative_vehicle", "dmso control": "negative_vehicle",
    "non targeting control": "negative_non_targeting", "nontargeting": "negative_non_targeting",
    "nontargeting control": "negative_non_targeting", "ntc": "negative_non_targeting",
    "scrambled control": "negative_non_targeting", "scramble control": "negative_non_targeting",
    "empty well": "empty", "no cell": "empty", "blank well": "empty", "unused": "empty", "not used": "empty",
    "medium only": "empty", "media only": "empty",
    "no reagent": "untreated", "no sirna": "untreated", "no compound": "untreated", "no drug": "untreated",
    "stimulator control": "positive", "inhibitor control": "positive", "activator control": "positive",
}  # fmt: skip
#: Words that say that a well is a control, and not which: its role stays open.
UNKNOWN_ROLES = frozenset({"technical control", "other control", "assay control", "reference control"})

#: Words that say more than the role that they stand for: kept as the name of the control.
SAY_MORE = frozenset({"neutral control", "stimulator control", "inhibitor control", "activator control", "no reagent"})

VEHICLES = frozenset({
    "dmso", "dimethyl sulfoxide", "dimethylsulfoxide",
    "vehicle", "dmso control", "vehicle control", "solvent", "veh", "vehicle ctrl", "dmso ctrl", "solvent ctrl",
})  # fmt: skip
NON_TARGETING = frozenset({
    "scramble", "scrambled", "scr", "non targeting", "nontargeting", "non targeting control", "ntc", "no guide",
    "scrambled control", "scramble control", "sintc", "sictrl", "non target",
})  # fmt: skip
_PERCENTAGE = re.compile(r"[0-9]+(?:[.,][0-9]+)?\s*%(?:\s*\(?[vw]/[vw]\)?)?")
_BETWEEN = str.maketrans("_-.", "   ")
#: Names of treatments that say that there is none, and what the well then is.
NO_TREATMENT = {
    "empty": "empty", "empty well": "empty", "blank": "empty", "no cells": "empty", "unused": "empty",
    "jcp2022 999999": "empty",
    "none": "untreated", "untreated": "untreated", "no treatment": "untreated", "not treated": "untreated",
    "mock": "untreated", "no compound": "untreated", "no sirna": "untreated", "cells only": "untreated",
    "no reagent": "untreated", "no drug": "untreated", "media": "untreated", "medium": "untreated",
    "media ctr": "untreated", "media control": "untreated", "medium control": "untreated",
}  # fmt: skip


def plain(text: str) -> str:
    """Return a word without case, hyphens, underscores and dots, and without how much of a vehicle there is."""
    return " ".join(_PERCENTAGE.sub("", text).casefold().translate(_BETWEEN).split())


def percentage_in(text: str) -> str | None:
    """Return how much of a vehicle a name says there is: ``0.1 %`` of ``DMSO 0.1 % (v/v)``."""
    found = _PERCENTAGE.search(text)
    return f"{found[0].partition('%')[0].strip()} %" if found else None


def role_of_words(text: str) -> str | None:
    """Return what a well is whose treatment is called so, where that is no treatment at all."""
    return NO_TREATMENT.get(plain(text))


def settle_control(
    values: Mapping[str, Any],
    treatments: tuple[Treatment, ...] | None,
    *,
    hint: str | None,
    solvent: bool,
    nothing: str | None,
    blank_is_treatment: bool,
    untreated: bool,
) -> tuple[str | None, str | None]:
    """Say what a well is to be compared as, and, where that is inferred, in which words to tell so.

    Parameters
    ----------
    values
        The slots of the well that the row says.
    treatments
        Its treatments; None where no column speaks of any.
    hint
        What a column ``pert_type`` says.
    solvent
        Whether a solvent is named.
    nothing
        What the words in the place of a treatment say, as :func:`role_of_words` gives it.
    blank_is_treatment
        Whether a treated well that nobody calls a control is under test.
    untreated
        Whether an empty cell for the reagent means that there was none.
    """
    said = values.get("control_type") or hint
    if said == NEGATIVE:
        kinds = {t.perturbation["type"] for t in treatments or ()}
        genes = any(t.perturbation.get("gene") or t.perturbation.get("guide_sequence") for t in treatments or ())
        role = "negative_non_targeting" if (kinds & GENETIC or genes) else "negative_vehicle"
        return role, f"wells called negative are taken as {role}"
    if said is not None or treatments is None:
        return said, None
    names = {plain(str(t.perturbation.get(slot) or "")) for t in treatments for slot in ("name", "compound", "gene")}
    if len(treatments) == 1 and names & VEHICLES:
        return "negative_vehicle", "wells of the vehicle alone are taken as negative_vehicle"
    if len(treatments) == 1 and names & NON_TARGETING:
        return "negative_non_targeting", "wells of a reagent without a target are taken as negative_non_targeting"
    if not treatments and nothing is not None:
        return nothing, f"wells whose treatment is called so (empty, none, mock …) are taken as {nothing}"
    if not treatments and solvent:
        return "negative_vehicle", "wells of the vehicle alone are taken as negative_vehicle"
    if not treatments and untreated:
        return "untreated", "wells without a sample are taken as untreated"
    if treatments and blank_is_treatment:
        return "treatment", "treated wells that are called no control are taken as treatment"
    return None, None
