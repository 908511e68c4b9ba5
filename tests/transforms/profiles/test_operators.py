"""Operators by name, with the settings of a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cytolake.transforms.parameters import BadParameterError
from cytolake.transforms.profiles.operators import OPERATORS, make_operator

OWN = ("robust_z", "standardize", "robustize", "select")


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_settings_make_it_again(name: str) -> None:
    made = make_operator(name, {})
    assert made.name == name
    assert made.fitted_on in ("plate", "study", "all")
    settings = json.loads(json.dumps(made.settings()))
    assert make_operator(name, settings) == made
    assert make_operator(name, settings).settings() == made.settings()


def test_settings_are_taken_over() -> None:
    made = make_operator("select", {"operations": "blocklist", "corr_threshold": 1, "blocklist": "Cells_*"})
    settings = made.settings()
    assert settings["operations"] == ["blocklist"]
    assert settings["corr_threshold"] == 1.0
    assert isinstance(settings["corr_threshold"], float)
    assert settings["blocklist"] == ["Cells_*"]


def test_the_blocklist_of_pycytominer() -> None:
    assert len(make_operator("select", {"compat": "pycytominer"}).settings()["blocklist"]) == 55
    assert len(make_operator("select", {}).settings()["blocklist"]) == 5


def test_a_file_becomes_its_content(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("Cells_x\n")
    made = make_operator("select", {"blocklist": "bad.txt"}, folder=tmp_path)
    assert made.settings()["blocklist"] == ["Cells_x"]


@pytest.mark.parametrize(
    ("name", "settings", "key", "problem"),
    [
        ("robustz", {}, "operator", "unknown operator 'robustz'; did you mean 'robust_z'?"),
        ("mad_robustize", {}, "operator", "unknown operator 'mad_robustize'; here it is robust_z, with compat = \"pyc"),
        ("drop_outliers", {}, "operator", 'here it is select with operations = ["drop_outliers"]'),
        (
            "select",
            {"corr_treshold": 0.9},
            "corr_treshold",
            "unknown setting of select; did you mean 'corr_threshold'?",
        ),
        ("robust_z", {"epsilon": 0}, "epsilon", "unknown setting of robust_z"),
        ("robust_z", {"compat": "pycytominr"}, "compat", "'pycytominr' is unknown; did you mean 'pycytominer'?"),
        ("robust_z", {"compat": 3}, "compat", "3 is unknown"),
        ("select", {"corr_threshold": "high"}, "corr_threshold", "'high' is no number"),
        ("select", {"corr_threshold": True}, "corr_threshold", "True is no number"),
        ("select", {"corr_threshold": 1.5}, "corr_threshold", "1.5 is out of range"),
        ("select", {"outlier_cutoff": float("nan")}, "outlier_cutoff", "nan is out of range"),
        (
            "select",
            {"operations": ["variance"]},
            "operations",
            "'variance' is unknown; did you mean 'variance_threshold'?",
        ),
        ("select", {"operations": ["blocklist", "blocklist"]}, "operations", "'blocklist' is there twice"),
        ("select", {"noise_by": [1]}, "noise_by", "1 is no text"),
        ("select", {"blocklist": 1}, "blocklist", "1 is no text"),
    ],
)
def test_what_is_refused(name: str, settings: dict[str, Any], key: str, problem: str) -> None:
    with pytest.raises(BadParameterError) as caught:
        make_operator(name, settings)
    assert caught.value.key == key
    assert problem in caught.value.problem
    assert caught.value.allowed


@pytest.mark.parametrize("name", OWN)
def test_every_setting_says_what_it_means(name: str) -> None:
    import dataclasses

    for one in dataclasses.fields(OPERATORS[name]):  # type: ignore[arg-type]
        assert one.metadata["parameter"].meaning
