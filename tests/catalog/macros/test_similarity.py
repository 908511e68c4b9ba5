"""Profiles as vectors, their similarities, nearest neighbours and matches of mechanisms, beside plain NumPy."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from cytolake.catalog.columns import _known
from cytolake.errors import QueryError
from similar_profiles import ask, example, similarities, table


@pytest.fixture(scope="module")
def plates() -> pa.Table:
    names, treatments, values = example()
    return table(values, plate_id=names, perturbation=treatments)


def test_columns_that_describe_are_those_of_the_catalog() -> None:
    assert set(ask("SELECT _described_columns() AS names")[0]["names"]) == _known()


class TestPairs:
    def test_are_those_of_numpy(self) -> None:
        one, other = np.sin(np.arange(1, 30)), np.cos(np.arange(1, 30) ** 1.1)
        lists = f"{one.tolist()}, {other.tolist()}"
        found = ask(f"SELECT cosine({lists}) AS c, correlation({lists}) AS r")[0]
        assert found["c"] == pytest.approx(one @ other / np.sqrt(one @ one * (other @ other)), abs=1e-15)
        assert found["r"] == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-15)

    @pytest.mark.parametrize(
        "other", ["[0.0, 0.0]", "['nan'::DOUBLE, 1]", "[NULL, 1.0]", "['inf'::DOUBLE, 1]", "NULL::DOUBLE[]"]
    )
    def test_without_direction_are_null(self, other: str) -> None:
        found = ask(
            f"SELECT cosine([1.0, 2], {other}) AS a, cosine({other}, [1.0, 2]) AS b, correlation({other}, [1, 2]) c"
        )
        assert found == [{"a": None, "b": None, "c": None}]

    def test_constant_has_a_cosine_but_no_correlation(self) -> None:
        assert ask("SELECT correlation([0.1, 0.1, 0.1], [1, 2, 4]) AS r, cosine([0.1, 0.1], [3, 3]) AS c") == [
            {"r": None, "c": pytest.approx(1)}
        ]

    def test_of_one_feature(self) -> None:
        assert ask("SELECT correlation([3.0], [2.0]) AS r, cosine([3.0], [-2.0]) AS c") == [{"r": None, "c": -1}]

    def test_of_other_lengths_are_refused(self) -> None:
        with pytest.raises(duckdb.Error):
            ask("SELECT cosine([1.0, 2.0], [1.0])")


class TestVectors:
    def test_hold_features_and_what_is_kept(self) -> None:
        rows = pa.table(
            {
                "well_id": ["A01", "A02"],
                "n_objects": [3, 4],
                "concentration_um": [1.0, 2.0],  # describes, though it has a fraction
                "moa": ["a", "b"],
                "n_cells": [7, 8],  # a whole number is no feature
                "Nuclei_B": [1.5, 2.5],
                "lower_case": pa.array([0.25, 4.0], pa.float32()),
            }
        )
        assert ask("FROM profile_vectors(rows_, keep := ['moa']) ORDER BY well_id", rows_=rows) == [
            {"well_id": "A01", "n_objects": 3, "concentration_um": 1.0, "moa": "a", "vector": [1.5, 0.25]},
            {"well_id": "A02", "n_objects": 4, "concentration_um": 2.0, "moa": "b", "vector": [2.5, 4.0]},
        ]

    @pytest.mark.parametrize("gap", [None, np.nan, np.inf])
    def test_leave_out_a_feature_with_a_gap_but_not_for_an_empty_row(self, gap: float | None) -> None:
        rows = pa.table(
            {"well_id": ["1", "2", "3"], "a": [1.0, 2.0, None], "b": [gap, 3.0, None], "c": [4.0, 5.0, gap]}
        )
        found = ask("SELECT vector FROM profile_vectors(rows_) ORDER BY well_id", rows_=rows)
        assert [one["vector"] for one in found] == [[1, 4], [2, 5], None]

    def test_of_studies_with_nothing_in_common_are_empty_and_have_no_similarity(self) -> None:
        rows = pa.table(
            {"study_id": ["x", "x", "y"], "a": [1.0, 2.0, None], "b": [None, None, 3.0]},
            schema=pa.schema({"study_id": pa.string(), "a": pa.float64(), "b": pa.float64()}),
        )
        assert [one["vector"] for one in ask("FROM profile_vectors(rows_)", rows_=rows)] == [[], [], []]
        assert ask("FROM nearest(rows_)", rows_=rows) == []
        assert [one["average_precision"] for one in ask("FROM average_precision(rows_, study_id)", rows_=rows)] == [
            None
        ] * 3

    def test_without_features_are_refused(self) -> None:
        with pytest.raises(duckdb.Error):
            ask("FROM profile_vectors(rows_)", rows_=pa.table({"well_id": ["A01"]}))


class TestNearest:
    @pytest.mark.parametrize("metric", ["cosine", "correlation"])
    def test_are_those_of_numpy(self, plates: pa.Table, metric: str) -> None:
        similar = similarities(example()[2], metric)
        np.fill_diagonal(similar, -2)
        found = ask(f"FROM nearest(p, k := 3, metric := '{metric}')", p=plates)
        assert len(found) == 120
        for one in found:
            query, other = int(one["well_id"]), int(one["neighbour_well_id"])
            assert np.argsort(-similar[query])[one["rank"] - 1] == other
            assert one["similarity"] == pytest.approx(similar[query, other], abs=1e-14)

    def test_are_asked_and_looked_for_where_it_is_said(self, plates: pa.Table) -> None:
        question = "FROM nearest(p, asked := perturbation = 't3', among := plate_id = 'P2', apart := perturbation)"
        found = ask(question, p=plates)
        assert len(found) == 4 * 10
        assert {one["perturbation"] for one in found} == {"t3"}
        assert {one["neighbour_plate_id"] for one in found} == {"P2"}
        assert "t3" not in {one["neighbour_perturbation"] for one in found}

    def test_of_equal_ones_the_first(self) -> None:
        rows = table(np.array([[1.0, 0], [1, 0], [1, 0], [0, 0]]), moa=["a", "b", "c", "d"])
        found = ask("FROM nearest(r, k := 5, keep := ['moa']) ORDER BY well_id, rank", r=rows)
        pairs = [(one["moa"], one["neighbour_moa"], one["similarity"]) for one in found]
        # The one without direction has no neighbour and is none; there are fewer than five.
        assert pairs == [(a, b, 1) for a, b in ("ab", "ac", "ba", "bc", "ca", "cb")]


class TestMechanisms:
    ROWS = table(
        np.array([[1, 0], [1, 0.1], [1, 0.05], [0.1, 1], [0, 1], [0.9, 0.2], [0, 0], [1, 1]]),
        compound=["a", "a", "b", "c", "d", "e", "f", "g"],
        moa=["x", "x", "x", "y", "y", "z", "x", None],
        batch=[1, 2, 1, 1, 1, 1, 1, 1],
    )

    def test_neighbours_are_of_other_compounds(self) -> None:
        found = ask("FROM nsc_match(r, moa, compound) ORDER BY well_id", r=self.ROWS)
        matches = [(one["compound"], one["neighbour_compound"], one["is_match"]) for one in found]
        assert matches == [
            ("a", "b", True),
            ("a", "b", True),
            ("b", "a", True),
            ("c", "d", True),
            ("d", "c", True),
            ("e", "a", False),
            ("f", None, None),
        ]

    def test_and_of_other_batches(self) -> None:
        found = ask("FROM nsc_match(r, moa, compound, batch := batch) ORDER BY well_id", r=self.ROWS)
        neighbours = [one["neighbour_well_id"] for one in found]
        assert neighbours == [None, "02", "01", "01", "01", "01", None]

    def test_accuracy_of_each_and_in_all(self) -> None:
        found = ask("FROM nsc_accuracy(r, moa, compound)", r=self.ROWS)
        assert [tuple(one.values()) for one in found] == [
            ("x", 3, 4, 3, 3, 1.0),
            ("y", 2, 2, 2, 2, 1.0),
            ("z", 1, 1, 1, 0, 0.0),
            (None, 6, 7, 6, 5, pytest.approx(5 / 6)),
        ]

    def test_of_one_compound_alone(self) -> None:
        rows = table(np.eye(2), compound=["a", "a"], moa=["x", "x"])
        assert [one["accuracy"] for one in ask("FROM nsc_accuracy(r, moa, compound)", r=rows)] == [None, None]


class TestInALake:
    @pytest.fixture
    def screens(self, empty_lake: Any) -> Any:
        """The plates of the example in study one; a plate of it with a feature more in study two."""
        names, treatments, values = example()
        empty_lake.put("studies", {"study_id": "one"}, {"study_id": "two"})
        for study, plate in (("one", "P1"), ("one", "P2"), ("two", "P1")):
            wells = {f"A{k:02}": n for k, n in enumerate((n for n in range(40) if names[n] == plate), 1)}
            empty_lake.wells(study, plate, {well: {"perturbation": treatments[n]} for well, n in wells.items()})
            more = {"Cells_B_0": 1.0} if study == "two" else {}
            features = {well: {f"Nuclei_A_{k}": values[n, k] for k in range(12)} | more for well, n in wells.items()}
            empty_lake.profiles(study, features, plate=plate, definition={"of": study})
        return empty_lake.catalog

    def test_views_are_relations_whose_conditions_reach_the_files(self, screens: Any) -> None:
        lengths = "SELECT study_id, len(vector) AS n FROM profile_vectors(profiles) GROUP BY ALL ORDER BY ALL"
        assert screens.sql(lengths).to_arrow().to_pylist() == [
            {"study_id": "one", "n": 12},
            {"study_id": "two", "n": 12},
        ]
        for macro in (
            "average_precision(mine, perturbation, within := plate_id, null_size := 20)",
            "map_score(mine, perturbation, null_size := 20)",
            "percent_replicating(mine, perturbation, null_size := 20)",
            "nearest(mine)",
            "nsc_accuracy(mine, plate_id, perturbation)",
            "profile_vectors(mine)",
        ):
            result = screens.sql(
                f"WITH mine AS (FROM profiles WHERE study_id = 'one' AND plate_id = 'P2') FROM {macro}"
            )
            assert len(result.to_arrow()) > 0
            opened = [scan.files_opened for scan in result.scans if scan.table.startswith("profiles/")]
            assert sum(opened) == 1, macro

    def test_without_profiles_says_what_to_do(self, empty_lake: Any) -> None:
        empty_lake.wells("one", "P1", {"A01": {}})
        for relation in ("profiles", "wells"):
            with pytest.raises(QueryError, match="these are no profiles") as caught:
                empty_lake.catalog.sql(f"FROM map_score({relation}, perturbation)").to_arrow()
            assert "cytolake profile" in str(caught.value.hint)

    def test_conditions_on_the_answer_do_not_change_it(self, screens: Any) -> None:
        """All profiles take part in every rank, so none may be left out for a condition on the answer."""
        question = (
            "SELECT study_id, plate_id, well_id, n_total, average_precision "
            "FROM average_precision(profiles, perturbation, null_size := 9)"
        )
        whole = screens.sql(question).to_arrow().to_pylist()
        some = screens.sql(f"{question} WHERE study_id = 'one' AND plate_id = 'P1'").to_arrow().to_pylist()
        assert len(some) == 20
        assert all(one in whole for one in some)
