"""Which split a group belongs to, and what must not lie in two.

A group is all rows with one key: a plate, a compound, a donor. With ``assign = "hash"`` its split follows from the seed
and its key alone: SHA-256 of both, read as a number between 0 and 1, falls into one of the fractions. So a group never
moves when others come or go, and the fractions are met on average. ``exact`` sorts groups by that number and cuts where
the fractions of the rows are; it meets them as well as groups allow, and may move a group when others come.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ...errors import InvalidDataError
from ...wording import did_you_mean, listed
from .spec import Split

_SHOWN = 8
#: Dimensions whose values are names that people write in several ways.
_NAMES = frozenset({"compound", "gene", "perturbation", "donor", "donor_id", "cell_line"})

#: Dimensions whose values say the study first; other values may have a slash in them.
_OF_STUDIES = frozenset({"plate", "well", "biosample", "batch"})

#: Rows that are alike in everything but their features: dimension → value, ``group``, labels, ``n``.
Tally = Sequence[Mapping[str, Any]]


@cache
def key_of(dimension: str, value: Any) -> str | None:
    """Return by what a value is known: names without regard to case and outer spaces."""
    if value is None:
        return None
    said = str(value)
    if dimension in _NAMES:
        said = unicodedata.normalize("NFC", said).strip().casefold()
    return said or None


def position(seed: int, key: str) -> float:
    """Return where a group lies between 0 and 1: the first 53 bits of the SHA-256 of ``seed`` and ``key``."""
    digest = hashlib.sha256(f"{seed}\x1f{key}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


@dataclass(frozen=True, slots=True)
class Leak:
    """One value that lies in several splits: rows per split."""

    dimension: str
    value: str
    rows: Mapping[str, int]

    def __str__(self) -> str:
        return f"{self.value!r} in {', '.join(f'{name} ({rows:,})' for name, rows in self.rows.items())}"


def assign(split: Split, tally: Tally) -> dict[str, str]:
    """Return group → its split.

    Raises
    ------
    InvalidDataError
        A group that is listed does not exist, or one that exists is in no list and there are no fractions.
    """
    rows: dict[str, int] = defaultdict(int)
    for row in tally:
        if row["group"] is not None:
            rows[row["group"]] += row["n"]
    found = _listed(split, rows)
    left = [group for group in rows if group not in found]
    if left and not split.fractions:
        raise InvalidDataError(
            f"split.explicit: {len(left)} of {len(rows)} groups by {split.by} are in no list: "
            f"{listed(sorted(left), _SHOWN)}",
            hint="list them, leave them out with a filter, or add fractions for those that are not listed",
        )
    if split.assign == "hash":
        found.update((group, _by_fraction(split, position(split.seed, group))) for group in left)
        return found
    for groups in _strata(split, tally, left):
        found.update(_exactly(split, groups, rows))
    return found


def _by_fraction(split: Split, at: float) -> str:
    edge = 0.0
    for name, fraction in split.fractions.items():
        edge += fraction
        if at < edge:
            return name
    return list(split.fractions)[-1]


def _strata(split: Split, tally: Tally, groups: Sequence[str]) -> list[list[str]]:
    """Return the groups by the label that most of their rows have, or all together."""
    if split.stratify is None:
        return [list(groups)]
    wanted = set(groups)
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in tally:
        if row["group"] in wanted:
            counts[row["group"]][str(row["labels"][split.stratify])] += row["n"]
    strata: dict[str, list[str]] = defaultdict(list)
    for group, of in counts.items():
        strata[max(sorted(of), key=lambda one: of[one])].append(group)
    return [strata[name] for name in sorted(strata)]


def _exactly(split: Split, groups: Sequence[str], rows: Mapping[str, int]) -> dict[str, str]:
    """Give each group, in the order of its position, to the split that lacks most of its fraction."""
    total = sum(rows[group] for group in groups)
    lacking = {name: fraction * total for name, fraction in split.fractions.items()}
    found: dict[str, str] = {}
    ordered = sorted(groups, key=lambda one: (position(split.seed, one), one))
    for number, group in enumerate(ordered):
        empty = [name for name in lacking if name not in found.values()] if split.stratify is None else []
        # The last groups go to splits that would have none.
        name = empty[0] if len(ordered) - number <= len(empty) else max(lacking, key=lambda one: lacking[one])
        found[group] = name
        lacking[name] -= rows[group]
    return found


def _listed(split: Split, rows: Mapping[str, int]) -> dict[str, str]:
    """Return the groups of the lists; one of plates or wells may be named without its study where that is clear."""
    short: dict[str, list[str]] = defaultdict(list)
    for group in rows if split.by in _OF_STUDIES else ():
        short[group.partition("/")[2]].append(group)
    found: dict[str, str] = {}
    for name, groups in split.explicit.items():
        for given in groups:
            key = key_of(split.by, given) or ""
            meant = [key] if key in rows else short.get(key, [])
            if len(meant) != 1:
                why = "is not there" if not meant else f"could be {listed(sorted(meant), 3)}"
                raise InvalidDataError(
                    f"split.explicit.{name}: {split.by} {given!r} {why}{did_you_mean(key, rows)}",
                    hint=f"groups are {listed(sorted(rows), _SHOWN)}",
                )
            if found.setdefault(meant[0], name) != name:
                raise InvalidDataError(
                    f"split.explicit: {meant[0]!r} is in {found[meant[0]]} and in {name}: labels would leak"
                )
    return found


def check_groups(split: Split, tally: Tally, of: Mapping[str, str]) -> None:
    """Make sure that every split has rows.

    Raises
    ------
    InvalidDataError
        One is empty.
    """
    rows = dict.fromkeys(split.names, 0)
    for row in tally:
        if row["split"] is not None:
            rows[row["split"]] += row["n"]
    empty = [name for name, count in rows.items() if not count]
    if empty:
        raise InvalidDataError(
            f"split: {listed(empty, 3)} would be empty: {len(of)} groups by {split.by} fall into "
            f"{listed([f'{name} ({sum(one == name for one in of.values())})' for name in rows], 5)}",
            hint="try another seed, assign = 'exact', or lists of groups: explicit = { ... }",
        )


def single_classes(tally: Tally, label: str) -> dict[str, str]:
    """Return the classes of a label that lie in one group alone, each with this group."""
    groups: dict[str, set[str]] = defaultdict(set)
    for row in tally:
        if row["labels"][label] is not None and row["group"] is not None:
            groups[str(row["labels"][label])].add(row["group"])
    return {name: next(iter(of)) for name, of in sorted(groups.items()) if len(of) == 1}


def leaks(tally: Tally, dimensions: Sequence[str]) -> dict[str, list[Leak]]:
    """Return dimension → the values of it that lie in more than one split."""
    found: dict[str, list[Leak]] = {}
    for dimension in dimensions:
        rows: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for row in tally:
            key = key_of(dimension, row["dimensions"].get(dimension))
            if key is not None and row["split"] is not None:
                rows[key][row["split"]] += row["n"]
        several = [Leak(dimension, key, dict(of)) for key, of in sorted(rows.items()) if len(of) > 1]
        found[dimension] = several
    return found


def check_leaks(split: Split, found: Mapping[str, Sequence[Leak]], labels: Sequence[str]) -> None:
    """Make sure that nothing which the spec forbids lies in two splits.

    Raises
    ------
    InvalidDataError
        Something does; lists it.
    """
    bad = {name: found[name] for name in split.forbid if found.get(name)}
    if not bad:
        return
    said = "; ".join(
        f"{len(several)} by {name}: {listed([str(one) for one in several], _SHOWN)}" for name, several in bad.items()
    )
    what = f"labels ({listed(list(labels), 3)})" if labels else "rows"
    first = next(iter(bad))
    raise InvalidDataError(
        f"split: {what} would leak from one split into another: {said}",
        hint=f"split by {first} instead of {split.by}, leave these rows out, or allow it: take {first!r} out of forbid",
    )
