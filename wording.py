"""How messages help: near misses of a word, and short lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Give the known word that ``word`` is most likely a slip of, ignoring case; None when nothing is near."""
    by_fold = {name.casefold(): name for name in known}
    close = get_close_matches(word.casefold(), by_fold, n=1, cutoff=cutoff)
    return by_fold[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give ``; did you mean 'X'?``, or nothing when nothing is near: for the end of a message."""
    found = nearest(word, known)
    return f"; did you mean {found!r}?" if found else ""


def listed(words: Sequence[object], most: int, *, between: str = ", ") -> str:
    """Give the first words of a list and how many more there are: ``A01, A02 and 5 more``."""
    shown = between.join(str(word) for word in words[:most])
    left = len(words) - most
    return f"{shown}{' ' if between == ', ' else between}and {left} more" if left > 0 else shown
