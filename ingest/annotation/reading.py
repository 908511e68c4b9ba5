"""Annotation and faults collected over several sheets: places, contradictions, and what the schema says."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...errors import InvalidDataError
from ...schemas.identifiers import format_well
from ...schemas.validation import Problem, validate_records
from ...wording import listed
from .cells import in_one_line, read_position, read_well
from .columns import Column
from .fit import misfits
from .plates import PlateFinder
from .result import (
    PlateFormat,
    RowError,
    Treatment,
    WellAnnotation,
    biosample_rows,
    dose_rows,
    perturbation_rows,
    well_row,
)
from .rowreader import RowReader, RowValues, Told
from .sheet import Place, Sheet, SheetRow, without_wells

#: Unknown plates of which a near one is looked for.
_MOST_HINTS = 20
_SHOWN = 5
_KEPT_SHOWN = 20
#: What a guide is aimed at.
_TARGETS = ("gene", "ncbi_gene_id", "ensembl_id", "guide_sequence")


@dataclass(slots=True)
class _Found:
    """One annotated well, and the row that says so."""

    annotation: WellAnnotation
    reader: RowReader
    row: SheetRow


@dataclass(slots=True, kw_only=True)
class Reading:
    """Collects annotation and faults over several sheets."""

    study_id: str
    run_id: str
    plates: PlateFinder
    plate_id: str | None
    found: list[_Found] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    told: set[RowError] = field(default_factory=set)
    #: (plate, well) -> the sheet and row that said it first.
    seen: dict[tuple[str, str], tuple[Sheet, SheetRow]] = field(default_factory=dict)
    #: Sheets whose header spoils every row, and rows that have a fault or contradict another, by identity.
    spoilt: set[int] = field(default_factory=set)
    bad: set[int] = field(default_factory=set)

    def good(self) -> list[WellAnnotation]:
        """Return the annotation of the rows in which nothing is wrong."""
        return [f.annotation for f in self.found if id(f.row) not in self.bad and id(f.reader.sheet) not in self.spoilt]

    def spoil(self, sheet: Sheet, column: str, rule: str, message: str, *, value: str | None = None) -> None:
        """Note a fault of the header, or of what stands above it, that leaves every row without one of its values."""
        self.spoilt.add(id(sheet))
        place = Place(sheet.name, sheet.header_line, column)
        self._tell(place.error(rule, column if value is None else value, message))

    def fault(self, sheet: Sheet, row: SheetRow, told: Told) -> None:
        """Note what is wrong with a row, at the place where its text stands."""
        self.bad.add(id(row))
        place = Place(sheet.name, row.line, "")
        if told.position is not None:
            place = row.places.get(told.position, place._replace(column=sheet.headers[told.position]))
        elif row.places and not any(row.cells[p] and p not in row.places for p in range(len(row.cells))):
            place = next(iter(row.places.values()))._replace(column="")
        self._tell(place.error(told.rule, told.text, told.message))

    def _tell(self, error: RowError) -> None:
        if error not in self.told:  # rows of several plates, wells of one reagent, parts of one sheet
            self.told.add(error)
            self.errors.append(error)

    def add(self, sheet: Sheet, *, keep_unknown: bool, as_attributes: Collection[str]) -> None:
        """Read a sheet."""
        reader = RowReader(sheet, keep_unknown=keep_unknown, as_attributes=as_attributes)
        if sheet.faults:
            self.spoilt.add(id(sheet))
        for error in (*sheet.faults, *sheet.uneven_errors()):
            self._tell(error)
        placed = "well" in reader.place or {"row", "column"} <= reader.place.keys()
        for fault in reader.header_faults:
            if placed or fault.rule == "unknown-column":  # what is no plate map has no columns to complain of
                self.spoil(sheet, fault.header, fault.rule, fault.message)
        if not sheet.rows and not sheet.uneven:
            self.spoil(sheet, "", "no-rows", "the sheet has a header and no rows")
        if not placed:
            self.spoil(sheet, "", "missing-column", without_wells(sheet))
            return
        fixed = self._fixed_plates(sheet, reader)
        if fixed is None and "plate" not in reader.place:
            return
        before = len(self.found)
        self._add_rows(sheet, reader, fixed)
        found = {f.annotation.well_id: f.annotation for f in self.found[before:]}  # of several plates, one for all
        roles = [(well, a.values.get("control_type"), a.treatments or ()) for well, a in found.items()]
        self.warnings += [f"{sheet.name}: {words}" for words in misfits(roles)]
        if reader.kept:
            self.warnings.append(
                f"{sheet.name}: columns kept as attributes of the well: {listed(reader.kept, _KEPT_SHOWN)}"
            )
        self.warnings += [f"{sheet.name}: {words}" for words in reader.notes]
        for words in reader.inferred:
            self.warnings.append(f"{sheet.name}: {words}; a column control_type that says it in full overrules")
        if reader.kindless:
            self.warnings.append(
                f"{sheet.name}: the kind of some perturbations is not said, {reader.kindless} first, and recorded as "
                "other; a column perturbation_type (compound, crispr_ko, sirna, orf …) says it"
            )

    def _add_rows(self, sheet: Sheet, reader: RowReader, fixed: tuple[PlateFormat, ...] | None) -> None:
        others = 0
        unknown: dict[str, list[SheetRow]] = {}
        about: set[str] = set()
        for row in sheet.rows:
            plates = fixed
            if plates is None:
                plates = self._plates_of(sheet, row, reader.place["plate"], unknown)
                if plates is None:
                    others += 1
                    continue
            at = self._well_of(sheet, row, reader.place)
            # A row without a place is read all the same: its other faults are told with the first.
            values = reader.read(row)
            for told in values.faults:
                self.fault(sheet, row, told)
            for plate in plates if at is not None else ():
                about.add(plate.plate_id)
                well_id = self._well_on(sheet, row, reader.place, at, plate)
                if well_id is not None:
                    self.found.append(_Found(_annotation(values, plate, well_id, reader, row), reader, row))
        self._tell_unknown(sheet, reader, unknown, about)
        if others and self.plate_id is not None:
            self.warnings.append(f"{sheet.name}: {others} rows are about other plates than {self.plate_id}")
            if others == len(sheet.rows):
                column = reader.place["plate"][0]
                value = sheet.rows[0].cells[column.position]
                message = f"no row is about plate {self.plate_id!r}; the first is about {value!r}"
                self.fault(sheet, sheet.rows[0], Told(column.position, value, "unknown-plate", message))

    def _fixed_plates(self, sheet: Sheet, reader: RowReader) -> tuple[PlateFormat, ...] | None:
        """Return the plates of a sheet whose rows do not name theirs; None, and perhaps a fault, for any other."""
        named = [plate for name in sheet.plates for plate in self.plates.find(name)]
        if sheet.plates and not named:
            name = sheet.plates[0]
            self.spoil(sheet, "", "unknown-plate", self.plates.unknown(name), value=name)
            return ()
        if self.plate_id is not None:
            if "plate" in reader.place and not sheet.plates:
                return None
            mine = [p for p in named or self.plates.plates if p.plate_id == self.plate_id]
            if not mine:
                message = f"the sheet is about {', '.join(sheet.plates)}, not about plate {self.plate_id!r}"
                self.spoil(sheet, "", "unknown-plate", message)
            return tuple(dict.fromkeys(mine))
        if named:
            return tuple(dict.fromkeys(named))
        if "plate" in reader.place:
            return None
        if len(self.plates.plates) == 1:
            return self.plates.plates
        titled = self.plates.find(sheet.title) if sheet.title else ()
        if titled:
            return titled
        names = listed([p.plate_id for p in self.plates.plates], _SHOWN) or "none"
        message = (
            f"the study has {len(self.plates.plates)} plates ({names}) and no column says which is meant; "
            "name it with --plate, or add a column 'plate'"
        )
        self.spoil(sheet, "", "missing-column", message)
        return None

    def _plates_of(
        self, sheet: Sheet, row: SheetRow, columns: Sequence[Column], unknown: dict[str, list[SheetRow]]
    ) -> tuple[PlateFormat, ...] | None:
        """Return the plates of a row, by whatever it calls them; None for unknown and other ones than meant."""
        found: tuple[PlateFormat, ...] = ()
        for column in columns:
            one = self.plates.find(row.cells[column.position])
            if found and one and set(one) != set(found):
                first = row.cells[columns[0].position]
                message = f"columns {columns[0].header!r} and {column.header!r} name different plates"
                self.fault(sheet, row, Told(column.position, first, "unknown-plate", message))
                return None
            found = found or one
        if self.plate_id is not None:
            return tuple(p for p in found if p.plate_id == self.plate_id) or None
        if not found:
            self.bad.add(id(row))
            unknown.setdefault(row.cells[columns[0].position], []).append(row)
        return found or None

    def _tell_unknown(
        self, sheet: Sheet, reader: RowReader, unknown: Mapping[str, list[SheetRow]], about: Collection[str]
    ) -> None:
        """Tell of plates that the study does not have: once each; in the sheet of a whole screen they are no fault."""
        if sheet.whole_screen and unknown and about:
            names = listed(list(unknown), _SHOWN)
            rows = sum(map(len, unknown.values()))
            self.warnings.append(f"{sheet.name}: {rows} rows are about plates that the study does not have: {names}")
            silent = [p.plate_id for p in self.plates.plates if p.plate_id not in about]
            if silent:
                self.warnings.append(f"{sheet.name}: no row is about {listed(silent, _SHOWN)}, which the study has")
            return
        for number, (name, rows_of) in enumerate(unknown.items()):
            column = reader.place["plate"][0]
            more = f" ({len(rows_of)} rows)" if len(rows_of) > 1 else ""
            message = f"{self.plates.unknown(name, near=number < _MOST_HINTS)}{more}"
            self.fault(sheet, rows_of[0], Told(column.position, name, "unknown-plate", message))

    def _well_of(self, sheet: Sheet, row: SheetRow, place: Mapping[str, Sequence[Column]]) -> tuple[int, int] | None:
        """Return the place of a row; None, and a fault, where it is no well or its columns disagree."""
        named = [*place.get("well", ()), *place.get("row", ())[:1]]
        at: tuple[int, int] | None = None
        for column in named:
            is_row = column.slot.name == "row"
            if is_row and "column" not in place:
                continue
            text = row.cells[column.position]
            odd = row.odd.get(column.position)
            if odd is not None:
                return None  # told with the other cells of the row
            try:
                if is_row:
                    beside = row.cells[place["column"][0].position]
                    text, here = f"{text} {beside}", read_position(text, beside)
                else:
                    here = read_well(text)
            except InvalidDataError as error:
                self.fault(sheet, row, Told(column.position, text, "well", in_one_line(error)))
                return None
            if at is not None and here != at:
                says = "row and column say" if is_row else f"{column.header} says"
                message = f"the well is {format_well(*at)}, but {says} {format_well(*here)}"
                self.fault(sheet, row, Told(named[0].position, row.cells[named[0].position], "well", message))
                return None
            at = here
        return at

    def _well_on(
        self,
        sheet: Sheet,
        row: SheetRow,
        place: Mapping[str, Sequence[Column]],
        at: tuple[int, int] | None,
        plate: PlateFormat,
    ) -> str | None:
        """Return the well's name on a plate; None, and a fault, where it lies outside or was there already."""
        assert at is not None
        well_id = format_well(*at)
        column = (place.get("well") or place["row"])[0]
        text = row.cells[column.position]
        if at[0] > plate.n_rows or at[1] > plate.n_columns:
            message = f"{well_id} lies outside plate {plate.plate_id} of {plate.n_rows} × {plate.n_columns} wells"
            self.fault(sheet, row, Told(column.position, text, "outside-plate", message))
            return None
        other, first = self.seen.setdefault((plate.plate_id, well_id), (sheet, row))
        if first is not row:
            self.bad.add(id(first))  # nobody can say which of them is meant
            where = f"row {first.line}" if other.name == sheet.name else f"row {first.line} of {other.name}"
            message = (
                f"{well_id} is there already, in {where}, and neither row is taken; combinations stand in one row, as "
                "compound_2 and so on"
            )
            self.fault(sheet, row, Told(column.position, text, "duplicate-well", message))
            return None
        return well_id

    def check_facts(self) -> None:
        """Refuse facts of one perturbation or sample that contradict each other; warn of names that differ in case."""
        facts: dict[tuple[str, str], tuple[Any, _Found]] = {}
        conflicts: dict[int, list[tuple[int, str, str, str]]] = {}
        spelt: dict[str, str] = {}
        for one in self.found:
            treatments = one.annotation.treatments
            if treatments and id(treatments) not in conflicts:
                conflicts[id(treatments)] = [
                    c for n, t in enumerate(treatments, 1) for c in self._contradicted(one, n, t, facts, spelt)
                ]
            for number, slot, value, message in conflicts.get(id(treatments), ()) if treatments else ():
                self.fault(
                    one.reader.sheet, one.row, Told(one.reader.position(slot, number), value, "conflict", message)
                )
            self._check_biosample(one, facts)

    def _contradicted(
        self,
        one: _Found,
        number: int,
        treatment: Treatment,
        facts: dict[tuple[str, str], tuple[Any, _Found]],
        spelt: dict[str, str],
    ) -> Iterable[tuple[int, str, str, str]]:
        name = treatment.perturbation["perturbation_id"]
        other = spelt.setdefault(name.casefold(), name)
        if other != name:
            self.warnings.append(f"{one.annotation.file}: {other} and {name} differ in case only; they are two")
        said = [((name, slot), slot, value) for slot, value in treatment.perturbation.items()]
        guide = treatment.perturbation.get("guide_id")
        # One guide has one target, whatever the perturbation is called.
        said += [((f"guide {guide}", s), s, treatment.perturbation.get(s)) for s in _TARGETS if guide]
        for key, slot, value in said:
            if value is None:
                continue
            known, where = facts.setdefault(key, (value, one))
            if known != value:
                yield (
                    number,
                    slot,
                    str(value),
                    (
                        f"{slot} of {treatment.perturbation['name']} is {value!r} here and {known!r} in row "
                        f"{where.annotation.line} of {where.annotation.file}"
                    ),
                )

    def _check_biosample(self, one: _Found, facts: dict[tuple[str, str], tuple[Any, _Found]]) -> None:
        name = one.annotation.values.get("biosample_id")
        for slot, value in one.annotation.biosample.items() if name is not None else ():
            if value is None:
                continue
            known, where = facts.setdefault((f"biosample {name}", slot), (value, one))
            if known != value:
                there = f"row {where.annotation.line} of {where.annotation.file}"
                message = f"{slot} of {name} is {value!r} here and {known!r} in {there}"
                self.fault(one.reader.sheet, one.row, Told(one.reader.position(slot), str(value), "conflict", message))

    def check_schema(self) -> None:
        """Check the rows that would be written against the schema."""
        # Wells of which the same is said have the same faults; what follows from treatments is checked with them.
        said: dict[tuple[Any, ...], list[_Found]] = {}
        for one in self.found:
            said.setdefault(tuple(one.annotation.values.items()), []).append(one)
        wells = [self._bare_well(group[0].annotation) for group in said.values()]
        self._problems(validate_records("Well", wells), list(said.values()))
        # Wells with the same treatment have the same doses, and the same faults in them.
        alike: dict[int, list[_Found]] = {}
        for one in self.found:
            if one.annotation.treatments:
                alike.setdefault(id(one.annotation.treatments), []).append(one)
        groups = [group for group in alike.values() for _ in group[0].annotation.treatments or ()]
        doses = dose_rows([group[0].annotation for group in alike.values()], self.study_id, self.run_id)
        self._problems(validate_records("WellPerturbation", doses), groups)
        firsts = [group[0].annotation for group in alike.values()]
        named: dict[str, list[_Found]] = {}
        for group in alike.values():
            for treatment in group[0].annotation.treatments or ():
                named.setdefault(treatment.perturbation["perturbation_id"], []).extend(group)
        rows = perturbation_rows(firsts, self.study_id, self.run_id)
        self._problems(validate_records("Perturbation", rows), [named[row["perturbation_id"]] for row in rows])
        self._check_samples()

    def _bare_well(self, annotation: WellAnnotation) -> dict[str, Any]:
        """Return a row of ``wells`` without its treatments and attributes, which are text by construction."""
        return well_row(replace(annotation, treatments=None, attributes={}), self.study_id, self.run_id)

    def _check_samples(self) -> None:
        by_sample: dict[str, list[_Found]] = {}
        for one in self.found:
            name = one.annotation.values.get("biosample_id")
            if name is not None:
                by_sample.setdefault(name, []).append(one)
        samples = biosample_rows((f.annotation for f in self.found), self.study_id, self.run_id)
        self._problems(validate_records("Biosample", samples), [by_sample[row["biosample_id"]] for row in samples])

    def _problems(self, problems: Iterable[Problem], where: Sequence[_Found | list[_Found]]) -> None:
        """Tell what the schema says, at every row that it is true of."""
        for problem in problems:
            at = where[problem.index]
            for one in at if isinstance(at, list) else [at]:
                value = "" if problem.value is None else str(problem.value)
                position = one.reader.position(problem.slot)
                if position is None:
                    self.bad.add(id(one.row))
                    place = Place(one.annotation.file, one.annotation.line, problem.slot)
                    self._tell(place.error(problem.rule, value, problem.message))
                else:
                    self.fault(one.reader.sheet, one.row, Told(position, value, problem.rule, problem.message))


def _annotation(
    values: RowValues, plate: PlateFormat, well_id: str, reader: RowReader, row: SheetRow
) -> WellAnnotation:
    return WellAnnotation(
        plate_id=plate.plate_id,
        well_id=well_id,
        values=values.values,
        attributes=values.attributes,
        treatments=values.treatments,
        biosample=values.biosample,
        file=reader.sheet.name,
        line=row.line,
        role_inferred=values.role_inferred,
        columns=reader.slots,
    )
