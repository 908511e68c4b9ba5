"""The library of macros and views: what SQL can say beyond DuckDB, defined in ``macros/*.sql``.

Each definition is a head of comments and a body of SQL::

    -- name: robust_z(value, control, epsilon := 0)
    -- kind: aggregate
    -- about: What it gives, in sentences; what is NULL when.
    --   A line that goes on is indented.
    -- source: Where the formula comes from.
    -- columns: name: what it is, a line for each column of a view that its tables do not explain.
    -- example: SELECT ...
    <an expression, or a SELECT>

The kinds: ``scalar`` (an expression of a row), ``aggregate`` (an expression with aggregate functions, used with GROUP
BY), ``table`` (a SELECT, used in FROM; a parameter that stands in ``query_table(...)`` takes the name of a table, view
or common table expression) and ``view`` (a SELECT without parameters, used by name). Parameters with ``:=`` have a
default. Names of common table expressions in a body start with an underscore, so that they hide nothing of the
question's. A definition may use others; names of helpers that nobody needs to know start with an underscore too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from ..errors import NotFoundError
from ..wording import nearest

KINDS = ("scalar", "aggregate", "table", "view")
_HEAD = re.compile(r"^-- (name|kind|about|source|columns|example): ?(.*)$")
_SIGNATURE = re.compile(r"^(\w+)(?:\((.*)\))?$", re.DOTALL)
#: A default may have commas in quotes and in brackets.
_PARAMETER = re.compile(r"(?:'(?:[^']|'')*'|\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|[^,'(\[{])+")
_WORD = re.compile(r"'(?:[^']|'')*'|--[^\n]*|\b\w+\b")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Definition:
    """One macro or view.

    Attributes
    ----------
    group
        The name of its file: its subject.
    parameters
        Name → its default as SQL, None where it must be given.
    body
        An expression (``scalar``, ``aggregate``) or a SELECT.
    uses
        The definitions that its body names.
    columns
        Column of its result → what it is, where the tables that it reads do not say so.
    """

    name: str
    group: str
    kind: str
    parameters: Mapping[str, str | None]
    about: str
    source: str
    example: str
    body: str
    uses: frozenset[str]
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def signature(self) -> str:
        """The name with its parameters and their defaults."""
        if self.kind == "view":
            return self.name
        given = (name if value is None else f"{name} := {value}" for name, value in self.parameters.items())
        return f"{self.name}({', '.join(given)})"

    @property
    def call(self) -> str:
        """The name with the parameters that must be given; an ellipsis stands for those that may be."""
        if self.kind == "view":
            return self.name
        needed = [name for name, value in self.parameters.items() if value is None]
        return f"{self.name}({', '.join([*needed, '…'] if len(needed) < len(self.parameters) else needed)})"

    @property
    def is_public(self) -> bool:
        """Whether it is meant for questions, not only for other definitions."""
        return not self.name.startswith("_")

    @property
    def statement(self) -> str:
        """The SQL that makes it."""
        if self.kind == "view":
            return f"CREATE VIEW {self.name} AS {self.body}"
        body = f"TABLE {self.body}" if self.kind == "table" else f"({self.body})"
        return f"CREATE MACRO {self.signature} AS {body}"


@cache
def library() -> Mapping[str, Definition]:
    """Return every definition by its name, in the order of files and of their text."""
    folder = resources.files(__package__).joinpath("macros")
    found: dict[str, Definition] = {}
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        if file.name.endswith(".sql"):
            for one in parse(file.read_text(encoding="utf-8"), group=file.name.removesuffix(".sql")):
                if one.name in found:
                    raise ValueError(f"{one.name} is defined in {found[one.name].group}.sql and in {file.name}")
                found[one.name] = one
    names = frozenset(found)
    known = {name: _with_uses(one, names) for name, one in found.items()}
    return MappingProxyType(known)


def described(name: str | None = None) -> list[dict[str, Any]]:
    """Return what is public of the library, or one definition, as dictionaries.

    Raises
    ------
    NotFoundError
        There is none of that name.
    """
    shown = [find(name)] if name is not None else [one for one in library().values() if one.is_public]
    keys = ("name", "kind", "group", "call", "signature", "about", "source", "example")
    return [{key: getattr(one, key) for key in keys} | {"sql": one.body} for one in shown]


def find(name: str) -> Definition:
    """Return one definition by its name.

    Raises
    ------
    NotFoundError
        There is none.
    """
    known = library()
    if name.lower() not in known:
        guess = nearest(name, [one.name for one in known.values() if one.is_public])
        hint = f"did you mean {guess!r}?" if guess else "list them with `cytolake catalog macros`"
        raise NotFoundError(f"there is no macro {name!r}", hint=hint)
    return known[name.lower()]


def closure(names: Iterable[str]) -> list[Definition]:
    """Return the definitions of ``names`` and all that they use, each behind what it uses."""
    known = library()
    ordered: dict[str, Definition] = {}

    def visit(name: str) -> None:
        if name in ordered:
            return
        for used in sorted(known[name].uses):
            visit(used)
        ordered[name] = known[name]

    for name in names:
        visit(name)
    return list(ordered.values())


def parse(text: str, *, group: str) -> Iterator[Definition]:
    """Read the definitions of one file.

    Raises
    ------
    ValueError
        A head is not as it should be.
    """
    head: dict[str, str] = {}
    body: list[str] = []
    part = ""
    for line in text.splitlines():
        matched = _HEAD.match(line)
        if matched and (matched[1] == "name" or not body):
            if matched[1] == "name" and head:
                yield _definition(head, body, group)
                head, body = {}, []
            part = matched[1]
            head[part] = matched[2]
        elif head and not body and line.startswith("--"):
            head[part] += f"\n{line[2:].removeprefix(' ').removeprefix('  ')}"
        elif head and (line.strip() or body):
            body.append(line)
    if head:
        yield _definition(head, body, group)


def _definition(head: Mapping[str, str], body: list[str], group: str) -> Definition:
    signature = _SIGNATURE.match(head["name"].replace("\n", " ").strip())
    missing = {"kind", "about"} - head.keys()
    if signature is None or missing or head["kind"] not in KINDS:
        raise ValueError(f"{group}.sql: the head of {head['name']!r} is not complete")
    name, parameters = signature[1], signature[2]
    if name != name.lower():
        raise ValueError(f"{group}.sql: {name} is not in lower case")
    return Definition(
        name=name,
        group=group,
        kind=head["kind"],
        parameters=MappingProxyType(dict(_parameters(parameters or ""))),
        about=head["about"].strip(),
        source=head.get("source", "").strip(),
        example=head.get("example", "").strip(),
        body="\n".join(body).strip().rstrip(";"),
        uses=frozenset(),
        columns=MappingProxyType(dict(_columns(head.get("columns", "")))),
    )


def _columns(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, meaning = line.partition(": ")
        if meaning:
            yield name.strip(), meaning.strip()


def _parameters(text: str) -> Iterator[tuple[str, str | None]]:
    for part in _PARAMETER.findall(text):
        if part.strip():
            name, given, default = part.partition(":=")
            yield name.strip(), default.strip() if given else None


def _with_uses(one: Definition, names: frozenset[str]) -> Definition:
    words = {word.lower() for word in _WORD.findall(one.body) if word[0] not in "'-"}
    return replace(one, uses=frozenset(words & names - {one.name} - set(one.parameters)))
