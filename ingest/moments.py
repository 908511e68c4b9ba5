"""Moments as microscopes write them: ISO 8601, any number of digits of a second, with a time zone or without."""

from __future__ import annotations

from datetime import UTC, datetime

#: Years that a digital microscope can have seen: what was never set is the year 1 to some software, 1899 to other.
_YEARS = range(1990, 2200)


def moment(text: str | None) -> tuple[datetime | None, bool]:
    """Return the moment that a text says, in UTC, and whether it named its time zone; None for no moment."""
    try:
        found = datetime.fromisoformat((text or "").strip())
        in_utc = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None, True
    return (in_utc, found.tzinfo is not None) if in_utc.year in _YEARS else (None, True)
