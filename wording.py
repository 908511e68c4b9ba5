"""How messages help: near misses of a word, and short lists."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Give the known word that ``word`` is most likely a slip of, ignoring case; None when nothing is near."""
    by_fold = {name.casefold(): name for name in known}
    close = get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.6)
    return by_fold[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give ``; did you mean 'X'?``, or nothing when nothing is near: for the end of a message."""
    found = nearest(word, known)
    return f"; did you mean {found!r}?" if found else ""
