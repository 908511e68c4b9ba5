"""Quality of features: what was planted is found and told first, and nothing is on clean data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cytolake.errors import NotFoundError, RecipeError, UsageError
from cytolake.schemas.tables import arrow_schema, class_schema, feature_table_schema
from cytolake.store.commit import Commit
from cytolake.store.registry import register, register_profiles
from cytolake.store.releases import create_release
from cytolake.store.root import LakeRoot, init_root
from cytolake.transforms.profiles.quality import check_features

FEATURES = tuple(f"Nuclei_AreaShape_F{number}" for number in range(12))
PLATES = tuple(f"P{number}" for number in range(1, 7))
WELLS = [f"{row}{column:02}" for row in "AB" for column in range(1, 13)]
CONTROLS, POSITIVES = WELLS[:6], WELLS[6:8]
COMPOUNDS = {well: f"compound {number // 2}" for number, well in enumerate(WELLS[8:])}
OBJECTS = 40

RECIPE = """
name = "watch"
[controls]
where = { control_type = "negative_vehicle" }
[quality]
NullFraction = { warn = 0.05, refuse = 0.5 }
InfFraction = { warn = 0.0 }
KS = { warn = 0.2 }
PSI = { warn = 0.25, refuse = 2 }
MedianPSI = { warn = 0.1 }
ControlDrift = { warn = 1.5, refuse = 6 }
MedianControlDrift = { warn = 1 }
ControlDriftSlope = { warn = 0.01 }
ReplicateCorrelation = { warn = 0.5, refuse = 0 }
PercentReplicating = { warn = 50 }
ZPrime = { warn = 0 }
SSMD = { warn = 3 }
"""

ACQUISITION = {
    "acquisition_id": 1,
    "vendor": "none",
    "format_version": "1",
    "reader": "none",
    "z_mode": "single_plane",
    "n_z_planes": 1,
    "n_timepoints": 1,
    "height": 1,
    "width": 1,
    "pixel_size_x_um": 1.0,
    "pixel_size_y_um": 1.0,
}

#: Plate and values of its wells, of shape (wells, features), to what they are with something planted.
Plant = Callable[[str, np.ndarray], np.ndarray]


def wells_of(plate: str, seed: int = 0) -> np.ndarray:
    """Medians of wells: plates alike, positives 12 deviations away, compounds with an effect of their own."""
    rng = np.random.default_rng([seed, int(plate[1:])])
    effects = np.random.default_rng(99).normal(scale=3, size=(8, len(FEATURES)))
    values = rng.normal(scale=0.5, size=(len(WELLS), len(FEATURES)))
    for row, well in enumerate(WELLS):
        if well in POSITIVES:
            values[row] += np.where(np.arange(len(FEATURES)) % 3, 12, -12)
        if well in COMPOUNDS:
            values[row] += effects[int(COMPOUNDS[well].split()[1])]
    return values + 10


def rows(table: str, records: list[Mapping[str, Any]]) -> pa.Table:
    schema = arrow_schema(table)
    return pa.Table.from_pylist([{name: one.get(name) for name in schema.names} for one in records], schema=schema)


def objects_of(plate: str, values: np.ndarray, run_id: str, seed: int) -> pa.Table:
    """Objects around the medians of their wells."""
    rng = np.random.default_rng([seed, 7, int(plate[1:])])
    n = len(WELLS) * OBJECTS
    spread = np.repeat(values, OBJECTS, axis=0) + rng.normal(size=(n, len(FEATURES)))
    columns: dict[str, Any] = {
        "study_id": ["s"] * n,
        "plate_id": [plate] * n,
        "acquisition_id": np.ones(n, np.int32),
        "well_id": np.repeat(WELLS, OBJECTS),
        "field_id": np.ones(n, np.int32),
        "timepoint": np.zeros(n, np.int32),
        "object_id": np.tile(np.arange(1, OBJECTS + 1, dtype=np.int32), len(WELLS)),
        "parent_id": pa.nulls(n, pa.int32()),
        "run_id": [run_id] * n,
    }
    columns |= {name: pa.array(spread[:, k], pa.float32(), from_pandas=True) for k, name in enumerate(FEATURES)}
    schema = feature_table_schema(FEATURES)
    return pa.table({field.name: columns[field.name] for field in schema}).cast(schema)


class Study:
    """A lake with one study of six plates."""

    def __init__(self, folder: Path) -> None:
        self.root: LakeRoot = init_root(folder / "lake")
        self.recipe = folder / "watch.toml"
        self.recipe.write_text(RECIPE, encoding="utf-8")
        self._runs = 0
        started = datetime(2026, 1, 1, tzinfo=UTC)
        with self.commit() as commit:
            for number, plate in enumerate(PLATES):
                key = {"study_id": "s", "plate_id": plate, "run_id": "r0"}
                plates = [{**key, "n_rows": 8, "n_columns": 12, "status": "no_images"}]
                commit.append("plates", rows("plates", plates))
                commit.append(
                    "acquisitions",
                    rows(
                        "acquisitions",
                        [{**key, **ACQUISITION, "started_at": started + timedelta(days=number)}],
                    ),
                )
                commit.append("wells", rows("wells", [{**key, **self.well(well)} for well in WELLS]))
            commit.commit()

    def commit(self) -> Commit:
        self._runs += 1
        return Commit(self.root, run_id=f"r{self._runs:03}", app_id=f"test/{self._runs}")

    @staticmethod
    def well(well: str) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "well_id": well,
            "row": 1 + "AB".index(well[0]),
            "column": int(well[1:]),
            "n_perturbations": 1,
            "excluded": False,
        }
        if well in CONTROLS:
            return {**facts, "control_type": "negative_vehicle", "perturbation": "DMSO"}
        if well in POSITIVES:
            return {**facts, "control_type": "positive", "control_name": "poison", "perturbation": "poison"}
        return {**facts, "control_type": "treatment", "perturbation": COMPOUNDS[well]}

    def features(
        self, plant: Plant = lambda _, values: values, *, seed: int = 0, plates: tuple[str, ...] = PLATES
    ) -> str:
        """Commit objects of all plates under one feature set."""
        run = f"f{self._runs:03}"
        made = register(self.root, "nuclei", {"objects": {"nuclei": {}}}, recipe_text=None, run_id=run)
        with self.commit() as commit:
            made.add_to(commit)
            for plate in plates:
                table = objects_of(plate, plant(plate, wells_of(plate, seed)), run, seed)
                commit.replace(made.set.table("nuclei"), {"study_id": "s", "plate_id": plate}, table)
            commit.commit()
        return made.set.label

    def profiles(self, plant: Plant = lambda _, values: values, *, recipe: str | None = None) -> str:
        """Commit wells of all plates under one profile set."""
        definition = {"imported": {"dialect": "wide", "name": "w"}, "levels": ["well"]}
        made = register_profiles(self.root, "w", definition, levels=["well"], recipe_text=recipe, run_id="p001")
        schema = pa.schema([*class_schema("ProfileRow"), *(pa.field(name, pa.float64()) for name in FEATURES)])
        with self.commit() as commit:
            made.add_to(commit)
            for plate in PLATES:
                values = plant(plate, wells_of(plate))
                same = {"study_id": "s", "plate_id": plate, "acquisition_id": 1, "timepoint": 0, "run_id": "p001"}
                records = [
                    {**same, "well_id": well, **dict(zip(FEATURES, values[row], strict=True))}
                    for row, well in enumerate(WELLS)
                ]
                table = pa.Table.from_pylist(records, schema=schema)
                commit.replace(made.set.table("well"), {"study_id": "s", "plate_id": plate}, table)
            commit.commit()
        return made.set.label

    def check(self, **options: Any) -> dict[str, Any]:
        return check_features(self.root, study_id="s", **{"recipe": self.recipe, **options})

    def quality(self, **where: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.root.tables.read("feature_quality", where=where).to_pylist()
        return found


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def measure(result: Mapping[str, Any], metric: str) -> dict[str, Any]:
    (found,) = [one for one in result["measures"] if one["metric"] == metric]
    return dict(found)


def only(index: int, plates: tuple[str, ...], change: Callable[[np.ndarray, int], np.ndarray]) -> Plant:
    """Change one feature of all wells of some plates; ``change`` is given the number of the plate."""

    def plant(plate: str, values: np.ndarray) -> np.ndarray:
        if plate in plates:
            values[:, index] = change(values[:, index], int(plate[1:]))
        return values

    return plant


def test_nothing_is_flagged_on_clean_objects(study: Study) -> None:
    study.features()
    create_release(study.root, "spring")
    study.features(seed=1)
    result = study.check(reference="spring")
    assert result["warnings"] == []
    assert result["verdict"] == "ok"
    assert {row["verdict"] for row in study.quality()} == {"ok", "none"}
    assert measure(result, "PSI")["values"] == len(FEATURES) * len(PLATES)
    assert measure(result, "PercentReplicating")["worst"]["value"] == 100
    assert measure(result, "ZPrime")["worst"]["value"] > 0


def test_nothing_is_flagged_on_clean_profiles(study: Study) -> None:
    study.profiles()
    result = study.check(reference="P3")
    assert (result["warnings"], result["verdict"], result["sets"]) == ([], "ok", ["w@1"])
    # A plate is not compared with itself.
    assert {row["plate_id"] for row in study.quality(metric="KS")} == set(PLATES) - {"P3"}


def test_a_planted_null_column_comes_first(study: Study) -> None:
    study.features(only(3, ("P2",), lambda values, _: np.full_like(values, np.nan)))
    result = study.check()
    assert (result["verdict"], result["measures"][0]["metric"]) == ("refused", "NullFraction")
    worst = measure(result, "NullFraction")["worst"]
    assert (worst["feature"], worst["plate_id"], worst["value"]) == (FEATURES[3], "P2", 1)
    (row,) = study.quality(metric="NullFraction", verdict="refused")
    assert (row["feature"], row["threshold"], row["object_set"]) == (FEATURES[3], 0.5, "nuclei")
    assert "NullFraction is above its threshold" in result["warnings"][0]
    assert FEATURES[3] in result["warnings"][0]
    # One of twelve features: the plate as a whole has a twelfth empty, which is above 0.05 too.
    (whole,) = study.quality(metric="NullFraction", verdict="warning")
    assert (whole["feature"], whole["value"]) == (None, pytest.approx(1 / 12))


def test_infinite_values_are_counted(study: Study) -> None:
    study.features(only(0, ("P1",), lambda values, _: np.full_like(values, np.inf)))
    study.check()
    counted = {(row["plate_id"], row["feature"]): row["value"] for row in study.quality(metric="InfFraction")}
    assert counted["P1", FEATURES[0]] == 1
    assert counted["P1", None] == pytest.approx(1 / 12)
    assert counted["P2", None] == 0
    assert len(counted) == len(PLATES) + 1


def test_a_planted_shift_against_a_release_comes_first(study: Study) -> None:
    study.features()
    create_release(study.root, "spring")
    study.features(only(5, ("P4",), lambda values, _: values + 2), seed=1)
    result = study.check(reference="spring")
    worst = measure(result, "PSI")["worst"]
    assert (worst["feature"], worst["plate_id"]) == (FEATURES[5], "P4")
    assert worst["reference"] == "release spring: control wells"
    flagged = [row for row in study.quality(metric="PSI") if row["verdict"] != "ok"]
    assert [(row["feature"], row["plate_id"]) for row in flagged] == [(FEATURES[5], "P4")]
    assert measure(result, "KS")["worst"]["feature"] == FEATURES[5]


def test_a_release_is_what_it_was(study: Study) -> None:
    study.features(plates=("P1", "P2"))
    create_release(study.root, "spring")
    study.features(only(5, PLATES, lambda values, _: values + 2))
    assert measure(study.check(reference="spring"), "PSI")["worst"]["feature"] == FEATURES[5]


def test_a_shift_of_wells_alone_is_found_among_few_wells(study: Study) -> None:
    study.profiles(only(2, ("P5",), lambda values, _: values + 40))
    result = study.check(reference="P1")
    worst = measure(result, "KS")["worst"]
    assert (worst["feature"], worst["plate_id"], worst["reference"]) == (FEATURES[2], "P5", "plate P1: all wells")


def test_a_planted_drift_of_controls_is_found_with_its_trend(study: Study) -> None:
    study.features(only(7, PLATES, lambda values, number: values + 2.0 * number))
    result = study.check()
    drift, slope = measure(result, "ControlDrift"), measure(result, "ControlDriftSlope")
    assert drift["worst"]["feature"] == slope["worst"]["feature"] == FEATURES[7]
    assert drift["worst"]["plate_id"] in {"P1", "P6"}
    assert {row["feature"] for row in study.quality(metric="ControlDrift", verdict="refused")} == {FEATURES[7]}
    assert {row["feature"] for row in study.quality(metric="ControlDrift", verdict="warning")} <= {FEATURES[7]}
    (row,) = study.quality(metric="ControlDriftSlope", verdict="warning")
    assert (row["feature"], row["plate_id"], row["reference"]) == (FEATURES[7], None, "deviations of controls per day")
    assert row["reason"] == "p = 0.0028"  # 2 of 720 orders of six plates
    # Two units a plate and a day, in deviations of controls.
    values = {one["plate_id"]: one["value"] for one in study.quality(metric="ControlDrift", feature=FEATURES[7])}
    assert values["P6"] - values["P1"] == pytest.approx(5 * row["value"], rel=0.3)
    assert sorted(values, key=lambda plate: values[plate]) == list(PLATES)


def test_a_plate_that_is_off_as_a_whole_is_told(study: Study) -> None:
    study.features(lambda plate, values: values + 3 * (plate == "P3"))
    result = study.check()
    worst = measure(result, "MedianControlDrift")["worst"]
    assert worst["plate_id"] == "P3"
    assert [row["plate_id"] for row in study.quality(metric="MedianControlDrift", verdict="warning")] == ["P3"]


def test_a_planted_bad_replicate_is_named(study: Study) -> None:
    def opposite(plate: str, values: np.ndarray) -> np.ndarray:
        if plate == "P2":
            values[8] = 20 - values[8]  # the opposite of what compound 0 does
        return values

    study.profiles(opposite)
    (told,) = study.check()["replicates"]
    worst = told["wells"][0]
    assert (worst["plate_id"], worst["well_id"], worst["treatment"]) == ("P2", WELLS[8], "compound 0")
    assert worst["correlation"] < 0 < told["wells"][1]["correlation"]
    assert len(told["treatments"]) == 9


def test_a_plate_without_replication_is_told(study: Study) -> None:
    def shuffled(plate: str, values: np.ndarray) -> np.ndarray:
        if plate == "P5":
            values[8:] = np.random.default_rng(1).permutation(values[8:])
        return values

    study.profiles(shuffled)
    result = study.check()
    assert measure(result, "ReplicateCorrelation")["worst"]["plate_id"] == "P5"
    (row,) = [row for row in study.quality(metric="ReplicateCorrelation") if row["verdict"] != "ok"]
    assert row["plate_id"] == "P5"


def test_separation_of_controls(study: Study) -> None:
    study.features(lambda plate, values: np.where(np.isin(WELLS, POSITIVES)[:, None] & (plate == "P1"), 10, values))
    result = study.check()
    best = {row["plate_id"]: row for row in study.quality(metric="ZPrime") if row["feature"] is None}
    assert best["P2"]["value"] > 0.5
    assert best["P2"]["reference"] == "poison against controls"
    assert "the best of 12 features" in best["P2"]["reason"]
    assert best["P1"]["verdict"] == "warning"
    assert measure(result, "SSMD")["worst"]["plate_id"] == "P1"
    assert {row["verdict"] for row in study.quality(metric="ZPrime") if row["feature"]} == {"none"}
    counts = study.quality(metric="SSMD", plate_id="P2", feature="Nuclei_Count")
    assert (counts[0]["value"], counts[0]["reason"]) == (None, "the controls have no spread")


def test_what_is_not_defined_says_why(study: Study) -> None:
    with study.commit() as commit:
        kept = study.root.tables.read("wells", where={"study_id": "s"})
        kinds = ["treatment" if kind == "positive" else kind for kind in kept["control_type"].to_pylist()]
        place = kept.column_names.index("control_type")
        commit.replace("wells", {"study_id": "s"}, kept.set_column(place, "control_type", pa.array(kinds)))
        commit.commit()
    study.features(plates=("P1",))
    result = study.check()
    (row,) = study.quality(metric="ZPrime")
    assert (row["value"], row["verdict"], row["reason"]) == (None, "none", "no positive controls")
    (row,) = study.quality(metric="MedianControlDrift")
    assert (row["value"], row["reason"]) == (None, "no other plate with controls to compare with")
    assert any("ZPrime has a threshold and is not defined: no positive controls" in one for one in result["warnings"])
    assert any("MedianControlDrift has a threshold and is not defined" in one for one in result["warnings"])


def test_excluded_wells_do_not_count(study: Study) -> None:
    study.features(lambda plate, values: np.where((np.arange(len(WELLS)) == 3)[:, None], np.nan, values))
    assert measure(study.check(), "NullFraction")["worst"]["value"] == pytest.approx(1 / len(WELLS))
    with study.commit() as commit:
        wells = study.root.tables.read("wells", where={"study_id": "s"})
        place = wells.column_names.index("excluded")
        out = pa.array([well == WELLS[3] for well in wells["well_id"].to_pylist()])
        commit.replace("wells", {"study_id": "s"}, wells.set_column(place, "excluded", out))
        commit.commit()
    assert measure(study.check(), "NullFraction")["worst"]["value"] == 0


def test_rows_are_replaced_plate_by_plate(study: Study) -> None:
    study.features(only(3, ("P2",), lambda values, _: np.full_like(values, np.nan)))
    first = study.check()
    n = len(study.quality())
    assert n == first["rows"]
    study.features()
    second = study.check(plate_ids=["P1", "P3"])
    assert second["plates"] == ["P1", "P3"]
    assert len(study.quality()) == n
    # P2 was not looked at again: what was said of it stays.
    assert [row["plate_id"] for row in study.quality(verdict="refused")] == ["P2"]
    assert {row["run_id"] for row in study.quality(plate_id="P1")} == {second["run_id"]}
    study.check(plate_ids=["P2"])
    assert study.quality(verdict="refused") == []


def test_the_check_is_a_run_with_what_it_read(study: Study) -> None:
    study.features()
    result = study.check()
    (run,) = study.root.tables.read("runs", where={"run_id": result["run_id"]}).to_pylist()
    assert (run["verb"], run["status"]) == ("features check", "ok")
    assert [(one["kind"], one["version"] is not None) for one in run["inputs"]] == [("table", True)]
    assert run["outputs"][0]["rows"] == result["rows"]


def test_the_recipe_of_a_profile_set_judges_it(study: Study) -> None:
    study.profiles()
    result = study.check(recipe=None)
    assert (result["thresholds"], result["verdict"]) == ([], "ok")
    assert {row["verdict"] for row in study.quality()} == {"none"}


def test_what_cannot_be_checked(study: Study, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no features to check"):
        study.check()
    study.features()
    with pytest.raises(NotFoundError, match="'autumn' is neither a release nor a plate"):
        study.check(reference="autumn")
    with pytest.raises(NotFoundError, match="P9"):
        study.check(plate_ids=["P9"])
    with pytest.raises(NotFoundError, match="nothing"):
        study.check(source="nothing")
    bad = tmp_path / "bad.toml"
    bad.write_text('name = "bad"\n[quality]\nPSY = { warn = 1 }\n', encoding="utf-8")
    with pytest.raises(RecipeError, match="no measure 'PSY'; did you mean 'PSI'"):
        study.check(recipe=bad)
    bad.write_text('name = "bad"\n[quality]\nPSI = { warn = 1, refuse = 0.5 }\n', encoding="utf-8")
    with pytest.raises(RecipeError, match=r"refuse = 0\.5 comes before warn = 1"):
        study.check(recipe=bad)
    bad.write_text('name = "bad"\n[controls]\nwhere = { colour = "red" }\n', encoding="utf-8")
    with pytest.raises(RecipeError, match="no well has 'colour'"):
        study.check(recipe=bad)
    with pytest.raises(NotFoundError):
        check_features(study.root, study_id="t")
    assert not study.root.tables.exists("feature_quality")


def test_a_reference_without_the_set_is_told(study: Study) -> None:
    study.features(plates=("P1",))
    with pytest.raises(NotFoundError, match="'P2' has no rows of nuclei@1"):
        study.check(reference="P2")


def test_profiles_of_treatments_have_no_plates(study: Study) -> None:
    made = register_profiles(study.root, "t", {"n": 1}, levels=["treatment"], recipe_text=None, run_id="t1")
    schema = pa.schema([*class_schema("TreatmentRow"), pa.field("x", pa.float64())])
    row = {"study_id": "s", "treatment": "a", "n_wells": 1, "n_plates": 1, "run_id": "t1", "x": 1.0}
    with study.commit() as commit:
        made.add_to(commit)
        commit.append(made.set.table("treatment"), pa.Table.from_pylist([row], schema=schema))
        commit.commit()
    with pytest.raises(UsageError, match="rows of treatments only"):
        study.check(source="t")


def test_progress_is_told(study: Study) -> None:
    study.features()
    seen: list[tuple[int, int]] = []
    study.check(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    assert not math.isnan(seen[0][0])
