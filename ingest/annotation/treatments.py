"""The treatment that the cells of a row say: which reagent it is, of which kind, at which dose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...schemas.identifiers import slug
from ...schemas.units import to_micromolar
from .result import Treatment

#: Kinds of perturbation whose negative control is a reagent without a target.
GENETIC = frozenset({"crispr_ko", "crispr_i", "crispr_a", "orf", "sirna"})
#: Facts that only a compound has: a perturbation with one of them is a compound.
_CHEMICAL = ("compound", "inchikey", "inchi", "smiles", "chebi_id", "pubchem_cid", "chembl_id", "solvent")
#: What stands in the columns of a treatment and is no slot of ``perturbations``.
_NO_FACTS = frozenset(
    {"perturbation", "perturbation_type", "concentration", "concentration_unit", "duration_h", "start_h"}
)
#: Identifiers that say by themselves what they are: of JUMP (checked against its tables), and of the Broad.
_KNOWN_NAMES = (
    (re.compile(r"JCP2022_80\d{4}"), "crispr_ko"),
    (re.compile(r"JCP2022_9[01]\d{4}"), "orf"),
    (re.compile(r"JCP2022_[01]\d{5}"), "compound"),
    (re.compile(r"ccsbBroad\d+_\d+"), "orf"),
    (re.compile(r"BRD-[AKMSU]\d{8}(-\d{3}-\d{2}-\d)?"), "compound"),
    (re.compile(r"DMSO", re.IGNORECASE), "compound"),
)
#: Identifiers that name what is named by nothing else, and what is written before a bare number.
_IDENTIFIERS = (
    ("inchikey", ""), ("chembl_id", ""), ("chebi_id", ""), ("pubchem_cid", "PubChem-"), ("catalogue_number", ""),
    ("ensembl_id", ""), ("ncbi_gene_id", "NCBIGene-"), ("hgnc_id", ""), ("inchi", ""), ("smiles", ""),
)  # fmt: skip
_ENSEMBL = re.compile(r"ENS[A-Z]*G[0-9]{11}(\.[0-9]+)?")


def name_of(facts: Mapping[str, Any]) -> str | None:
    """Return what a treatment is called: the perturbation, the compound, the gene or the guide, whichever is said.

    One that has no name is called by its identifier in some database, or else by its structure.
    """
    for slot in ("perturbation", "compound", "gene", "guide_id", "guide_sequence"):
        if facts.get(slot):
            return str(facts[slot])
    return next((f"{before}{facts[slot]}" for slot, before in _IDENTIFIERS if facts.get(slot)), None)


def gene_slot(identifier: str) -> tuple[str, Any] | None:
    """Return the slot of a gene identifier, with its value: NCBI's, Ensembl's or HGNC's; None for any other."""
    if identifier.isdecimal() and 0 < int(identifier) < 2**53:
        return "ncbi_gene_id", int(identifier)
    if _ENSEMBL.fullmatch(identifier):
        return "ensembl_id", identifier
    if re.fullmatch(r"HGNC:[0-9]+", identifier):
        return "hgnc_id", identifier
    return None


def make_treatment(name: str, facts: Mapping[str, Any], *, vehicle: bool = False) -> Treatment:
    """Return the treatment that the cells of one number say.

    Parameters
    ----------
    name
        What it is called: the perturbation, the compound, the gene or the guide, whichever the row has.
    facts
        Slot -> value of the cells that are not empty; ``concentration`` is a quantity.
    vehicle
        Whether it is the vehicle, of which a percentage is the share of the solvent.
    """
    kind = facts.get("perturbation_type") or _kind_of_name(name)
    if kind is None:
        chemical = any(slot in facts for slot in _CHEMICAL) or ("gene" not in facts and "concentration" in facts)
        kind = "compound" if chemical else "other"
    perturbation = {slot: value for slot, value in facts.items() if slot not in _NO_FACTS}
    if kind == "compound" and "perturbation" in facts:
        perturbation.setdefault("compound", name)
    identity = {"perturbation_id": _identifier(name, kind, facts), "name": name, "type": kind}
    return Treatment(perturbation=identity | perturbation, dose=_dose(facts, vehicle=vehicle))


def _kind_of_name(name: str) -> str | None:
    return next((kind for pattern, kind in _KNOWN_NAMES if pattern.fullmatch(name)), None)


def _identifier(name: str, kind: str, facts: Mapping[str, Any]) -> str:
    """Return what the perturbation is called in its study.

    One gene may be knocked out and over-expressed in one study, and by several guides: each is a reagent of its own.
    """
    if "perturbation" in facts or kind not in GENETIC:
        return slug(name)
    guide = facts.get("guide_id") or facts.get("guide_sequence")
    return slug("-".join(part for part in (name, guide if guide != name else None, kind) if part))


def _dose(facts: Mapping[str, Any], *, vehicle: bool) -> dict[str, Any]:
    dose: dict[str, Any] = {slot: facts[slot] for slot in ("duration_h", "start_h") if slot in facts}
    quantity = facts.get("concentration")
    if quantity is not None and vehicle and quantity.unit == "%":
        dose["solvent_percent"] = quantity.value
    if quantity is not None:
        dose |= {
            "concentration": quantity.value,
            "concentration_unit": quantity.unit,
            "concentration_text": quantity.text,
            "concentration_um": to_micromolar(quantity),
        }
    return dose
