"""Labels as of a date: who said what last, and what the rule makes of several people."""

from __future__ import annotations

from functools import cache
from typing import Any

import pyarrow.parquet as pq
import pytest
from cytolake.catalog.datasets.pins import Pinned
from cytolake.catalog.datasets.plan import Plan
from cytolake.catalog.datasets.spec import read_spec
from cytolake.errors import InvalidDataError
from cytolake.store.root import open_root
from profile_lakes import ProfileLake

from .conftest import PER_WELL, Build, label, put, spec

SPLIT = {"by": "well", "fractions": {"train": 0.5, "test": 0.5}, "assign": "exact", "one_group": "keep"}


@pytest.fixture(scope="module")
def labelled(whole: ProfileLake, tmp_path_factory: pytest.TempPathFactory) -> ProfileLake:
    lake = whole.copy(tmp_path_factory.mktemp("labelled") / "lake")
    put(
        lake,
        "labels",
        label("A01", "round", "anna", "2026-01-01"),
        label("A01", "flat", "anna", "2026-03-01T12:00"),  # she changed her mind
        label("A02", "round", "anna", "2026-01-01"),
        label("A02", "flat", "ben", "2026-02-01"),
        label("A02", "round", "cleo", "2026-01-15"),
        label("A03", "round", "anna", "2026-01-01"),
        label("A03", "flat", "ben", "2026-02-01"),
        label("A04", "round", "anna", "2026-06-01"),
        label("B01", "late", "model", "2026-01-01", acquisition_id=2),  # of an acquisition that is not there
        label("A01", "yes", "anna", "2026-01-01", vocabulary="good"),
        label(None, "old", "anna", "2026-01-01", vocabulary="age"),
        label(
            "A01",
            "cell",
            "anna",
            "2026-01-01",
            vocabulary="cells",
            field_id=1,
            timepoint=0,
            acquisition_id=1,
            object_id=1,
        ),
    )
    return lake


@cache
def pinned(lake: str) -> Pinned:
    return Pinned(open_root(lake), None)


def values(lake: ProfileLake, **of: Any) -> dict[str, str]:
    """Return well → label of plate a/P0, of wells with one."""
    given = spec(entities={"level": "well"}, labels={"vocabulary": "phenotype"} | of, split=SPLIT)
    plan = Plan.of(pinned(lake.lake.root.url), read_spec(given))
    query = plan.rows.select({"well_id": "well_id"} | plan.labels, where=["study_id = 'a'", "plate_id = 'P0'"])
    return {well: value for well, value in sorted(plan.pinned.ask(query).fetchall()) if value is not None}


def test_the_newest_at_the_date_wins(labelled: ProfileLake) -> None:
    assert values(labelled) == {"A01": "flat", "A02": "flat", "A03": "flat", "A04": "round"}
    assert values(labelled, as_of="2026-01-31") == {"A01": "round", "A02": "round", "A03": "round"}
    assert values(labelled, as_of="2026-02-01") == {"A01": "round", "A02": "flat", "A03": "flat"}


def test_a_day_is_all_of_it_and_a_time_is_exact(labelled: ProfileLake) -> None:
    assert values(labelled, as_of="2026-03-01")["A01"] == "flat"
    assert values(labelled, as_of="2026-03-01T12:00:00Z")["A01"] == "flat"
    assert values(labelled, as_of="2026-03-01T12:59:59+01:00")["A01"] == "round"


def test_the_majority_of_annotators(labelled: ProfileLake) -> None:
    assert values(labelled, conflicts="majority") == {"A01": "flat", "A02": "round", "A04": "round"}


def test_where_they_disagree_there_is_none(labelled: ProfileLake) -> None:
    assert values(labelled, conflicts="drop") == {"A01": "flat", "A04": "round"}


def test_only_some_annotators(labelled: ProfileLake) -> None:
    assert values(labelled, annotators=["ben", "cleo"]) == {"A02": "flat", "A03": "flat"}


def test_disagreement_can_be_an_error(labelled: ProfileLake, tmp_path: Any) -> None:
    from cytolake.catalog.datasets import build_dataset

    given = {"vocabulary": "phenotype", "conflicts": "error"}
    with pytest.raises(InvalidDataError, match="annotators disagree on 2 rows, such as a/P0/A02/1/0, a/P0/A03/1/0"):
        build_dataset(labelled.lake.root, spec(entities={"level": "well"}, labels=given, split=SPLIT), tmp_path / "x")


def test_labels_of_wells_and_plates_are_those_of_their_objects(labelled: ProfileLake, tmp_path: Any) -> None:
    from cytolake.catalog.datasets import build_dataset

    made = build_dataset(
        labelled.lake.root,
        spec(labels=[{"vocabulary": "phenotype"}, {"vocabulary": "age"}], split=SPLIT),
        tmp_path / "set",
    )
    assert sum(made["splits"].values()) == 4 * PER_WELL
    assert made["labels"]["phenotype"]["level"] == "well"
    assert made["labels"]["phenotype"]["conflicts"] == {"rule": "newest", "rows": 2 * PER_WELL}
    table = pq.read_table(tmp_path / "set" / "train.parquet").to_pylist()
    assert {(row["well_id"], row["phenotype"], row["age"]) for row in table} <= {
        ("A01", "flat", "old"),
        ("A02", "flat", "old"),
        ("A03", "flat", "old"),
        ("A04", "round", "old"),
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vocabulary": "phenotyp"}, "no label has the vocabulary 'phenotyp'; did you mean 'phenotype'"),
        ({"as_of": "2025-12-31"}, "no label on or before 2025-12-31.*the first is of 2026-01-01"),
        ({"annotators": ["dora"]}, "has no label by dora"),
        ({"vocabulary": "cells"}, "no labels that rows of level 'well' can have; they are of object"),
        ({"level": "plate"}, "no labels of level 'plate'"),
    ],
)
def test_labels_that_are_not_there(labelled: ProfileLake, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        values(labelled, **given)


def test_a_label_that_comes_later_changes_nothing_as_of_before(rebuild: Build, lake: ProfileLake) -> None:
    given = spec(entities={"level": "well"}, split=SPLIT | {"assign": "hash", "seed": 2})
    given["labels"] = {"vocabulary": "phenotype", "as_of": "2026-03-01"}
    put(lake, "labels", *(label(well, "round", "anna", "2026-01-01") for well in ("A01", "A02", "A03")))
    first = rebuild(given)
    put(lake, "labels", *(label(well, "flat", "ben", "2026-04-01") for well in ("A01", "A04")))
    assert rebuild(given)["status"] == "same"
    given["labels"]["as_of"] = "2026-05-01"
    later = rebuild(given, name="later", compare=first["path"])
    assert later["sha256"] != first["sha256"]
    assert later["compared"]["rows"] == {"added": 1, "removed": 0, "moved": 0, "changed": 1}
    assert later["compared"]["spec"] == ["labels.as_of"]
