"""Profiles of whole studies: what comes out, from which wells, under which version, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cytolake.lake
import numpy as np
import pyarrow as pa
import pytest
from cytolake.errors import InvalidDataError, NotFoundError, RecipeError, UsageError
from cytolake.store.registry import resolve_profiles
from profile_lakes import CONTROL, FEATURES, PLATE_WELLS, ProfileLake, objects_of, plate_map, treated

#: By the run or its moment.
OF_THE_RUN = {"run_id"}


def recipe(folder: Path, body: str, name: str = "mine") -> str:
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\n{body}', encoding="utf-8")
    return str(path)


def rows(lake: ProfileLake, label: str, level: str = "well") -> pa.Table:
    table = lake.lake.root.tables.read(resolve_profiles(lake.lake.root, label).table(level))
    key = "treatment" if level == "treatment" else "well_id"
    return table.sort_by([(name, "ascending") for name in ("study_id", "plate_id", key) if name in table.column_names])


def without_run(table: pa.Table) -> pa.Table:
    return table.drop_columns([name for name in table.column_names if name in OF_THE_RUN])


def mad_z(values: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Robust z as its definition has it, written down once more."""
    center = np.median(controls, axis=0)
    return (values - center) / (1.4826 * np.median(np.abs(controls - center), axis=0))


@pytest.fixture(scope="module")
def pilot(tmp_path_factory: pytest.TempPathFactory) -> ProfileLake:
    made = ProfileLake.make(tmp_path_factory.mktemp("pilot") / "lake")
    for number in (1, 2):
        made.plate("pilot", f"P{number}", seed=number)
    return made


@pytest.fixture
def lake(pilot: ProfileLake, tmp_path: Path) -> ProfileLake:
    """Study ``pilot`` with plates P1 and P2, nothing profiled yet."""
    return pilot.copy(tmp_path / "lake")


def test_wells_are_medians_as_robust_z_of_their_plate(lake: ProfileLake) -> None:
    result = lake.lake.profile(study="pilot", recipe="robust-z")
    assert (result["status"], result["profile_set"], result["fit_version"]) == ("ok", "robust-z@1", 1)
    assert result["source"] == "nuclei@1"
    assert [(one["plate_id"], one["wells"], one["controls"]) for one in result["plates"]] == [
        ("P1", 24, 6),
        ("P2", 24, 6),
    ]
    assert result["plates"][0]["control_wells"] == list(PLATE_WELLS[:6])
    stored = rows(lake, "robust-z@1")
    for number in (1, 2):
        objects = objects_of(plate_map(), seed=number, n_features=len(FEATURES))
        medians = np.array([np.median(objects[well].astype(np.float64), axis=0) for well in PLATE_WELLS])
        own = stored.filter(pa.compute.equal(stored["plate_id"], f"P{number}"))
        assert own["well_id"].to_pylist() == list(PLATE_WELLS)
        found = np.column_stack([own[name].to_numpy() for name in FEATURES])
        np.testing.assert_allclose(found, mad_z(medians, medians[:6]), rtol=1e-12)
    assert set(stored["fit_version"].to_pylist()) == {1}
    assert set(stored["n_objects"].to_pylist()) == {20}
    treatments = rows(lake, "robust-z@1", "treatment")
    assert result["rows"] == {"well": 48, "treatment": 10}
    control = next(row for row in treatments.to_pylist() if row["control_type"] == "negative_vehicle")
    assert (control["n_wells"], control["n_plates"], control["perturbation"]) == (12, 2, "DMSO")
    of_control = [
        row[FEATURES[0]] for row in stored.to_pylist() if row["well_id"] in PLATE_WELLS[:6] and row[FEATURES[0]]
    ]
    assert control[FEATURES[0]] == pytest.approx(np.median(of_control), rel=1e-12)


def test_a_constant_feature_is_empty_and_flagged(lake: ProfileLake) -> None:
    result = lake.lake.profile(study="pilot", recipe="robust-z")
    assert result["flags"] == {"zero_mad": 1}, "every well has 20 nuclei"
    assert result["features"] == {"in": 6, "kept": 6}
    assert rows(lake, "robust-z@1")["Nuclei_Count"].null_count == 48
    fits = lake.lake.sql("SELECT * FROM profile_fits ORDER BY unit").to_arrow().to_pylist()
    assert [(one["unit"], one["study_id"], one["plate_id"], one["step"]) for one in fits] == [
        ("pilot/P1", "pilot", "P1", 0),
        ("pilot/P2", "pilot", "P2", 0),
    ]
    assert fits[0]["flags"] == [{"feature": "Nuclei_Count", "reason": "zero_mad", "detail": None}]
    assert fits[0]["controls"] == [f"P1/{well}" for well in PLATE_WELLS[:6]]
    described = lake.lake.sql("SELECT object_set, definition FROM feature_dictionary WHERE \"column\" = 'Nuclei_Count'")
    assert described.to_arrow().to_pylist() == [
        {"object_set": "nuclei", "definition": "Number of objects of nuclei in the well."}
    ]


def test_the_same_again_gives_the_same(lake: ProfileLake) -> None:
    first = lake.lake.profile(study="pilot", recipe="spherized")
    before = {level: rows(lake, "spherized@1", level) for level in ("well", "treatment")}
    fits = lake.lake.root.tables.version("profile_fits")
    again = lake.lake.profile(study="pilot", recipe="spherized")
    assert (again["profile_set"], again["fit_version"]) == (first["profile_set"], 1)
    assert lake.lake.root.tables.version("profile_fits") == fits, "nothing new was learned, nothing is stored"
    for level, table in before.items():
        assert without_run(rows(lake, "spherized@1", level)).equals(without_run(table))
    assert {key: value for key, value in again.items() if key != "run_id"} == {
        key: value for key, value in first.items() if key != "run_id"
    }


def test_other_wells_to_learn_from_make_the_next_fit_version(lake: ProfileLake) -> None:
    lake.lake.profile(study="pilot")
    told = lake.lake.exclude(study="pilot", plate="P1", wells=["A01"], reason="dust")["warnings"]
    assert ["treatments and curves of study pilot stay as they were" in text for text in told] == [True]
    result = lake.lake.profile(study="pilot")
    assert (result["profile_set"], result["fit_version"]) == ("standard@1", 2)
    assert [one["controls"] for one in result["plates"]] == [5, 6]
    stored = rows(lake, "standard@1")
    assert stored.num_rows == 47, "an excluded well is in no profile"
    assert set(stored["fit_version"].to_pylist()) == {2}
    versions = lake.lake.sql("SELECT fit_version, count(*) AS n FROM profile_fits GROUP BY 1 ORDER BY 1").to_arrow()
    assert versions.to_pylist() == [{"fit_version": 1, "n": 3}, {"fit_version": 2, "n": 3}]
    lake.lake.exclude(study="pilot", plate="P1", wells=["A01"], include=True)
    assert lake.lake.profile(study="pilot")["fit_version"] == 1, "as it was before: the first parameters again"


def test_naming_plates_fits_on_these_alone_and_says_so(lake: ProfileLake) -> None:
    for _ in range(2):
        result = lake.lake.profile(study="pilot", plates=["P2"])
        assert result["warnings"] == ["fitted on the named plate(s) alone: P2"]
        assert set(rows(lake, "standard@1")["plate_id"].to_pylist()) == {"P2"}
    lake.lake.profile(study="pilot")
    assert set(rows(lake, "standard@1")["plate_id"].to_pylist()) == {"P1", "P2"}
    with pytest.raises(UsageError, match=r"1 other plate\(s\) of study pilot .* would lose them: P1") as raised:
        lake.lake.profile(study="pilot", plates=["P2"])
    assert "--apply standard@1" in str(raised.value.hint)
    assert set(rows(lake, "standard@1")["plate_id"].to_pylist()) == {"P1", "P2"}


def test_a_plate_without_controls_is_refused_before_anything_is_written(lake: ProfileLake) -> None:
    lake.plate("pilot", "P3", seed=3, wells={well: treated(1) for well in PLATE_WELLS})
    with pytest.raises(InvalidDataError, match=r"plate P3 of study pilot has no control well .*treatment \(24\)"):
        lake.lake.profile(study="pilot")
    assert not lake.lake.root.tables.exists("profile_sets")
    assert not any(name.startswith("profiles/") for name in lake.lake.root.tables.names())


def test_plates_without_controls_may_be_left_out(lake: ProfileLake, tmp_path: Path) -> None:
    lake.plate("pilot", "P3", seed=3, wells={well: treated(1) for well in PLATE_WELLS})
    own = recipe(tmp_path, '[controls]\nnone = "leave_out"\n[[steps]]\noperator = "robust_z"\non = "controls"\n')
    result = lake.lake.profile(study="pilot", recipe=own)
    assert [(one["plate_id"], one["left_out"]) for one in result["plates"]] == [
        ("P1", False),
        ("P2", False),
        ("P3", True),
    ]
    assert result["warnings"][0].startswith("plate P3 of study pilot is left out: no control well")
    assert set(rows(lake, "mine@1")["plate_id"].to_pylist()) == {"P1", "P2"}


def test_three_controls_are_few(lake: ProfileLake, tmp_path: Path) -> None:
    lake.plate("pilot", "P3", seed=3, wells=plate_map(controls=3))
    result = lake.lake.profile(study="pilot")
    assert next(text for text in result["warnings"] if "P3" in text).startswith(
        "plate P3 of study pilot has 3 control well(s) (A01, A02, A03), fewer than 4"
    )
    step = '[[steps]]\noperator = "robust_z"\non = "controls"\n'
    with pytest.raises(InvalidDataError, match="P3 of study pilot has fewer than 4 control wells"):
        lake.lake.profile(study="pilot", recipe=recipe(tmp_path, f'[controls]\nfew = "error"\n{step}'))
    result = lake.lake.profile(study="pilot", recipe=recipe(tmp_path, f'[controls]\nfew = "leave_out"\n{step}'))
    assert [one["left_out"] for one in result["plates"]] == [False, False, True]


def test_controls_without_objects_are_no_controls(lake: ProfileLake) -> None:
    known = plate_map()
    lake.annotate("pilot", "P3", known)
    values = objects_of(known, seed=3, n_features=len(FEATURES))
    gone = list(PLATE_WELLS[:6])
    lake.objects("pilot", "P3", {well: one for well, one in values.items() if well not in gone}, empty=gone)
    with pytest.raises(InvalidDataError, match=r"plate P3 .*no control well.*without features: A01, A02"):
        lake.lake.profile(study="pilot")


def test_a_well_without_objects_has_a_count_and_nothing_else(lake: ProfileLake) -> None:
    known = plate_map()
    lake.annotate("pilot", "P3", known)
    values = objects_of(known, seed=3, n_features=len(FEATURES))
    values.pop("D06")
    lake.objects("pilot", "P3", values, empty=["D06"])
    lake.lake.profile(study="pilot", recipe="well-medians")
    every = rows(lake, "well-medians@1").to_pylist()
    found = [row for row in every if (row["plate_id"], row["well_id"]) == ("P3", "D06")]
    assert [(row["Nuclei_Count"], row["n_objects"], row[FEATURES[0]]) for row in found] == [(0.0, 0, None)]
    assert found[0]["fit_version"] is None, "nothing was fitted"


def test_a_fifth_of_the_values_missing_is_no_obstacle(tmp_path: Path) -> None:
    made = ProfileLake.make(tmp_path / "lake")
    for number in (1, 2):
        made.plate("pilot", f"P{number}", seed=number, missing=0.2)
    result = made.lake.profile(study="pilot", recipe="spherized")
    stored = rows(made, "spherized@1")
    kept = [name for name in FEATURES if name in stored.column_names]
    assert result["features"]["kept"] == len(kept) >= 3
    assert all(stored[name].null_count == 0 for name in kept)
    objects = objects_of(plate_map(), seed=1, n_features=len(FEATURES), missing=0.2)
    medians = made.lake.profile(study="pilot", recipe="well-medians")
    assert medians["rows"] == {"well": 48}
    found = rows(made, "well-medians@1").to_pylist()[0]
    assert found[FEATURES[0]] == pytest.approx(float(np.nanmedian(objects["A01"][:, 0].astype(np.float64))))


def test_wells_with_missing_features_are_dropped_by_selection_and_counted(lake: ProfileLake) -> None:
    known = plate_map()
    lake.annotate("pilot", "P3", known)
    values = objects_of(known, seed=3, n_features=len(FEATURES))
    for well in PLATE_WELLS[6:20]:
        values[well][:, 1] = np.nan  # a fifth of the wells of the study
    lake.objects("pilot", "P3", values)
    result = lake.lake.profile(study="pilot")
    assert FEATURES[1] not in rows(lake, "standard@1").column_names
    assert result["flags"]["na"] >= 1


def test_plates_with_other_features_stand_side_by_side(lake: ProfileLake) -> None:
    more = (*FEATURES[:-1], "Nuclei_Intensity_MeanIntensity_Mito")
    lake.plate("pilot", "P3", seed=3, features=more)
    result = lake.lake.profile(study="pilot", recipe="robust-z")
    stored = rows(lake, "robust-z@1")
    assert result["features"]["in"] == 7
    of_plate = {plate: stored.filter(pa.compute.equal(stored["plate_id"], plate)) for plate in ("P1", "P3")}
    assert of_plate["P1"]["Nuclei_Intensity_MeanIntensity_Mito"].null_count == 24
    assert of_plate["P3"]["Nuclei_Intensity_MeanIntensity_Mito"].null_count == 0
    assert of_plate["P3"][FEATURES[-1]].null_count == 24


def test_features_of_other_studies_are_no_columns(lake: ProfileLake) -> None:
    lake.plate("other", "P1", seed=5, features=("Nuclei_AreaShape_Area", "Nuclei_AreaShape_Perimeter"))
    lake.lake.profile(study="pilot", recipe="robust-z")
    assert "Nuclei_AreaShape_Perimeter" not in rows(lake, "robust-z@1").column_names


def test_two_studies_are_fitted_together_where_the_recipe_says_so(lake: ProfileLake, tmp_path: Path) -> None:
    lake.plate("second", "P1", seed=7)
    body = (
        '[[steps]]\noperator = "standardize"\nfit = "all"\non = "all"\n'
        '[[steps]]\noperator = "standardize"\nfit = "study"\non = "all"\n[consensus]\nby = ["perturbation"]\n'
    )
    result = lake.lake.profile(study=["pilot", "second"], recipe=recipe(tmp_path, body))
    assert {(one["study_id"], one["plate_id"]) for one in result["plates"]} == {
        ("pilot", "P1"),
        ("pilot", "P2"),
        ("second", "P1"),
    }
    units = lake.lake.sql("SELECT step, unit FROM profile_fits ORDER BY ALL").to_arrow().to_pylist()
    assert [(one["step"], one["unit"]) for one in units] == [(0, "*"), (1, "pilot"), (1, "second")]
    assert set(rows(lake, "mine@1", "treatment")["study_id"].to_pylist()) == {"pilot", "second"}


def test_controls_and_treatments_may_be_attributes(tmp_path: Path) -> None:
    made = ProfileLake.make(tmp_path / "lake")
    wells = {
        well: {"attributes": {"Genes": "Cells" if at < 6 else f"G{at // 2}", "plate": "x"}}
        for at, well in enumerate(PLATE_WELLS)
    }
    made.plate("pilot", "P1", seed=1, wells=wells)
    body = '[controls]\nwhere = { Genes = "Cells" }\n[[steps]]\noperator = "robust_z"\non = "controls"\n'
    result = made.lake.profile(study="pilot", recipe=recipe(tmp_path, f'{body}[consensus]\nby = ["Genes"]\n'))
    assert result["plates"][0]["control_wells"] == list(PLATE_WELLS[:6])
    assert "Cells" in rows(made, "mine@1", "treatment")["treatment"].to_pylist()
    with pytest.raises(RecipeError, match=r"\[consensus\] by: no well has 'Gene'; did you mean"):
        made.lake.profile(study="pilot", recipe=recipe(tmp_path, f'{body}[consensus]\nby = ["Gene"]\n'))
    with pytest.raises(RecipeError, match=r"\[controls\] where: no well has 'genes'"):
        made.lake.profile(study="pilot", recipe=recipe(tmp_path, body.replace("Genes", "genes")))


def test_wells_that_were_measured_elsewhere_are_a_source(tmp_path: Path) -> None:
    made = ProfileLake.make(tmp_path / "lake")
    made.annotate("pilot", "P1", plate_map())
    random = np.random.default_rng(1)
    values = {well: [float(x) for x in random.normal(3, 2, 3)] for well in PLATE_WELLS}
    values["B01"][1] = None  # type: ignore[call-overload]
    label = made.wells("pilot", "P1", values, features=["Area", "Roundness", "Spots"])
    result = made.lake.profile(study="pilot", recipe="robust-z")
    assert result["source"] == label
    stored = rows(made, "robust-z@1")
    areas = np.array([values[well][0] for well in PLATE_WELLS])
    np.testing.assert_allclose(stored["Area"].to_numpy(), mad_z(areas, areas[:6]), rtol=1e-12)
    assert [row["well_id"] for row in stored.to_pylist() if row["Roundness"] is None] == ["B01"]
    over = made.lake.profile(study="pilot", recipe="well-medians", source="robust-z")
    assert over["source"] == "robust-z@1"
    again = rows(made, "well-medians@1")
    assert again["Area"].equals(stored["Area"]), "wells are taken as they are"


def test_the_run_says_what_it_read_and_which_wells_were_controls(lake: ProfileLake) -> None:
    result = lake.lake.profile(study="pilot")
    found = lake.lake.sql(f"SELECT * FROM runs WHERE run_id = '{result['run_id']}'").to_arrow().to_pylist()
    assert len(found) == 1
    run, parameters = found[0], json.loads(found[0]["parameters"])
    assert (run["verb"], run["status"], run["study_id"]) == ("profile", "ok", "pilot")
    assert parameters["controls"] == {f"pilot/P{n}": list(PLATE_WELLS[:6]) for n in (1, 2)}
    read = {(one["kind"], one["name"]): one for one in run["inputs"]}
    table = next(name for kind, name in read if kind == "table" and name.startswith("features/nuclei/"))
    assert read["table", table]["version"] == lake.lake.root.tables.version(table)
    assert ("recipe", "standard") in read
    assert {one["name"] for one in run["outputs"]} >= {"profile_fits"}


def test_thresholds_of_the_recipe_are_held_against_the_profiles(lake: ProfileLake, tmp_path: Path) -> None:
    body = (
        '[controls]\n[[steps]]\noperator = "robust_z"\non = "controls"\n'
        "[quality]\nNullFraction = { warn = 0.5, refuse = 0.9 }\n"
    )
    result = lake.lake.profile(study="pilot", recipe=recipe(tmp_path, body))
    assert result["quality"]["pilot"]["verdict"] == "refused", "Nuclei_Count has a MAD of 0"
    assert any("NullFraction" in text for text in result["warnings"])
    written = lake.lake.sql("SELECT DISTINCT feature_set, verdict FROM feature_quality WHERE feature = 'Nuclei_Count'")
    assert {"feature_set": "mine@1", "verdict": "refused"} in written.to_arrow().to_pylist()
    with pytest.raises(RecipeError, match="there is no measure 'NullFracton'; did you mean 'NullFraction'"):
        lake.lake.profile(study="pilot", recipe=recipe(tmp_path, "[quality]\nNullFracton = { warn = 1 }\n"))
    lake.plate("pilot", "P3", seed=3)
    applied = lake.lake.profile(study="pilot", apply="mine@1", like="P1")
    assert applied["quality"]["pilot"]["verdict"] == "refused", "thresholds of the recipe that was fitted"


def test_a_recipe_under_another_name_is_the_same_profile_set(lake: ProfileLake, tmp_path: Path) -> None:
    lake.lake.profile(study="pilot")
    text = Path(recipe(tmp_path, "")).with_name("copy.toml")
    found = next(one for one in cytolake.lake.recipes() if one["name"] == "standard")["text"]
    text.write_text(found.replace('name = "standard"', 'name = "copy"'), encoding="utf-8")
    result = lake.lake.profile(study="pilot", recipe=text)
    assert result["profile_set"] == "standard@1"
    assert result["warnings"] == [f"{text} says what standard@1 says: its profiles are those of that profile set"]


@pytest.mark.parametrize(
    ("asked", "kind", "said"),
    [
        ({"study": "pliot"}, NotFoundError, "no plates of a study 'pliot'; did you mean 'pilot'"),
        ({"study": []}, UsageError, "no study is named"),
        ({"study": "pilot", "plates": ["P9"]}, NotFoundError, "study 'pilot' has no plate 'P9'"),
        ({"study": "pilot", "recipe": "standart"}, NotFoundError, "no recipe 'standart'"),
        ({"study": "pilot", "source": "nuclie"}, NotFoundError, "no feature set or profile set 'nuclie'"),
        ({"study": "pilot", "like": "P1"}, UsageError, "nothing is applied"),
        ({"study": "bare"}, NotFoundError, "study 'bare' has no features that profiles could be made from"),
        ({"study": "bare", "source": "nuclei"}, NotFoundError, "study 'bare' has no rows of feature set nuclei@1"),
        ({"study": "pilot", "plates": ["unmeasured"]}, NotFoundError, "plate 'unmeasured' has no rows of feature set"),
    ],
)
def test_what_cannot_be_done_is_told(lake: ProfileLake, asked: dict[str, Any], kind: Any, said: str) -> None:
    lake.annotate("bare", "P1", {"A01": CONTROL})
    lake.annotate("pilot", "unmeasured", {"A01": CONTROL})
    with pytest.raises(kind, match=said):
        lake.lake.profile(**asked)


def test_a_label_that_two_sets_share_is_told_with_a_hash(lake: ProfileLake, tmp_path: Path) -> None:
    path = tmp_path / "wells.csv"
    path.write_text("Metadata_Plate,Metadata_Well,Cells_AreaShape_Area\nP1,A01,1.5\nP1,A02,2.5\n", encoding="utf-8")
    lake.lake.import_tables(path, study="bare", name="nuclei")
    with pytest.raises(NotFoundError, match="study 'bare' has no rows of feature set nuclei@1") as caught:
        lake.lake.profile(study="bare", source="nuclei@1", recipe="well-medians")
    hashed = str(caught.value.hint).removeprefix("it has ").partition(" = nuclei@1 (profile set: well)")[0]
    assert lake.lake.profile(study="bare", source=hashed, recipe="well-medians")["rows"] == {"well": 2}


def test_object_sets_that_are_not_there_are_told(lake: ProfileLake, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="feature set nuclei@1 has no object set 'nucleus'; did you mean 'nuclei'"):
        lake.lake.profile(study="pilot", recipe=recipe(tmp_path, '[aggregate]\nobjects = ["nucleus"]\n'))


def test_progress_is_told_up_to_the_end(lake: ProfileLake) -> None:
    seen: list[tuple[int, int]] = []
    lake.lake.profile(study="pilot", progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert seen[-1] == (len(seen), len(seen))


def test_fields_that_were_measured_elsewhere_become_wells_first(tmp_path: Path) -> None:
    made = ProfileLake.make(tmp_path / "lake")
    made.annotate("pilot", "P1", plate_map())
    random = np.random.default_rng(2)
    values = {well: random.normal(3, 1, (3, 2)) for well in PLATE_WELLS}
    counts = {well: random.integers(1, 50, 3) for well in PLATE_WELLS}
    label = made.fields("pilot", "P1", values, counts, features=["Mean_Cells_Area", "Mean_Cells_Roundness"])
    result = made.lake.profile(study="pilot", recipe="well-medians")
    assert result["source"] == label
    stored = rows(made, "well-medians@1")
    assert stored["field_id"].null_count == len(PLATE_WELLS)
    expected = [float(np.median(values[well][:, 0])) for well in PLATE_WELLS]
    np.testing.assert_allclose(stored["Mean_Cells_Area"].to_numpy(), expected, rtol=1e-12)
    assert stored["Count_Cells"].to_pylist() == [float(counts[well].sum()) for well in PLATE_WELLS], "counts are summed"


def test_the_lake_is_as_sound_as_before(lake: ProfileLake) -> None:
    before = lake.lake.validate(deep=True)["errors"]  # these objects have no images
    lake.lake.profile(study="pilot", recipe="spherized")
    assert lake.lake.validate(deep=True)["errors"] == before


def test_no_step_learns_from_wells_without_objects(lake: ProfileLake) -> None:
    known = plate_map()
    lake.annotate("alone", "P1", known)
    values = objects_of(known, seed=3, n_features=len(FEATURES))
    random = np.random.default_rng(0)
    values = {well: one[: random.integers(8, 20)] for well, one in values.items()}
    gone = ["A01", "B05", "B06", "C01"]  # a sixth of the plate, and a control
    for well in gone:
        values.pop(well)
    lake.objects("alone", "P1", values, empty=gone)
    result = lake.lake.profile(study="alone", recipe="robust-z")
    assert result["plates"][0]["control_wells"] == list(PLATE_WELLS[1:6])
    fits = lake.lake.sql("SELECT controls FROM profile_fits WHERE profile_set = 'robust-z@1'").to_arrow().to_pylist()
    assert fits == [{"controls": [f"P1/{well}" for well in PLATE_WELLS[1:6]]}], "what is told is what was done"
    counts = np.array([len(values.get(well, ())) for well in PLATE_WELLS], dtype=np.float64)
    found = np.array(rows(lake, "robust-z@1")["Nuclei_Count"].to_pylist())
    np.testing.assert_allclose(found, mad_z(counts[:, None], counts[1:6, None])[:, 0], rtol=1e-12)
    for name in ("standard", "spherized", "whole-plate"):
        result = lake.lake.profile(study="alone", recipe=name)
        assert result["features"]["kept"] >= 4, "features are not given up because some wells are empty"
        assert "na" not in result["flags"]


def test_where_nothing_is_left_it_is_said_which_step_left_features_empty(lake: ProfileLake) -> None:
    known = plate_map()
    lake.annotate("alike", "P1", known)
    values = objects_of(known, seed=3, n_features=len(FEATURES))
    values |= {well: np.ones_like(values[well]) for well in PLATE_WELLS[:6]}
    lake.objects("alike", "P1", values)
    with pytest.raises(InvalidDataError, match=r"none of the 6 features is left .* step 1 \(robust_z\) 6 zero_mad"):
        lake.lake.profile(study="alike", recipe="standard")


def test_wells_that_a_step_leaves_without_values_are_told(tmp_path: Path) -> None:
    made = ProfileLake.make(tmp_path / "lake")
    made.annotate("pilot", "P1", plate_map())
    random = np.random.default_rng(1)
    values: dict[str, list[float | None]] = {well: list(random.normal(size=3)) for well in PLATE_WELLS}
    values["C03"][1] = None  # no control: nothing keeps the feature from being learned
    made.wells("pilot", "P1", values, features=FEATURES[:3])
    step = '[controls]\n[[steps]]\noperator = "spherize"\nfit = "plate"\non = "controls"\n'
    result = made.lake.profile(study="pilot", recipe=recipe(tmp_path, step))
    assert result["warnings"] == ["step 1 (spherize) leaves 1 row(s) of wells without any value: P1/C03"]
    assert made.lake.profile(study="pilot", recipe="robust-z")["warnings"] == []


def test_a_plate_whose_wells_are_all_excluded_is_passed_over(lake: ProfileLake) -> None:
    lake.lake.profile(study="pilot", recipe="robust-z")
    lake.lake.exclude(list(PLATE_WELLS), study="pilot", plate="P2", reason="contaminated")
    result = lake.lake.profile(study="pilot", recipe="robust-z")
    assert result["rows"]["well"] == 24
    assert "plate P2 of study pilot has no profile: all of its wells are excluded" in result["warnings"]
    assert set(rows(lake, "robust-z@1")["plate_id"].to_pylist()) == {"P1"}
