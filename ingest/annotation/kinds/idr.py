"""``-library.txt`` and ``-annotation.csv`` of the Image Data Resource: every well of every plate of a screen."""

from __future__ import annotations

import re
from dataclasses import replace

from ..sheet import Sheet
from ..slots import fold
from ..table import RawTable
from .base import Contribution, headed, header_row, slots_of

_MARKS = re.compile(r"(characteristics\s*\[.*\]|term source \d+ (ref|accession)|experimental condition\s*\[.*\])", re.I)
_NAME = re.compile(r"idr\d{4}.*(?:library|annotation)", re.IGNORECASE)
_TAXON = re.compile(r"(?:NCBITaxon[_:])?(\d+)", re.IGNORECASE)
#: Where several organisms are in a well, the first is that of the cells.
_ORGANISM = ("characteristicsorganism", "characteristicsorganism1")


class IdrLibrary:
    """A library or annotation file of the Image Data Resource."""

    name = "idr"

    def claims(self, table: RawTable) -> bool:
        """Whether plate and well stand beside the columns that only the IDR has, or in a file of its name."""
        headers = table.rows[header_row(table)].cells if table.rows else ()
        marked = any(_MARKS.fullmatch(header) or "%% url" in header for header in headers)
        return {"plate", "well"} <= slots_of(headers) and (marked or _NAME.search(table.stem) is not None)

    def read(self, table: RawTable) -> Contribution:
        """Take the table as it is, with the accession of the organism in the place of its name."""
        sheet = _with_accessions(headed(table))
        warnings = list(sheet.warnings)
        failed = _failed(sheet)
        if failed:
            warnings.append(
                f"{sheet.name}: {failed} wells failed the quality control of the study; that is kept as an attribute "
                "and excludes nothing, `cytolake exclude` does"
            )
        sheet = replace(sheet, whole_screen=True, any_control=True, blank_is_treatment=True, warnings=tuple(warnings))
        return Contribution(wells=(sheet,))


def _with_accessions(sheet: Sheet) -> Sheet:
    """Write NCBI's taxonomy term over the name of the organism, where the column behind it has one."""
    folded = [fold(header) for header in sheet.headers]
    at = next((folded.index(name) for name in _ORGANISM if name in folded), None)
    if at is None:
        return sheet
    behind = range(at + 1, min(at + 3, len(folded)))
    accession = next((i for i in behind if re.fullmatch(r"termsource\d+accession", folded[i])), None)
    source = next((i for i in behind if re.fullmatch(r"termsource\d+ref", folded[i])), None)
    if accession is None:
        return sheet
    rows = []
    for row in sheet.rows:
        found = _TAXON.fullmatch(row.cells[accession])
        bare = row.cells[accession].isdecimal()
        if found and row.cells[at] and not (bare and (source is None or fold(row.cells[source]) != "ncbitaxon")):
            row = replace(row, cells=(*row.cells[:at], f"NCBITaxon:{found[1]}", *row.cells[at + 1 :]))
        rows.append(row)
    return replace(sheet, rows=tuple(rows))


def _failed(sheet: Sheet) -> int:
    at = next((i for i, header in enumerate(sheet.headers) if fold(header) == "qualitycontrol"), None)
    return 0 if at is None else sum(row.cells[at].casefold().startswith("fail") for row in sheet.rows)
