"""Doses and times as people write them."""

from __future__ import annotations

import math

import pytest
from cytolake.errors import InvalidDataError
from cytolake.schemas.units import Quantity, parse_number, parse_quantity, parse_unit, to_hours, to_micromolar
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "value", "unit", "micromolar"),
    [
        ("10 uM", 10, "umol/L", 10),
        ("10uM", 10, "umol/L", 10),
        ("10 µM", 10, "umol/L", 10),  # micro sign
        ("10 μM", 10, "umol/L", 10),  # Greek mu
        ("0,5 µmol/l", 0.5, "umol/L", 0.5),
        ("100 nM", 100, "nmol/L", 0.1),
        ("3 pM", 3, "pmol/L", 3e-6),
        ("1 mM", 1, "mmol/L", 1000),
        ("1e-6 M", 1e-6, "mol/L", 1),
        (".25 umol/L", 0.25, "umol/L", 0.25),
        ("1.000,5 nM", 1000.5, "nmol/L", 1.0005),
        ("1,000.5 nM", 1000.5, "nmol/L", 1.0005),
        ("0 micromolar", 0, "umol/L", 0),
        ("5 ug/mL", 5, "ug/mL", None),
        ("5 µg/ml", 5, "ug/mL", None),
        ("5 microgram per milliliter", 5, "ug/mL", None),
        ("2 Nanograms/mL", 2, "ng/mL", None),
        ("3 µg per ml", 3, "ug/mL", None),
        ("0.1 %", 0.1, "%", None),
        ("0.1% (v/v)", 0.1, "%", None),
        ("20 IU/mL", 20, "[IU]/mL", None),
    ],
)
def test_doses(text: str, value: float, unit: str, micromolar: float | None) -> None:
    quantity = parse_quantity(text)
    assert quantity == Quantity(value, unit, text)
    assert to_micromolar(quantity) == micromolar


@pytest.mark.parametrize(
    ("text", "hours"),
    [("24 h", 24), ("2 days", 48), ("90min", 1.5), ("1,5 Hours", 1.5), ("36 s", 0.01), ("5 uM", None)],
)
def test_times(text: str, hours: float | None) -> None:
    assert to_hours(parse_quantity(text)) == hours


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10", "has no unit"),
        ("uM", "is not a quantity"),
        ("", "is not a quantity"),
        ("high", "is not a quantity"),
        ("<10 uM", "is not a quantity"),
        ("10 um", "unknown unit"),
        ("10 nm", "unknown unit"),
        ("10 UM", "unknown unit"),
        ("10 furlongs", "unknown unit"),
        ("1,000 uM", "may mean 1.000 or 1000"),
        ("1,0,0 uM", "is not a number"),
        ("1.2.3 uM", "is not a number"),
        ("1,00.5 uM", "is not a number"),
        ("1e999 uM", "is not a number"),
    ],
)
def test_what_is_unclear_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidDataError, match=reason):
        parse_quantity(text)


def test_a_length_in_place_of_a_dose_is_told_its_likely_meaning() -> None:
    with pytest.raises(InvalidDataError) as caught:
        parse_quantity("10 um")
    assert "uM" in str(caught.value.hint)


def test_a_bare_number_takes_the_unit_of_its_column() -> None:
    assert parse_quantity("0,1", "µM") == Quantity(0.1, "umol/L", "0,1")
    assert parse_quantity("3 nM", "uM").unit == "nmol/L"


@given(
    st.just(0.0) | st.floats(min_value=1e-300, max_value=1e12, allow_nan=False),
    st.sampled_from(["M", "mM", "uM", "nM", "pM", "fM"]),
)
def test_any_dose_keeps_its_value(value: float, unit: str) -> None:
    quantity = parse_quantity(f"{value!r} {unit}")
    assert quantity.value == value
    power = {"M": 6, "mM": 3, "uM": 0, "nM": -3, "pM": -6, "fM": -9}[unit]
    converted = to_micromolar(quantity)
    assert converted is not None
    assert math.isclose(converted, value * 10.0**power, rel_tol=1e-12)


@given(st.text(max_size=12))
def test_any_text_gives_a_finite_number_or_our_error(text: str) -> None:
    try:
        assert math.isfinite(parse_number(text))
        assert math.isfinite(parse_quantity(text, "uM").value)
    except InvalidDataError:
        pass


def test_ucum_units_are_read_as_they_are_written() -> None:
    for unit in ("umol/L", "nmol/L", "ug/mL", "%", "h", "d", "[IU]/mL"):
        assert parse_unit(unit) == unit
