"""Views and macros about wells and treatments: each against rows that can be counted by hand."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import pytest
from cytolake.errors import QueryError

if TYPE_CHECKING:
    from conftest import TableLake

AREA = "Nuclei_AreaShape_Area"
DNA = "Nuclei_Intensity_MeanIntensity_DNA"


def ask(lake: TableLake, query: str) -> list[tuple[Any, ...]]:
    return list(lake.catalog.sql(query).fetchall())


def test_well_profiles_are_medians_with_counts_and_the_wells_facts(shared_lake: TableLake) -> None:
    rows = ask(
        shared_lake,
        f"""SELECT study_id, plate_id, well_id, object_count, {AREA}, compound, control_type
            FROM well_profiles(nuclei) ORDER BY ALL""",
    )
    assert rows == [
        ("one", "P1", "A01", 2, 105.0, None, "negative_vehicle"),
        ("one", "P1", "A02", 1, 200.0, "nocodazole", None),
        ("one", "P1", "H12", 1, 50.0, None, None),
        ("one", "P2", "A01", 1, 90.0, None, "negative_vehicle"),
        ("one", "P2", "B02", 1, 95.0, "taxol", None),
        ("two", "P1", "A01", 2, 215.0, "nocodazole", None),
    ]


def test_a_feature_without_any_value_is_null_and_a_missing_value_counts_for_nothing(lake: TableLake) -> None:
    area = {"A05": [{AREA: 1.0, DNA: 5.0}, {AREA: 2.0}, {AREA: 9.0, DNA: 7.0}], "A06": [{AREA: 3.0}]}
    lake.features("three", "P1", area)
    rows = ask(lake, f"SELECT well_id, {AREA}, {DNA} FROM well_profiles(nuclei) WHERE study_id = 'three' ORDER BY ALL")
    assert rows == [("A05", 2.0, 6.0), ("A06", 3.0, None)]
    mean = ask(
        lake, f"SELECT {AREA} FROM well_profiles(nuclei, statistic := 'mean') WHERE study_id = 'three' ORDER BY well_id"
    )
    assert mean == [(statistics.fmean([1, 2, 9]),), (3.0,)]


def test_values_that_are_no_finite_numbers_are_missing_as_in_profile_recipes(lake: TableLake) -> None:
    values = [1.0, 2.0, float("nan"), float("inf")]
    lake.features("three", "P1", {"A05": [{AREA: one} for one in values], "A06": [{AREA: float("nan")}]})
    for statistic in ("median", "mean"):
        rows = ask(
            lake,
            f"""SELECT well_id, object_count, {AREA} FROM well_profiles(nuclei, statistic := '{statistic}')
                WHERE study_id = 'three' ORDER BY ALL""",
        )
        assert rows == [("A05", 4, 1.5), ("A06", 1, None)]
    asked = f"SELECT n_wells FROM coverage_of(nuclei) WHERE study_id = 'three' AND feature = '{AREA}'"
    lake.wells("three", "P1", {"A05": {"compound": "x"}, "A06": {"compound": "x"}})
    assert ask(lake, asked) == [(1,)]


def test_a_statistic_that_is_none_is_refused(shared_lake: TableLake) -> None:
    with pytest.raises(QueryError, match="'median' or 'mean'"):
        ask(shared_lake, "FROM well_profiles(nuclei, 'mode')")


def test_columns_of_your_own_are_features_and_well_columns_need_not_be_there(shared_lake: TableLake) -> None:
    rows = ask(
        shared_lake,
        f"""WITH small AS (SELECT study_id, plate_id, well_id, {AREA} / 2 AS half FROM nuclei)
            SELECT well_id, half, compound FROM well_profiles(small)
            WHERE study_id = 'one' AND plate_id = 'P2' ORDER BY 1""",
    )
    assert rows == [("A01", 45.0, None), ("B02", 47.5, "taxol")]


def test_only_the_files_of_the_plate_are_opened(shared_lake: TableLake) -> None:
    scans = shared_lake.catalog.explain("FROM well_profiles(nuclei) WHERE study_id = 'one' AND plate_id = 'P2'")[
        "scans"
    ]
    opened = {scan["table"]: scan["files_opened"] for scan in scans if scan["table"].startswith("features/")}
    assert list(opened.values()) == [1]


def test_controls_are_what_is_compared_with(lake: TableLake) -> None:
    lake.wells(
        "three",
        "P1",
        {
            "A01": {"control_type": "treatment"},
            "A02": {"control_type": "empty"},
            "A03": {"control_type": "positive", "control_name": "PLK1"},
            "A04": {"control_type": "untreated"},
            "A05": {"control_type": "negative_vehicle", "excluded": True},
            "A06": {"control_type": None},
        },
    )
    rows = ask(lake, "SELECT well_id, is_negative, control_name FROM controls WHERE study_id = 'three' ORDER BY ALL")
    assert rows == [("A03", False, "PLK1"), ("A04", True, None)]
    assert ask(lake, "SELECT plate_id, count(*) FROM controls_of(nuclei) GROUP BY ALL ORDER BY ALL") == [
        ("P1", 2),
        ("P2", 1),
    ]


def test_dose_key(shared_lake: TableLake) -> None:
    cases = [
        ("'x'", "1", "x @ 1 uM"),
        ("'x'", "1.0::FLOAT", "x @ 1 uM"),
        ("'x'", "0.9999999", "x @ 1 uM"),
        ("' x '", "0.333333", "x @ 0.333 uM"),
        ("'x'", "1000", "x @ 1000 uM"),
        ("'x'", "123456", "x @ 123000 uM"),
        ("'x'", "0.00001", "x @ 1e-05 uM"),
        ("'x'", "0", "x @ 0 uM"),
        ("'x'", "-0.0::DOUBLE", "x @ 0 uM"),
        ("'x'", "NULL", "x"),
        ("'x'", "-1", None),
        ("'x'", "'nan'::DOUBLE", None),
        ("'x'", "'inf'::DOUBLE", None),
        ("NULL", "1", None),
        ("''", "1", None),
        ("NULL", "NULL", None),
        ("'o''x @ 2 uM; DROP TABLE'", "1", "o'x @ 2 uM; DROP TABLE @ 1 uM"),
    ]
    asked = ", ".join(f"dose_key({compound}, {dose})" for compound, dose, _ in cases)
    ((*found,),) = ask(shared_lake, f"SELECT {asked}")
    assert found == [key for *_, key in cases]


def test_replicates_are_wells_of_one_treatment(lake: TableLake) -> None:
    lake.wells(
        "three",
        "P1",
        {
            "A01": {"compound": "x", "concentration_um": 1.0, "perturbation": "x"},
            "A02": {"compound": "x", "concentration_um": 0.9999999, "perturbation": "x"},
            "A03": {"compound": "x", "concentration_um": 2.0, "perturbation": "x"},
            "A04": {"compound": "x", "concentration_um": 1.0, "perturbation": "x", "excluded": True},
            "A05": {"gene": "ECT2", "perturbation": "siECT2-1"},
            "A06": {"gene": "ECT2", "perturbation": "siECT2-2"},
            "A07": {},
            "A08": {"perturbation": "x + y", "n_perturbations": 2},
        },
    )
    lake.wells("three", "P2", {"A01": {"compound": "x", "concentration_um": 1.0, "perturbation": "x"}})
    both = {"study_id": "three", "plate_id": "P1", "well_id": "A08"}
    lake.put(
        "well_perturbations",
        {**both, "perturbation_id": "x", "concentration_um": 1.0},
        {**both, "perturbation_id": "y", "concentration_um": 3.0},
    )
    rows = ask(lake, "SELECT treatment, n_wells, n_plates FROM replicates WHERE study_id = 'three' ORDER BY ALL")
    assert rows == [
        ("siECT2-1", 1, 1),
        ("siECT2-2", 1, 1),
        ("x @ 1 uM", 3, 2),
        ("x @ 1 uM + y @ 3 uM", 1, 1),
        ("x @ 2 uM", 1, 1),
    ]
    ((wells,),) = ask(lake, "SELECT wells FROM replicates WHERE treatment = 'x @ 1 uM'")
    assert [tuple(well.values()) for well in wells] == [("P1", "A01"), ("P1", "A02"), ("P2", "A01")]


def test_a_row_that_is_there_twice_makes_no_combination(lake: TableLake) -> None:
    lake.wells("three", "P1", {"A01": {"compound": "x", "concentration_um": 1.0, "n_perturbations": 1}})
    once = {"study_id": "three", "plate_id": "P1", "well_id": "A01", "perturbation_id": "x", "concentration_um": 1.0}
    lake.put("well_perturbations", once, once)
    assert ask(lake, "SELECT treatment, n_wells FROM replicates WHERE study_id = 'three'") == [("x @ 1 uM", 1)]


def test_coverage_counts_wells_plates_doses_and_who_shares(lake: TableLake) -> None:
    lake.put(
        "perturbations",
        {"study_id": "one", "perturbation_id": "noc", "name": "Nocodazole", "type": "compound"},
        {"study_id": "one", "perturbation_id": "tax", "name": "taxol", "type": "compound"},
        {"study_id": "two", "perturbation_id": "n", "name": "nocodazole", "type": "compound"},
        {"study_id": "two", "perturbation_id": "rest", "name": "untreated", "type": "none"},
    )
    in_well = [
        ("one", "P1", "A02", "noc", 1.0),
        ("one", "P1", "A03", "noc", 5.0),  # an excluded well
        ("one", "P2", "B02", "tax", None),
        ("two", "P1", "A01", "n", 1.0),
    ]
    names = ("study_id", "plate_id", "well_id", "perturbation_id", "concentration_um")
    lake.put("well_perturbations", *(dict(zip(names, row, strict=True)) for row in in_well))
    rows = ask(lake, "SELECT study_id, key, n_wells, n_plates, n_doses, studies FROM coverage ORDER BY ALL")
    assert rows == [
        ("one", "name:nocodazole", 1, 1, 1, ["one", "two"]),
        ("one", "name:taxol", 1, 1, 0, ["one"]),
        ("two", "name:nocodazole", 1, 1, 1, ["one", "two"]),
        ("two", None, 0, 0, 0, None),
    ]


def test_coverage_of_says_which_features_a_treatment_has(shared_lake: TableLake) -> None:
    rows = ask(
        shared_lake,
        f"""SELECT study_id, feature, n_wells, studies FROM coverage_of(nuclei)
            WHERE treatment = 'name:nocodazole' AND feature IN ('{AREA}', '{DNA}') ORDER BY ALL""",
    )
    assert rows == [("one", AREA, 1, ["one"]), ("one", DNA, 1, ["one"]), ("two", AREA, 1, ["two"])]
    same_dose = ask(
        shared_lake, "SELECT DISTINCT dose FROM coverage_of(nuclei) WHERE treatment = 'name:nocodazole' ORDER BY 1"
    )
    assert same_dose == [("nocodazole",), ("nocodazole @ 1 uM",)]


def test_coverage_of_knows_a_dose_however_its_compound_is_written(lake: TableLake) -> None:
    for study, compound, dose in (("three", "Tax-ol", 2.0), ("four", "TAXOL", 2.0000001)):
        lake.wells(study, "P1", {"A01": {"compound": compound, "concentration_um": dose}})
        lake.features(study, "P1", {"A01": [{AREA: 1.0}]})
    asked = f"""SELECT study_id, dose, n_studies, studies FROM coverage_of(nuclei)
        WHERE treatment = 'name:taxol' AND feature = '{AREA}' AND study_id IN ('three', 'four') ORDER BY ALL"""
    both = (2, ["four", "three"])
    assert ask(lake, asked) == [("four", "TAXOL @ 2 uM", *both), ("three", "Tax-ol @ 2 uM", *both)]


def test_feature_map_brings_names_of_sets_together(lake: TableLake) -> None:
    lake.features("three", "P1", {"A01": [{AREA: 1.0, f"{AREA}_um2": 2.0}]}, name="elsewhere", definition={"x": 1})
    hashes = {row["name"]: row["hash"] for row in lake.root.tables.read("feature_sets").to_pylist()}
    common = {"feature_set_hash": hashes["elsewhere"], "object_set": "nuclei", "run_id": "r"}
    lake.put(
        "feature_dictionary",
        {**common, "column": "Nuclei Area", "original": "Nuclei Area", "family": "Other", "operator": "Other"},
        {
            **common,
            "column": "Nuclei_AreaShape_Perimeter_nyxus",
            "family": "AreaShape",
            "operator": "Perimeter",
            "aliases": ["nyxus:PERIMETER"],
        },
        {
            **common,
            "column": "Nuclei_AreaShape_Area_Named",
            "family": "AreaShape",
            "operator": "Area",
            "aliases": ["incarta:Nuclei Area"],
        },
    )
    rows = ask(
        lake,
        """SELECT feature, relation, "column", "set", n_sets FROM feature_map WHERE object_set = 'nuclei'""",
    )
    assert (AREA, "same", AREA, "nuclei@1", 2) in rows
    assert (AREA, "same", AREA, "elsewhere@1", 2) in rows
    assert (AREA, "scaled", f"{AREA}_um2", "elsewhere@1", 2) in rows
    assert ("Nuclei_AreaShape_Area_Named", "alias", "Nuclei Area", "elsewhere@1", 1) in rows
    assert ("Nuclei_AreaShape_Perimeter", "different", "Nuclei_AreaShape_Perimeter_nyxus", "elsewhere@1", 1) in rows


VIEWS = ("controls", "replicates", "coverage", "feature_map", "harmonised_perturbations", "perturbation_matches")


def test_a_lake_without_anything_has_no_rows(empty_lake: TableLake) -> None:
    assert {view: ask(empty_lake, f"FROM {view}") for view in VIEWS} == {view: [] for view in VIEWS}


def test_views_of_the_library_are_listed_with_their_columns(shared_lake: TableLake) -> None:
    listed = {entry["name"]: entry for entry in shared_lake.catalog.tables()}
    assert listed["controls"]["kind"] == "view"
    assert listed["controls"]["about"].startswith("The wells that serve as controls")
    columns = {entry["column"]: entry for entry in shared_lake.catalog.columns("Controls")}
    assert len(columns) == listed["controls"]["columns"]
    assert columns["concentration_um"]["unit"] == "umol/L"
    assert columns["is_negative"]["type"] == "BOOLEAN"
    of_all = [
        entry for entry in shared_lake.catalog.columns() if entry["table"] in {"perturbation_matches", "coverage"}
    ]
    assert {entry["table"] for entry in of_all} == {"perturbation_matches", "coverage"}


def test_every_column_of_a_view_is_explained(shared_lake: TableLake) -> None:
    entries = [entry for view in VIEWS for entry in shared_lake.catalog.columns(view)]
    assert [(entry["table"], entry["column"]) for entry in entries if not entry["description"]] == []
