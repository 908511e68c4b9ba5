"""IN Carta (Molecular Devices): one CSV per plate, a row per object, targets and waves in the names of columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ...schemas.tool_names import take_apart
from ...wording import listed
from .columns import first_named
from .contract import Evidence, Level, Options, SourceTable
from .flat import from_zero, not_numbers, raw_table, sort_columns, source_table, tool_names
from .look import FoundFile
from .names import inferred

#: Identity → what IN Carta calls it, without case.
_IDENTITY: Mapping[str, tuple[str, ...]] = {
    "plate": ("plate id", "plate name", "plate"),
    "well": ("well label", "well"),
    "row": ("row",),
    "column": ("column",),
    "field": ("fov", "field"),
    "timepoint": ("t",),
    "object_id": ("object id",),
}
#: Columns of text, often without any.
_TEXTS = ("class name", "class color", "ancestry path", "slice algorithm", "slice indicator", "well label")
_OTHERS = ("z", "acquisition time stamp")
_WAVE = re.compile(r".+ wv\d+")


class InCarta:
    """Object tables of IN Carta."""

    name = "incarta"
    description = (
        "Molecular Devices IN Carta: CSV with OBJECT ID, FOV, WELL LABEL and features such as 'Nuclei Area wv1'"
    )

    def detect(self, files: Sequence[FoundFile]) -> Evidence | None:
        """Know tables with columns ``… wv1`` beside a FOV or a WELL LABEL."""
        known = [file for file in files if file.kind in ("text", "parquet") and _is_incarta(file.columns)]
        if not known:
            return None
        return Evidence(
            text=f"{listed([file.name for file in known], 3)}: FOV or WELL LABEL, and features of waves (wv1)",
            files=tuple(file.path for file in known),
        )

    def tables(self, files: Sequence[FoundFile], options: Options) -> list[SourceTable]:
        """Describe one table for each file."""
        return [_table(file, options) for file in files if _is_incarta(file.columns)]


def _is_incarta(columns: Sequence[str]) -> bool:
    low = {name.strip().casefold() for name in columns}
    return bool(low & {"fov", "well label"}) and any(_WAVE.fullmatch(name.strip()) for name in columns)


def _table(file: FoundFile, options: Options) -> SourceTable:
    raw = raw_table(file)
    low = {name.casefold(): name for name in raw.columns}
    identity = first_named(_IDENTITY, low)
    if "row" in identity and "column" in identity:
        identity.pop("well", None)  # written "C - 3"
    else:
        identity.pop("row", None)
        identity.pop("column", None)
    left = {name: column for name, column in low.items() if column not in identity.values()}
    layout = sort_columns(
        raw,
        identity,
        texts=[left[name] for name in _TEXTS if name in left],
        others=[left[name] for name in _OTHERS if name in left],
    )
    level: Level = "object" if "object_id" in identity else "field" if "field" in identity else "well"
    object_set = _first_target(layout.features) if level == "object" else None
    names, roles = tool_names("incarta", layout.features, object_set, options)
    return source_table(
        raw,
        layout,
        level=level,
        object_set=object_set,
        change=lambda rows: from_zero(rows, 1),
        names=names,
        warnings=[*inferred(roles, options.roles), *not_numbers("incarta", raw, layout, object_set)],
    )


def _first_target(features: Sequence[str]) -> str:
    """Return the object set of the rows: the target that the table names first."""
    for name in features:
        read = take_apart("incarta", name, None)
        if read is not None and read.prefix:
            return read.prefix[:1].lower() + read.prefix[1:]
    return "objects"


DIALECTS = (InCarta(),)
