"""Plate maps and sample sheets as validated annotation of wells: everything that is wrong, or everything.

One row is one well of one plate, or of every plate that was made from the map. A combination of perturbations stands in
numbered columns (``compound_2``, ``concentration_2``); a second row for a well is an error, because it is far more
often a slip than a combination.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from ...schemas.identifiers import parse_well
from .facts import check_facts
from .gather import gather
from .join import join
from .kinds.base import Fact
from .plates import PlateFinder
from .reading import Reading
from .result import AnnotationResult, PlateFormat, RowError
from .sheet import Place, Sheet


def read_annotation(
    paths: Sequence[Path | str],
    *,
    study_id: str,
    plates: Sequence[PlateFormat],
    run_id: str,
    plate_id: str | None = None,
    keep_unknown: bool = False,
) -> AnnotationResult:
    """Read plate maps and whatever completes them, and check every cell.

    Parameters
    ----------
    paths
        CSV, TSV (both perhaps compressed) and XLSX files; ``FILE.xlsx#Sheet`` is one sheet of a workbook, a folder is
        its ``barcode_platemap.csv``.
    study_id, run_id
        What the rows are to carry.
    plates
        The plates of the study that rows may be about.
    plate_id
        The plate that is meant: of a sheet without a column for the plate, all rows; of one with it, the rows of
        that plate alone.
    keep_unknown
        Keep a column whose name is a near miss of a known one as an attribute, instead of refusing it.

    Raises
    ------
    NotFoundError
        A file does not exist.
    InvalidDataError
        A file is no table. What is wrong inside a table is in ``errors`` of the result, all of it.
    """
    finder = PlateFinder(plates)
    gathered = gather(paths)
    joined = join(gathered, finder, plate_id)
    errors, warnings = list(joined.errors), list(joined.warnings)
    if gathered.reagents and not gathered.wells:
        table = gathered.reagents[0]
        message = f"no column says the well; its columns are {', '.join(table.headers)}; name the plate map, too"
        errors.append(Place(table.name, table.header_line, "").error("missing-column", "", message))
    return _check(
        joined.sheets,
        finder,
        study_id=study_id,
        run_id=run_id,
        plate_id=plate_id,
        keep_unknown=keep_unknown,
        errors=errors,
        warnings=warnings,
        facts=gathered.facts,
        maps=joined.maps,
        inputs=tuple(gathered.inputs),
    )


def check_sheets(
    sheets: Iterable[Sheet],
    *,
    study_id: str,
    plates: Sequence[PlateFormat],
    run_id: str,
    plate_id: str | None = None,
    as_attributes: Collection[str] = (),
) -> AnnotationResult:
    """Check sheets that are read already; headers in ``as_attributes`` are attributes whatever they look like."""
    tables = list(sheets)
    return _check(
        tables,
        PlateFinder(plates),
        study_id=study_id,
        run_id=run_id,
        plate_id=plate_id,
        keep_unknown=False,
        as_attributes=as_attributes,
        warnings=[warning for sheet in tables for warning in sheet.warnings],
    )


def _check(
    sheets: Sequence[Sheet],
    plates: PlateFinder,
    *,
    study_id: str,
    run_id: str,
    plate_id: str | None,
    keep_unknown: bool,
    as_attributes: Collection[str] = (),
    errors: Sequence[RowError] = (),
    warnings: Sequence[str] = (),
    facts: Sequence[Fact] = (),
    maps: Mapping[str, str] | None = None,
    inputs: Sequence[tuple[str, str | None]] = (),
) -> AnnotationResult:
    reading = Reading(
        study_id=study_id,
        run_id=run_id,
        plates=plates,
        plate_id=plate_id,
        errors=list(errors),
        warnings=list(warnings),
    )
    for sheet in sheets:
        reading.add(sheet, keep_unknown=keep_unknown, as_attributes=as_attributes)
    reading.check_facts()
    reading.check_schema()
    good = reading.good()
    known, wrong, said = check_facts(
        facts,
        maps or {},
        study_id=study_id,
        samples=len({a.values["biosample_id"] for a in good if a.values.get("biosample_id")}),
        wells=len(good),
    )
    return AnnotationResult(
        study_id=study_id,
        run_id=run_id,
        annotations=tuple(sorted(good, key=lambda a: (a.plate_id, parse_well(a.well_id)))),
        errors=(*reading.errors, *wrong),
        warnings=tuple(dict.fromkeys((*reading.warnings, *said))),
        inputs=tuple(inputs),
        facts=known,
    )
