"""Units and moments as microscopes write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cytolake.ingest.moments import moment
from cytolake.ingest.units import to_ms, to_um


@pytest.mark.parametrize(
    ("unit", "um"),
    [
        ("µm", 1.0), ("μm", 1.0), ("um", 1.0), (" UM ", 1.0), ("microns", 1.0), ("Micrometer", 1.0), ("\\u00b5m", 1.0),
        ("\ufffdm", 1.0), ("Âµm", 1.0), ("m", 1e6), ("mm", 1e3), ("nm", 1e-3), ("Å", 1e-4), ("inch", 25_400.0),
        ("metres", 1e6), ("pixel", None), ("reference frame", None), ("Mm", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_lengths(unit: str | None, um: float | None) -> None:
    assert to_um(unit) == um


@pytest.mark.parametrize(
    ("unit", "ms"),
    [
        ("ms", 1.0), ("msec", 1.0), ("s", 1e3), ("Seconds", 1e3), ("µs", 1e-3), ("us", 1e-3), ("min", 6e4),
        ("Ms", None), ("frames", None), (None, None),
    ],
)  # fmt: skip
def test_times(unit: str | None, ms: float | None) -> None:
    assert to_ms(unit) == ms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01T10:00:00.1234567+02:00", (datetime(2024, 5, 1, 8, 0, 0, 123456, UTC), True)),
        (" 2024-05-01T10:00:00Z ", (datetime(2024, 5, 1, 10, tzinfo=UTC), True)),
        ("2024-05-01 10:00:00", (datetime(2024, 5, 1, 10, tzinfo=UTC), False)),
        ("0001-01-01T00:00:00", (None, True)),
        ("0001-01-01T00:00:00+14:00", (None, True)),
        ("1899-12-30T00:00:00", (None, True)),
        ("yesterday", (None, True)),
        ("", (None, True)),
        (None, (None, True)),
    ],
)
def test_moments(text: str | None, expected: tuple[datetime | None, bool]) -> None:
    assert moment(text) == expected
