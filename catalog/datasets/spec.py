"""What a data set is to be: the TOML that a user writes, read strictly."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from ...errors import InvalidDataError, NotFoundError, StorageError
from ...wording import did_you_mean
from .sections import Section

#: Level of rows → the source where the spec names none.
LEVELS: dict[str, str | None] = {
    "object": None,
    "image": "images",
    "field": "field_profiles",
    "well": "profiles",
    "treatment": "treatment_profiles",
}
FORMATS = ("parquet", "anndata", "numpy")
CONFLICTS = ("newest", "majority", "drop", "error")
LABEL_LEVELS = ("object", "field", "well", "plate")
#: What rows may be kept apart by; every other column of a row may be named too.
DIMENSIONS = ("study", "plate", "well", "compound", "gene", "perturbation", "donor", "cell_line", "biosample", "batch")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
#: What a label's name, which is part of that of a file, has none of.
_NO_LABEL = re.compile(r"[/\\\x00-\x1f\x7f]")
#: Names of a split that would hide a file of the data set.
_TAKEN = {"card", "index", "readme", "features", "labels"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entities:
    """What a row is, and where rows come from: a view, a table, a set as ``name@version``, or a question."""

    level: str
    source: str | None
    sql: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSource:
    """Columns of one source; None as a source is that of the rows."""

    where: str
    source: str | None = None
    sql: str | None = None
    columns: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    object_sets: tuple[str, ...] = ()
    prefix: str = ""
    empty: str = "error"

    @property
    def is_quality(self) -> bool:
        """Whether these are measures of the table ``quality``."""
        return self.sql is None and self.source == "quality"


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One label: exactly one of column, attribute, SQL expression, vocabulary of annotations."""

    where: str
    name: str
    column: str | None = None
    attribute: str | None = None
    sql: str | None = None
    vocabulary: str | None = None
    level: str | None = None
    annotators: tuple[str, ...] = ()
    as_of: datetime | None = None
    conflicts: str = "newest"
    missing: str = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How rows are divided: by the key of a group, never within one."""

    by: str
    sql: str | None = None
    fractions: Mapping[str, float] = field(default_factory=dict)
    explicit: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seed: int = 0
    assign: str = "hash"
    stratify: str | None = None
    missing: str = "error"
    one_group: str = "error"
    forbid: tuple[str, ...] = ("well",)

    @property
    def names(self) -> tuple[str, ...]:
        """The splits, in the order of the spec."""
        return tuple(dict.fromkeys([*self.fractions, *self.explicit]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A checked spec.

    Attributes
    ----------
    given
        What was written, as plain JSON values.
    """

    name: str
    description: str | None
    as_of: str | None
    entities: Entities
    features: tuple[FeatureSource, ...]
    labels: tuple[Label, ...]
    where: str | None
    studies: tuple[str, ...]
    plates: tuple[str, ...]
    split: Split
    format: str
    dtype: str | None
    keep: tuple[str, ...]
    rows_per_file: int | None
    given: Mapping[str, Any]


def read_spec(spec: Mapping[str, Any] | str | os.PathLike[str]) -> Spec:
    """Read a spec from a TOML file, or from what such a file would hold.

    Raises
    ------
    NotFoundError
        There is no such file.
    StorageError
        It cannot be read.
    InvalidDataError
        It is no TOML, or a key is unknown, missing, or of the wrong kind.
    """
    if isinstance(spec, Mapping):
        return _parse(spec, "spec")
    path = Path(spec)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{path}: there is no such file", hint="give the TOML file of a data set") from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidDataError(f"{path} is no TOML: {error}", hint="see docs/datasets.md") from error
    return _parse(data, str(path))


def _parse(data: Mapping[str, Any], file: str) -> Spec:
    top = Section(data, file)
    name = top.text("name", required=True)
    if not _NAME.fullmatch(name):
        raise top.wrong("name", f"{name!r} is no name: letters, digits, '.', '_' and '-'")
    as_of = data.get("as_of")
    top.take("as_of")
    if as_of is not None and not isinstance(as_of, str | date | datetime):
        raise top.wrong("as_of", "is no release or time")
    labels_section = top.tables("labels")
    labels = tuple(_label(one) for one in labels_section)
    features = tuple(_features(one) for one in top.tables("features"))
    entities = _entities(top.table("entities", required=True))
    if not features:
        features = (FeatureSource(where=f"{file}: features"),)
    filters = top.table("filters")
    where, studies, plates = filters.text("where"), filters.texts("studies"), filters.texts("plates")
    filters.end()
    split = _split(top.table("split", required=True), labels)
    output = top.table("output")
    made = Spec(
        name=name,
        description=top.text("description"),
        as_of=None if as_of is None else str(as_of) if isinstance(as_of, str) else as_of.isoformat(),
        entities=entities,
        features=features,
        labels=labels,
        where=where,
        studies=studies,
        plates=plates,
        split=split,
        format=output.choice("format", FORMATS, "parquet"),
        dtype=output.choice("dtype", ("float32", "float64"), None),
        keep=output.texts("keep"),
        rows_per_file=output.whole("rows_per_file", None, least=1),
        given=plain(data),
    )
    output.end()
    top.end()
    names = [one.name for one in labels]
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise top.wrong("labels", f"two labels are called {twice[0]!r}")
    return made


def _entities(section: Section) -> Entities:
    level = section.choice("level", tuple(LEVELS), None, required=True)
    source, sql = section.text("source"), section.text("sql")
    if source and sql:
        raise section.wrong("sql", "is given beside source; rows have one origin")
    if not source and not sql:
        source = LEVELS[level]
        if source is None:
            raise section.wrong("source", f"is missing: level {level!r} needs one", hint="such as source = 'cells'")
    section.end()
    return Entities(level=level, source=source, sql=sql)


def _features(section: Section) -> FeatureSource:
    made = FeatureSource(
        where=section.where,
        source=section.text("source"),
        sql=section.text("sql"),
        columns=section.texts("columns", ("*",)),
        exclude=section.texts("exclude"),
        families=section.texts("families"),
        roles=section.texts("roles"),
        object_sets=section.texts("object_sets"),
        prefix=section.text("prefix") or "",
        empty=section.choice("empty", ("error", "drop", "keep"), "error"),
    )
    if made.source and made.sql:
        raise section.wrong("sql", "is given beside source; columns have one origin")
    if not made.columns:
        raise section.wrong("columns", "is an empty list")
    section.end()
    return made


def _label(section: Section) -> Label:
    kinds = ("column", "attribute", "sql", "vocabulary")
    given = {kind: section.text(kind) for kind in kinds}
    chosen = [kind for kind in kinds if given[kind]]
    if len(chosen) != 1:
        said = "none of" if not chosen else "more than one of"
        raise section.wrong("", f"says {said} {', '.join(kinds)}", hint="a label has one origin")
    kind = chosen[0]
    only = ("level", "annotators", "as_of", "conflicts")
    misplaced = [key for key in only if section.has(key) and kind != "vocabulary"]
    if misplaced:
        raise section.wrong(
            misplaced[0], "is for labels of a vocabulary", hint="the tables are pinned by the top as_of"
        )
    name = section.text("name") or (given[kind] if kind != "sql" else None)
    if not name:
        raise section.wrong("name", "is missing: a label in SQL needs one")
    if _NO_LABEL.search(name):
        raise section.wrong("name", f"{name!r} cannot name a label: it is part of the names of files")
    made = Label(
        where=section.where,
        name=name,
        **given,
        level=section.choice("level", LABEL_LEVELS, None),
        annotators=section.texts("annotators"),
        as_of=_until(section, "as_of"),
        conflicts=section.choice("conflicts", CONFLICTS, "newest"),
        missing=section.choice("missing", ("drop", "keep", "error"), "drop"),
    )
    section.end()
    return made


def _until(section: Section, key: str) -> datetime | None:
    """Return a moment; a day is its last microsecond, and what names no zone is UTC."""
    value = section.take(key)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) == len("2026-03-01") else datetime.fromisoformat(value)
        except ValueError:
            raise section.wrong(key, f"{value!r} is no time", hint="such as 2026-03-01 (all of that day)") from None
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time.max, tzinfo=UTC)
    raise section.wrong(key, "is no time", hint="such as 2026-03-01 (all of that day)")


def _split(section: Section, labels: Sequence[Label]) -> Split:
    sql = section.text("sql")
    by = section.text("by") or ("sql" if sql else None)
    if by is None:
        raise section.wrong("by", "is missing", hint=f"one of {', '.join(DIMENSIONS)}, or a column")
    if sql and section.has("by"):
        raise section.wrong("sql", "is given beside by; a split has one key")
    fractions = _fractions(section)
    explicit = {name: tuple(str(one) for one in groups) for name, groups in _explicit(section).items()}
    if not fractions and not explicit:
        raise section.wrong("fractions", "is missing", hint="such as fractions = { train = 0.8, test = 0.2 }")
    names = tuple(dict.fromkeys([*fractions, *explicit]))
    for name in names:
        if not _NAME.fullmatch(name) or name.lower() in _TAKEN:
            raise section.wrong("fractions", f"{name!r} cannot name a split", hint="such as train, validation, test")
    if len({name.lower() for name in names}) < len(names):
        raise section.wrong("fractions", "has names that differ in case alone, which are one file on some disks")
    stratify = section.text("stratify")
    if stratify is not None and stratify not in {one.name for one in labels}:
        known = [one.name for one in labels]
        raise section.wrong("stratify", f"{stratify!r} is no label{did_you_mean(stratify, known)}")
    assign = section.choice("assign", ("hash", "exact"), "exact" if stratify else "hash")
    if stratify and assign == "hash":
        raise section.wrong("assign", "'hash' cannot stratify", hint="leave it out, or say 'exact'")
    made = Split(
        by=by,
        sql=sql,
        fractions=fractions,
        explicit=explicit,
        seed=section.whole("seed", 0),
        assign=assign,
        stratify=stratify,
        missing=section.choice("missing", ("error", "drop", *names), "error"),
        one_group=section.choice("one_group", ("error", "drop", "keep"), "error"),
        forbid=section.texts("forbid", ("well",), among=DIMENSIONS),
    )
    section.end()
    _check_explicit(section, made.explicit)
    return made


def _fractions(section: Section) -> dict[str, float]:
    given = section.take("fractions")
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise section.wrong("fractions", "is no table", hint="such as fractions = { train = 0.8, test = 0.2 }")
    found = {}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise section.wrong("fractions", f"{name} = {value!r} is not above 0 and at most 1")
        found[str(name)] = float(value)
    total = math.fsum(found.values())
    if abs(total - 1) > 1e-9:
        raise section.wrong("fractions", f"add up to {total:g}, not to 1")
    return found


def _explicit(section: Section) -> dict[str, list[Any]]:
    given = section.take("explicit")
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(one, list) for one in given.values()):
        raise section.wrong("explicit", "is no table of lists", hint='such as explicit = { test = ["P1", "P2"] }')
    return {str(name): groups for name, groups in given.items()}


def _check_explicit(section: Section, explicit: Mapping[str, Iterable[str]]) -> None:
    seen: dict[str, str] = {}
    for name, groups in explicit.items():
        for group in groups:
            if seen.setdefault(group, name) != name:
                raise section.wrong("explicit", f"{group!r} is in {seen[group]} and in {name}: labels would leak")


def plain(value: Any) -> Any:
    """Return what TOML holds as JSON holds it: times as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value.isoformat() if isinstance(value, date | time) else value
