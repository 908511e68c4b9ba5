"""The flat-field text of Harmony (``Version: Acapella:2013``), which looks like JSON and is not.

Keys carry no quotes, most words neither, numbers may be ``NaN`` or ``INF``, and names may hold parentheses, quotes
and, when quoted, commas: ``{Channel: 4, ChannelName: "405ex, 570-630-em)", Background: {…}}``. :func:`parse` reads it,
:func:`to_json` makes plain JSON types of it. What a profile means is known to
:mod:`cytolake.store.images.illumination`.
"""

from __future__ import annotations

import math
import re
from typing import Any

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "+inf": math.inf, "-inf": -math.inf}
#: Deeper than any profile seen (5), shallower than Python's stack.
_MAX_DEPTH = 32
#: Python refuses to read integers of thousands of digits; none of a microscope has more than these.
_LONGEST_INTEGER = 18


class AcapellaError(ValueError):
    """The text is not of the form described above; the message names the position."""


class _Reader:
    """A cursor over the text; one method per kind of value."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def error(self, wanted: str) -> AcapellaError:
        found = repr(self.text[self.at : self.at + 12]) if self.at < len(self.text) else "the end"
        return AcapellaError(f"expected {wanted} at character {self.at}, found {found}")

    def peek(self) -> str:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at] if self.at < len(self.text) else ""

    def take(self, char: str) -> None:
        if self.peek() != char:
            raise self.error(repr(char))
        self.at += 1

    def value(self, depth: int, ends: str) -> Any:
        if depth > _MAX_DEPTH:
            raise AcapellaError(f"nested deeper than {_MAX_DEPTH} levels at character {self.at}")
        char = self.peek()
        if char == "{":
            return self.mapping(depth)
        if char == "[":
            return self.sequence(depth)
        if char == '"':
            return self.quoted()
        return self.word(ends)

    def mapping(self, depth: int) -> dict[str, Any]:
        self.take("{")
        found: dict[str, Any] = {}
        while self.peek() != "}":
            key = self.quoted() if self.peek() == '"' else self.key()
            self.take(":")
            found[key] = self.value(depth + 1, ",}")
            if self.peek() == ",":
                self.at += 1
            elif self.peek() != "}":
                raise self.error("',' or '}'")
        self.take("}")
        return found

    def sequence(self, depth: int) -> list[Any]:
        self.take("[")
        found: list[Any] = []
        while self.peek() != "]":
            found.append(self.value(depth + 1, ",]"))
            if self.peek() == ",":
                self.at += 1
            elif self.peek() != "]":
                raise self.error("',' or ']'")
        self.take("]")
        return found

    def key(self) -> str:
        end = self.text.find(":", self.at)
        key = self.text[self.at : end].strip() if end >= 0 else ""
        if not key or any(c in key for c in '{}[],"'):
            raise self.error("a key")
        self.at = end
        return key

    def quoted(self) -> str:
        self.take('"')
        parts: list[str] = []
        while True:
            if self.at >= len(self.text):
                raise self.error("a closing quote")
            char = self.text[self.at]
            following = self.text[self.at + 1 : self.at + 2]
            if char == "\\" and following in ('"', "\\"):
                parts.append(following)
                self.at += 2
            elif char == '"' and following == '"':
                parts.append('"')
                self.at += 2
            elif char == '"':
                self.at += 1
                return "".join(parts)
            else:
                parts.append(char)
                self.at += 1

    def word(self, ends: str) -> Any:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in ends:
            self.at += 1
        word = self.text[start : self.at].strip()
        if not word:
            raise self.error("a value")
        if _NUMBER.match(word):
            whole = len(word) <= _LONGEST_INTEGER and not any(c in word for c in ".eE")
            return int(word) if whole else float(word)
        return _NOT_FINITE.get(word.lower(), word)


def parse(text: str) -> dict[str, Any]:
    """Read one profile.

    Returns
    -------
    dict
        Nested ``dict``, ``list``, ``str``, ``int`` and ``float`` (also not finite).

    Raises
    ------
    AcapellaError
        When the text has another form, or goes on after its end.
    """
    reader = _Reader(text)
    if reader.peek() != "{":
        raise reader.error("'{'")
    found = reader.mapping(0)
    if reader.peek():
        raise reader.error("the end")
    return found


def to_json(value: Any) -> Any:
    """Replace what JSON cannot say: ``NaN`` becomes ``None``, infinities the words ``"INF"`` and ``"-INF"``."""
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("INF" if value > 0 else "-INF")
    return value
