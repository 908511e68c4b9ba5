"""Average precision, its means and p-values, false discovery rates and replicating treatments, in SQL.

Beside plain NumPy, SciPy and what copairs 0.5.5 gives for the same example.
"""

from __future__ import annotations

from itertools import combinations

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import false_discovery_control
from similar_profiles import Matrix, ask, example, similarities, table

AGAINST_CONTROLS = "against := perturbation = 'dmso', within := plate_id"
#: What copairs 0.5.5 (numpy 2.4, float64 profiles) gives for EXAMPLE: average precisions of the wells that are no
#: controls, in order; mean average precisions of t0 to t6.
COPAIRS = {
    "cosine": [
        0.442857142857143, 0.805555555555555, 0.777777777777778, 0.805555555555555, 0.411111111111111, 1.0,
        0.638888888888889, 0.337301587301587, 0.35952380952381, 0.638888888888889, 0.638888888888889, 0.444444444444444,
        1.0, 0.916666666666667, 0.513888888888889, 0.666666666666667, 0.347222222222222, 0.638888888888889,
        0.361111111111111, 1.0, 0.638888888888889, 0.35952380952381, 0.444444444444444, 0.722222222222222,
        0.916666666666667, 0.5, 1.0, 1.0,
    ],
    "correlation": [
        0.425, 0.805555555555555, 0.777777777777778, 0.805555555555555, 0.577777777777778, 1.0, 0.638888888888889,
        0.320634920634921, 0.35952380952381, 0.638888888888889, 0.638888888888889, 0.444444444444444, 1.0,
        0.916666666666667, 0.444444444444444, 0.722222222222222, 0.365079365079365, 0.638888888888889,
        0.361111111111111,
        1.0, 0.638888888888889, 0.420634920634921, 0.411111111111111, 0.722222222222222, 0.916666666666667,
        0.466666666666667, 1.0, 1.0,
    ],
}  # fmt: skip
#: The same where only replicates on the other plate count.
COPAIRS_APART = [
    0.416666666666667, 0.833333333333333, 0.625, 0.583333333333333, 0.25, 1.0, 0.583333333333333, 0.291666666666667,
    0.291666666666667, 0.583333333333333, 0.583333333333333, 0.291666666666667, 1.0, 1.0, 0.392857142857143, 0.7,
    0.30952380952381, 0.583333333333333, 0.196428571428571, 1.0, 0.583333333333333, 0.291666666666667,
    0.291666666666667, 0.833333333333333, 1.0, 0.366666666666667, 1.0, 1.0,
]  # fmt: skip
COPAIRS_MAP = [0.413393, 0.569048, 0.621528, 0.750000, 0.429167, 1.000000, 0.798611]
COPAIRS_NORMALIZED = [-0.140698, 0.161983, 0.264034, 0.513858, -0.110025, 1.000000, 0.608385]
#: Against everything else: mAP and p-values of dmso and t0 to t6 with 10,000 permutations.
COPAIRS_REST = [0.264065, 0.092047, 0.280055, 0.250075, 0.332540, 0.184782, 0.938889, 0.455159]
COPAIRS_REST_P = [0.825817, 0.673533, 0.117088, 0.144586, 0.097490, 0.242976, 0.000200, 0.031797]


@pytest.fixture(scope="module")
def plates() -> pa.Table:
    names, treatments, values = example()
    return table(values, plate_id=names, perturbation=treatments)


def plain_precision(similar: Matrix, query: int, positives: list[int], negatives: list[int]) -> float:
    """Average precision from its definition: one list, sorted, walked from the top."""
    order = sorted([*positives, *negatives], key=lambda other: -similar[query, other])
    found, shares = 0, []
    for rank, other in enumerate(order, start=1):
        if other in positives:
            found += 1
            shares.append(found / rank)
    return sum(shares) / len(positives)


def plain_random(rng: np.random.Generator, n_pos: int, n_total: int) -> float:
    """Average precision of a random order."""
    places = np.sort(rng.choice(n_total, n_pos, replace=False)) + 1
    return float(np.mean(np.arange(1, n_pos + 1) / places))


class TestAveragePrecision:
    @pytest.mark.parametrize("metric", ["cosine", "correlation"])
    def test_is_that_of_copairs(self, plates: pa.Table, metric: str) -> None:
        found = ask(
            f"FROM average_precision(p, perturbation, {AGAINST_CONTROLS}, metric := '{metric}', null_size := 10) "
            "WHERE same <> 'dmso' ORDER BY well_id",
            p=plates,
        )
        assert [one["average_precision"] for one in found] == pytest.approx(COPAIRS[metric], abs=1e-12)
        assert {(one["n_pos"], one["n_total"]) for one in found} == {(3, 9)}

    def test_apart_is_that_of_copairs(self, plates: pa.Table) -> None:
        found = ask(
            f"FROM average_precision(p, perturbation, {AGAINST_CONTROLS}, apart := plate_id, null_size := 10) "
            "WHERE same <> 'dmso' ORDER BY well_id",
            p=plates,
        )
        assert [one["average_precision"] for one in found] == pytest.approx(COPAIRS_APART, abs=1e-12)
        assert {(one["n_pos"], one["n_total"]) for one in found} == {(2, 8)}

    @pytest.mark.parametrize("metric", ["cosine", "correlation"])
    def test_is_its_definition(self, plates: pa.Table, metric: str) -> None:
        _, treatments, values = example()
        similar = similarities(values, metric)
        question = f"FROM average_precision(p, perturbation, metric := '{metric}', null_size := 10) ORDER BY well_id"
        for query, one in enumerate(ask(question, p=plates)):
            same = [n for n in range(40) if treatments[n] == treatments[query] and n != query]
            rest = [n for n in range(40) if treatments[n] != treatments[query]]
            assert one["average_precision"] == pytest.approx(plain_precision(similar, query, same, rest), abs=1e-13)

    def test_by_chance_is_the_mean_of_random_orders(self) -> None:
        shapes = "SELECT * FROM (VALUES (1, 5), (3, 67), (30, 60), (59, 60), (4, 4)) t(n_pos, n_total)"
        found = ask(
            f"WITH s AS ({shapes}) SELECT n_pos, count(*) AS n, avg(_ap) AS mean, stddev(_ap) AS spread, "
            "any_value(expected_average_precision(n_pos, n_total)) AS chance FROM _random_ap(s, 10000, 7) "
            "GROUP BY n_pos",
        )
        assert len(found) == 5
        for one in found:
            assert one["n"] >= 9999
            assert abs(one["mean"] - one["chance"]) <= 4 * one["spread"] / 100 + 1e-12

    def test_random_orders_are_equally_frequent(self) -> None:
        # The first of 2 among 4 and the second: six pairs of places, six average precisions.
        found = ask(
            "WITH s AS (SELECT 2 AS n_pos, 4 AS n_total) "
            "SELECT round(_ap, 9) AS ap, count(*) AS n FROM _random_ap(s, 12000, 3) GROUP BY 1 ORDER BY 1"
        )
        possible = sorted((1 / a + 2 / b) / 2 for a in range(1, 5) for b in range(a + 1, 5))
        assert [one["ap"] for one in found] == pytest.approx(possible, abs=1e-8)
        assert all(abs(one["n"] - 2000) < 5 * np.sqrt(2000) for one in found)

    def test_p_value_is_the_share_of_orders(self, plates: pa.Table) -> None:
        """Exact: of the 84 ways to choose 3 places among 9, those with as large a score."""
        every = [sum(k / place for k, place in enumerate(one, 1)) / 3 for one in combinations(range(1, 10), 3)]
        found = ask(f"FROM average_precision(p, perturbation, {AGAINST_CONTROLS}) WHERE n_total > n_pos", p=plates)
        assert len(found) == 28
        for one in found:
            exact = sum(score >= one["average_precision"] - 1e-12 for score in every) / len(every)
            assert one["p_value"] == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / 10000) + 1e-4)

    def test_is_the_same_for_the_same_seed(self, plates: pa.Table) -> None:
        questions = [f"FROM average_precision(p, perturbation, null_size := 200, seed := {seed})" for seed in (1, 1, 2)]
        one, again, other = (ask(f"{question} ORDER BY well_id", p=plates) for question in questions)
        assert one == again
        assert [row["p_value"] for row in one] != [row["p_value"] for row in other]

    def test_without_replicate_or_rival_is_null(self) -> None:
        values = np.sin(np.arange(1, 16).reshape(5, 3))
        rows = table(values, perturbation=["a", "a", "b", "only", None], plate_id=["P", "P", "P", "P", "Q"])
        question = "SELECT same, n_pos, n_total, average_precision, normalized_average_precision, p_value FROM "
        found = ask(f"{question} average_precision(w, perturbation, within := plate_id, null_size := 9)", w=rows)
        assert len(found) == 4  # one without a treatment is not ranked
        by_name = {one["same"]: tuple(one.values())[1:] for one in found}
        assert by_name["b"] == by_name["only"] == (0, 3, None, None, None)
        assert by_name["a"][:2] == (1, 3)
        assert None not in by_name["a"]
        alone = ask(f"{question} average_precision(w, perturbation, against := false, null_size := 9)", w=rows)
        assert all(one["average_precision"] is None and one["p_value"] is None for one in alone)
        assert {(one["same"], one["n_pos"], one["n_total"]) for one in alone if one["n_pos"]} == {("a", 1, 1)}

    def test_ties_are_first_or_last(self) -> None:
        rows = table(np.ones((6, 2)), perturbation=["a", "a", "b", "b", "b", "b"])
        for ties, expected in (("first", 1.0), ("last", 1 / 5)):
            found = ask(f"FROM average_precision(w, perturbation, ties := '{ties}') WHERE same = 'a'", w=rows)
            assert [one["average_precision"] for one in found] == pytest.approx([expected] * 2)
            assert found[0]["p_value"] == pytest.approx(0.2 if ties == "first" else 1, abs=0.02)

    def test_a_profile_of_zeros_is_never_a_neighbour(self) -> None:
        values = np.array([[1, 0], [1, 0.1], [0, 0], [0, 1], [0.1, 1]], dtype=float)
        rows = table(values, perturbation=["a", "a", "a", "b", "b"])
        found = ask("FROM average_precision(w, perturbation, null_size := 9) ORDER BY well_id", w=rows)
        assert [(one["n_pos"], one["n_total"]) for one in found] == [(1, 3), (1, 3), (0, 0), (1, 3), (1, 3)]
        assert [one["average_precision"] for one in found] == [1, 1, None, 1, 1]

    @pytest.mark.parametrize("argument", ["metric := 'euclid'", "ties := 'random'"])
    def test_refuses_what_it_does_not_know(self, plates: pa.Table, argument: str) -> None:
        with pytest.raises(duckdb.Error, match=r"is 'cosine' or|is 'first' or"):
            ask(f"FROM average_precision(p, perturbation, {argument})", p=plates)


class TestMapScore:
    def test_is_that_of_copairs(self, plates: pa.Table) -> None:
        found = ask(f"FROM map_score(p, perturbation, {AGAINST_CONTROLS}) ORDER BY same", p=plates)
        controls, treated = found[0], found[1:]
        assert [one["mean_average_precision"] for one in treated] == pytest.approx(COPAIRS_MAP, abs=1e-6)
        assert [one["mean_normalized_average_precision"] for one in treated] == pytest.approx(
            COPAIRS_NORMALIZED, abs=1e-6
        )
        assert {(one["n_profiles"], one["n_ranked"]) for one in treated} == {(4, 4)}
        # Controls have nothing to compete with: there, but not tested.
        assert (controls["n_profiles"], controls["n_ranked"], controls["corrected_p"]) == (12, 0, None)
        # The best that 3 among 9 can reach has 1 chance in 84; only random means that are larger would say 1/10001.
        assert treated[5]["p_value"] == pytest.approx(1 / 84, abs=0.005)

    def test_p_values_against_the_rest_are_those_of_copairs(self, plates: pa.Table) -> None:
        found = ask("FROM map_score(p, perturbation) ORDER BY same", p=plates)
        assert [one["mean_average_precision"] for one in found] == pytest.approx(COPAIRS_REST, abs=1e-6)
        p = np.array([one["p_value"] for one in found])
        # Both are of 10,000 random orders.
        assert np.all(np.abs(p - COPAIRS_REST_P) <= 4 * np.sqrt(2 * p * (1 - p) / 10_000) + 3e-4)
        assert [one["corrected_p"] for one in found] == pytest.approx(list(false_discovery_control(p)), abs=1e-12)
        assert [one["below_p"] for one in found] == list(p < 0.05)
        assert [one["below_corrected_p"] for one in found] == list(false_discovery_control(p) < 0.05)

    def test_mixes_profiles_of_several_sizes(self) -> None:
        _, treatments, values = example()
        keep = [n for n in range(40) if n not in {6, 27}]  # plates have other numbers of rivals then
        rows = table(values[keep], perturbation=[treatments[n] for n in keep], plate_id=["P1"] * 15 + ["P2"] * 23)
        wells = ask("FROM average_precision(p, perturbation, within := plate_id, null_size := 50)", p=rows)
        sizes = [(one["n_pos"], one["n_total"]) for one in wells if one["same"] == "t3"]
        assert len(set(sizes)) == 2
        found = ask("FROM map_score(p, perturbation, within := plate_id, null_size := 5000) WHERE same = 't3'", p=rows)[
            0
        ]
        rng = np.random.default_rng(0)
        random = {
            size: np.array([plain_random(rng, *size) for _ in range(5000)]) for size in set(sizes)
        }  # one draw for all profiles of a size
        means = np.mean([random[size] for size in sizes], axis=0)
        expected = (1 + np.sum(means >= found["mean_average_precision"])) / 5001
        assert found["p_value"] == pytest.approx(expected, abs=0.04)

    def test_keys_of_several_columns(self, plates: pa.Table) -> None:
        found = ask("FROM map_score(p, (perturbation, plate_id), null_size := 50)", p=plates)
        assert len(found) == 16


class TestBenjaminiHochberg:
    def test_is_that_of_scipy(self) -> None:
        p = np.round(np.abs(np.sin(np.arange(1, 60))) ** 3, 2)  # with ties
        found = ask("FROM benjamini_hochberg(t, p) ORDER BY i", t=pa.table({"i": range(59), "p": p}))
        assert [one["corrected_p"] for one in found] == pytest.approx(list(false_discovery_control(p)), abs=1e-15)

    def test_families_are_apart_and_null_is_no_test(self) -> None:
        rows = pa.table({"i": [1, 2, 3, 4], "f": ["x", "x", "x", "y"], "p": [0.01, None, 0.04, 0.5]})
        found = ask("SELECT corrected_p FROM benjamini_hochberg(t, p, family := f) ORDER BY i", t=rows)
        assert [one["corrected_p"] for one in found] == [pytest.approx(0.02), None, 0.04, 0.5]

    @pytest.mark.parametrize("p", [-0.1, 1.5, np.nan])
    def test_refuses_what_is_no_probability(self, p: float) -> None:
        with pytest.raises(duckdb.Error, match="a p-value is from 0 to 1"):
            ask("FROM benjamini_hochberg(t, p)", t=pa.table({"p": [0.5, p]}))


class TestReplicating:
    LEAVE_OUT = "leave_out := perturbation = 'dmso'"

    def test_medians_are_those_of_numpy(self, plates: pa.Table) -> None:
        _, treatments, values = example()
        similar = similarities(values, "correlation")
        found = ask(f"FROM replicate_correlation(p, perturbation, {self.LEAVE_OUT}) ORDER BY same", p=plates)
        assert [one["same"] for one in found] == [f"t{k}" for k in range(7)]
        for one in found:
            wells = [n for n in range(40) if treatments[n] == one["same"]]
            expected = np.median([similar[a, b] for a, b in combinations(wells, 2)])
            assert one["median_correlation"] == pytest.approx(expected, abs=1e-14)
            assert one["n_profiles"] == 4

    def test_threshold_is_that_of_random_sets(self, plates: pa.Table) -> None:
        _, treatments, values = example()
        similar = similarities(values, "correlation")
        wells = {k: [n for n in range(40) if treatments[n] == f"t{k}"] for k in range(7)}
        rng = np.random.default_rng(1)
        medians = []
        for _ in range(4000):
            drawn = [rng.choice(wells[k]) for k in rng.choice(7, 4, replace=False)]
            medians.append(np.median([similar[a, b] for a, b in combinations(drawn, 2)]))
        question = f"FROM replicate_correlation(p, perturbation, {self.LEAVE_OUT}, null_size := 4000) ORDER BY same"
        found = ask(question, p=plates)
        assert found[0]["threshold"] == pytest.approx(np.quantile(medians, 0.95), abs=0.03)
        for one in found:
            assert one["is_replicating"] == (one["median_correlation"] > one["threshold"])
            expected = np.mean(np.array(medians) >= one["median_correlation"])
            assert one["p_value"] == pytest.approx(expected, abs=0.05)
        whole = ask(f"FROM percent_replicating(p, perturbation, {self.LEAVE_OUT}, null_size := 4000)", p=plates)[0]
        assert whole["n_replicating"] == sum(one["is_replicating"] for one in found) > 0
        assert whole["percent_replicating"] == pytest.approx(100 * whole["n_replicating"] / 7)
        assert whole["thresholds"] == [(4, found[0]["threshold"])]

    def test_same_seed_same_answer(self, plates: pa.Table) -> None:
        question = f"FROM percent_replicating(p, perturbation, {self.LEAVE_OUT}, null_size := 50, seed := "
        one, again, other = (ask(f"{question} {seed})", p=plates) for seed in (5, 5, 6))
        assert one == again != other

    def test_one_replicate_is_left_out_and_counted(self) -> None:
        values = np.sin(np.arange(1, 25).reshape(6, 4) ** 1.5)
        rows = table(values, perturbation=["a", "a", "b", "b", "single", None])
        found = ask("FROM percent_replicating(w, perturbation)", w=rows)[0]
        assert (found["n_treatments"], found["n_left_out"]) == (2, 1)
        # Three wells of three different treatments cannot be drawn where there are two treatments.
        few = table(values, perturbation=["a", "a", "a", "b", "b", "b"])
        assert ask("SELECT * EXCLUDE (thresholds) FROM percent_replicating(w, perturbation)", w=few) == [
            {"percent_replicating": None, "n_replicating": 0, "n_treatments": 0, "n_left_out": 2}
        ]

    def test_one_feature_has_no_correlation(self) -> None:
        found = ask(
            "FROM percent_replicating(w, perturbation)", w=table(np.arange(4.0)[:, None], perturbation=list("aabb"))
        )
        assert found[0]["percent_replicating"] is None
