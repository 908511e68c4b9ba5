"""Tables of reagents without wells: the external metadata of JUMP, compound and guide libraries.

They are joined to the wells that name the reagent. JUMP's conventions are known: a ``target_sequence`` beside a
``broad_sample`` is the guide of a knock-out, a ``target_matching_region_seq`` the insert of an over-expression.
"""

from __future__ import annotations

from dataclasses import replace

from ..sheet import Sheet
from ..slots import fold
from ..table import RawTable
from .base import Contribution, headed, header_row, slots_of

#: Slots by which wells name a reagent, the best first.
KEYS = ("perturbation", "guide_id", "compound", "gene")
_FACTS = frozenset({
    "inchikey", "inchi", "smiles", "chebi_id", "pubchem_cid", "chembl_id", "compound", "gene", "gene_identifier",
    "ncbi_gene_id", "hgnc_id", "ensembl_id", "guide_sequence", "guide_id", "vector", "taxon", "vendor",
    "catalogue_number", "batch", "pert_type", "control_type", "perturbation_type",
})  # fmt: skip


class ReagentTable:
    """A table with a row per reagent."""

    name = "reagents"

    def claims(self, table: RawTable) -> bool:
        """Whether there is a column that names reagents, another one with facts of them, and none of wells."""
        headers = table.rows[header_row(table)].cells if table.rows else ()
        slots = slots_of(headers)
        key = next((slot for slot in KEYS if slot in slots), None)
        return key is not None and not slots & {"well", "row", "column", "plate"} and bool(slots & _FACTS - {key})

    def read(self, table: RawTable) -> Contribution:
        """Take the table as it is, with the kinds of perturbation that JUMP's columns say."""
        return Contribution(reagents=(_with_types(headed(table)),))


def _with_types(sheet: Sheet) -> Sheet:
    """Add a column with the kind of perturbation, where JUMP's columns say it and no column does."""
    folded = {fold(header) for header in sheet.headers}
    kind = None
    if {"targetsequence", "broadsample"} <= folded:
        kind = "crispr_ko"
    elif "targetmatchingregionseq" in folded:
        kind = "orf"
    if kind is None or "perturbation_type" in slots_of(sheet.headers):
        return sheet
    rows = tuple(replace(row, cells=(*row.cells, kind)) for row in sheet.rows)
    warning = f"{sheet.name}: its perturbations are taken as {kind}, as JUMP's columns say"
    headers = (*sheet.headers, "perturbation_type")
    return replace(sheet, headers=headers, rows=rows, warnings=(*sheet.warnings, warning))
