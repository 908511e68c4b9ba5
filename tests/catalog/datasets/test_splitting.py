"""Groups and splits: nothing moves when plates come, nothing leaks."""

from __future__ import annotations

from typing import Any

import pytest
from cytolake.catalog.datasets.spec import Split
from cytolake.catalog.datasets.splitting import assign, check_leaks, key_of, leaks, position, single_classes
from cytolake.errors import InvalidDataError

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def tally(groups: int, *, n: int = 10, classes: int = 2) -> list[dict[str, Any]]:
    return [{"group": f"g{at}", "n": n, "labels": {"y": str(at % classes)}, "dimensions": {}} for at in range(groups)]


def test_a_group_never_moves_when_others_come() -> None:
    split = Split(by="plate", fractions=FRACTIONS)
    few, many = assign(split, tally(50)), assign(split, tally(5000, n=3))
    assert {group: many[group] for group in few} == few


def test_fractions_are_met_on_average() -> None:
    found = list(assign(Split(by="plate", fractions=FRACTIONS), tally(5000)).values())
    for name, fraction in FRACTIONS.items():
        # Four standard deviations of a binomial share.
        assert found.count(name) / 5000 == pytest.approx(fraction, abs=4 * (fraction * (1 - fraction) / 5000) ** 0.5)


def test_the_position_is_what_the_page_says() -> None:
    """The first 53 bits of SHA-256 of seed, unit separator, key: written down, so that it never changes."""
    assert position(0, "a/P0") == 0.2079182201902634
    assert position(1, "a/P0") != position(0, "a/P0")


@pytest.mark.parametrize("groups", [3, 7, 10, 100])
def test_exact_meets_fractions_as_well_as_groups_allow(groups: int) -> None:
    found = list(assign(Split(by="plate", fractions=FRACTIONS, assign="exact"), tally(groups)).values())
    for name, fraction in FRACTIONS.items():
        assert abs(found.count(name) - fraction * groups) <= max(1, len(FRACTIONS) - 1 if groups < 10 else 1)
        assert found.count(name) >= 1


def test_stratified_by_label() -> None:
    split = Split(by="plate", fractions={"a": 0.5, "b": 0.5}, assign="exact", stratify="y")
    rows = tally(40, classes=4)
    found = assign(split, rows)
    for label in "0123":
        here = [found[row["group"]] for row in rows if row["labels"]["y"] == label]
        assert here.count("a") == here.count("b") == 5


def test_a_slash_in_a_compound_is_no_study() -> None:
    rows = [{"group": name, "n": 1, "labels": {}, "dimensions": {}} for name in ("dmso/water", "taxol")]
    with pytest.raises(InvalidDataError, match="'water' is not there"):
        assign(Split(by="compound", fractions=FRACTIONS, explicit={"test": ("water",)}), rows)
    assert assign(Split(by="plate", fractions=FRACTIONS, explicit={"test": ("water",)}), rows)["dmso/water"] == "test"


def test_lists_and_fractions_of_the_others() -> None:
    split = Split(by="plate", fractions=FRACTIONS, explicit={"test": ("g0", "g1")})
    found = assign(split, tally(20))
    assert found["g0"] == found["g1"] == "test"
    alone = assign(Split(by="plate", fractions=FRACTIONS), tally(20))
    assert {g: s for g, s in found.items() if g not in {"g0", "g1"}} == {
        g: s for g, s in alone.items() if g not in {"g0", "g1"}
    }
    with pytest.raises(InvalidDataError, match="plate 'g99' is not there"):
        assign(Split(by="plate", fractions=FRACTIONS, explicit={"test": ("g99",)}), tally(5))


def test_names_are_compared_without_case_and_spaces() -> None:
    assert key_of("compound", " Taxol ") == key_of("compound", "taxol")
    assert key_of("plate", "P1") != key_of("plate", "p1")
    assert key_of("compound", "  ") is None


def test_leaks_are_found_and_forbidden_ones_are_listed() -> None:
    rows = [
        {"split": "train", "n": 3, "dimensions": {"compound": "Taxol", "donor": "d1", "well": "w1"}},
        {"split": "test", "n": 2, "dimensions": {"compound": "taxol ", "donor": "d2", "well": "w2"}},
        {"split": "test", "n": 2, "dimensions": {"compound": None, "donor": None, "well": "w3"}},
    ]
    found = leaks(rows, ["compound", "donor", "well"])
    assert [(one.value, one.rows) for one in found["compound"]] == [("taxol", {"train": 3, "test": 2})]
    assert found["donor"] == found["well"] == []
    check_leaks(Split(by="plate", forbid=("donor", "well")), found, ["y"])
    with pytest.raises(InvalidDataError, match=r"labels \(y\) would leak .*'taxol' in train \(3\), test \(2\)"):
        check_leaks(Split(by="plate", forbid=("compound",)), found, ["y"])


def test_a_class_of_one_group_is_found() -> None:
    rows = [*tally(4), {"group": "g0", "n": 1, "labels": {"y": "rare"}, "dimensions": {}}]
    assert single_classes(rows, "y") == {"rare": "g0"}


def test_donors_are_known_however_they_are_written() -> None:
    assert key_of("donor_id", " D1 ") == key_of("donor", "d1") == "d1"
    assert key_of("plate", "P1") != key_of("plate", "p1")
