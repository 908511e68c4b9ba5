"""What is wrong with a spec is said with its file and key."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cytolake.catalog.datasets.spec import read_spec
from cytolake.errors import InvalidDataError, NotFoundError

GOOD = """
name = "moa"
as_of = 2026-03-01

[entities]
level = "well"

[[features]]
columns = "Nuclei_*"

[labels]
vocabulary = "phenotype"
as_of = 2026-02-01

[split]
by = "plate"
fractions = { train = 0.7, validation = 0.2, test = 0.1 }
"""


def test_a_good_one(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(GOOD)
    spec = read_spec(path)
    assert (spec.entities.source, spec.features[0].columns, spec.as_of) == ("profiles", ("Nuclei_*",), "2026-03-01")
    assert spec.labels[0].as_of == datetime(2026, 2, 1, 23, 59, 59, 999999, tzinfo=UTC)
    assert spec.split.names == ("train", "validation", "test")
    assert spec.given["labels"]["as_of"] == "2026-02-01"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "moa"', 'nam = "moa"', "name is missing"),
        ('name = "moa"', 'name = "moa"\nfilter = 1', "filter is no key here; did you mean 'filters'"),
        ('name = "moa"', 'name = "a/b"', "is no name"),
        ('level = "well"', 'level = "wel"', "entities.level is 'wel'; did you mean 'well'"),
        ('level = "well"', 'level = "object"', "entities.source is missing"),
        ('level = "well"', 'level = "well"\nsource = "a"\nsql = "b"', "rows have one origin"),
        ('columns = "Nuclei_*"', 'colums = "Nuclei_*"', r"features\[0\].colums is no key here; did you mean 'columns'"),
        ('columns = "Nuclei_*"', "columns = 3", "is no list of texts"),
        ('vocabulary = "phenotype"', "", "says none of column, attribute, sql, vocabulary"),
        ('vocabulary = "phenotype"', 'column = "gene"', "labels.as_of is for labels of a vocabulary"),
        ("as_of = 2026-02-01", 'as_of = "soon"', "'soon' is no time"),
        ("as_of = 2026-02-01", 'conflicts = "oldest"', "labels.conflicts is 'oldest'"),
        ("test = 0.1", "test = 0.2", "split.fractions add up to 1.1, not to 1"),
        ("test = 0.1", "test = 0", "test = 0 is not above 0"),
        ("test = 0.1", "card = 0.1", "'card' cannot name a split"),
        ('by = "plate"', "", "split.by is missing"),
        ('by = "plate"', 'by = "plate"\nforbid = ["donner"]', "split.forbid is 'donner'; did you mean 'donor'"),
        ('by = "plate"', 'by = "plate"\nstratify = "phenotyp"', "is no label; did you mean 'phenotype'"),
        ('by = "plate"', 'by = "plate"\nassign = "hash"\nstratify = "phenotype"', "'hash' cannot stratify"),
        ('by = "plate"', 'by = "plate"\nexplicit = { a = ["P1"], b = ["P1"] }', "'P1' is in a and in b: labels would"),
        ('by = "plate"', 'by = "plate"\nseed = 1.5', "split.seed is 1.5 and no whole number"),
        ('vocabulary = "phenotype"', 'vocabulary = "phenotype"\nname = "../y"', "cannot name a label"),
        ("[split]", "[split", "is no TOML"),
        ("[split]", "a = " + "[" * 5000, "is no TOML"),
        ('name = "moa"', 'name = "moa\\n"', "is no name"),
        ("test = 0.1", '"test\\n" = 0.1', "cannot name a split"),
        ("test = 0.1", "Train = 0.1", "differ in case alone"),
    ],
)
def test_wrong_ones_name_file_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(InvalidDataError, match=message) as caught:
        read_spec(path)
    assert str(caught.value).startswith(str(path))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_spec(tmp_path / "absent.toml")
