"""What the headers of a plate map mean.

A header is compared without case, blanks and punctuation with the names in :mod:`.slots`. A unit may stand in it
(``dose_uM``, ``Concentration [nM]``), and a number at its end says which perturbation of a combination it is about
(``compound_2``). A near miss of a known name is an error that names it, because a silently dropped ``concentraton`` is
worse than a stopped import; what is not near anything is kept as an attribute of the well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ...errors import InvalidDataError
from ...schemas.units import parse_unit
from ...wording import nearest
from .groups import pool_of, treatment_of
from .slots import ATTRIBUTES, BY_NAME, Slot, fold

#: Units at the end of a folded header of a concentration, the longest first.
_UNIT_ENDINGS = {
    "micromolar": "uM", "nanomolar": "nM", "millimolar": "mM",
    "ugml": "ug/mL", "ngml": "ng/mL", "mgml": "mg/mL", "ugperml": "ug/mL", "ngperml": "ng/mL", "mgperml": "mg/mL",
    "inum": "uM", "innm": "nM", "inmm": "mM", "um": "uM", "nm": "nM", "mm": "mM", "pm": "pM",
}  # fmt: skip
#: JUMP and Broad maps give the dose so.
_WHOLE_DOSES = {"mmolesperliter": "mM", "mmoleperliter": "mM", "mgperml": "mg/mL"}
_WITH_UNIT = re.compile(r"(.+?)\s*(?:[(\[]\s*([^()\[\]]+?)\s*[)\]]|(%))\s*\Z")
_NUMBERED = re.compile(r"(.+?)[ _.-]?([1-9])\Z")
_NUMBERED_INSIDE = re.compile(r"(.+?)[ _.-]?([1-9])[ _.-]+(\D.*)")
#: What stands in such brackets is the name; a comment is whatever its author wanted.
_MARKED = re.compile(r"(?:characteristics|factor value|parameter value|experimental condition)\s*\[(.*)\]\s*", re.I)
_COMMENT = re.compile(r"comment\s*\[.*\]\s*", re.IGNORECASE)
_NEAR = 0.85
#: Endings of words that make another word of a name: ``Gene Symbol Synonyms`` is no slip of ``Gene Symbol``.
_OTHER_WORDS = ("comments", "synonyms", "ref", "accession", "build", "version", "url", "library", "comment", "short")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a sheet: its header, the slot that it fills, which perturbation it is about, and its unit.

    ``unit`` is UCUM, ``unit_text`` what the header calls it; ``implies`` is the kind of perturbation that the header
    says; a ``weak`` column gives way to another one for its slot.
    """

    header: str
    position: int
    slot: Slot
    number: int = 1
    unit: str | None = None
    unit_text: str | None = None
    implies: str | None = None
    weak: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderFault:
    """Why a header cannot be used."""

    header: str
    rule: str
    message: str


def match_columns(
    headers: Sequence[str],
    *,
    keep_unknown: bool = False,
    as_attributes: Collection[str] = (),
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
        A column whose ``slot.target`` is ``attribute`` has the header as the slot's name. Several columns may say the
        place of a row, and must then agree; several the dose of one treatment, each in a unit of its own.
    """
    columns: list[Column] = []
    faults: list[HeaderFault] = []
    pool = pool_of(headers)
    numbers = _numbers_of_treatments(headers)
    for position, header in enumerate(headers):
        if not header:
            faults.append(HeaderFault(header="", rule="no-header", message=f"column {position + 1} has no header"))
            continue
        if position in pool.positions:
            columns.append(_attribute(header, position))
            continue
        column = None if header in as_attributes else known_column(header, position)
        if column is not None and (named := treatment_of(header)) is not None:
            column = replace(column, number=numbers[named[0]])
        if column is None:
            near = None if keep_unknown or header in as_attributes else _nearest(header)
            if near:
                faults.append(_unknown(header, near))
                continue
            column = _attribute(header, position)
        clash = next((c for c in columns if (c.slot.name, c.number) == (column.slot.name, column.number)), None)
        if clash is None or column.slot.target == "place" or _in_other_units(column, clash):
            columns.append(column)
        elif column.weak:
            columns.append(_attribute(header, position))
        elif clash.weak:
            columns[columns.index(clash)] = _attribute(clash.header, clash.position)
            columns.append(column)
        else:
            faults.append(
                HeaderFault(
                    header=header,
                    rule="duplicate-column",
                    message=f"columns {clash.header!r} and {header!r} both say {column.slot.name}",
                )
            )
    if pool.kind is not None:
        columns = [replace(c, implies=pool.kind) if c.slot.name in ("gene", "guide_id") else c for c in columns]
    return columns, faults


def _numbers_of_treatments(headers: Sequence[str]) -> dict[str, int]:
    """Return the number of each treatment that is named by what it does, after those that are numbered already."""
    plain = (known_column(header) for header in headers if header and treatment_of(header) is None)
    taken = {c.number for c in plain if c is not None and c.slot.target in ("perturbation", "dose")}
    named = dict.fromkeys(found[0] for header in headers if header and (found := treatment_of(header)) is not None)
    free = (number for number in range(1, len(headers) + len(taken) + 1) if number not in taken)
    return dict(zip(named, free, strict=False))


def _in_other_units(one: Column, other: Column) -> bool:
    """Whether two columns say one dose in two units."""
    return one.slot.kind == "quantity" and None not in (one.unit, other.unit) and one.unit != other.unit


def is_molar(column: Column) -> bool:
    """Tell whether a column says how many molecules there are."""
    return (column.unit or "").endswith("mol/L")


def _unknown(header: str, near: str) -> HeaderFault:
    plain, unit = _split_unit(header)
    known = BY_NAME.get(fold(plain))
    if unit is not None and known is not None and known[0].kind in ("quantity", "hours"):
        message = f"the unit {unit!r} of column {header!r} is not known; write one that is, such as {near} [uM] or [h]"
        return HeaderFault(header=header, rule="unit", message=f"{message}; --keep-unknown keeps the column as it is")
    message = f"column {header!r} is not known; did you mean {near!r}? --keep-unknown keeps it as it is"
    return HeaderFault(header=header, rule="unknown-column", message=message)


def _attribute(header: str, position: int) -> Column:
    return Column(header=header, position=position, slot=Slot(header, "attribute"))


def known_column(header: str, position: int = 0) -> Column | None:
    """Return the column of a header that is a name of a slot, with its unit and number; None for any other."""
    if (marked := _MARKED.fullmatch(_bare(header))) and fold(header) not in BY_NAME:
        inner = known_column(marked[1], position)
        return None if inner is None else replace(inner, header=header, weak=True)
    plain, unit = _split_unit(_bare(header))
    whole = BY_NAME.get(fold(header))
    # Folding drops the sign of per cent, which is a unit like any other.
    if whole is not None and fold(header) not in _WHOLE_DOSES and "%" not in (unit or ""):
        slot, weak, implies = whole
        return Column(header=header, position=position, slot=slot, weak=weak, implies=implies)
    if (named := treatment_of(header)) is not None:
        own = known_column(named[1], position)
        of_treatment = own is not None and own.slot.target in ("perturbation", "dose")
        return replace(own, header=header) if own is not None and of_treatment else None
    for text, number in ((plain, 1), *_numbered(plain)):
        found = _named(fold(text), unit)
        if found is None:
            continue
        (slot, weak, implies), unit_text = found
        if text != plain and slot.target not in ("perturbation", "dose"):
            continue
        column = Column(header=header, position=position, slot=slot, number=number, weak=weak, implies=implies)
        if unit_text is None:
            return column
        if slot.kind in ("quantity", "hours") and (parsed := _unit_of(unit_text, slot)) is not None:
            return replace(column, unit=parsed, unit_text=unit_text)
    return None


def _bare(header: str) -> str:
    """Return a header without the address that the IDR writes behind it (``Gene Identifier %% url=…``)."""
    return header.split("%%")[0].strip()


def _split_unit(header: str) -> tuple[str, str | None]:
    """Return a header and the unit behind it, in brackets or as a sign of per cent; None where there is none."""
    found = _WITH_UNIT.match(header)
    return (found[1], found[2] or found[3]) if found else (header, None)


def _unit_of(text: str, slot: Slot) -> str | None:
    try:
        return parse_unit(text)
    except InvalidDataError:
        # Headers lose their capitals; a concentration is never in micrometres.
        written = _UNIT_ENDINGS.get(fold(text)) if slot.kind == "quantity" else None
        return parse_unit(written) if written else None


def _named(folded: str, unit: str | None) -> tuple[tuple[Slot, bool, str | None], str | None] | None:
    """Return the slot of a folded name, with the unit that the name itself says where none stands beside it."""
    if folded in _WHOLE_DOSES:
        return BY_NAME[folded], unit or _WHOLE_DOSES[folded]
    if folded in BY_NAME:
        return BY_NAME[folded], unit
    for ending, written in _UNIT_ENDINGS.items():
        base = BY_NAME.get(folded.removesuffix(ending)) if folded.endswith(ending) else None
        if base is not None and base[0].kind == "quantity":
            return base, unit or written
    return None


def _numbered(header: str) -> list[tuple[str, int]]:
    """Return a header without the number of a treatment: at its end (``compound_2``), inside (``Compound 2 Name``)."""
    found = _NUMBERED.match(header)
    inside = _NUMBERED_INSIDE.fullmatch(header)
    at_end = [(found.group(1), int(found.group(2)))] if found else []
    return at_end + ([(f"{inside[1]} {inside[3]}", int(inside[2]))] if inside else [])


def _nearest(header: str) -> str | None:
    """Return the known name that a header is a slip of, as it is best written."""
    header = _bare(header)
    if _COMMENT.fullmatch(header):
        return None
    if marked := _MARKED.fullmatch(header):
        return _nearest(marked[1])
    plain, bracket = _split_unit(header)
    if any(fold(text) in BY_NAME for text, _ in _numbered(plain)):
        return None  # the second organism of a well is no slip of the first
    texts = list(dict.fromkeys((fold(plain), fold(header))))
    if any(text in ATTRIBUTES or len(text) < 3 or text.endswith(_OTHER_WORDS) for text in texts):
        return None
    for text in texts:
        found = nearest(text, BY_NAME, cutoff=_NEAR)
        # A word in brackets that is no unit makes it another thing, unless the rest is a name as it stands.
        other = bracket is not None and text == texts[0] and found != text
        if found and not (other and _unit_of(bracket or "", BY_NAME[found][0]) is None):
            return BY_NAME[found][0].name
    return None
