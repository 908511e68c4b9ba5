"""What the headers of a plate map mean: one table of slots and the names that people give them.

A header is compared without case, blanks and punctuation. A unit may stand in it (``dose_uM``, ``Concentration [nM]``),
and a number at its end says which perturbation of a combination it is about (``compound_2``). A near miss of a known
name is an error that names it, because a silently dropped ``concentraton`` is worse than a stopped import; what is not
near anything is kept as an attribute of the well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from ...errors import InvalidDataError
from ...schemas.units import parse_unit

#: Where a value goes: the place of the row, a slot of the well, of the perturbation, of its dose, or of the biosample.
Target = Literal["place", "well", "perturbation", "dose", "biosample", "attribute"]
#: How a cell is read.
Kind = Literal["text", "whole", "number", "flag", "control", "type", "quantity", "unit", "hours"]


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot that a column may fill. ``names`` are further names of it, in the form of :func:`fold`."""

    name: str
    target: Target
    kind: Kind = "text"
    names: tuple[str, ...] = ()


SLOTS: tuple[Slot, ...] = (
    Slot("well", "place", names=("wellid", "wellposition", "wellname", "wellpos", "wells", "position")),
    Slot("row", "place", names=("wellrow", "platerow")),
    Slot("column", "place", names=("col", "wellcol", "wellcolumn", "platecolumn", "platecol")),
    Slot("plate", "place", names=("plateid", "platename", "barcode", "platebarcode", "assayplatebarcode")),
    Slot("biosample_id", "well", names=("biosample", "lineid", "line")),
    Slot("cell_line", "biosample", names=("cellline", "cell", "celllinename")),
    Slot("sample_id", "well", names=("sample", "samplename")),
    Slot("seeding_density", "well", "number", ("seeddensity", "platingdensity", "cellsperwell", "density")),
    Slot("control_type", "well", "control", ("control", "welltype", "contenttype")),
    Slot("control_name", "well"),
    Slot("replicate", "well", "whole", ("rep", "replicatenumber", "replicateno")),
    Slot("excluded", "well", "flag", ("exclude", "isexcluded")),
    Slot("exclusion_reason", "well", names=("excludereason", "reasonforexclusion")),
    Slot("perturbation", "perturbation", names=("perturbationname", "broadsample", "jcp2022", "treatment")),
    Slot("perturbation_type", "perturbation", "type", ("perturbationmodality", "modality", "treatmenttype")),
    Slot("compound", "perturbation", names=("compoundname", "drug", "drugname", "molecule", "pertiname")),
    Slot("inchikey", "perturbation"),
    Slot("inchi", "perturbation"),
    Slot("smiles", "perturbation"),
    Slot("chebi_id", "perturbation", names=("chebi",)),
    Slot("pubchem_cid", "perturbation", "whole", ("pubchem",)),
    Slot("chembl_id", "perturbation", names=("chembl",)),
    Slot("vendor", "perturbation", names=("supplier", "compoundvendor")),
    Slot("catalogue_number", "perturbation", names=("catalognumber", "catno", "catalogueno", "catalogno")),
    Slot("batch", "perturbation", names=("lot", "compoundbatch")),
    Slot("solvent", "perturbation", names=("vehicle",)),
    Slot("gene", "perturbation", names=("genesymbol", "genename", "targetgene", "symbol")),
    Slot("ncbi_gene_id", "perturbation", "whole", ("entrezid", "entrezgeneid", "geneid", "ncbigene")),
    Slot("hgnc_id", "perturbation", names=("hgnc",)),
    Slot("ensembl_id", "perturbation", names=("ensembl", "ensemblgeneid")),
    Slot("guide_sequence", "perturbation", names=("guide", "sgrna", "sgrnasequence", "targetsequence")),
    Slot("guide_id", "perturbation", names=("sgrnaid", "sirnaid")),
    Slot("vector", "perturbation"),
    Slot("taxon", "perturbation"),
    Slot("concentration", "dose", "quantity", ("conc", "dose")),
    Slot("concentration_unit", "dose", "unit", ("unit", "units", "doseunit", "doseunits", "concunit")),
    Slot("duration_h", "dose", "hours", ("duration", "treatmentduration", "durationhours", "treatmenttime")),
    Slot("start_h", "dose", "hours", ("start", "treatmentstart", "starthours")),
)  # fmt: skip

#: Known words for things that are no slot of a well: kept as attributes, never taken for a misspelling.
_ATTRIBUTES = frozenset({"platemapname", "comment", "comments", "note", "notes", "genotype", "perttype", "timepoint"})
#: Units at the end of a folded header of a concentration.
_UNIT_ENDINGS = {"um": "uM", "nm": "nM", "mm": "mM", "pm": "pM", "ugml": "ug/mL", "ngml": "ng/mL", "mgml": "mg/mL"}
_WITH_UNIT = re.compile(r"(.+?)\s*[(\[]\s*([^()\[\]]+?)\s*[)\]]\s*\Z")
_NUMBERED = re.compile(r"(.+?)[ _.-]?([1-9])\Z")
_NEAR = 0.85

_BY_NAME: dict[str, Slot] = {}
for _slot in SLOTS:
    for _name in (_slot.name, *_slot.names):
        _BY_NAME[re.sub(r"[^a-z0-9]", "", _name)] = _slot
#: JUMP and Broad maps give the dose so.
_MILLIMOLAR = {"mmolesperliter": "mM", "mmoleperliter": "mM", "mgperml": "mg/mL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a sheet: its header, the slot that it fills, which perturbation it is about, and its unit.

    ``unit`` is UCUM, ``unit_text`` what the header calls it.
    """

    header: str
    position: int
    slot: Slot
    number: int = 1
    unit: str | None = None
    unit_text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderFault:
    """Why a header cannot be used."""

    header: str
    rule: str
    message: str


def fold(header: str) -> str:
    """Return a header without case, blanks, punctuation and CellProfiler's ``Metadata_``."""
    letters = header.replace("µ", "u").replace("μ", "u").lower()
    return re.sub(r"[^a-z0-9]", "", letters.removeprefix("metadata_"))


def match_columns(
    headers: Sequence[str], *, keep_unknown: bool = False, as_attributes: Collection[str] = ()
) -> tuple[list[Column], list[HeaderFault]]:
    """Say what each column of a sheet is.

    Parameters
    ----------
    headers
        The headers.
    keep_unknown
        Keep a near miss of a known name as an attribute, instead of refusing it.
    as_attributes
        Headers that are attributes whatever they look like.

    Returns
    -------
    columns, faults
        A column whose ``slot.target`` is ``attribute`` has the header as the slot's name.
    """
    columns: list[Column] = []
    faults: list[HeaderFault] = []
    for position, header in enumerate(headers):
        if not header:
            faults.append(HeaderFault(header="", rule="no-header", message=f"column {position + 1} has no header"))
            continue
        column = None if header in as_attributes else _known(header, position)
        if column is None:
            near = None if keep_unknown or header in as_attributes else _nearest(header)
            if near:
                faults.append(
                    HeaderFault(
                        header=header,
                        rule="unknown-column",
                        message=f"column {header!r} is not known; did you mean {near!r}? "
                        "--keep-unknown keeps it as it is",
                    )
                )
                continue
            column = Column(header=header, position=position, slot=Slot(header, "attribute"))
        clash = next((c for c in columns if (c.slot, c.number) == (column.slot, column.number)), None)
        if clash:
            faults.append(
                HeaderFault(
                    header=header,
                    rule="duplicate-column",
                    message=f"columns {clash.header!r} and {header!r} both say {column.slot.name}",
                )
            )
            continue
        columns.append(column)
    return columns, faults


def _known(header: str, position: int) -> Column | None:
    """Return the column of a header that is a name of a slot, with its unit and number."""
    plain, unit = header, None
    written = _WITH_UNIT.match(header)
    if written:
        plain, unit = written.group(1), written.group(2)
    for text, number in ((plain, 1), *_numbered(plain)):
        folded = fold(text)
        slot = _BY_NAME.get(folded)
        ending = next((e for e in _UNIT_ENDINGS if folded.endswith(e)), None)
        if slot is None and folded in _MILLIMOLAR:
            slot, unit = _BY_NAME["concentration"], _MILLIMOLAR[folded]
        elif slot is None and ending and _is_dose(folded.removesuffix(ending)):
            slot, unit = _BY_NAME["concentration"], _UNIT_ENDINGS[ending]
        if slot is None or (number > 1 and slot.target not in ("perturbation", "dose")):
            continue
        if unit is None:
            return Column(header=header, position=position, slot=slot, number=number)
        if slot.kind not in ("quantity", "hours"):
            continue
        try:
            known = parse_unit(unit)
        except InvalidDataError:
            continue
        return Column(header=header, position=position, slot=slot, number=number, unit=known, unit_text=unit)
    return None


def _numbered(header: str) -> list[tuple[str, int]]:
    found = _NUMBERED.match(header)
    return [(found.group(1), int(found.group(2)))] if found else []


def _is_dose(folded: str) -> bool:
    slot = _BY_NAME.get(folded)
    return slot is not None and slot.kind == "quantity"


def _nearest(header: str) -> str | None:
    """Return the known name that a header is a slip of, as it is best written."""
    folded = fold(header)
    if folded in _ATTRIBUTES or len(folded) < 4:
        return None
    rated = [(SequenceMatcher(None, folded, name).ratio(), name, slot.name) for name, slot in _BY_NAME.items()]
    ratio, _, slot = max(rated)
    return slot if ratio >= _NEAR else None
