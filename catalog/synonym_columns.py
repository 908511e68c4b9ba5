"""What columns of published tables of compounds and genes are called, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

#: Namespaces, the best identifier of a compound or gene first; names come last.
NAMESPACES = (
    "inchikey", "entrez", "pubchem", "hgnc", "chembl", "ensembl", "chebi", "jcp", "brd", "symbol", "name",
)  # fmt: skip
#: Namespace → what an identifier of it looks like; a name looks like anything.
PATTERNS: Mapping[str, str] = {
    "inchikey": r"^(?i:(InChIKey\s*[=:]\s*)?[A-Z]{14}-[A-Z]{10}-[A-Z])$",
    "entrez": r"^[^0-9]*[1-9][0-9]*([.]0*)?$",
    "pubchem": r"^[^0-9]*[1-9][0-9]*([.]0*)?$",
    "hgnc": r"^(?i:HGNC[:_])?[0-9]+$",
    "chembl": r"^(?i:CHEMBL[:\s]*(CHEMBL)?)[0-9]+$",
    "ensembl": r"^(?i:ENS[A-Z]*G[0-9]{11}([.][0-9]+)?)$",
    "chebi": r"^(?i:CHEBI[:_\s]+)?[0-9]+$",
    "jcp": r"^(?i:JCP2022_[0-9]{6})$",
}


@dataclass(frozen=True, slots=True)
class Role:
    """What stands in a column.

    Attributes
    ----------
    example
        How one of its names is usually written.
    relation
        How what stands there stands for the row.
    between
        What parts several in one cell, as a regular expression; None where there is always one.
    """

    namespace: str
    example: str
    relation: str = "identifier"
    between: str | None = None

    @property
    def pattern(self) -> str | None:
        """What an entry has to look like."""
        return PATTERNS.get(self.namespace)


_IDENTIFIERS = r"\s*[|;,]\s*"
_NAMES = r"\s*[|;]\s*"


def normal(name: str) -> str:
    """Return the name of a column without case, signs and ``Metadata_``."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^metadata[_ ]", "", name.strip().lower()))


def _named(role: Role, *names: str) -> dict[str, Role]:
    return dict.fromkeys((normal(role.example), *names), role)


_BOTH = {
    **_named(Role("jcp", "Metadata_JCP2022"), "jcpid", "jcp"),
    **_named(Role("brd", "broad_sample"), "broadid", "brd", "brdid", "compoundbroadidentifier"),
    # The short form of the same number.
    **_named(Role("brd", "Compound Broad Identifier Short")),
}
COLUMNS: Mapping[str, Mapping[str, Role]] = {
    "compound": {
        **_BOTH,
        **_named(Role("inchikey", "InChIKey"), "standardinchikey"),
        **_named(Role("pubchem", "pubchem_cid", between=_IDENTIFIERS), "cid", "pubchem", "pubchemid"),
        **_named(Role("chembl", "ChEMBL ID", between=_IDENTIFIERS), "chembl", "moleculechemblid"),
        **_named(Role("chebi", "ChEBI ID", between=_IDENTIFIERS), "chebi"),
        **_named(Role("name", "pert_iname"), "compoundname", "compound", "name", "drug", "drugname", "prefname"),
        **_named(Role("name", "synonyms", "alias", _NAMES), "synonym", "aliases", "alias", "othernames"),
        **_named(Role("name", "previous names", "previous", _NAMES), "previousname"),
    },
    "gene": {
        **{name: replace(role) for name, role in _BOTH.items()},
        **_named(
            Role("entrez", "NCBI Gene ID", between=_IDENTIFIERS),
            "ncbigene", "ncbigeneidsuppliedbyncbi", "entrez", "entrezid", "entrezgeneid", "geneid",
        ),
        **_named(Role("hgnc", "HGNC ID", between=_IDENTIFIERS), "hgnc"),
        **_named(
            Role("ensembl", "Ensembl gene ID", between=_IDENTIFIERS),
            "ensembl", "ensemblid", "ensemblgene", "ensemblidsuppliedbyensembl",
        ),
        **_named(Role("symbol", "Approved symbol"), "symbol", "genesymbol", "gene"),
        **_named(Role("symbol", "Previous symbols", "previous", _IDENTIFIERS), "previoussymbol", "prevsymbol"),
        **_named(
            Role("symbol", "Alias symbols", "alias", _IDENTIFIERS),
            "aliassymbol", "aliases", "alias", "synonyms", "synonym",
        ),
    },
}  # fmt: skip
