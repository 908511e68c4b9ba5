"""A table of TOML that is read key by key; what is left over is an error that names its file and key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InvalidDataError
from ...wording import did_you_mean, listed

_SHOWN = 8


class Section:
    """One table of a TOML file.

    Attributes
    ----------
    where
        The file, and the path of keys to the table.
    """

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self._data = data
        self._asked: dict[str, None] = {}
        self.where = where

    def wrong(self, key: str, message: str, *, hint: str | None = None) -> InvalidDataError:
        """Return the error that says what is wrong with a key; of the whole table where there is no key."""
        return InvalidDataError(f"{self.path(key)} {message}", hint=hint or "see docs/datasets.md")

    def path(self, key: str) -> str:
        """Return the file and the path of a key."""
        if not key:
            return self.where
        return f"{self.where}{'.' if ': ' in self.where else ': '}{key}"

    def has(self, key: str) -> bool:
        """Whether a key is given."""
        return key in self._data

    def take(self, key: str) -> Any:
        """Return the value of a key, None where it is absent; from now on the key is known."""
        self._asked[key] = None
        return self._data.get(key)

    def text(self, key: str, *, required: bool = False) -> Any:
        """Return a text that is not empty, or None."""
        value = self.take(key)
        if value is None and not required:
            return None
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, "is missing" if value is None else f"is {value!r} and no text")
        return value

    def texts(self, key: str, default: Sequence[str] = (), *, among: Sequence[str] | None = None) -> tuple[str, ...]:
        """Return a list of texts; a single text is a list of one."""
        value = self.take(key)
        if value is None:
            return tuple(default)
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) and one for one in value):
            raise self.wrong(key, "is no list of texts")
        for one in value if among is not None else ():
            if one not in (among or ()):
                raise self._unknown(key, one, among or ())
        return tuple(value)

    def choice(self, key: str, among: Sequence[str], default: str | None, *, required: bool = False) -> Any:
        """Return one of some words."""
        value = self.take(key)
        if value is None:
            if required:
                raise self.wrong(key, "is missing", hint=f"one of {', '.join(among)}")
            return default
        if value not in among:
            raise self._unknown(key, value, among)
        return value

    def whole(self, key: str, default: int | None, *, least: int | None = None) -> Any:
        """Return a whole number."""
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
            raise self.wrong(key, f"is {value!r} and no whole number" + (f" from {least}" if least is not None else ""))
        return value

    def table(self, key: str, *, required: bool = False) -> Section:
        """Return a table within this one, empty where it is absent."""
        value = self.take(key)
        if value is None and required:
            raise self.wrong(key, "is missing", hint=f"add a table [{key}]")
        if value is not None and not isinstance(value, Mapping):
            raise self.wrong(key, "is no table", hint=f"write it as [{key}]")
        return Section(value or {}, self.path(key))

    def tables(self, key: str) -> list[Section]:
        """Return the tables of an array of tables; a single table is an array of one."""
        value = self.take(key)
        if value is None:
            return []
        if isinstance(value, Mapping):
            return [Section(value, self.path(key))]
        if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
            raise self.wrong(key, "is no array of tables", hint=f"write each as [[{key}]]")
        return [Section(one, self.path(f"{key}[{number}]")) for number, one in enumerate(value)]

    def end(self) -> None:
        """Make sure that every key was asked for.

        Raises
        ------
        InvalidDataError
            One is unknown.
        """
        for key in self._data:
            if key not in self._asked:
                raise self.wrong(
                    key,
                    f"is no key here{did_you_mean(str(key), self._asked)}",
                    hint=f"keys are {listed(list(self._asked), 20)}",
                )

    def _unknown(self, key: str, value: Any, among: Sequence[str]) -> InvalidDataError:
        guess = did_you_mean(value, among) if isinstance(value, str) else ""
        return self.wrong(key, f"is {value!r}{guess}", hint=f"one of {listed(list(among), _SHOWN)}")
