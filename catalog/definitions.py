"""What changed between two definitions of sets: a path, what was there, what is there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

#: By which of its keys an entry of a list is known: the step of a recipe by its operator.
_NAMES = ("operator", "name", "method")
#: What decides only what is measured of objects, not which objects there are.
_MEASURES = frozenset({"features", "tracking"})


def changes(one: Any, other: Any, path: str = "") -> list[dict[str, Any]]:
    """Return what differs between two definitions.

    Steps that were put in or taken out do not move the others: lists of tables are lined up by what they are called.

    Returns
    -------
    list of dict
        Each with ``path`` (``objects.nuclei.parameters.diameter_um``, ``steps[2].cutoff``: numbers from 0, those of the
        newer list), ``change`` (``changed``, ``added``, ``removed``), ``one`` and ``other`` (None where there was
        nothing).
    """
    return list(_changes(one, other, path))


def _changes(one: Any, other: Any, path: str) -> Iterator[dict[str, Any]]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in [*one, *(key for key in other if key not in one)]:
            below = f"{path}.{key}" if path else str(key)
            if key not in other:
                yield _change(below, "removed", one=one[key])
            elif key not in one:
                yield _change(below, "added", other=other[key])
            else:
                yield from _changes(one[key], other[key], below)
    elif _is_tables(one) and _is_tables(other):
        yield from _lists(one, other, path)
    # As texts, as the hash sees them: 1 and 1.0 are two.
    elif json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True):
        yield _change(path, "changed", one=one, other=other)


def _lists(one: Sequence[Any], other: Sequence[Any], path: str) -> Iterator[dict[str, Any]]:
    matcher = SequenceMatcher(None, [_name(x) for x in one], [_name(x) for x in other], autojunk=False)
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        if kind == "equal":
            for offset in range(end - start):
                yield from _changes(one[start + offset], other[new_start + offset], f"{path}[{new_start + offset}]")
            continue
        for number in range(start, end):
            yield _change(f"{path}[{number}]", "removed", one=one[number])
        for number in range(new_start, new_end):
            yield _change(f"{path}[{number}]", "added", other=other[number])


def _change(path: str, change: str, *, one: Any = None, other: Any = None) -> dict[str, Any]:
    return {"path": path, "change": change, "one": one, "other": other}


def _is_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _name(table: Mapping[str, Any]) -> str:
    return next((str(table[key]) for key in _NAMES if key in table), "")


def same_labels(one: Mapping[str, Any], other: Mapping[str, Any], object_set: str) -> bool:
    """Whether two definitions of features find the same objects of a set: only what is measured of them differs.

    False where one of them was made elsewhere: then nobody knows.
    """
    if "imported" in one or "imported" in other:
        return False
    return _segmentation(one, object_set) == _segmentation(other, object_set)


def _segmentation(definition: Mapping[str, Any], object_set: str) -> dict[str, Any]:
    """Return what decides the labels of a set: its own settings, those of the sets it is made from, the pixels."""
    objects = definition["objects"]
    needed: dict[str, Any] = {}
    waiting = [object_set]
    while waiting:
        name = waiting.pop()
        if name in objects and name not in needed:
            needed[name] = objects[name]
            waiting += [str(objects[name][key]) for key in ("from", "minus") if objects[name].get(key)]
    pixels = {key: value for key, value in definition.items() if key not in {"objects", *_MEASURES}}
    return {"objects": needed, **pixels}
