"""Wells and fields in the names of OME-TIFF files, for those that have no ``<Plate>``.

A well is what says so (``well B3``, ``r02c03``), is a whole name (``B3``, as a folder or a file), or is a word of
letters and two digits (``plate1_B03_f2``) that stands before any word for time or depth: in ``T01_C02``, ``C02`` is a
channel.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...schemas.identifiers import well_or_none

#: The ends of names of OME-TIFF, and of the metadata files beside them; in small letters.
TIFF_ENDS = (".ome.tif", ".ome.tiff", ".ome.tf2", ".ome.tf8", ".ome.btf")
PLAIN_TIFF_ENDS = (".tif", ".tiff")
XML_ENDS = (".companion.ome", ".ome.xml", ".ome", ".xml")

_ROW = r"([A-Pa-p]|[Aa][A-Fa-f])"
_WHOLE = re.compile(rf"{_ROW}0*(\d{{1,2}})")
_SAID = re.compile(rf"(?<![a-z])well[ _:=#-]*{_ROW}[ _-]?0*(\d{{1,2}})(?![A-Za-z0-9])", re.IGNORECASE)
_NUMBERED = re.compile(r"(?<![a-z])r(?:ow)?[ _-]?(\d{1,2})[ _-]?c(?:ol(?:umn)?)?[ _-]?(\d{1,2})(?!\d)", re.IGNORECASE)
_WORD = re.compile(r"(?<![A-Za-z0-9])([A-P]|A[A-F])(\d{2})(?=$|[^A-Za-z0-9]|[fs]\d)")
_TIME_OR_DEPTH = re.compile(r"(?<![A-Za-z0-9])[tz]\d", re.IGNORECASE)
_FIELD = re.compile(
    r"(?<![A-Za-z])(?:f|fov|field|fld|s|site|p|pos|position|xy)[ _#-]?(\d{1,5})(?![A-Za-z0-9])", re.IGNORECASE
)
_FIELD_OF_IMAGE = re.compile(r"(?<![a-z])(?:field|fov|position|site)[ _#:-]*(\d{1,5})(?!\d)", re.IGNORECASE)


def stem(name: str) -> str:
    """Return a file's name without folders and without the ends that OME-TIFF has."""
    plain = name.rpartition("/")[2]
    for end in (*TIFF_ENDS, *XML_ENDS, *PLAIN_TIFF_ENDS):
        if plain.lower().endswith(end):
            return plain[: -len(end)]
    return plain


def well_in(name: str) -> tuple[int, int] | None:
    """Return row and column of the well that a name says, None where it says none."""
    if (whole := _WHOLE.fullmatch(name.strip())) or (whole := _SAID.search(name)):
        return well_or_none(f"{whole[1]}{int(whole[2])}")
    if numbered := _NUMBERED.search(name):
        return well_or_none(f"R{numbered[1]}C{numbered[2]}")
    later = _TIME_OR_DEPTH.search(name)
    word = _WORD.search(name)
    if word is None or (later is not None and later.start() < word.start()):
        return None
    return well_or_none(word[0])


def well_of_file(path: str) -> tuple[int, int] | None:
    """Return the well that a file's name says, or the nearest of its folders."""
    parts = path.split("/")
    return next((w for part in (stem(path), *reversed(parts[:-1])) if (w := well_in(part)) is not None), None)


def field_in(name: str) -> int | None:
    """Return the number of the field that a file's name says."""
    found = _FIELD.search(stem(name))
    return int(found[1]) if found else None


def fields_of_images(names: Sequence[str | None]) -> list[int | None]:
    """Return the field that each image's name says, all None where one says none."""
    found = [_FIELD_OF_IMAGE.search(name or "") for name in names]
    return [int(match[1]) if match else None for match in found] if all(found) else [None] * len(names)
