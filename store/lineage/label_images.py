"""Which label image the objects of a feature set are in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..registry import definition_hash

#: Parts of a definition that decide values, and no outlines.
_NOT_OUTLINES = {"features", "tracking"}
_SHORT = 8


def label_name(definition: Mapping[str, Any], object_set: str) -> str | None:
    """Return the name of the label images of an object set: ``nuclei_1a2b3c4d``.

    The digits are a hash of what decides the outlines: the settings of the set and of those that it is made from, and
    how planes were reduced and corrected. None for objects that were found elsewhere.
    """
    sets = definition["objects"]
    if "imported" in definition:
        return None
    needed: dict[str, Any] = {}
    waiting = [object_set]
    while waiting:
        name = waiting.pop()
        needed[name] = sets[name]
        waiting += [one for one in (sets[name].get("from"), sets[name].get("minus")) if one and one not in needed]
    outlines = {key: value for key, value in definition.items() if key not in _NOT_OUTLINES}
    return f"{object_set}_{definition_hash({**outlines, 'objects': needed})[:_SHORT]}"
