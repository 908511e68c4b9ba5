"""Short lists and near misses, as messages show them."""

from __future__ import annotations

import pytest
from cytolake.wording import did_you_mean, listed


@pytest.mark.parametrize(
    ("words", "most", "between", "said"),
    [
        ([], 3, ", ", ""),
        (["A01", "A02"], 2, ", ", "A01, A02"),
        ([1, 2, 3, 4], 2, ", ", "1, 2 and 2 more"),
        (["one", "two"], 1, "; ", "one; and 1 more"),
    ],
)
def test_a_list_says_how_many_it_leaves_out(words: list[object], most: int, between: str, said: str) -> None:
    assert listed(words, most, between=between) == said


def test_a_near_miss_ignores_case() -> None:
    assert did_you_mean("wELSL", ["Wells", "images"]) == "; did you mean 'Wells'?"
    assert did_you_mean("zzz", ["Wells"]) == ""
