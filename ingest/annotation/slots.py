"""The slots that columns of a plate map may fill, and the names that people and programs give them.

Names are folded (:func:`fold`): lower case, without blanks, punctuation and CellProfiler's ``Metadata_``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

#: Where a value goes: the place of the row, a slot of the well, of the perturbation, of its dose, or of the biosample;
#: a hint says something about the row that is no slot.
Target = Literal["place", "well", "perturbation", "dose", "biosample", "hint", "attribute"]
#: How a cell is read.
Kind = Literal[
    "text",
    "whole",
    "count",
    "number",
    "flag",
    "control",
    "type",
    "quantity",
    "unit",
    "hours",
    "taxon",
    "gene",
    "gene-id",
]


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot that a column may fill.

    Attributes
    ----------
    names
        Further names of it, folded.
    weak
        Names that give way to another column for the same slot: such a column is then an attribute.
    types
        Names that say the kind of perturbation too, and which.
    """

    name: str
    target: Target
    kind: Kind = "text"
    names: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    types: tuple[tuple[str, str], ...] = ()


SLOTS: tuple[Slot, ...] = (
    Slot("well", "place", names=(
        "wellid", "wellposition", "wellname", "wellpos", "wells", "position", "wellcoordinate", "wellcoordinates",
        "wellcoord", "welladdress", "welllocation", "welllabel",
        "wellkey", "imagewell", "assaywell", "destinationwell", "destwell",
    )),
    Slot("row", "place", names=("wellrow", "platerow", "rowname", "rowid", "wellrowname")),
    Slot("column", "place", names=(
        "col", "wellcol", "wellcolumn", "platecolumn", "platecol", "columnname", "colname", "columnid", "colid",
    )),
    Slot("plate", "place", names=(
        "plateid", "platename", "barcode", "platebarcode", "assayplatebarcode", "assayplate", "assayplateid",
        "assayplatename", "destinationplate", "destplate", "destinationplatebarcode", "destinationplatename",
        "destplatebarcode", "destplatename",
    )),
    Slot("biosample_id", "well", names=("biosample", "lineid", "line")),
    Slot("cell_line", "biosample", names=(
        "cellline", "cell", "celllinename", "celllines", "characteristicscellline", "characteristicscellline1",
    )),
    Slot("cell_line_id", "biosample", names=("celllineid", "cellosaurus", "cellosaurusid", "rrid", "cvcl")),
    Slot("organism", "biosample", "taxon", (
        "species", "characteristicsorganism", "characteristicsorganism1",
        "biosampletaxon", "biosampleorganism", "ncbitaxon", "organismtaxon",
    )),
    Slot("passage", "biosample", "count", ("passagenumber", "passageno", "celllinespassagenumber")),
    Slot("clone", "biosample", names=("clonenumber", "cloneid", "celllinesclonenumber", "characteristicsclone")),
    Slot("donor_id", "biosample", names=("donor", "donoridentifier", "patient", "patientid", "donorname")),
    Slot("differentiation_day", "biosample", "number", ("differentiationdays", "dayofdifferentiation")),
    Slot("sample_id", "well", names=("sample",), weak=("samplename",)),
    Slot("seeding_density", "well", "number", (
        "seeddensity", "platingdensity", "cellsperwell", "density", "celldensity", "cellsseeded", "seededcells",
        "seedingdensitycellsperwell", "cellswell",
    )),
    Slot("control_type", "well", "control", (
        "control", "ctrl", "ctrltype",
        "welltype", "contenttype", "controlrole", "wellrole", "wellcontent", "sampletype", "contentrole",
    ), weak=("role",)),
    Slot("control_name", "well", names=("controlcomments", "controlclass", "controlcomment", "controllabel")),
    Slot("replicate", "well", "count", (
        "rep", "replicatenumber", "replicateno", "replid", "replicateid", "biologicalreplicate", "biorep", "biolrep",
    )),
    Slot("excluded", "well", "flag", ("exclude", "isexcluded")),
    Slot("exclusion_reason", "well", names=("excludereason", "reasonforexclusion", "reasonforexclude")),
    Slot("perturbation", "perturbation", names=(
        "perturbationname", "jcp2022", "treatment", "perturbagen", "treatmentname", "perturbationid",
        "pertname",
    ), weak=(
        "broadsample", "pertid", "compoundbroadidentifier", "brdid", "compoundid", "cmpdid", "drugid",
        "reagent", "reagentid", "reagentname", "reagentidentifier",
    ),
       types=(("sirna", "sirna"), ("sirnaname", "sirna"), ("cytokine", "cytokine"), ("growthfactor", "cytokine"))),
    Slot("perturbation_type", "perturbation", "type", (
        "perturbationmodality", "modality", "treatmenttype", "perturbationclass", "pertmodality", "reagenttype",
        "perturbagentype",
    )),
    Slot("compound", "perturbation", names=(
        "compoundname", "cmpd", "cmpdname", "substance", "substancename",
        "drug", "drugname", "molecule", "pertiname", "moleculename", "chemical", "chemicalname", "smallmolecule",
    )),
    Slot("inchikey", "perturbation", names=("compoundinchikey", "inchikeys")),
    Slot("inchi", "perturbation", names=("compoundinchi",)),
    Slot("smiles", "perturbation", names=("compoundsmiles",), weak=("canonicalsmiles", "isomericsmiles")),
    Slot("chebi_id", "perturbation", names=("chebi", "compoundchebi", "compoundchebiid")),
    Slot("pubchem_cid", "perturbation", "whole", ("pubchem", "pubchemid", "compoundpubchemcid", "pubchemcompoundid")),
    Slot("chembl_id", "perturbation", names=("chembl", "compoundchemblid", "compoundchembl")),
    Slot("vendor", "perturbation", names=("supplier", "compoundvendor", "compoundsource", "compoundsupplier"),
         weak=("manufacturer",)),
    Slot("catalogue_number", "perturbation", names=(
        "catalognumber", "catalog", "catalogue", "catno",
        "catalogueno", "catalogno", "cataloguenumber", "catnumber", "productnumber",
    )),
    Slot("batch", "perturbation", names=("lot", "compoundbatch", "lotnumber", "compoundlot", "reagentbatch")),
    Slot("solvent", "perturbation", names=("vehicle",)),
    Slot("gene", "perturbation", "gene", (
        "genesymbol", "genename", "targetgene", "symbol", "hgncsymbol", "targetgenesymbol", "genetarget",
    )),
    Slot("gene_identifier", "perturbation", "gene-id", ("geneid", "geneidentifier", "targetgeneid")),
    Slot("ncbi_gene_id", "perturbation", "whole", (
        "entrezid", "entrezgeneid", "ncbigene", "ncbigeneidentifier", "entrezgene", "entrez", "geneentrezid",
    )),
    Slot("hgnc_id", "perturbation", names=("hgnc",)),
    Slot("ensembl_id", "perturbation", names=("ensembl", "ensemblgeneid", "ensemblgene")),
    Slot("guide_sequence", "perturbation", names=(
        "guide", "sgrna", "sgrnasequence", "targetsequence", "grnasequence", "grna", "protospacer",
    ), types=(("sirnasequence", "sirna"), ("sirnasensesequence", "sirna"))),
    Slot("guide_id", "perturbation", names=("sgrnaid", "grnaid", "guidename", "sgrnaname"), types=(
        ("sirnaid", "sirna"), ("sirnaidentifier", "sirna"), ("sirnapoolidentifier", "sirna"), ("sirnapoolid", "sirna"),
    )),
    Slot("vector", "perturbation", names=("plasmid",)),
    Slot("taxon", "perturbation", "taxon", ("taxonid",)),
    Slot("concentration", "dose", "quantity", (
        "conc", "dose", "finalconcentration", "finalconc", "compoundconcentration", "compoundconc", "compounddose",
        "treatmentdose", "treatmentconcentration", "drugconcentration", "drugdose", "mmolesperliter", "mmoleperliter",
    ), weak=("mgperml", "sampledose", "pertdose")),
    Slot("concentration_unit", "dose", "unit", (
        "unit", "units", "doseunit", "doseunits", "concunit", "concunits", "concentrationunits", "unitofconcentration",
        "compoundconcentrationunit", "compoundconcentrationunits", "finalconcentrationunit",
    ), weak=("pertdoseunit",)),
    Slot("duration_h", "dose", "hours", (
        "duration", "treatmentduration", "durationhours", "treatmenttime", "timetreatment", "incubationtime",
        "treatmenthours", "exposureduration",
    )),
    Slot("start_h", "dose", "hours", ("start", "treatmentstart", "starthours")),
    Slot("pert_type", "hint", "control", ("perttype", "perturbationrole")),
)  # fmt: skip

#: Known words for things that are no slot of a well: kept as attributes, never taken for a misspelling.
ATTRIBUTES = frozenset({
    "platemapname", "comment", "comments", "note", "notes", "genotype", "timepoint", "wellnumber", "platewell",
    "batch", "channels", "targetlist", "target", "targets", "moa", "celltype", "remarks", "time", "condition",
    "cells", "cellcount", "ncells", "nwells", "name", "concentrationlevel", "doselevel", "doseindex", "genes",
    "geneannotation", "compoundmoa", "sirnasequences",
})  # fmt: skip


def fold(header: str) -> str:
    """Return a header without case, blanks, punctuation and CellProfiler's ``Metadata_`` and ``Image_Metadata_``."""
    letters = header.split("%%")[0].replace("µ", "u").replace("μ", "u").lower()
    return re.sub(r"[^a-z0-9]", "", letters.removeprefix("image_metadata_").removeprefix("metadata_"))


def _by_name() -> dict[str, tuple[Slot, bool, str | None]]:
    named: dict[str, tuple[Slot, bool, str | None]] = {}
    for slot in SLOTS:
        # A bare "batch" is that of the experiment, not the lot of a compound.
        for name in {fold(slot.name), *slot.names} - ATTRIBUTES:
            named[name] = (slot, False, None)
        for name in slot.weak:
            named[name] = (slot, True, None)
        for name, kind in slot.types:
            named[name] = (slot, False, kind)
    return named


#: Folded name -> its slot, whether it gives way to others, and the kind of perturbation that it says.
BY_NAME = _by_name()
