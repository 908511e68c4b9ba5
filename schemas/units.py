"""Quantities as people write them: ``10 uM``, ``0,5 µM``, ``100ng/ml``, ``24 h``.

Units come out in UCUM (https://ucum.org); the text as written is kept beside the value. Only doses and times are
known: ``10 um`` in a dose column is a typing error, and is reported as one.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from ..errors import InvalidDataError

_NUMBER = re.compile(r"\s*([+-]?(?:[0-9][0-9.,]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?)\s*(.*?)\s*")

#: UCUM unit → (kind, power of ten against the kind's own unit). Amounts are against µmol/L.
_MOLAR = {"mol/L": 6, "mmol/L": 3, "umol/L": 0, "nmol/L": -3, "pmol/L": -6, "fmol/L": -9}
_HOURS = {"s": Decimal(1) / 3600, "min": Decimal(1) / 60, "h": Decimal(1), "d": Decimal(24), "wk": Decimal(168)}
_OTHER = ("g/L", "mg/L", "ug/L", "g/mL", "mg/mL", "ug/mL", "ng/mL", "pg/mL", "%", "U/mL", "[IU]/mL", "U/L")

#: What people write → UCUM, after micro signs became ``u`` and blanks were dropped. Case matters here: M is not m.
_WRITTEN = {
    **{unit: unit for unit in (*_MOLAR, *_HOURS, *_OTHER)},
    **{f"{p}M": f"{p}mol/L" for p in ("", "m", "u", "n", "p", "f")},
    **{f"{p}mol/l": f"{p}mol/L" for p in ("", "m", "u", "n", "p", "f")},
    **{f"{p}g/ml": f"{p}g/mL" for p in ("", "m", "u", "n", "p")},
    **{f"{p}g/l": f"{p}g/L" for p in ("", "m", "u")},
    "U/ml": "U/mL",
    "IU/mL": "[IU]/mL",
    "IU/ml": "[IU]/mL",
    "U/l": "U/L",
}
#: Words, in any case.
_WORDS = {
    "molar": "mol/L",
    "millimolar": "mmol/L",
    "micromolar": "umol/L",
    "nanomolar": "nmol/L",
    "picomolar": "pmol/L",
    "percent": "%",
    "%v/v": "%",
    "%w/v": "%",
    "%(v/v)": "%",
    "%(w/v)": "%",
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "mins": "min",
    "minute": "min",
    "minutes": "min",
    "hr": "h",
    "hrs": "h",
    "hour": "h",
    "hours": "h",
    "day": "d",
    "days": "d",
    "week": "wk",
    "weeks": "wk",
}
_WORDS |= {
    f"{gram}{per}{volume}": f"{prefix}g/mL"
    for prefix, word in (("", ""), ("m", "milli"), ("u", "micro"), ("n", "nano"), ("p", "pico"))
    for gram in (f"{prefix}g", f"{word}gram", f"{word}grams")
    for per in ("per", "/")
    for volume in ("ml", "milliliter", "millilitre")
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value, its UCUM unit, and the text it was written as."""

    value: float
    unit: str
    text: str


def parse_unit(text: str) -> str:
    """Return the UCUM unit of a unit as written: ``uM``, ``µM`` and ``μmol/l`` are all ``umol/L``.

    Raises
    ------
    InvalidDataError
        The unit is not one of a dose or of a time.
    """
    written = "".join(text.split()).replace("µ", "u").replace("μ", "u")
    unit = _WRITTEN.get(written) or _WORDS.get(written.lower())
    if unit is None:
        same_letters = sorted(w for w in _WRITTEN if w.lower() == written.lower())
        raise InvalidDataError(
            f"unknown unit {text!r}",
            hint=f"Did you mean {' or '.join(same_letters)}? Capitals matter."
            if same_letters
            else "Write uM, nM, mM, ug/mL, %, h or another unit of dose or time.",
        )
    return unit


def parse_quantity(text: str, default_unit: str | None = None) -> Quantity:
    """Return the quantity that a text says.

    Parameters
    ----------
    text
        A number and a unit, with or without a blank between. The decimal sign is a point or a comma.
    default_unit
        Unit of a bare number; without it a bare number is an error.

    Raises
    ------
    InvalidDataError
        There is no number, no known unit, or a comma that may be a decimal sign or a thousands sign (``1,000``).
    """
    number, unit = split_quantity(text)
    if not unit and default_unit is None:
        raise InvalidDataError(f"{text!r} has no unit", hint="Write the unit behind the number, such as 10 uM.")
    return Quantity(parse_number(number), parse_unit(unit or default_unit or ""), text)


def split_quantity(text: str) -> tuple[str, str]:
    """Return number and unit of a quantity as they are written; the unit is empty where there is none.

    Raises
    ------
    InvalidDataError
        It does not begin with a number.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise InvalidDataError(
            f"{text!r} is not a quantity", hint="Write a number and a unit, such as 10 uM or 0.5 ug/mL."
        )
    return match[1], match[2]


def parse_number(text: str) -> float:
    """Return the number that a text says, with a point or a comma as decimal sign.

    Raises
    ------
    InvalidDataError
        It is no finite number, or the comma is ambiguous: ``1,000`` may be one or a thousand.
    """
    plain = text.strip()
    if "," in plain:
        whole, _, rest = plain.rpartition(",")
        if "." in plain:
            # Both signs are there: the last one is the decimal sign, the other must group thousands.
            decimal, thousands = (",", ".") if plain.rfind(",") > plain.rfind(".") else (".", ",")
            groups = plain.partition(decimal)[0].split(thousands)
            is_grouped = all(len(group) == 3 for group in groups[1:]) and 1 <= len(groups[0].lstrip("+-")) <= 3
            plain = plain.replace(thousands, "").replace(decimal, ".") if is_grouped else "no number"
        elif re.fullmatch(r"[0-9]{3}", rest) and whole.lstrip("+-") not in ("", "0"):
            raise InvalidDataError(
                f"{text!r} may mean {whole}.{rest} or {whole}{rest}",
                hint="Write it with a decimal point and without thousands signs.",
            )
        else:
            plain = plain.replace(",", ".")
    try:
        value = float(Decimal(plain))
    except InvalidOperation:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidDataError(f"{text!r} is not a number")
    return value


def to_micromolar(quantity: Quantity) -> float | None:
    """Return an amount concentration in µM, or None where the unit needs more than a factor (``ug/mL``, ``%``)."""
    power = _MOLAR.get(quantity.unit)
    return None if power is None else float(Decimal(repr(quantity.value)).scaleb(power))


def to_hours(quantity: Quantity) -> float | None:
    """Return a time in hours, or None where the quantity is no time."""
    factor = _HOURS.get(quantity.unit)
    return None if factor is None else float(Decimal(repr(quantity.value)) * factor)
