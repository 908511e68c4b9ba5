"""The file that says what the columns of a wide table mean, in TOML; docs/reference/import-dialects.md describes it."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import InvalidDataError, NotFoundError
from ...schemas.feature_names import FeatureName, translate
from ...schemas.identifiers import check_id
from ...wording import did_you_mean, listed
from .contract import IDENTITY, Level

_LEVELS: tuple[Level, ...] = ("object", "field", "well", "treatment")
_KEYS = (
    "level",
    "object_set",
    "columns",
    "features",
    "units",
    "ignore",
    "metadata",
    "missing",
    "timepoints_from",
    "only",
)
_FEATURE_KEYS = ("name", "unit", "definition", "source")
#: What people may write for names of :data:`.contract.IDENTITY`.
_ALSO = {"object": "object_id", "parent": "parent_id", "site": "field"}
#: Words in names of columns that say what they are, for the skeleton.
_GUESSES = {
    "plate": r"plate|barcode",
    "well": r"well(?!.*(row|col))",
    "row": r"row",
    "column": r"col(umn)?",
    "field": r"field|site|fov",
    "timepoint": r"time ?_?point",
    "object": r"object|cell ?_?(id|no|number)|label",
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class TableMapping:
    """What a mapping file says.

    Attributes
    ----------
    identity
        Name of :data:`.contract.IDENTITY` → column.
    features
        Column → what it is.
    units
        Column → UCUM, of features that keep their names.
    ignored, metadata
        Patterns of columns (``*`` and ``?`` as in file names).
    missing
        Cells that mean "no value", beside those that always do.
    first_timepoint
        Number of the first time point.
    only
        Whether features are only those that are named.
    """

    level: Level
    object_set: str | None
    identity: Mapping[str, str]
    features: Mapping[str, FeatureName]
    units: Mapping[str, str]
    ignored: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    first_timepoint: int = 0
    only: bool = False
    path: Path = field(default=Path("mapping.toml"))

    def wanted(self) -> tuple[str, ...]:
        """Return the columns that a table must have: those that say where a row belongs."""
        return tuple(self.identity.values())

    def is_ignored(self, column: str) -> bool:
        """Whether a column is left out."""
        return _matches(column, self.ignored)

    def is_metadata(self, column: str) -> bool:
        """Whether a column is about the wells."""
        return _matches(column, self.metadata)


def _matches(column: str, patterns: Iterable[str]) -> bool:
    return any(column == one or fnmatch.fnmatchcase(column, one) for one in patterns)


def read_mapping(path: Path) -> TableMapping:
    """Read a mapping file.

    Raises
    ------
    NotFoundError
        It does not exist.
    InvalidDataError
        It is no TOML, or has a key or a value that means nothing here; says which.
    """
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no mapping file {path}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidDataError(f"{path} is no TOML: {error}") from error
    for key in said:
        if key not in _KEYS:
            raise InvalidDataError(
                f"{path}: unknown key {key!r}{did_you_mean(key, _KEYS)}", hint=f"Keys are {', '.join(_KEYS)}."
            )
    level = said.get("level", "object" if "object" in _table(path, said, "columns") else "well")
    if level not in _LEVELS:
        raise InvalidDataError(f"{path}: level {level!r} is none", hint=f"Levels are {', '.join(_LEVELS)}.")
    if not isinstance(said.get("only", False), bool):
        raise InvalidDataError(f"{path}: only is true or false, not {said['only']!r}")
    object_set = said.get("object_set")
    if level == "object":
        if not isinstance(object_set, str):
            raise InvalidDataError(
                f"{path}: level is object, and no object_set says what the objects are",
                hint='Write object_set = "nuclei", for example.',
            )
        check_id(object_set, "object set")
    elif object_set is not None:
        raise InvalidDataError(f'{path}: object_set goes with level = "object", not with {level}')
    return TableMapping(
        level=level,
        object_set=object_set,
        identity=_identity(path, _table(path, said, "columns")),
        features=_features(path, _table(path, said, "features"), object_set),
        units={column: _text(path, f"units.{column}", unit) for column, unit in _table(path, said, "units").items()},
        ignored=_texts(path, said, "ignore"),
        metadata=_texts(path, said, "metadata"),
        missing=_texts(path, said, "missing"),
        first_timepoint=_number(path, said.get("timepoints_from", 0)),
        only=said.get("only", False),
        path=path,
    )


def skeleton(columns: Sequence[str], numbers: Iterable[str]) -> str:
    """Return a mapping file to fill in, made from the columns of a table."""
    found: dict[str, str] = {}
    for name, pattern in _GUESSES.items():
        match = next(
            (c for c in columns if re.fullmatch(rf".*\b({pattern})\b.*|({pattern}).*", c.replace("_", " "), re.I)), None
        )
        if match is not None and match not in found.values():
            found[name] = match
    if "well" in found:
        found.pop("row", None)
        found.pop("column", None)
    features = [one for one in columns if one in set(numbers) and one not in found.values()]
    lines = [f'level = "{"object" if "object" in found else "field" if "field" in found else "well"}"']
    if "object" in found:
        lines.append('object_set = "cells"')
    lines += ["", "[columns]"]
    lines += [f"{name} = {_quoted(column)}" for name, column in found.items()]
    if "plate" not in found:
        lines.append('# plate = "…"   (or --plate)')
    if "well" not in found and "row" not in found:
        lines.append('well = "…"   # or row and column')
    lines += ["", "[features]   # the others keep their names"]
    lines += [f'# {_quoted(one)} = "Cells_AreaShape_Area"' for one in features[:3]]
    if len(features) > 3:
        lines.append(f"# … {len(features) - 3} more columns of numbers")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _table(path: Path, said: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = said.get(key, {})
    if not isinstance(found, dict):
        raise InvalidDataError(f"{path}: [{key}] is a table of columns")
    return found


def _text(path: Path, what: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidDataError(f"{path}: {what} is a text, not {value!r}")
    return value


def _texts(path: Path, said: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = said.get(key, [])
    if not isinstance(value, list):
        raise InvalidDataError(f'{path}: {key} is a list, such as {key} = ["…"]')
    numbers = [isinstance(one, int | float) and not isinstance(one, bool) for one in value]
    return tuple(str(one) if number else _text(path, key, one) for one, number in zip(value, numbers, strict=True))


def _number(path: Path, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidDataError(f"{path}: timepoints_from is a whole number, not {value!r}")
    return value


def _identity(path: Path, said: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    known = [*IDENTITY, *_ALSO]
    for key, column in said.items():
        name = _ALSO.get(key, key)
        if name not in IDENTITY:
            raise InvalidDataError(
                f"{path}: [columns] has an unknown {key!r}{did_you_mean(key, known)}",
                hint=f"It may have {', '.join(known)}.",
            )
        found[name] = _text(path, f"columns.{key}", column)
    if ("row" in found and "column" not in found) or ("column" in found and "row" not in found):
        raise InvalidDataError(f"{path}: [columns] names a row or a column; a well needs both, or `well`")
    return found


def _features(path: Path, said: Mapping[str, Any], object_set: str | None) -> dict[str, FeatureName]:
    found: dict[str, FeatureName] = {}
    for column, value in said.items():
        given = {"name": value} if isinstance(value, str) else value
        if not isinstance(given, dict) or "name" not in given:
            raise InvalidDataError(
                f"{path}: [features] {column!r} is a name, or a table with one",
                hint=f'Write {_quoted(column)} = "Cells_AreaShape_Area".',
            )
        wrong = [key for key in given if key not in _FEATURE_KEYS]
        if wrong:
            raise InvalidDataError(
                f"{path}: [features] {column!r} has {listed(wrong, 5)}", hint=f"It may have {_FEATURE_KEYS}."
            )
        name = _text(path, f"name of {column!r}", given["name"])
        if not _NAME.fullmatch(name):
            raise InvalidDataError(
                f"{path}: {name!r} cannot be the name of a feature",
                hint="Letters, digits, _, . and - are allowed, a letter first: Cells_AreaShape_Area.",
            )
        told = {key: _text(path, f"{key} of {column!r}", text) for key, text in given.items()}
        known = translate("cellprofiler", name, None)
        found[column] = FeatureName(
            name=name,
            family=known.family,
            operator=known.operator,
            channel_role=known.channel_role,
            second_channel_role=known.second_channel_role,
            scale=known.scale,
            unit=told.get("unit", known.unit),
            definition=told.get("definition"),
            source=told.get("source"),
            aliases=(f"wide:{column}",),
        )
    names = [one.name for one in found.values()]
    twice = sorted({name for name in names if name is not None and names.count(name) > 1})
    if twice:
        raise InvalidDataError(f"{path}: [features] gives one name to several columns: {listed(twice, 5)}")
    return found
