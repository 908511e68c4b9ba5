"""Columns that belong together by their names: the treatments of one well, and the reagents of one pool.

People name what they combine by what it does (``inhibitor``, ``inhibitor_concentration``, ``inducer1`` …); each is a
treatment of its own, or a well of DMSO *and* LPS would pass for one of the vehicle alone. Four siRNAs against one gene
(``siRNA Identifier 1`` to ``4``) are one reagent, not a combination of four.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from .slots import BY_NAME, fold

#: What something does that is put into a well; the name stands alone, or before a slot of its own.
_DOES = re.compile(
    r"(inhibitor|inducer|activator|stimulus|stimulant|agonist|antagonist|ligand|toxin|modulator)([1-9]?)(.*)"
)
_OWN = frozenset({"", "name"})
_NUMBERED = re.compile(r"(.+?)[ _.-]?([1-9])\Z")
_SINGLE = frozenset({"guide_id", "guide_sequence"})
_POOLS = frozenset({"sirnapoolidentifier", "sirnapoolid"})
#: What may name the reagent that single guides make up.
_NAMED_BY = frozenset({"gene", "gene_identifier", "ncbi_gene_id", "ensembl_id", "perturbation", "guide_id"})


class Pool(NamedTuple):
    """Positions of the columns of single guides of a pool, and the kind of perturbation that they say."""

    positions: frozenset[int]
    kind: str | None


def treatment_of(header: str) -> tuple[str, str] | None:
    """Return the treatment that a header is about, by what it does, and the header without that; None for others."""
    found = _DOES.fullmatch(fold(header))
    if found is None:
        return None
    rest = re.sub(rf"(?i)\A\W*(?:metadata_)?{found[1]}[ _.-]?{found[2]}[ _.-]*", "", header)
    if found[3] in _OWN:
        return found[1] + found[2], "compound"
    return found[1] + found[2], rest


def pool_of(headers: Sequence[str]) -> Pool:
    """Return the columns of the single guides of a pool; none where each of them has a target of its own."""
    single: dict[int, str] = {}
    pooled = any(fold(header) in _POOLS for header in headers)
    kind: str | None = None
    numbers: set[str] = set()
    members: set[int] = set()
    others: set[str] = set()
    named = False
    for position, header in enumerate(headers):
        numbered = _NUMBERED.fullmatch(header)
        slot, _, implied = BY_NAME.get(fold(numbered[1] if numbered else header), (None, False, None))
        if slot is None:
            continue
        if numbered is None and pooled and slot.name in _SINGLE and fold(header) not in _POOLS:
            members.add(position)
        elif numbered is None:
            named |= slot.name in _NAMED_BY
        elif slot.name in _SINGLE:
            single[position] = numbered[2]
            numbers.add(numbered[2])
            kind = kind or implied
        elif slot.target == "perturbation":
            others.add(numbered[2])
    if not named or len(numbers) < 2 or others - {"1"}:
        return Pool(frozenset(members), None)
    return Pool(frozenset(single) | members, kind)
