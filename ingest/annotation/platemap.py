"""Plate maps and sample sheets as validated annotation of wells: everything that is wrong, or everything.

One row is one well of one plate. A combination of perturbations stands in numbered columns (``compound_2``,
``concentration_2``); a second row for a well is an error, because it is far more often a slip than a combination.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import InvalidDataError
from ...schemas.identifiers import format_well, parse_well, slug
from ...schemas.validation import Problem, validate_records
from ...wording import did_you_mean
from .cells import NEGATIVE, is_nothing, read_cell, read_quantity
from .columns import Column, match_columns
from .result import (
    AnnotationResult,
    PlateFormat,
    RowError,
    Treatment,
    WellAnnotation,
    dose_rows,
    perturbation_rows,
    well_row,
)
from .sheet import Sheet, SheetRow, read_sheet
from .treatments import GENETIC, make_treatment

_VEHICLES = frozenset({"dmso", "vehicle"})
#: The row that faults of headers are told for.
_HEADER = 1


def read_annotation(
    paths: Sequence[Path | str],
    *,
    study_id: str,
    plates: Sequence[PlateFormat],
    run_id: str,
    plate_id: str | None = None,
    keep_unknown: bool = False,
) -> AnnotationResult:
    """Read plate maps and check every cell.

    Parameters
    ----------
    paths
        CSV or TSV files.
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
        A file is no text table. What is wrong inside a table is in ``errors`` of the result, all of it.
    """
    sheets = [read_sheet(path) for path in paths]
    return check_sheets(
        sheets, study_id=study_id, plates=plates, run_id=run_id, plate_id=plate_id, keep_unknown=keep_unknown
    )


def check_sheets(
    sheets: Iterable[Sheet],
    *,
    study_id: str,
    plates: Sequence[PlateFormat],
    run_id: str,
    plate_id: str | None = None,
    keep_unknown: bool = False,
    as_attributes: Collection[str] = (),
) -> AnnotationResult:
    """Check sheets that are read already; headers in ``as_attributes`` are attributes whatever they look like."""
    reading = _Reading(study_id=study_id, run_id=run_id, plates=plates, plate_id=plate_id)
    inputs = []
    for sheet in sheets:
        inputs.append((sheet.name, sheet.sha256))
        reading.warnings += sheet.warnings
        reading.add(sheet, keep_unknown=keep_unknown, as_attributes=as_attributes)
    reading.check_perturbations()
    reading.check_schema()
    bad = {(e.file, e.row) for e in reading.errors}
    # A header that cannot be used leaves every row without one of its values.
    good = [a for a in reading.annotations if not bad & {(a.file, a.line), (a.file, _HEADER)}]
    return AnnotationResult(
        study_id=study_id,
        run_id=run_id,
        annotations=tuple(sorted(good, key=lambda a: (a.plate_id, parse_well(a.well_id)))),
        errors=tuple(reading.errors),
        warnings=tuple(dict.fromkeys(reading.warnings)),
        inputs=tuple(inputs),
    )


@dataclass(slots=True, kw_only=True)
class _Reading:
    """Collects annotation and faults over several sheets."""

    study_id: str
    run_id: str
    plates: Sequence[PlateFormat]
    plate_id: str | None
    annotations: list[WellAnnotation] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    #: (file, slot, number) -> header, to name the column of a broken slot.
    headers: dict[tuple[str, str, int], str] = field(default_factory=dict)
    #: (plate, well) -> where it was first.
    seen: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    #: File -> the first perturbation of which nobody says what kind it is.
    kindless: dict[str, str] = field(default_factory=dict)

    def fault(self, sheet: Sheet, line: int, column: str, value: str, rule: str, message: str) -> None:
        self.errors.append(RowError(file=sheet.name, row=line, column=column, value=value, rule=rule, message=message))

    def add(self, sheet: Sheet, *, keep_unknown: bool, as_attributes: Collection[str]) -> None:
        columns, faults = match_columns(sheet.headers, keep_unknown=keep_unknown, as_attributes=as_attributes)
        for fault in faults:
            self.fault(sheet, _HEADER, fault.header, fault.header, fault.rule, fault.message)
        for line, count in sheet.uneven:
            message = f"the row has {count} cells, the header has {len(sheet.headers)}"
            self.fault(sheet, line, "", "", "row-length", message)
        if not sheet.rows and not sheet.uneven:
            self.fault(sheet, _HEADER, "", "", "no-rows", "the sheet has a header and no rows")
        self.headers |= {(sheet.name, c.slot.name, c.number): c.header for c in columns}
        place = {c.slot.name: c for c in columns if c.slot.target == "place"}
        if "well" not in place and not {"row", "column"} <= place.keys():
            listed = ", ".join(sheet.headers) or "none"
            message = f"no column says the well; its columns are {listed}; name one 'well', or two 'row' and 'column'"
            self.fault(sheet, _HEADER, "", "", "missing-column", message)
            return
        only = self._only_plate(sheet, place)
        if only is None and "plate" not in place:
            return
        kept = [c.header for c in columns if c.slot.target == "attribute"]
        if kept:
            self.warnings.append(f"{sheet.name}: columns kept as attributes of the well: {', '.join(kept)}")
        others = 0
        for row in sheet.rows:
            plate = only if "plate" not in place else self._plate_of(sheet, row, place["plate"])
            if plate is None:
                others += 1
                continue
            well_id = self._well_of(sheet, row, place, plate)
            # A row without a place is read all the same: its other faults are told with the first.
            annotation = self._read_row(sheet, row, columns, plate.plate_id, well_id or "")
            if well_id is not None:
                self.annotations.append(annotation)
        if others and self.plate_id is not None:
            self.warnings.append(f"{sheet.name}: {others} rows are about other plates than {self.plate_id}")
            if others == len(sheet.rows):
                value = sheet.rows[0].cells[place["plate"].position]
                message = f"no row is about plate {self.plate_id!r}; the first is about {value!r}"
                self.fault(sheet, sheet.rows[0].line, place["plate"].header, value, "unknown-plate", message)

    def _only_plate(self, sheet: Sheet, place: Mapping[str, Column]) -> PlateFormat | None:
        """Return the plate of a sheet that does not name one."""
        if self.plate_id is not None:
            return next((p for p in self.plates if p.plate_id == self.plate_id), None)
        if len(self.plates) == 1:
            return self.plates[0]
        if "plate" not in place:
            listed = ", ".join(p.plate_id for p in self.plates[:5]) or "none"
            message = (
                f"the study has {len(self.plates)} plates ({listed}) and no column says which is meant; "
                "name it with --plate, or add a column 'plate'"
            )
            self.fault(sheet, _HEADER, "", "", "missing-column", message)
        return None

    def _plate_of(self, sheet: Sheet, row: SheetRow, column: Column) -> PlateFormat | None:
        """Return the plate of a row, by name or barcode; None for a fault, and for another plate than the one meant."""
        name = row.cells[column.position]
        found = next((p for p in self.plates if name in (p.plate_id, p.barcode)), None)
        if self.plate_id is not None:
            return found if found is not None and found.plate_id == self.plate_id else None
        if found is None:
            known = [p.plate_id for p in self.plates]
            what = f"the study has no plate {name!r}{did_you_mean(name, known)}" if name else "the plate is empty"
            self.fault(sheet, row.line, column.header, name, "unknown-plate", what)
        return found

    def _well_of(self, sheet: Sheet, row: SheetRow, place: Mapping[str, Column], plate: PlateFormat) -> str | None:
        """Return the well of a row; None, and a fault, where it is no well of the plate or is there already."""
        named = [place[name] for name in ("row", "column") if name in place]
        texts = [row.cells[c.position] for c in named]
        try:
            positions = set()
            if len(named) == 2:
                positions.add(_position(*texts))
            if "well" in place:
                named, texts = [place["well"]], [row.cells[place["well"].position]]
                positions.add(parse_well(texts[0]))
        except InvalidDataError as error:
            self.fault(sheet, row.line, named[0].header, " ".join(texts), "well", error.message)
            return None
        if len(positions) > 1:
            message = f"the well is {texts[0]}, but row and column say {format_well(*_position_of(row, place))}"
            self.fault(sheet, row.line, named[0].header, texts[0], "well", message)
            return None
        at = positions.pop()
        well_id = format_well(*at)
        if at[0] > plate.n_rows or at[1] > plate.n_columns:
            message = f"{well_id} lies outside plate {plate.plate_id} of {plate.n_rows} × {plate.n_columns} wells"
            self.fault(sheet, row.line, named[0].header, " ".join(texts), "outside-plate", message)
            return None
        first = self.seen.setdefault((plate.plate_id, well_id), (sheet.name, row.line))
        if first != (sheet.name, row.line):
            where = f"row {first[1]}" if first[0] == sheet.name else f"row {first[1]} of {first[0]}"
            message = f"{well_id} is there already, in {where}; combinations stand in one row, as compound_2 and so on"
            self.fault(sheet, row.line, named[0].header, " ".join(texts), "duplicate-well", message)
            return None
        return well_id

    def _read_row(
        self, sheet: Sheet, row: SheetRow, columns: Sequence[Column], plate_id: str, well_id: str
    ) -> WellAnnotation:
        values: dict[str, Any] = {}
        attributes: dict[str, str] = {}
        parts: dict[int, dict[str, Any]] = {}
        cell_line = None
        for column in columns:
            text = row.cells[column.position]
            target, name = column.slot.target, column.slot.name
            value = None
            if target == "attribute":
                # Kept as it stands: "null" may be a genotype.
                if text:
                    attributes[name] = text
                continue
            if not is_nothing(text) and column.slot.kind != "quantity":
                value, fault = read_cell(column, text)
                if fault:
                    self.fault(sheet, row.line, column.header, text, fault.rule, fault.message)
            if target == "well":
                values[name] = value
            elif target == "biosample":
                cell_line = value
            elif target in ("perturbation", "dose"):
                parts.setdefault(column.number, {})[name] = value
        self._add_doses(sheet, row, columns, parts)
        treatments = self._treatments(sheet, row, parts) if parts else None
        if cell_line is not None:
            values.setdefault("biosample_id", None)
            values["biosample_id"] = values["biosample_id"] or slug(cell_line)
        self._settle_control(sheet, values, treatments, parts)
        return WellAnnotation(
            plate_id=plate_id,
            well_id=well_id,
            values=values,
            attributes=attributes,
            treatments=treatments,
            cell_line=cell_line,
            file=sheet.name,
            line=row.line,
        )

    def _add_doses(
        self, sheet: Sheet, row: SheetRow, columns: Sequence[Column], parts: Mapping[int, dict[str, Any]]
    ) -> None:
        """Read the concentrations, now that the units beside them are known."""
        for column in columns:
            text = row.cells[column.position]
            if column.slot.kind != "quantity" or is_nothing(text):
                continue
            beside = parts[column.number].get("concentration_unit") or parts.get(1, {}).get("concentration_unit")
            quantity, fault = read_quantity(text, column.unit or beside, written=column.unit_text)
            if fault:
                self.fault(sheet, row.line, column.header, text, fault.rule, fault.message)
            parts[column.number]["concentration"] = quantity

    def _treatments(self, sheet: Sheet, row: SheetRow, parts: Mapping[int, Mapping[str, Any]]) -> tuple[Treatment, ...]:
        found: list[Treatment] = []
        for number, part in sorted(parts.items()):
            facts = {k: v for k, v in part.items() if v is not None}
            name = facts.get("perturbation") or facts.get("compound") or facts.get("gene") or facts.get("guide_id")
            dose = facts.get("concentration")
            header = self.headers.get((sheet.name, "concentration", number), "")
            if facts.get("perturbation_type") == "none" or name is None:
                if name is None and dose is not None and dose.value > 0:
                    message = "a concentration, but nothing that it is a concentration of"
                    self.fault(sheet, row.line, header, dose.text, "missing", message)
                continue
            treatment = make_treatment(name, facts)
            if facts.get("perturbation_type") is None and treatment.perturbation["type"] == "other":
                self.kindless.setdefault(sheet.name, name)
            if any(t.perturbation["perturbation_id"] == treatment.perturbation["perturbation_id"] for t in found):
                self.fault(sheet, row.line, "", name, "duplicate", f"{name} stands twice in the row")
                continue
            found.append(treatment)
        return tuple(found)

    def _settle_control(
        self,
        sheet: Sheet,
        values: dict[str, Any],
        treatments: tuple[Treatment, ...] | None,
        parts: Mapping[int, Mapping[str, Any]],
    ) -> None:
        """Tell the kinds of negative control apart; take wells of the vehicle for controls where no column says so."""
        kinds = {t.perturbation["type"] for t in treatments or ()}
        if values.get("control_type") == NEGATIVE:
            values["control_type"] = "negative_non_targeting" if kinds & GENETIC else "negative_vehicle"
            self.warnings.append(
                f"{sheet.name}: wells called negative are taken as {values['control_type']}; "
                "a column control_type that says it in full overrules"
            )
        if "control_type" in values or treatments is None:
            return
        names = {t.perturbation["name"].casefold() for t in treatments}
        solvent = any(part.get("solvent") for part in parts.values())
        if (names and names <= _VEHICLES) or (not names and solvent):
            values["control_type"] = "negative_vehicle"
            self.warnings.append(
                f"{sheet.name}: wells of the vehicle alone are taken as negative_vehicle; "
                "a column control_type overrules"
            )

    def check_perturbations(self) -> None:
        """Refuse facts of one perturbation that contradict each other; warn of names that differ in case only."""
        for file, name in self.kindless.items():
            self.warnings.append(
                f"{file}: the kind of some perturbations is not said, {name} first, and recorded as other; "
                "a column perturbation_type (compound, crispr_ko, sirna, orf …) says it"
            )
        facts: dict[tuple[str, str], tuple[Any, WellAnnotation]] = {}
        spelt: dict[str, str] = {}
        for annotation in self.annotations:
            for number, treatment in enumerate(annotation.treatments or (), start=1):
                name = treatment.perturbation["perturbation_id"]
                other = spelt.setdefault(name.casefold(), name)
                if other != name:
                    self.warnings.append(f"{annotation.file}: {other} and {name} differ in case only; they are two")
                for slot, value in treatment.perturbation.items():
                    known, where = facts.setdefault((name, slot), (value, annotation))
                    if known != value and value is not None and known is not None:
                        self.errors.append(
                            RowError(
                                file=annotation.file,
                                row=annotation.line,
                                column=self.headers.get((annotation.file, slot, number), slot),
                                value=str(value),
                                rule="conflict",
                                message=f"{slot} of {treatment.perturbation['name']} is {value!r} here and "
                                f"{known!r} in row {where.line} of {where.file}",
                            )
                        )

    def check_schema(self) -> None:
        """Check the rows that would be written against the schema."""
        wells = [well_row(a, self.study_id, self.run_id) for a in self.annotations]
        self._problems(validate_records("Well", wells), self.annotations)
        treated = [a for a in self.annotations for _ in a.treatments or ()]
        self._problems(
            validate_records("WellPerturbation", dose_rows(self.annotations, self.study_id, self.run_id)), treated
        )
        rows = perturbation_rows(self.annotations, self.study_id, self.run_id)
        first: dict[str, WellAnnotation] = {}
        for annotation in self.annotations:
            for treatment in annotation.treatments or ():
                first.setdefault(treatment.perturbation["perturbation_id"], annotation)
        self._problems(validate_records("Perturbation", rows), [first[row["perturbation_id"]] for row in rows])

    def _problems(self, problems: Iterable[Problem], where: Sequence[WellAnnotation]) -> None:
        for problem in problems:
            at = where[problem.index]
            column = self.headers.get((at.file, problem.slot, 1), problem.slot)
            self.errors.append(
                RowError(
                    file=at.file,
                    row=at.line,
                    column=column,
                    value="" if problem.value is None else str(problem.value),
                    rule=problem.rule,
                    message=problem.message,
                )
            )


def _position(row: str, column: str) -> tuple[int, int]:
    """Return the place that a row (letters or number) and a column say."""
    return parse_well(f"R{row}C{column}" if row.isdigit() else f"{row}{column}")


def _position_of(row: SheetRow, place: Mapping[str, Column]) -> tuple[int, int]:
    return _position(row.cells[place["row"].position], row.cells[place["column"].position])
