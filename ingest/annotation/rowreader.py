"""The rows of one sheet as values: which column says what, read once per text and once per treatment.

A plate map repeats itself: a hundred thousand wells have a few thousand treatments and a handful of words. What a text
means is therefore remembered, with its faults; only the place of a row is its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...schemas.identifiers import slug
from ...schemas.units import parse_quantity
from .cells import CellFault, is_nothing, read_cell, read_quantity
from .columns import Column, HeaderFault, is_molar, match_columns
from .controls import SAY_MORE, UNKNOWN_ROLES, VEHICLES, percentage_in, plain, role_of_words, settle_control
from .result import Treatment
from .sheet import Sheet, SheetRow
from .slots import fold
from .treatments import gene_slot, make_treatment, name_of

#: Headers of which an empty cell says that no sample was put into the well, as JUMP and the Broad have it.
_SAMPLES = frozenset({"broadsample", "jcp2022"})
_NAMES = ("perturbation", "compound", "gene")
#: Facts that are said of a treatment, and say nothing where there is none.
_SAYS_NOTHING = frozenset({"concentration", "concentration_unit", "perturbation_type"})


class Told(NamedTuple):
    """A fault of a cell: its position (None for the row as a whole), its text, the rule and the message."""

    position: int | None
    text: str
    rule: str
    message: str


@dataclass(slots=True)
class Treated:
    """What the columns of treatments say in one row."""

    treatments: tuple[Treatment, ...] = ()
    faults: list[Told] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    solvent: bool = False
    nothing: str | None = None
    untreated: bool = False
    kindless: str | None = None


@dataclass(slots=True)
class RowValues:
    """What one row says, without its place."""

    values: dict[str, Any]
    attributes: dict[str, str]
    treatments: tuple[Treatment, ...] | None
    biosample: dict[str, Any]
    faults: list[Told]
    role_inferred: bool


class RowReader:
    """Reads the rows of one sheet.

    Attributes
    ----------
    columns, slots
        Every column that is understood, and the slots that they fill.
    place
        ``well``, ``row``, ``column`` and ``plate`` -> their columns; several may say the same.
    header_faults
        Headers that cannot be used.
    kept
        Headers whose values are kept as attributes.
    inferred
        What was inferred about controls, in words.
    notes
        What else somebody should know, in words.
    kindless
        The first perturbation of which nobody says what kind it is.
    """

    def __init__(self, sheet: Sheet, *, keep_unknown: bool = False, as_attributes: Collection[str] = ()) -> None:
        self.sheet = sheet
        self.columns: list[Column]
        self.header_faults: list[HeaderFault]
        self.columns, self.header_faults = match_columns(
            sheet.headers, keep_unknown=keep_unknown, as_attributes=as_attributes
        )
        by_target: dict[str, list[Column]] = {}
        for column in self.columns:
            by_target.setdefault(column.slot.target, []).append(column)
        self.place: dict[str, list[Column]] = {}
        for column in by_target.get("place", []):
            self.place.setdefault(column.slot.name, []).append(column)
        self._well = by_target.get("well", [])
        self._biosample = by_target.get("biosample", [])
        self._hint = next(iter(by_target.get("hint", [])), None)
        self._treated = [*by_target.get("perturbation", []), *by_target.get("dose", [])]
        self._attributes = by_target.get("attribute", [])
        named = {c.slot.name for c in (*self._well, *self._biosample)}
        if not named & {"biosample_id", "cell_line", "organism"}:
            # Facts of cells that nobody names belong to no sample.
            self._attributes, self._biosample = [*self._attributes, *self._biosample], []
        self.kept = [c.header for c in self._attributes]
        # Of a dose in several units the molar one counts, the others are kept.
        self._doses = sorted((c for c in self._treated if c.slot.kind == "quantity"), key=lambda c: not is_molar(c))
        first = {c.number: c.position for c in reversed(self._doses)}
        self.kept += [c.header for c in self._doses if first[c.number] != c.position]
        self.inferred: dict[str, None] = {}
        self.notes: dict[str, None] = {}
        self.kindless: str | None = None
        self._cells: dict[tuple[int, str], tuple[Any, CellFault | None]] = {}
        self._known: dict[tuple[str, ...], Treated] = {}
        self._dosed = self._names_with_doses()
        self._positions = {(c.slot.name, c.number): c.position for c in reversed(self.columns)}
        self.slots = frozenset(c.slot.name for c in self.columns if c.slot.target != "attribute")

    def _names_with_doses(self) -> set[str]:
        """Return the treatments that have a dose in some row: what they are in one well they are in every other."""
        doses = {c.number: c.position for c in self._treated if c.slot.name == "concentration"}
        genes = {c.number: c.position for c in self._treated if c.slot.name == "gene"}
        names = [c for c in self._treated if c.slot.name == "perturbation" and c.number in doses]
        return {
            row.cells[c.position]
            for row in self.sheet.rows
            for c in names
            if not is_nothing(row.cells[doses[c.number]])
            and (c.number not in genes or is_nothing(row.cells[genes[c.number]]))
        }

    def position(self, slot: str, number: int = 1) -> int | None:
        """Return the position of the column that fills a slot."""
        return self._positions.get((slot, number))

    def read(self, row: SheetRow) -> RowValues:
        """Read a row: everything that it says, and everything that is wrong with it."""
        faults: list[Told] = []
        cells = row.cells
        if row.odd:
            cells = self._without_odd(row, faults)
        values = {c.slot.name: self._value(c, cells[c.position], faults) for c in self._well}
        biosample = {c.slot.name: self._value(c, cells[c.position], faults) for c in self._biosample}
        # An attribute is kept as it stands: "null" may be a genotype.
        attributes = {c.header: text for c in self._attributes if (text := cells[c.position])}
        for column in self._biosample if self.sheet.any_control else ():
            if biosample[column.slot.name] is None and not is_nothing(text := cells[column.position]):
                attributes[column.header] = text
        treated = None
        if self._treated:
            treated = self._treatments(tuple(cells[c.position] for c in self._treated))
            # A treatment whose name is not to be trusted is told once.
            faults += [told for told in treated.faults if not (faults and row.odd and told.rule == "missing")]
            attributes.update(treated.attributes)
        inferred = self._settle(values, biosample, treated, cells)
        return RowValues(values, attributes, treated.treatments if treated else None, biosample, faults, inferred)

    def _without_odd(self, row: SheetRow, faults: list[Told]) -> tuple[str, ...]:
        """Return the cells without those that are not to be trusted; a date may stand where nothing depends on it."""
        cells = list(row.cells)
        attributes = {c.position for c in self._attributes}
        for position, odd in sorted(row.odd.items()):
            if position < len(cells) and not (odd.rule == "date" and position in attributes):
                faults.append(Told(position, cells[position], odd.rule, odd.message))
                cells[position] = ""
        return tuple(cells)

    def _value(self, column: Column, text: str, faults: list[Told]) -> Any:
        if is_nothing(text):
            return None
        key = (column.position, text)
        known = self._cells.get(key)
        if known is None:
            known = self._cells[key] = self._read(column, text)
        value, fault = known
        if fault:
            faults.append(Told(column.position, text, fault.rule, fault.message))
        return value

    def _read(self, column: Column, text: str) -> tuple[Any, CellFault | None]:
        value, fault = read_cell(column, text)
        if fault and fault.rule == "value" and column.slot.kind == "control" and self.sheet.any_control:
            self.inferred[f"the control {text!r} is kept as control_name, without a control_type"] = None
            return None, None
        if fault and column.slot.kind == "taxon" and self.sheet.any_control:
            self.notes[f"{fault.message.split('. ')[0]}, and kept as an attribute; write its NCBI taxonomy term"] = None
            return None, None
        return value, fault

    def _settle(
        self, values: dict[str, Any], biosample: dict[str, Any], treated: Treated | None, cells: Sequence[str]
    ) -> bool:
        """Fill in what follows from the rest of the row: the sample, and what the well is to be compared as.

        Whether that is inferred, where no cell of the row says it.
        """
        line = biosample.get("cell_line")
        if values.get("biosample_id") is None and (line or biosample.get("organism")):
            values["biosample_id"] = slug(line) if line else slug(self._text("organism", cells))
        # "control" there says no more than that the well is some control: no fault.
        hint = self._value(self._hint, cells[self._hint.position], []) if self._hint else None
        stated = values.get("control_type") or hint
        role, said = settle_control(
            values,
            treated.treatments if treated else None,
            hint=hint,
            solvent=treated.solvent if treated else False,
            nothing=treated.nothing if treated else None,
            blank_is_treatment=self.sheet.blank_is_treatment,
            untreated=treated.untreated if treated else False,
        )
        if role is not None or "control_type" in values:
            values["control_type"] = role
        if said:
            self.inferred[said] = None
        written = self._text("control_type", cells)
        if written and values.get("control_name") is None and self._is_class(written, role):
            values["control_name"] = written
        return stated is None and role is not None

    def _is_class(self, written: str, role: str | None) -> bool:
        """Whether the word for a control says more than its role, as ``poscon_cp`` does, or has no known role."""
        if is_nothing(written):
            return False
        if (role is not None and written[-1].isdigit()) or plain(written) in SAY_MORE:
            return True
        if role == "positive":
            return plain(written).startswith("poscon ")
        return role is None and (self.sheet.any_control or plain(written) in UNKNOWN_ROLES)

    def _text(self, slot: str, cells: Sequence[str]) -> str:
        position = self.position(slot)
        return "" if position is None else cells[position]

    def _treatments(self, texts: tuple[str, ...]) -> Treated:
        known = self._known.get(texts)
        if known is None:
            known = self._known[texts] = self._read_treatments(texts)
            if known.kindless and self.kindless is None:
                self.kindless = known.kindless
        return known

    def _read_treatments(self, texts: tuple[str, ...]) -> Treated:
        told = Treated()
        parts: dict[int, dict[str, Any]] = {}
        kinds: dict[int, str] = {}
        for column, text in zip(self._treated, texts, strict=True):
            part = parts.setdefault(column.number, {})
            if column.slot.kind != "quantity":
                self._add_fact(column, text, part, kinds, told)
        said = dict(zip((c.position for c in self._treated), texts, strict=True))
        for column in self._doses:
            text = said[column.position]
            if is_nothing(text):
                continue
            if parts[column.number].get("concentration") is None:
                self._add_dose(column, text, parts, told)
            else:
                told.attributes[column.header] = text
        found: list[Treatment] = []
        for number, part in sorted(parts.items()):
            treatment = self._treatment(number, part, kinds.get(number), told)
            if treatment is None:
                self._keep(number, texts, told)
                continue
            name = treatment.perturbation["name"]
            if any(t.perturbation["perturbation_id"] == treatment.perturbation["perturbation_id"] for t in found):
                if plain(name) in VEHICLES:  # each of two treatments has its own, and neither was given
                    self._keep(number, texts, told, all_of_it=True)
                    continue
                told.faults.append(Told(None, name, "duplicate", f"{name} stands twice in the row"))
                continue
            found.append(treatment)
        told.treatments = tuple(found)
        return told

    def _keep(self, number: int, texts: tuple[str, ...], told: Treated, *, all_of_it: bool = False) -> None:
        """Keep what is said of a treatment that is none as attributes of the well: a solvent, a lot, a species."""
        for column, text in zip(self._treated, texts, strict=True):
            if column.number != number or is_nothing(text) or column.header in told.attributes:
                continue
            if all_of_it or not (column.slot.name in _SAYS_NOTHING or role_of_words(text) is not None):
                told.attributes[column.header] = text

    def _add_fact(self, column: Column, text: str, part: dict[str, Any], kinds: dict[int, str], told: Treated) -> None:
        """Put what a cell says into the facts of its treatment."""
        slot = column.slot.name
        if is_nothing(text):
            told.untreated |= slot == "perturbation" and fold(column.header) in _SAMPLES
            return
        role = role_of_words(text) if slot in _NAMES else None
        if role is not None:
            told.nothing = told.nothing or role
            part["none"] = part.get("none") or slot == "perturbation"
            return
        if column.slot.kind == "gene-id":
            found = gene_slot(text)
            if found is None:
                told.attributes[column.header] = text
                part["identifier"] = text
                if (of := f"{column.header} (what is none of NCBI, Ensembl or HGNC)") not in self.kept:
                    self.kept.append(of)
            else:
                part.setdefault(*found)
            return
        value = self._value(column, text, told.faults)
        if value is not None:
            part[slot] = value
            told.solvent |= slot == "solvent"
            if column.implies is not None:
                kinds.setdefault(column.number, column.implies)

    def _add_dose(self, column: Column, text: str, parts: Mapping[int, dict[str, Any]], told: Treated) -> None:
        """Read a concentration, now that the unit beside it is known."""
        # One column of units serves all treatments; where each has its own, an empty one says nothing.
        own = ("concentration_unit", column.number) in self._positions
        beside = parts.get(column.number if own else 1, {}).get("concentration_unit")
        quantity, fault = read_quantity(text, column.unit or beside, written=column.unit_text)
        if fault and fault.rule == "unit" and _is_zero(text) and self._is_untreated(parts[column.number]):
            return  # none of the vehicle, in whatever unit
        if fault:
            told.faults.append(Told(column.position, text, fault.rule, fault.message))
        if quantity is not None:
            parts[column.number]["concentration"] = quantity

    def _treatment(self, number: int, part: dict[str, Any], kind: str | None, told: Treated) -> Treatment | None:
        identifier = part.pop("identifier", None)
        if identifier is not None and not part.get("none") and name_of(part) is None:
            part["gene"] = identifier  # of a yeast: YLR106C has no other name
        name = None if part.pop("none", False) else name_of(part)
        dose = part.get("concentration")
        if part.get("perturbation_type") == "none" or name is None:
            if name is None and dose is not None and dose.value > 0:
                message = "a concentration, but nothing that it is a concentration of"
                told.faults.append(Told(self.position("concentration", number), dose.text, "missing", message))
            return None
        if part.get("perturbation") in self._dosed:
            part.setdefault("concentration", None)
        vehicle = not {plain(name), plain(str(part.get("compound") or ""))}.isdisjoint(VEHICLES)
        if vehicle and part.get("concentration") is None and (share := percentage_in(name)):
            part["concentration"] = parse_quantity(share)
        facts = part if kind is None else {"perturbation_type": kind} | part
        treatment = make_treatment(name, facts, vehicle=vehicle)
        if treatment.perturbation["type"] == "other" and "perturbation_type" not in part:
            told.kindless = told.kindless or name
        return treatment

    def _is_untreated(self, part: Mapping[str, Any]) -> bool:
        name = name_of(part)
        return name is None or plain(name) in VEHICLES


def _is_zero(text: str) -> bool:
    return bool(text) and not text.strip("0.,")
