"""The HTD file of a MetaXpress export as bytes in, MetaXpress's own words out.

One quoted key and its values a line, ``"EndFile"`` last. It is no text of one encoding: line breaks inside the
description are the bytes 0x82 0x81, so what is not UTF-8 is read byte by byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import InvalidDataError, NotAnExportError, SourceFileError
from ...schemas.identifiers import MAX_COLUMNS, MAX_ROWS

_LINE = re.compile(r'\s*"?([A-Za-z]+)(\d{0,6})"?\s*(?:,(.*))?')
_FIRST_KEY = b"HTSInfoFile"
_DAMAGED = "Copy the HTD file again from the export."
#: No plate has more; a larger number is damage, and would be that many planes.
_MOST = {"TimePoints": 100_000, "ZSteps": 10_000, "XSites": 1_000, "YSites": 1_000, "NWavelengths": 999}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """One wavelength: its number in file names, its name, and whether it was acquired."""

    number: int
    name: str | None
    is_collected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Htd:
    """What an HTD says. ``wells`` and ``sites`` are (row, column) from 1 of what was selected, in reading order.

    ``has_sites`` and ``has_waves`` say whether file names carry ``_s`` and ``_w``.
    """

    version: str | None
    n_rows: int
    n_columns: int
    wells: tuple[tuple[int, int], ...]
    has_sites: bool
    n_site_columns: int
    sites: tuple[tuple[int, int], ...]
    has_waves: bool
    waves: tuple[Wave, ...]
    n_timepoints: int
    n_steps: int
    plate_identifier: str | None


def is_htd(head: bytes) -> bool:
    """Tell from its first bytes whether a file is an HTD."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").lstrip(b'"').startswith(_FIRST_KEY)


def parse_htd(data: bytes, name: str) -> Htd:
    """Parse the content of an HTD file.

    Parameters
    ----------
    data
        The file.
    name
        What to call it in messages.

    Raises
    ------
    NotAnExportError
        It is something else.
    SourceFileError
        It is cut off.
    InvalidDataError
        A number is none, or none that can be.
    """
    if not is_htd(data[:256]):
        raise NotAnExportError(f"{name} is no HTD file of MetaXpress: it does not begin with HTSInfoFile")
    facts: dict[tuple[str, int], str] = {}
    for line in _text(data).splitlines():
        found = _LINE.match(line)
        if found is not None:
            facts.setdefault((found[1], int(found[2] or 0)), (found[3] or "").strip())
    if ("EndFile", 0) not in facts:
        raise SourceFileError(f"{name} is cut off: its last line, EndFile, is absent", hint=_DAMAGED)
    reader = _Facts(name, facts)
    n_columns = reader.number("XWells", most=MAX_COLUMNS)
    n_rows = reader.number("YWells", most=MAX_ROWS)
    has_sites = reader.flag("Sites")
    n_site_columns, n_site_rows = reader.number("XSites", default=1), reader.number("YSites", default=1)
    has_z = reader.flag("ZSeries")
    has_waves = reader.flag("Waves")
    return Htd(
        version=(reader.text("HTSInfoFile") or "").removeprefix("Version").strip() or None,
        n_rows=n_rows,
        n_columns=n_columns,
        wells=reader.selected("WellsSelection", n_rows, n_columns),
        has_sites=has_sites,
        n_site_columns=n_site_columns if has_sites else 1,
        sites=reader.selected("SiteSelection", n_site_rows, n_site_columns) if has_sites else ((1, 1),),
        has_waves=has_waves,
        waves=reader.waves(reader.number("NWavelengths", default=1) if has_waves else 1),
        n_timepoints=reader.number("TimePoints", default=1),
        n_steps=reader.number("ZSteps", default=1) if has_z else 1,
        plate_identifier=reader.text("UniquePlateIdentifier"),
    )


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return re.sub("\x82\x81?|\x81", " ", data.decode("latin-1")).removeprefix("ï»¿")


@dataclass(frozen=True, slots=True)
class _Facts:
    name: str
    facts: dict[tuple[str, int], str]

    def text(self, key: str, number: int = 0) -> str | None:
        return self.facts.get((key, number), "").strip().strip('"').strip() or None

    def flag(self, key: str) -> bool:
        return _is_true(self.facts.get((key, 0), ""))

    def number(self, key: str, *, default: int | None = None, most: int | None = None) -> int:
        """Return a whole number of at least 1."""
        text = self.text(key)
        most = most or _MOST[key]
        if text is None and default is not None:
            return default
        if text is None or not re.fullmatch(r"\d{1,9}", text) or not int(text) <= most:
            raise InvalidDataError(
                f"{self.name}: {key} is {text!r}, not a whole number of at most {most}", hint=_DAMAGED
            )
        if int(text) == 0 and default is None:
            raise InvalidDataError(f"{self.name}: {key} is 0", hint=_DAMAGED)
        return int(text) or 1

    def selected(self, key: str, n_rows: int, n_columns: int) -> tuple[tuple[int, int], ...]:
        """Return row and column of what is TRUE; everything where no line says anything."""
        rows = [[_is_true(v) for v in self.facts.get((key, r), "").split(",")] for r in range(1, n_rows + 1)]
        told = any((key, r) in self.facts for r in range(1, n_rows + 1))
        return tuple(
            (row, column)
            for row in range(1, n_rows + 1)
            for column in range(1, n_columns + 1)
            if not told or rows[row - 1][column - 1 : column] == [True]
        )

    def waves(self, count: int) -> tuple[Wave, ...]:
        return tuple(
            Wave(
                number=n, name=self.text("WaveName", n), is_collected=self.text("WaveCollect", n) not in ("0", "FALSE")
            )
            for n in range(1, count + 1)
        )


def _is_true(text: str) -> bool:
    return text.strip().strip('"').strip().upper() in ("TRUE", "1", "YES")
