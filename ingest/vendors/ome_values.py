"""Values of OME-XML attributes: whole numbers, lengths in µm, times in s, colours; each schema's units and defaults.

Since 2015 a length names its unit beside it (``PositionX``, ``PositionXUnit``); before, it is µm and has no unit.
``reference frame`` and ``pixel`` are no lengths: such a position is unknown, and noted. A stage position of the newer
schemas without a unit is formally in the reference frame too, but who leaves the unit out writes µm: it is taken as
that, and noted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lxml import etree

from ...errors import InvalidDataError
from ..units import to_ms, to_um
from .safe_xml import local_name

_NO_LENGTH = ("reference frame", "pixel")
_UNITS_SINCE = 2015
#: Before, the bytes of a colour stood in another order.
_RGBA_SINCE = (2012, 6)
_LARGEST = 1e12
_LARGEST_INT = 2**31 - 1
_MOST_DIGITS = 12
DAMAGED = "The metadata are damaged; copy the files again."


@dataclass(slots=True)
class Schema:
    """The schema of a document: ``year`` and ``month``, 0 where the namespace does not say; and what was odd."""

    name: str
    year: int
    month: int
    notes: dict[str, int] = field(default_factory=dict)

    def note(self, what: str) -> None:
        """Count something that is odd and not wrong."""
        self.notes[what] = self.notes.get(what, 0) + 1


@dataclass(slots=True)
class Facts:
    """The attributes of one element as values.

    Attributes that are absent or empty, and numbers that are not finite, are None. A method takes several names where
    schemas call the same fact differently; the first that is there counts.
    """

    element: etree._Element
    schema: Schema
    of: str = ""

    def text(self, *names: str) -> str | None:
        """Return a text without blanks around it."""
        for name in names:
            value = self.element.get(name)
            if value is not None and (value := value.strip()):
                return value
        return None

    def whole(self, *names: str, least: int = 0, most: int = _LARGEST_INT) -> int | None:
        """Return a whole number.

        Raises
        ------
        InvalidDataError
            It is no whole number, or one outside ``least`` to ``most``.
        """
        text = self.text(*names)
        if text is None:
            return None
        sign, digits = text[:1] == "-", text.lstrip("+-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS and len(text) <= len(digits) + 1):
            raise self.wrong(names[0], text, "no whole number")
        value = -int(digits) if sign else int(digits)
        if not least <= value <= most:
            raise self.wrong(names[0], text, f"not between {least} and {most}")
        return value

    def needed(self, *names: str, least: int = 0, most: int = _LARGEST_INT) -> int:
        """Return a whole number that must be there; raises as :meth:`whole`."""
        value = self.whole(*names, least=least, most=most)
        if value is None:
            raise InvalidDataError(f"{self.where}: no {names[0]}", hint=DAMAGED)
        return value

    def number(self, *names: str) -> float | None:
        """Return a number.

        Raises
        ------
        InvalidDataError
            It is no number, or beyond all bounds.
        """
        text = self.text(*names)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError as error:
            raise self.wrong(names[0], text, "no number") from error
        if not math.isfinite(value):
            return None
        if abs(value) > _LARGEST:
            raise self.wrong(names[0], text, "beyond all bounds")
        return value

    def length_um(self, *names: str, unit: str = "µm", stage: bool = False) -> float | None:
        """Return a length in µm; None where it is given in what is no length.

        Parameters
        ----------
        names
            Names of the attribute; the one of its unit is the same with ``Unit`` behind it.
        unit
            The unit that the schema means when it says none.
        stage
            It is a position of the stage, which has no usual unit in the newer schemas.
        """
        value = self.number(*names)
        if value is None:
            return None
        told = self.text(*(f"{name}Unit" for name in names))
        if told in _NO_LENGTH:
            self.schema.note(f"positions are in {told!r}, which is no length: they are not used")
            return None
        if told is None and stage and self.schema.year >= _UNITS_SINCE:
            self.schema.note("positions name no unit; they are taken as µm")
        return value * self._known(to_um(told or unit), told, names[0])

    def time_s(self, *names: str) -> float | None:
        """Return a time in s."""
        value = self.number(*names)
        if value is None:
            return None
        told = self.text(*(f"{name}Unit" for name in names))
        return value * self._known(to_ms(told or "s"), told, names[0]) / 1e3

    def color(self, name: str) -> str | None:
        """Return a colour as RRGGBB."""
        if (self.schema.year, self.schema.month) < _RGBA_SINCE:
            return None
        value = self.whole(name, least=-(2**31), most=2**32 - 1)
        return None if value is None else f"{(value & 0xFFFFFFFF) >> 8:06X}"

    def _known(self, factor: float | None, unit: str | None, name: str) -> float:
        if factor is None:
            raise InvalidDataError(f"{self.where}: {name} is in {unit!r}, a unit that is not known", hint=DAMAGED)
        return factor

    @property
    def where(self) -> str:
        """Where the element stands, for messages."""
        parts = (self.of, f"<{local_name(self.element)}>", self.element.get("ID") or "")
        return f"{self.schema.name}: {' '.join(part for part in parts if part)}"

    def wrong(self, name: str, text: str, why: str) -> InvalidDataError:
        """Return the error for a value that cannot be."""
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        return InvalidDataError(f"{self.where}: {name} is {shown!r}, {why}", hint=DAMAGED)
