"""The verb ``profile``: what it prints, what it refuses, what it hands on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from profile_lakes import ProfileLake, plate_map


@pytest.fixture(scope="module")
def pilot(tmp_path_factory: pytest.TempPathFactory) -> ProfileLake:
    made = ProfileLake.make(tmp_path_factory.mktemp("pilot") / "lake")
    made.plate("pilot", "P1", seed=1)
    made.plate("pilot", "P2", seed=2, wells=plate_map(controls=3))
    return made


@pytest.fixture
def lake(run: Any, pilot: ProfileLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProfileLake:
    """A lake that the command line finds (``run`` has taken away whatever the environment names)."""
    made = pilot.copy(tmp_path / "lake")
    monkeypatch.setenv("CYTOLAKE_LAKE", str(tmp_path / "lake"))
    return made


@pytest.mark.usefixtures("lake")
def test_a_person_is_told_the_controls_the_features_and_where_to_ask(run: Any) -> None:
    done = run("profile", "--study", "pilot")
    assert done.code == 0, done.err
    assert "P1        24         6  A01 A02 A03 A04 A05 A06" in done.out
    assert "P2        24         3  A01 A02 A03" in done.out
    assert "6 features of nuclei@1, " in done.out
    assert "dropped or left empty: " in done.out
    assert "zero_mad 1" in done.out
    assert "views that show them: profiles, treatment_profiles" in done.out
    assert "ok  standard@1  fit 1  run " in done.out
    assert "warning: plate P2 of study pilot has 3 control well(s)" in done.err


@pytest.mark.usefixtures("lake")
def test_a_program_gets_one_object(run: Any) -> None:
    done = run("profile", "--study", "pilot", "--recipe", "robust-z", "--json")
    assert (done.json["status"], done.json["profile_set"], done.json["fit_version"]) == ("ok", "robust-z@1", 1)
    assert {"run_id", "source", "plates", "features", "rows", "flags", "warnings"} <= set(done.json)
    shown = run("sql", "SELECT count(*) AS n, max(profile_set) AS s FROM profiles", "--json").json
    assert shown == [{"n": 48, "s": "robust-z@1"}]


def test_parameters_are_applied_to_a_new_plate(run: Any, lake: ProfileLake) -> None:
    assert run("profile", "--study", "pilot").code == 0
    lake.plate("pilot", "P3", seed=3)
    refused = run("profile", "--study", "pilot", "--apply", "standard@1")
    assert refused.code == 4
    assert "--like own" in refused.err
    done = run("profile", "--study", "pilot", "--apply", "standard@1", "--like", "P1", "--json").json
    assert [one["plate_id"] for one in done["plates"]] == ["P3"]
    told = run("profile", "--study", "pilot", "--plate", "P3", "--apply", "standard@1", "--like", "P1")
    assert "P3 has the parameters of pilot/P1" in told.out
    again = run("profile", "--study", "pilot", "--apply", "standard@1")
    assert (again.code, again.out.strip()) == (0, "skipped  standard@1")


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "Missing option '--study'"),
        (("--study", "pilot", "--apply", "standard", "--recipe", "standard"), 2, "leave out --recipe"),
        (("--study", "pilot", "--like", "P1"), 2, "--like goes with --apply"),
        (("--study", "pliot"), 5, "did you mean 'pilot'"),
        (("--study", "pilot", "--recipe", "standart"), 5, "did you mean 'standard'"),
        (("--study", "pilot", "--apply", "standard"), 5, "no profile set 'standard'"),
    ],
)
def test_what_cannot_be_done_has_its_exit_code(run: Any, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = run("profile", *arguments)
    assert done.code == code
    assert said in done.err


@pytest.mark.usefixtures("lake")
def test_wells_are_drawn_where_it_is_said(run: Any, tmp_path: Path) -> None:
    picture = tmp_path / "wells.png"
    done = run("profile", "--study", "pilot", "--recipe", "robust-z", "--picture", str(picture), "--picture-by", "pca")
    assert done.code == 0, done.err
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"wrote {picture}" in done.err


@pytest.mark.usefixtures("lake")
def test_a_picture_that_cannot_be_drawn_is_refused_before_the_work(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("profile", "--study", "pilot", "--picture-by", "pca").code == 2
    monkeypatch.setitem(sys.modules, "umap", None)
    done = run("profile", "--study", "pilot", "--picture", str(tmp_path / "wells.png"))
    assert done.code == 3
    assert "cytolake[plots]" in done.err
    assert run("sql", "SELECT count(*) AS n FROM profile_sets", "--json").json == [{"n": 0}]
