"""The tables of a recipe's TOML: every value is read with a message that names file, table and key."""

from __future__ import annotations

import math
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from ..errors import RecipeError
from ..wording import did_you_mean

#: TOML has whole numbers of any length, and infinity; this is the largest that counts as a number.
LARGEST = sys.float_info.max
_RECIPE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def read_toml(text: str, source: str) -> RecipeTable:
    """Read the text of a recipe; ``RecipeError`` where it is no TOML."""
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, brackets in thousands
        raise RecipeError(f"{source}: not valid TOML: {error}") from error
    return RecipeTable(source, "", raw)


class RecipeTable:
    """One table of the file, reading values with messages that say where they stand.

    Parameters
    ----------
    source
        What messages call the file: a path or a name.
    path
        Name of the table in it, empty for the top.
    raw
        What stands there.
    """

    def __init__(self, source: str, path: str, raw: Mapping[str, Any]) -> None:
        self.source, self.path, self.raw = source, path, raw

    @property
    def name(self) -> str:
        """Its name without that of the table around it."""
        return self.path.partition(".")[2]  # a name in quotes may hold dots

    def refuse(self, key: str, problem: str, allowed: str) -> NoReturn:
        """Raise ``RecipeError``: where it stands, what is wrong, what may stand there."""
        where = f"[{self.path}] {key}".rstrip() if self.path else key
        raise RecipeError(f"{self.source}: {where}: {problem}", hint=f"allowed: {allowed}")

    def only(self, known: Iterable[str]) -> None:
        """Refuse keys that nobody knows."""
        known = tuple(known)
        for key in self.raw:
            if key not in known:
                self.refuse(key, f"unknown key{did_you_mean(key, known)}", ", ".join(known) or "no key at all")

    def text(self, key: str, *, default: str | None = None) -> str:
        """Read a text."""
        value = self.raw.get(key, default)
        if not isinstance(value, str):
            self.refuse(key, "missing" if value is None else f"{value!r} is no text", "a text in quotes")
        return value

    def number(self, key: str, default: float | None, *, low: float, high: float) -> float | None:
        """Read a number within bounds, both included; None where it may be absent and is."""
        value = self.raw.get(key, default)
        if value is None:
            return None
        span = f"a {_span(low, high)}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(key, f"{value!r} is no number", span)
        if not low <= value <= high or not abs(value) <= LARGEST:
            self.refuse(key, f"{value!r} is out of range", span)
        return float(value)

    def whole(self, key: str, default: int, *, low: float, high: float) -> int:
        """Read a whole number within bounds, both included."""
        number = self.number(key, default, low=low, high=high)
        assert number is not None
        if number != int(number):
            self.refuse(key, f"{number!r} is no whole number", f"a whole {_span(low, high)}")
        return int(number)

    def flag(self, key: str, *, default: bool) -> bool:
        """Read a truth value."""
        value = self.raw.get(key, default)
        if not isinstance(value, bool):
            self.refuse(key, f"{value!r} is neither true nor false", "true, false")
        return value

    def recipe_name(self, what: str) -> str:
        """Read the name of the recipe, which becomes that of ``what``: a feature set or a profile set."""
        name = self.text("name")
        if not _RECIPE_NAME.fullmatch(name):
            self.refuse("name", f"{name!r} cannot name a {what}", "letters, digits, '.', '_' and '-', at most 64")
        return name

    def choice(self, key: str, choices: tuple[Any, ...], *, default: Any) -> Any:
        """Read one of some values."""
        value = self.raw.get(key, default)
        if value not in choices:
            self.refuse(key, f"{value!r} is unknown{did_you_mean(str(value), choices)}", ", ".join(choices))
        return value

    def words(self, key: str, *, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Read a list of texts, each once; a single text stands for a list of one."""
        value = self.raw.get(key, default)
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list | tuple) or not all(isinstance(word, str) and word for word in value):
            self.refuse(key, "missing" if value is None else f"{value!r} is no list of texts", 'for example ["DNA"]')
        self.each_once(key, value)
        return tuple(value)

    def each_once(self, key: str, values: Sequence[Any]) -> None:
        """Refuse a list that holds a value twice."""
        seen: set[Any] = set()
        for value in values:
            if value in seen:
                self.refuse(key, f"{value!r} is there twice", "each once")
            seen.add(value)

    def known_words(self, key: str, known: tuple[str, ...], what: str, *, more: str = "") -> tuple[str, ...]:
        """Read a list of texts of which each is known."""
        words = self.words(key)
        if not words:
            self.refuse(key, f"names no {what}", ", ".join(known) + more)
        for word in words:
            if word not in known:
                self.refuse(key, f"unknown {what} {word!r}{did_you_mean(word, known)}", ", ".join(known) + more)
        return words

    def table(self, key: str) -> RecipeTable | None:
        """Give a table in this one, None where there is none."""
        value = self.raw.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.refuse(key, f"{value!r} is no table", f"a table [{key}]")
        return RecipeTable(self.source, f"{self.path}.{key}" if self.path else key, value)

    def tables(self, key: str) -> list[RecipeTable]:
        """Give the tables ``[key.NAME]``."""
        value = self.raw.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
            self.refuse(key, "is no set of tables", f"tables [{key}.NAME]")
        return [RecipeTable(self.source, f"{key}.{name}", one) for name, one in value.items()]


def _span(low: float, high: float) -> str:
    return f"number from {low:g} to {high:g}" if math.isfinite(high) else f"number, at least {low:g}"
