"""Parameters that were fitted earlier, applied to other plates: nothing is fitted again; a run says whose they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from cytolake.errors import InvalidDataError, NotFoundError, UsageError
from cytolake.store.registry import resolve_profiles
from cytolake.transforms.profiles.fits import read_fits
from profile_lakes import FEATURES, PLATE_WELLS, ProfileLake, objects_of, plate_map, treated

STUDY_WIDE = '[[steps]]\noperator = "standardize"\nfit = "study"\non = "all"\n[consensus]\nby = ["perturbation"]\n'


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> ProfileLake:
    made = ProfileLake.make(tmp_path_factory.mktemp("fitted") / "lake")
    for number in (1, 2):
        made.plate("pilot", f"P{number}", seed=number)
    made.lake.profile(study="pilot", recipe="spherized")
    return made


@pytest.fixture
def lake(fitted: ProfileLake, tmp_path: Path) -> ProfileLake:
    """P1 and P2 have been profiled with the recipe ``spherized``."""
    return fitted.copy(tmp_path / "lake")


def rows(lake: ProfileLake, label: str, plate: str | None = None, level: str = "well") -> pa.Table:
    table = lake.lake.root.tables.read(resolve_profiles(lake.lake.root, label).table(level))
    if plate is not None:
        table = table.filter(pc.equal(table["plate_id"], plate))
    keys = ("study_id", "treatment") if level == "treatment" else ("study_id", "plate_id", "well_id")
    return table.sort_by([(name, "ascending") for name in keys]).drop_columns(["run_id"])


def the_run(lake: ProfileLake, result: dict[str, Any]) -> dict[str, Any]:
    found = lake.lake.root.tables.read("runs", where={"run_id": result["run_id"]}).to_pylist()[0]
    return {**found, "parameters": json.loads(found["parameters"])}


def stored_fits(lake: ProfileLake) -> list[tuple[int, int, str]]:
    table = lake.lake.root.tables.read("profile_fits", columns=["fit_version", "step", "unit"])
    return sorted(tuple(row.values()) for row in table.to_pylist())


def test_applied_to_the_same_plates_they_give_the_same_to_the_bit(lake: ProfileLake) -> None:
    before = rows(lake, "spherized@1")
    version = lake.lake.root.tables.version("profile_fits")
    for plates in (["P1"], ["P2", "P1"]):
        result = lake.lake.profile(study="pilot", plates=plates, apply="spherized@1")
        assert (result["profile_set"], result["fit_version"]) == ("spherized@1", 1)
        assert rows(lake, "spherized@1").equals(before)
    assert lake.lake.root.tables.version("profile_fits") == version


def test_a_new_plate_needs_to_be_told_whose_parameters_it_takes(lake: ProfileLake) -> None:
    lake.plate("pilot", "P3", seed=3)
    before = lake.lake.root.tables.version("runs")
    with pytest.raises(InvalidDataError) as caught:
        lake.lake.profile(study="pilot", apply="spherized")
    assert caught.value.message == (
        "step 1 (robust_z) of spherized@1#1 was fitted plate by plate, and pilot/P3 was not among them "
        "(pilot/P1, pilot/P2)"
    )
    assert "--like pilot/P1" in str(caught.value.hint)
    assert "--like own" in str(caught.value.hint)
    assert lake.lake.root.tables.version("runs") == before


def test_a_new_plate_takes_the_parameters_of_another_one(lake: ProfileLake) -> None:
    lake.plate("pilot", "P3", seed=1)  # the very objects of P1
    first = lake.lake.root.tables.read("profile_fits", columns=["run_id"])["run_id"].unique().to_pylist()
    fits, before = stored_fits(lake), rows(lake, "spherized@1", "P1")
    result = lake.lake.profile(study="pilot", apply="spherized@1#1", like="P1")
    assert [one["plate_id"] for one in result["plates"]] == ["P3"], "the plates that have profiles are left alone"
    assert result["plates"][0]["parameters_of"] == ["pilot/P1", "*", "pilot"]
    new = rows(lake, "spherized@1", "P3")
    assert new.drop_columns(["plate_id"]).equals(before.drop_columns(["plate_id"]))
    assert stored_fits(lake) == fits, "nothing was fitted"
    assert rows(lake, "spherized@1", "P1").equals(before)
    run = the_run(lake, result)
    assert run["parameters"]["fitted_by"] == first
    assert run["parameters"]["fit_version"] == 1
    assert [one for one in run["inputs"] if one["kind"] == "fit"] == [
        {
            "kind": "fit",
            "name": "spherized@1#1",
            "sha256": resolve_profiles(lake.lake.root, "spherized@1").hash,
            "version": None,
            "detail": f"fitted by run {first[0]}",
        }
    ]
    treatments = rows(lake, "spherized@1", level="treatment").to_pylist()
    assert {row["n_plates"] for row in treatments} == {3}, "treatments are those of all plates of the study"


def test_a_new_plate_may_be_fitted_on_itself_where_steps_are_by_plate(lake: ProfileLake) -> None:
    lake.plate("pilot", "P3", seed=3)
    before, fits = rows(lake, "spherized@1"), stored_fits(lake)
    result = lake.lake.profile(study="pilot", apply="spherized", like="own")
    assert (result["fit_version"], result["plates"][0]["controls"]) == (1, 6)
    assert sorted(set(stored_fits(lake)) - set(fits)) == [(1, 0, "pilot/P3")], "only what is by plate was fitted"
    assert the_run(lake, result)["parameters"]["refitted"] is True
    assert pc.equal(rows(lake, "spherized@1")["plate_id"], "P3").to_pylist().count(True) == 24
    assert rows(lake, "spherized@1").filter(pc.not_equal(rows(lake, "spherized@1")["plate_id"], "P3")).equals(before)
    own = rows(lake, "spherized@1", "P3")
    nodes = lake.lake.lineage("pilot/P3/A01@spherized")["nodes"]
    units = {f"spherized@1#1/{unit}" for unit in ("pilot/P3", "*", "pilot")}
    assert {node["name"] for node in nodes if "unit" in node} == units, "its own are in the lineage, and no other's"
    lake.lake.profile(study="pilot", plates=["P3"], apply="spherized@1")
    assert rows(lake, "spherized@1", "P3").equals(own), "from now on it has parameters of its own"


def test_other_parameters_of_a_plate_itself_are_a_new_version_of_all(lake: ProfileLake) -> None:
    lake.plate("pilot", "P3", seed=3)
    lake.lake.profile(study="pilot", apply="spherized", like="own")
    lake.lake.exclude("A01", study="pilot", plate="P3", reason="dust")
    result = lake.lake.profile(study="pilot", plates=["P3"], apply="spherized", like="own")
    assert result["fit_version"] == 2
    places = {(step, unit) for version, step, unit in stored_fits(lake) if version == 2}
    assert places == {(0, "pilot/P1"), (0, "pilot/P2"), (0, "pilot/P3"), (1, "*"), (2, "pilot")}
    assert "several fit versions: 1, 2" in "".join(result["warnings"])
    profile_set = resolve_profiles(lake.lake.root, "spherized@1")
    one, two = (read_fits(lake.lake.root, profile_set, version) for version in (1, 2))
    assert all(fit.same_as(one[place]) for place, fit in two.items() if place != (0, "pilot/P3"))
    assert len(two[0, "pilot/P3"].learned_from) == 5


def test_a_new_plate_without_controls_cannot_be_fitted_on_itself(lake: ProfileLake) -> None:
    lake.plate("pilot", "P3", seed=3, wells={well: treated(1) for well in PLATE_WELLS})
    with pytest.raises(InvalidDataError, match="plate P3 of study pilot has no control well"):
        lake.lake.profile(study="pilot", apply="spherized", like="own")
    result = lake.lake.profile(study="pilot", apply="spherized", like="P2")
    assert (result["plates"][0]["controls"], result["plates"][0]["wells"]) == (0, 24), "it needs none otherwise"


def test_nothing_to_apply_to_is_no_error(lake: ProfileLake) -> None:
    version = lake.lake.root.tables.version("runs")
    result = lake.lake.profile(study="pilot", apply="spherized")
    assert (result["status"], result["run_id"]) == ("skipped", None)
    assert "has profiles of spherized@1 already" in result["warnings"][0]
    assert lake.lake.root.tables.version("runs") == version


def test_features_that_are_needed_and_missing_are_told(lake: ProfileLake) -> None:
    kept = [name for name in FEATURES if name in rows(lake, "spherized@1").column_names]
    lake.plate("pilot", "P3", seed=3, features=[name for name in FEATURES if name != kept[0]])
    with pytest.raises(InvalidDataError, match=f"plate P3 of study pilot has no value of 1 feature.* need: {kept[0]}"):
        lake.lake.profile(study="pilot", apply="spherized", like="P1")


def test_features_that_were_dropped_may_be_missing_and_new_ones_are_left_out(lake: ProfileLake) -> None:
    columns = rows(lake, "spherized@1").column_names
    dropped = next(name for name in FEATURES if name not in columns)
    features = [*(name for name in FEATURES if name != dropped), "Nuclei_AreaShape_Perimeter"]
    lake.plate("pilot", "P3", seed=3, features=features)
    result = lake.lake.profile(study="pilot", apply="spherized", like="P1")
    assert "1 feature(s) that the parameters do not know are left out: Nuclei_AreaShape_Perimeter" in result["warnings"]
    assert rows(lake, "spherized@1").column_names == columns
    assert rows(lake, "spherized@1", "P3")[columns[-1]].null_count == 0


def test_steps_of_a_study_are_applied_to_new_plates_without_a_word(lake: ProfileLake, tmp_path: Path) -> None:
    path = tmp_path / "wide.toml"
    path.write_text(f'name = "wide"\n{STUDY_WIDE}', encoding="utf-8")
    lake.lake.profile(study="pilot", recipe=path)
    before = rows(lake, "wide@1")
    lake.plate("pilot", "P3", seed=2)  # the very objects of P2
    result = lake.lake.profile(study="pilot", apply="wide")
    assert [one["parameters_of"] for one in result["plates"]] == [["pilot"]]
    new, other = rows(lake, "wide@1", "P3"), before.filter(pc.equal(before["plate_id"], "P2"))
    assert new.drop_columns(["plate_id"]).equals(other.drop_columns(["plate_id"]))


def test_parameters_of_one_study_serve_another(lake: ProfileLake) -> None:
    lake.plate("second", "P1", seed=9)
    with pytest.raises(InvalidDataError, match="second/P1 was not among them"):
        lake.lake.profile(study="second", apply="spherized@1")
    result = lake.lake.profile(study="second", apply="spherized@1", like="pilot/P2")
    assert result["plates"][0]["parameters_of"] == ["pilot/P2", "*", "pilot"]
    assert set(rows(lake, "spherized@1")["study_id"].to_pylist()) == {"pilot", "second"}
    own = lake.lake.profile(study="second", plates=["P1"], apply="spherized@1", like="own")
    assert own["plates"][0]["parameters_of"] == ["second/P1", "*", "pilot"], "one study was fitted, so it is meant"


def test_a_full_run_later_fits_all_plates_and_replaces_what_was_applied(lake: ProfileLake) -> None:
    lake.plate("pilot", "P3", seed=3)
    lake.lake.profile(study="pilot", apply="spherized", like="P1")
    result = lake.lake.profile(study="pilot", recipe="spherized")
    assert (result["profile_set"], result["fit_version"]) == ("spherized@1", 2)
    assert set(rows(lake, "spherized@1")["fit_version"].to_pylist()) == {2}
    again = lake.lake.profile(study="pilot", plates=["P3"], apply="spherized@1#1", like="P1")
    assert again["fit_version"] == 1, "the older parameters can still be asked for"
    assert set(rows(lake, "spherized@1", "P3")["fit_version"].to_pylist()) == {1}


@pytest.mark.parametrize(
    ("asked", "kind", "said"),
    [
        ({"apply": "spherised"}, NotFoundError, "no profile set 'spherised'"),
        ({"apply": "spherized#7"}, NotFoundError, "has no fitted parameters of version 7"),
        ({"apply": "spherized#x"}, UsageError, "names no fitted parameters"),
        ({"apply": "spherized", "like": "P7"}, NotFoundError, "was fitted on no plate 'P7'"),
        ({"apply": "spherized", "plates": ["P7"]}, NotFoundError, "study 'pilot' has no plate 'P7'"),
        ({"apply": "spherized", "recipe": "robust-z"}, UsageError, "exclude each other"),
        (
            {"apply": "spherized", "source": "spherized"},
            UsageError,
            "were fitted on nuclei@1, and spherized@1 is another",
        ),
        ({"apply": "made-elsewhere"}, UsageError, "was made elsewhere: the lake has no parameters of it"),
    ],
)
def test_what_cannot_be_applied_is_told(lake: ProfileLake, asked: dict[str, Any], kind: Any, said: str) -> None:
    lake.wells("pilot", "P1", {"A01": [1.0]}, features=["Area"])
    with pytest.raises(kind, match=said):
        lake.lake.profile(study="pilot", **asked)


def test_a_plate_whose_own_feature_was_never_known_is_no_error(tmp_path: Path) -> None:
    made = ProfileLake.make(tmp_path / "lake")
    made.plate("pilot", "P1", seed=1)
    made.plate("pilot", "P2", seed=2, features=FEATURES[:-1])
    made.lake.profile(study="pilot", recipe="robust-z")
    before = rows(made, "robust-z@1")
    made.lake.profile(study="pilot", plates=["P2"], apply="robust-z")
    assert rows(made, "robust-z@1").equals(before)
    made.plate("pilot", "P3", seed=3, features=FEATURES[:-1])
    made.lake.profile(study="pilot", apply="robust-z", like="P2")
    assert np.isfinite(rows(made, "robust-z@1", "P3")[FEATURES[0]].to_numpy()).all()
    with pytest.raises(InvalidDataError, match=f"need: {FEATURES[-1]}"):
        made.lake.profile(study="pilot", plates=["P3"], apply="robust-z", like="P1")


def test_plates_of_wells_are_annotated_before_they_are_compared(lake: ProfileLake) -> None:
    known = plate_map()
    known["D06"] = {**known["D06"], "excluded": True}
    lake.plate("pilot", "P3", seed=3, wells=known)
    lake.lake.profile(study="pilot", apply="spherized", like="P1")
    assert "D06" not in rows(lake, "spherized@1", "P3")["well_id"].to_pylist()


def test_without_a_number_a_study_goes_on_with_the_parameters_that_its_rows_have(lake: ProfileLake) -> None:
    lake.plate("other", "X1", seed=11, features=FEATURES[:4])
    assert lake.lake.profile(study="other", recipe="spherized")["fit_version"] == 2, "it selects on all of its plates"
    lake.plate("pilot", "P3", seed=3)
    result = lake.lake.profile(study="pilot", apply="spherized", like="own")
    assert result["fit_version"] == 1
    first, new = (rows(lake, "spherized@1", plate) for plate in ("P1", "P3"))
    assert [new[name].null_count for name in new.column_names] == [first[name].null_count for name in new.column_names]
    lake.plate("third", "Y1", seed=4)
    assert lake.lake.profile(study="third", apply="spherized", like="pilot/P1")["fit_version"] == 1
    lake.plate("fourth", "Z1", seed=4, features=FEATURES[:4])
    assert lake.lake.profile(study="fourth", apply="spherized", like="other/X1")["fit_version"] == 2


def test_a_plate_of_another_study_with_the_name_of_a_fitted_one_needs_all_features(
    lake: ProfileLake, tmp_path: Path
) -> None:
    lake.lake.profile(study="pilot", recipe="robust-z")
    lake.plate("other", "P1", seed=5, features=FEATURES[:3])
    for fit in ("study", "all"):
        path = tmp_path / f"{fit}.toml"
        path.write_text(f'name = "{fit}"\n[[steps]]\noperator = "robust_z"\nfit = "{fit}"\non = "all"\n')
        lake.lake.profile(study="pilot", recipe=str(path))
        with pytest.raises(InvalidDataError, match="plate P1 of study other has no value of 2 feature"):
            lake.lake.profile(study="other", apply=f"{fit}@1")
    with pytest.raises(InvalidDataError, match="plate P1 of study other has no value of 2 feature"):
        lake.lake.profile(study="other", apply="robust-z@1", like="pilot/P1")


def test_a_plate_whose_name_two_studies_have_is_asked_for_with_its_study(lake: ProfileLake) -> None:
    for study, plate, seed in (("other", "P1", 5), ("third", "T1", 6)):
        lake.plate(study, plate, seed=seed)
    lake.lake.profile(study=["pilot", "other"], recipe="robust-z")
    with pytest.raises(NotFoundError, match="several plates called 'P1'") as caught:
        lake.lake.profile(study="third", apply="robust-z@1", like="P1")
    assert caught.value.hint == "say of which study: other/P1, pilot/P1"


def test_features_of_other_studies_do_not_come_in_as_zeros(tmp_path: Path) -> None:
    made = ProfileLake.make(tmp_path / "lake")
    made.plate("pilot", "P1", seed=1, features=FEATURES[:3])
    made.plate("other", "X1", seed=2, features=("Nuclei_Texture_One", "Nuclei_Texture_Two"))
    for study in ("pilot", "other"):
        made.lake.profile(study=study, recipe="pycytominer")
    made.plate("pilot", "P2", seed=3, features=FEATURES[:3])
    made.lake.profile(study="pilot", apply="pycytominer@1", like="own")
    table = rows(made, "pycytominer@1", level="treatment").filter(pc.field("study_id") == "pilot")
    others = [name for name in table.column_names if name.startswith("Nuclei_Texture_")]
    assert others
    assert all(table[name].null_count == table.num_rows for name in others)


def test_parameters_outlive_their_plate_and_what_it_has_a_share_in_is_told(lake: ProfileLake) -> None:
    lake.plate("other", "Q1", seed=9)
    lake.lake.profile(study="other", apply="spherized@1", like="pilot/P1")
    fits = stored_fits(lake)
    for dry_run in (True, False):
        result = lake.lake.remove(study="pilot", plate="P1", reason="wrong cell line", dry_run=dry_run)
        assert "profile_fits" not in result["tables"]
        assert ["pilot were made with wells of P1" in text for text in result["warnings"]] == [True]
        assert "spherized@1" in result["warnings"][0]
    assert stored_fits(lake) == fits, "rows of Q1 were made by them"
    assert set(rows(lake, "spherized@1")["plate_id"].to_pylist()) == {"P2", "Q1"}
    before = rows(lake, "spherized@1", "Q1")
    lake.lake.profile(study="other", plates=["Q1"], apply="spherized@1", like="pilot/P1")
    assert rows(lake, "spherized@1", "Q1").equals(before)
    lake.lake.profile(study="pilot", recipe="spherized")
    table = rows(lake, "spherized@1", level="treatment").filter(pc.field("study_id") == "pilot")
    assert set(table["n_plates"].to_pylist()) == {1}
    gone = lake.lake.remove(study="other", plate="Q1", reason="x")
    assert gone["warnings"] == []
    assert gone["tables"][resolve_profiles(lake.lake.root, "spherized@1").table("treatment")] == 10, "it was the last"
    assert set(rows(lake, "spherized@1", level="treatment")["study_id"].to_pylist()) == {"pilot"}


def test_plates_of_another_feature_set_are_named_where_nothing_is_applied(lake: ProfileLake) -> None:
    lake.annotate("pilot", "P3", plate_map())
    lake.objects("pilot", "P3", objects_of(plate_map(), seed=3, n_features=len(FEATURES)), name="another")
    result = lake.lake.profile(study="pilot", apply="spherized@1", like="P1")
    assert result["status"] == "skipped"
    assert "1 plate(s) of study pilot have no rows of feature set nuclei@1" in result["warnings"][1]
    assert result["warnings"][1].endswith(": P3")
