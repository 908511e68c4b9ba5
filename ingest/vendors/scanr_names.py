"""ScanR's names: of images (``Well 14, Position 1 (B2)``), of files, and the plate that makes numbers into wells.

A file is ``<well>--W00014--P00001--Z00000--T00000--<channel>.tif``: well and position count from 1, the rest from 0,
and a channel may hold blanks, ``#`` and dashes. The number of a well counts along the rows of the plate, so that it
tells the columns of the plate where the well's name is known, and the name where the plate is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ...errors import InvalidDataError
from ...schemas.identifiers import MAX_COLUMNS, format_well, well_or_none
from ..plate_formats import PLATE_FORMATS

_FILE = re.compile(
    r"(?:(.*?)--)?W(\d{1,6})--P(\d{1,6})--Z(\d{1,6})--T(\d{1,6})--(.+)\.tiff?", re.IGNORECASE | re.DOTALL
)
_NAME = re.compile(r"Well\s*#?(\d{1,6})\s*,\s*Pos(?:ition)?\s*#?(\d{1,6})(?:\s*\(([^()]*)\))?", re.IGNORECASE)
_ID = re.compile(r"W(\d{1,6})P(\d{1,6})\Z")
_WELL = re.compile(r"[A-Za-z]{1,2}\s?0*\d{1,2}")
#: What only ScanR writes into the first bytes of an OME-XML.
SIGNATURE = re.compile(rb'Creator="[^"]*scan\^?R|ID="Image:W\d+P\d+"|--W\d{5}--P\d{5}--Z\d{5}--T\d{5}--', re.IGNORECASE)
_HINT = "Say which plate it was with --plate-format, as in --plate-format 8x12."


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanrFile:
    """What a file name says. ``prefix`` is what stands before the number of the well."""

    prefix: str
    well_number: int
    position: int
    z: int
    t: int
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanrField:
    """Which field an image is; ``well`` is (row, column) from 1, None where only the number is told."""

    well_number: int
    position: int
    well: tuple[int, int] | None


def parse_file_name(name: str) -> ScanrFile | None:
    """Return what a file name says, None where it is not ScanR's."""
    found = _FILE.fullmatch(name.rpartition("/")[2])
    if found is None:
        return None
    return ScanrFile(
        prefix=found[1] or "",
        well_number=int(found[2]),
        position=int(found[3]),
        z=int(found[4]),
        t=int(found[5]),
        channel=found[6],
    )


def well_of(text: str | None) -> tuple[int, int] | None:
    """Return row and column of a well's name, None where the text is none."""
    if text is None or not _WELL.fullmatch(text.strip()):
        return None
    return well_or_none(re.sub(r"\s", "", text))


def field_of(image_id: str, image_name: str | None, file: str | None) -> ScanrField | None:
    """Return which field an image is, by its name, its id (``Image:W14P1``) or its first file; None if none says."""
    name, number = _NAME.search(image_name or ""), _ID.search(image_id)
    known = parse_file_name(file) if file else None
    well = well_of(name[3]) if name else None
    if well is None and known is not None:
        well = well_of(known.prefix)
    if name is not None:
        return ScanrField(well_number=int(name[1]), position=int(name[2]), well=well)
    if number is not None:
        return ScanrField(well_number=int(number[1]), position=int(number[2]), well=well)
    if known is not None:
        return ScanrField(well_number=known.well_number, position=known.position, well=well)
    return None


def place_wells(
    fields: Iterable[ScanrField], told: tuple[int, int] | None, name: str, warnings: list[str]
) -> tuple[Mapping[int, tuple[int, int]], tuple[int, int] | None]:
    """Return the row and column of each well's number, and the size of the plate.

    Parameters
    ----------
    fields
        The fields of the plate.
    told
        Rows and columns, by the user's word or a file's; inferred from names and numbers when None.
    name
        What to call the index.
    warnings
        Gets what was inferred.

    Raises
    ------
    InvalidDataError
        Names and numbers of wells contradict each other or the plate, or there are only numbers.
    """
    wells: dict[int, tuple[int, int]] = {}
    bare: set[int] = set()
    for one in fields:
        if one.well is None:
            bare.add(one.well_number)
            continue
        known = wells.setdefault(one.well_number, one.well)
        if known != one.well:
            raise InvalidDataError(
                f"{name}: well {one.well_number} is called {format_well(*known)} and {format_well(*one.well)}"
            )
    size = told or _inferred(wells, bare, name, warnings)
    if size is not None:
        _check(wells, size, name, told is not None)
    for number in sorted(bare - wells.keys()):
        if size is None:
            raise InvalidDataError(f"{name} numbers its wells (W{number:05d}) and does not name them", hint=_HINT)
        if not 1 <= number <= size[0] * size[1]:
            raise InvalidDataError(f"{name}: a plate of {size[0]} × {size[1]} wells has no well {number}", hint=_HINT)
        wells[number] = ((number - 1) // size[1] + 1, (number - 1) % size[1] + 1)
    return wells, size


def _columns(number: int, row: int, column: int) -> int | None:
    """Return the columns of a plate on which a well has this number, 0 where any has, None where none."""
    if row == 1:
        return 0 if number == column else None
    columns, left = divmod(number - column, row - 1)
    return columns if not left and column <= columns <= MAX_COLUMNS else None


def _inferred(
    wells: Mapping[int, tuple[int, int]], bare: set[int], name: str, warnings: list[str]
) -> tuple[int, int] | None:
    """Return the plate on which wells of these names have these numbers; None where any wide enough will do."""
    said: dict[int, tuple[int, tuple[int, int]]] = {}
    for number, well in wells.items():
        columns = _columns(number, *well)
        if columns is None:
            raise InvalidDataError(
                f"{name}: well {number} is called {format_well(*well)}, which it is on no plate whose wells are "
                "numbered along its rows"
            )
        if columns:
            said.setdefault(columns, (number, well))
    if not said:
        return None
    (columns, (number, well)), *others = said.items()
    if others:
        other, (other_number, other_well) = others[0]
        raise InvalidDataError(
            f"{name}: well {number} is called {format_well(*well)}, as on a plate of {columns} columns, and well "
            f"{other_number} {format_well(*other_well)}, as on one of {other}"
        )
    last = max(max(row for row, _ in wells.values()), max(((n - 1) // columns + 1 for n in bare), default=1))
    size = next((s for s in PLATE_FORMATS if s[1] == columns and s[0] >= last), (last, columns))
    warnings.append(
        f"the size of the plate is inferred: well {number} is {format_well(*well)} on one of {size[0]} × {size[1]}"
    )
    return size


def _check(wells: Mapping[int, tuple[int, int]], size: tuple[int, int], name: str, told: bool) -> None:
    """Refuse numbers that are other wells on a plate of this size."""
    for number, (row, column) in wells.items():
        if column <= size[1] and row <= size[0] and number == (row - 1) * size[1] + column:
            continue
        fitting = _columns(number, row, column)
        raise InvalidDataError(
            f"{name}: well {number} is called {format_well(row, column)}, which is not well {number} of a plate of "
            f"{size[0]} × {size[1]}" + (f"; a plate of {fitting} columns fits" if fitting else ""),
            hint=_HINT if told else None,
        )
