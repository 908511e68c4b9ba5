"""What MetaXpress writes into the names of files and folders: plate, well, site, wave, time point and Z step.

``<plate>_<well>[_s<site>][_w<wave>][_thumb][<GUID>].tif`` below ``[TimePoint_<t>/][ZStep_<z>/]``. The GUID follows the
wave without a separator (``_w266923EBB-…`` is wave 2), so a name is read from its end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...schemas.identifiers import format_well, well_or_none

_HEX = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_GUID = re.compile(rf"(?:_?\[{_HEX}\]|_?\{{{_HEX}\}}|_?{_HEX})\Z", re.IGNORECASE)
_STEM = re.compile(
    # Lazy, so that the first well that all the rest fits is the well: ``_s10`` and ``_w2`` look like wells too.
    r"(?:(?P<plate>.+?)_)??(?P<well>[a-z]{1,2}\d{1,2})(?:_s(?P<site>\d{1,7}))?(?:_w(?P<wave>\d{1,3}))?"
    r"(?P<thumb>_thumb)?\Z",
    re.IGNORECASE,
)
_SUFFIX = re.compile(r"\.tiff?\Z", re.IGNORECASE)
_TIME = re.compile(r"TimePoint_?(\d{1,6})\Z", re.IGNORECASE)
_STEP = re.compile(r"ZStep_?(\d{1,5})\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageName:
    """The name of one image. ``site`` and ``wave`` are ``None`` where the name has none: one site, one wave."""

    plate: str
    row: int
    column: int
    site: int | None
    wave: int | None
    is_thumbnail: bool
    has_guid: bool


def parse_image_name(name: str) -> ImageName | None:
    """Return what the name of a file says; ``None`` for a file that is no image of a well."""
    suffix = _SUFFIX.search(name)
    if suffix is None:
        return None
    stem = name[: suffix.start()]
    guid = _GUID.search(stem)
    found = _STEM.match(stem[: guid.start()] if guid else stem)
    if found is None:
        return None
    well = well_or_none(found["well"])
    if well is None:
        return None
    row, column = well
    return ImageName(
        plate=found["plate"] or "",
        row=row,
        column=column,
        site=int(found["site"]) if found["site"] else None,
        wave=int(found["wave"]) if found["wave"] else None,
        is_thumbnail=found["thumb"] is not None,
        has_guid=guid is not None,
    )


def image_name(plate: str, row: int, column: int, site: int | None, wave: int | None, suffix: str) -> str:
    """Return the name that an image has, or would have, in an export."""
    parts = (
        plate,
        format_well(row, column),
        f"s{site}" if site is not None else "",
        f"w{wave}" if wave is not None else "",
    )
    return "_".join(part for part in parts if part) + suffix


def is_inner_folder(name: str) -> bool:
    """Tell whether a folder is one of a plate's own: a time point or a Z step."""
    return _TIME.match(name) is not None or _STEP.match(name) is not None


def split_folders(folder: str) -> tuple[str, int | None, int | None]:
    """Return the folder of the plate, the time point and the Z step of a folder, as numbered by MetaXpress.

    Parameters
    ----------
    folder
        Path with forward slashes, empty for the folder that everything is relative to.
    """
    timepoint: int | None = None
    step: int | None = None
    parts = folder.split("/") if folder else []
    while parts:
        if step is None and timepoint is None and (found := _STEP.match(parts[-1])):
            step = int(found[1])
        elif timepoint is None and (found := _TIME.match(parts[-1])):
            timepoint = int(found[1])
        else:
            break
        parts.pop()
    return "/".join(parts), timepoint, step
