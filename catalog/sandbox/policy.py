"""A policy: which tables, columns and rows somebody may see, and what one question may cost."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from ...errors import InvalidDataError, NotFoundError
from ...wording import did_you_mean

TooLarge = Literal["error", "truncate"]
_HINT = "see docs/sandbox.md for what a policy may say"
#: Above this, no limit means anything, and systems no longer know the number.
_MOST = 2**40
_MOST_OF = {"seconds": 10**6, "cpu_seconds": 10**6, "memory_mb": 2**24, "input_mb": 2**24, "threads": 1024}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one question may cost.

    Attributes
    ----------
    seconds
        From asking to the last row of the answer.
    cpu_seconds
        Of all threads of the process that answers, once it has started.
    memory_mb
        MiB that the process may take beyond what it needs to start. Rows of the lake that it reads are not among them.
    threads
        That the engine may use.
    rows, bytes
        Of the answer; bytes as it comes from the process (Arrow).
    input_mb
        MiB of rows that a question may read, after the policy's rows and columns and after what the question itself
        says of columns and identity. They lie in a temporary file.
    too_large
        What happens where the answer has more rows or bytes: ``error``, or ``truncate``, which is said with it.
    """

    seconds: float = 30.0
    cpu_seconds: float = 30.0
    memory_mb: float = 1024.0
    threads: int = 1
    rows: int = 100_000
    bytes: int = 64 * 2**20
    input_mb: float = 1024.0
    too_large: TooLarge = "error"

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name == "too_large":
                if value not in get_args(TooLarge):
                    raise InvalidDataError(f"too_large = {value!r} is no choice", hint="write 'error' or 'truncate'")
                continue
            whole = one.name in {"threads", "rows", "bytes"}
            right = isinstance(value, int) or (isinstance(value, float) and not whole)
            most = _MOST_OF.get(one.name, _MOST)
            if isinstance(value, bool) or not right or not 0 < value <= most:
                kind = "a whole number" if whole else "a number"
                raise InvalidDataError(
                    f"the limit {one.name} is {value!r}", hint=f"write {kind} above 0, {most:,} at most"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRule:
    """What may be seen of one table or view.

    Attributes
    ----------
    name
        As questions name it: ``wells``, ``nuclei``, ``controls``, ``"features/<name>/<hash8>/<object set>"``.
    columns
        The columns that may be seen; None together with ``all_but``.
    all_but
        All columns may be seen but these; None together with ``columns``. Columns that the table gets later are seen.
    rows
        A condition in SQL over all columns, as behind WHERE; it may ask other tables in subqueries. All rows where
        None. A row for which it is NULL is not seen.
    """

    name: str
    columns: tuple[str, ...] | None = None
    all_but: tuple[str, ...] | None = None
    rows: str | None = None

    def __post_init__(self) -> None:
        if (self.columns is None) == (self.all_but is None):
            raise InvalidDataError(
                f"table {self.name!r} of the policy must say one of columns and all_but",
                hint="name the columns that may be seen, or write all_but = [...] (all_but = [] means every column)",
            )
        if self.columns is not None and not self.columns:
            raise InvalidDataError(
                f"table {self.name!r} of the policy has no columns", hint="name some, or leave the table out"
            )

    def chosen(self, present: Sequence[str]) -> list[str]:
        """Return the columns that may be seen of those that the table has, in the table's order.

        Raises
        ------
        InvalidDataError
            The rule names a column that the table does not have.
        """
        named = {name.lower() for name in (self.columns if self.columns is not None else self.all_but) or ()}
        known = {name.lower() for name in present}
        if wrong := sorted(named - known):
            raise InvalidDataError(
                f"the policy names column {wrong[0]!r}, which {self.name} does not have"
                f"{did_you_mean(wrong[0], present)}",
                hint="list columns with `cytolake catalog columns`",
            )
        keep = named if self.columns is not None else known - named
        return [name for name in present if name.lower() in keep]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who asks under this policy sees ``tables``, as they were ``as_of`` a release or time, within ``limits``."""

    tables: tuple[TableRule, ...]
    limits: Limits = field(default_factory=Limits)
    as_of: str | None = None
    name: str = "policy"

    def __post_init__(self) -> None:
        if not self.tables:
            raise InvalidDataError("the policy shows no table", hint=_HINT)
        seen: set[str] = set()
        for one in self.tables:
            if one.name.lower() in seen:
                raise InvalidDataError(f"the policy names table {one.name!r} twice", hint="make one entry of them")
            seen.add(one.name.lower())

    @property
    def hash(self) -> str:
        """SHA-256 of all that the policy says, in hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @classmethod
    def read(cls, source: Mapping[str, Any] | str | os.PathLike[str]) -> Policy:
        """Return the policy that a TOML file, or a mapping like its content, says.

        Raises
        ------
        NotFoundError
            There is no such file.
        InvalidDataError
            It is no TOML, or says something that a policy does not have.
        """
        if isinstance(source, Mapping):
            return cls._of(source, "policy")
        path = Path(source)
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no policy {path}", hint="give the path of a TOML file") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidDataError(f"{path} is no TOML: {error}", hint=_HINT) from error
        except OSError as error:
            raise NotFoundError(
                f"{path} cannot be read: {error.strerror}", hint="give the path of a TOML file"
            ) from error
        return cls._of(content, path.stem)

    @classmethod
    def _of(cls, content: Mapping[str, Any], name: str) -> Policy:
        _check_keys(content, ("name", "as_of", "tables", "limits"), "the policy")
        tables = _mapping(content.get("tables", {}), "tables")
        limits = _mapping(content.get("limits", {}), "limits")
        _check_keys(limits, [one.name for one in fields(Limits)], "[limits]")
        return cls(
            tables=tuple(_rule(key, _mapping(value, f"tables.{key}")) for key, value in tables.items()),
            limits=Limits(**limits),
            as_of=_text(content.get("as_of"), "as_of"),
            name=_text(content.get("name"), "name") or name,
        )


def _rule(name: str, content: Mapping[str, Any]) -> TableRule:
    where = f"table {name!r} of the policy"
    _check_keys(content, ("columns", "all_but", "rows"), where)
    columns, all_but = (_names(content.get(key), f"{key} of {where}") for key in ("columns", "all_but"))
    return TableRule(name=name, columns=columns, all_but=all_but, rows=_text(content.get("rows"), f"rows of {where}"))


def _names(value: object, what: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise InvalidDataError(f"{what} is {value!r}", hint='write a list of names, such as ["plate_id", "well_id"]')
    return tuple(value)


def _text(value: object, what: str) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise InvalidDataError(f"{what} is {value!r}", hint="write a text in quotes")
    return value


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidDataError(f"{what} of the policy is {value!r}", hint=_HINT)
    return value


def _check_keys(content: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in content:
        if key not in known:
            raise InvalidDataError(f"{where} has an unknown entry {key!r}{did_you_mean(key, known)}", hint=_HINT)
