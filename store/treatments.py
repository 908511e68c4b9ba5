"""What a treatment is called: by the values that define it, the same wherever it is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

_BETWEEN = " | "


def treatment_name(values: Sequence[Any]) -> str:
    """Give a treatment a text that no other has: its values, ``cpd-1 | 0.5``; as JSON where that could be misread.

    Empty values at the end are left out: ``DMSO``.
    """
    known = max((number for number, one in enumerate(values, start=1) if one is not None), default=0)
    whole = [int(one) if isinstance(one, float) and one.is_integer() else one for one in values[:known]]
    texts = ["" if one is None else str(one) for one in whole]
    if any(_BETWEEN.strip() in text or (not text and one is not None) for text, one in zip(texts, whole, strict=True)):
        return json.dumps(tuple(values), ensure_ascii=False, default=str)
    return _BETWEEN.join(texts)
