-- name: _scored(relation, same, within, against, apart, metric, ties)
-- kind: table
-- about: The average precision of every profile of a group, and the numbers of profiles that were ranked.
WITH _profiles AS MATERIALIZED (
    FROM _directions(relation, same, within, against, apart, metric, [])
),
_pairs AS (
    SELECT q._row, 1 AS _hit, list_inner_product(q._unit, o._unit) AS _similarity
    FROM _profiles AS q
    JOIN _profiles AS o ON q._same = o._same
    WHERE q._row <> o._row AND (q._apart IS NULL OR q._apart IS DISTINCT FROM o._apart)
        AND q._unit IS NOT NULL AND o._unit IS NOT NULL
    UNION ALL
    SELECT q._row, 0 AS _hit, list_inner_product(q._unit, o._unit) AS _similarity
    FROM _profiles AS q
    JOIN _profiles AS o ON q._within = o._within
    WHERE o._against AND q._same IS NOT NULL AND q._same IS DISTINCT FROM o._same
        AND q._unit IS NOT NULL AND o._unit IS NOT NULL
),
_ranked AS (
    SELECT
        _row,
        _hit,
        row_number() OVER _by_similarity AS _rank,
        sum(_hit) OVER (_by_similarity ROWS UNBOUNDED PRECEDING) AS _found
    FROM (
        SELECT
            *,
            CASE ties
                WHEN 'first' THEN -_hit
                WHEN 'last' THEN _hit
                ELSE error('ties is ''first'' or ''last''')
            END AS _turn
        FROM _pairs
    )
    WINDOW _by_similarity AS (
        PARTITION BY _row
        ORDER BY (1 - _similarity::FLOAT)::FLOAT, _turn
    )
),
_counted AS (
    SELECT
        _row,
        sum(_hit)::BIGINT AS _n_pos,
        count(*) AS _n_total,
        list_sum(list(_found / _rank ORDER BY _rank) FILTER (_hit = 1)) AS _precision
    FROM _ranked
    GROUP BY _row
)
SELECT
    p.* EXCLUDE (_unit, _within, _against, _apart),
    coalesce(c._n_pos, 0) AS n_pos,
    coalesce(c._n_total, 0) AS n_total,
    CASE WHEN c._n_pos > 0 AND c._n_pos < c._n_total THEN c._precision / c._n_pos END AS _score
FROM _profiles AS p
LEFT JOIN _counted AS c ON p._row = c._row
WHERE p._same IS NOT NULL

-- name: expected_average_precision(n_pos, n_total)
-- kind: scalar
-- about: The average precision that a random order of `n_total` profiles, `n_pos` of them replicates, has on average.
-- source: Bestgen Y.: Exact expected average precision of the random baseline for system evaluation, Prague Bull.
--   Math. Linguist. 103, 131-138 (2015): (H + (n_pos - 1) / (n_total - 1) * (n_total - H)) / n_total, H the sum of
--   1/k.
-- example: SELECT expected_average_precision(3, 67) AS by_chance
CASE
    WHEN n_pos < 1 OR n_pos > n_total THEN NULL
    WHEN n_pos = n_total THEN 1.0::DOUBLE
    ELSE list_transform(
        [list_sum(list_transform(range(1, n_total + 1), lambda k: 1 / k))],
        lambda harmonic: (harmonic + (n_pos - 1) / (n_total - 1) * (n_total - harmonic)) / n_total
    )[1]
END

-- name: _random_ap(shapes, null_size, seed)
-- kind: table
-- about: Average precisions of random orders, `null_size` for each (n_pos, n_total).
WITH _places AS (
    SELECT
        n_pos, n_total, _draw,
        unnest(range(1, n_total + 1)) AS _place
    FROM query_table(shapes), range(null_size) AS draws(_draw)
),
_drawn AS (
    SELECT
        n_pos, n_total, _draw, _place,
        hash(_place, _draw, n_pos, n_total, seed)::DOUBLE / 18446744073709551616 AS _key
    FROM _places
)
-- The replicates are at the n_pos places with the smallest keys. Keys that are large anyway are left out before:
-- whether enough are left does not depend on the places; of ten million draws about one has too few, and is not counted.
SELECT
    n_pos, n_total, _draw,
    list_sum(list_transform(list_sort(arg_min(_place, _key, n_pos)), lambda place, k: k / place)) / n_pos AS _ap
FROM _drawn
WHERE _key < (n_pos + 5 * sqrt(n_pos) + 12) / n_total
GROUP BY n_pos, n_total, _draw
HAVING count(*) >= n_pos

-- name: _permuted(scores, null_size, seed)
-- kind: table
-- about: For every (_shapes, _score) the share of random scores of the same shapes that are as large. Random scores
--   of a group are means of random average precisions, one draw for all members of one shape.
WITH _groups AS MATERIALIZED (
    SELECT _shapes, row_number() OVER () AS _group
    FROM (SELECT DISTINCT _shapes FROM query_table(scores) WHERE _score IS NOT NULL)
),
_members AS (
    SELECT _group, _shape.n_pos, _shape.n_total, _shape.part
    FROM (SELECT _group, unnest(_shapes) AS _shape FROM _groups)
),
_kinds AS (
    SELECT DISTINCT n_pos, n_total FROM _members
),
_means AS (
    SELECT m._group, r._draw, sum(m.part * r._ap) AS _mean
    FROM _members AS m
    JOIN _random_ap(_kinds, null_size, seed) AS r ON m.n_pos = r.n_pos AND m.n_total = r.n_total
    GROUP BY m._group, r._draw
),
_null AS (
    SELECT
        _group,
        _mean,
        count(*) OVER (PARTITION BY _group ORDER BY _mean DESC) AS _as_large,
        count(*) OVER (PARTITION BY _group) AS _draws
    FROM _means
)
SELECT s._shapes, s._score, (1 + coalesce(n._as_large, 0)) / (1 + g._draws) AS _p
FROM (
    SELECT DISTINCT _shapes, _score, _group
    FROM query_table(scores)
    JOIN _groups USING (_shapes)
    WHERE _score IS NOT NULL
) AS s
JOIN (SELECT _group, any_value(_draws) AS _draws FROM _null GROUP BY _group) AS g ON s._group = g._group
ASOF LEFT JOIN (FROM _null) AS n ON s._group = n._group AND s._score - 1e-12 <= n._mean

-- name: average_precision(relation, same, within := true, against := true, apart := NULL, metric := 'cosine', ties :=
--   'first', null_size := 10000, seed := 0)
-- kind: table
-- about: How well each profile finds its replicates. All profiles that it is compared with are ordered by their
--   similarity to it; the average precision is the mean, over its replicates, of the share of replicates among all
--   that are at least as near. 1: all replicates come before all others. Conditions are expressions over the columns
--   of `relation` (`profiles` or a common table expression like it): `same` is what replicates have in common, such
--   as `perturbation`; they differ in `apart` (`plate_id`: only replicates on other plates count). They compete with
--   the profiles of another `same` for which `against` is true and which agree in `within`: `against := control_type
--   = 'negative_vehicle', within := (study_id, plate_id)` asks how distinct a treatment is from the controls of its
--   plate, `against := true` from everything else. Rows where `same` is NULL are not ranked themselves.
--   `average_precision` and what follows from it are NULL where there is no replicate (`n_pos` is 0) or nothing else
--   to rank (`n_total` is `n_pos`); profiles without direction are not counted. Similarities that agree in single
--   precision are ties, where replicates come first or, with `ties := 'last'`, last. `normalized_average_precision`
--   is 0 by chance and 1 at best, `p_value` the share of `null_size` random orders that are as good, which depends on
--   `seed` and nothing else. The features are those of `profile_vectors`; `metric` is 'cosine' or 'correlation'.
-- source: Kalinin A. A. et al.: A versatile information retrieval framework for evaluating profile strength and
--   similarity, Nat. Commun. 16, 5181 (2025); as in copairs 0.5.5.
-- example: WITH wells AS (FROM well_profiles(nuclei))
--   SELECT well_id, n_pos, n_total, average_precision FROM average_precision(wells, plate_id, null_size := 100)
WITH _all AS MATERIALIZED (
    SELECT
        *,
        [{'n_pos': n_pos, 'n_total': n_total, 'part': 1.0::DOUBLE}] AS _shapes
    FROM _scored(relation, same, within, against, apart, metric, ties)
)
SELECT
    a.* EXCLUDE (_row, _same, _score, _shapes, n_pos, n_total),
    a._same AS same,
    a.n_pos,
    a.n_total,
    a._score AS average_precision,
    CASE WHEN a._score IS NOT NULL THEN list_transform(
        [expected_average_precision(a.n_pos, a.n_total)], lambda chance: (a._score - chance) / (1 - chance)
    )[1] END AS normalized_average_precision,
    p._p AS p_value
FROM _all AS a
LEFT JOIN _permuted(_all, null_size, seed) AS p ON a._shapes = p._shapes AND a._score = p._score

-- name: map_score(relation, same, within := true, against := true, apart := NULL, metric := 'cosine', ties :=
--   'first', null_size := 10000, seed := 0, threshold := 0.05)
-- kind: table
-- about: The mean average precision of every treatment, or of whatever `same` is: see `average_precision`, whose
--   arguments it takes. `p_value` compares the mean with means of random orders of the same sizes (one draw for all
--   profiles of one size, as copairs does); those that are as good count, also where they are equal, so that a
--   treatment of few replicates and controls cannot have a p-value that it could not deserve. `corrected_p` is
--   Benjamini and Hochberg's, `below_p` and `below_corrected_p` compare with `threshold`. A treatment none of whose
--   profiles could be ranked is there with `n_ranked` 0 and NULL.
-- source: Kalinin A. A. et al., Nat. Commun. 16, 5181 (2025); copairs 0.5.5 counts only random means that are larger.
-- example: WITH wells AS (FROM well_profiles(nuclei))
--   SELECT same, n_profiles, n_ranked, mean_average_precision FROM map_score(wells, plate_id, null_size := 100)
WITH _all AS MATERIALIZED (
    SELECT _same, n_pos, n_total, _score, expected_average_precision(n_pos, n_total) AS _chance
    FROM _scored(relation, same, within, against, apart, metric, ties)
),
_treatments AS (
    SELECT
        _same,
        count(*) AS n_profiles,
        count(_score) AS n_ranked,
        list_avg(list(_score ORDER BY _score)) AS _score,
        list_avg(list((_score - _chance) / (1 - _chance) ORDER BY _score) FILTER (_score IS NOT NULL)) AS _normalized
    FROM _all
    GROUP BY _same
),
_parts AS (
    SELECT
        _same,
        list({'n_pos': n_pos, 'n_total': n_total, 'part': _profiles / _of} ORDER BY n_pos, n_total) AS _shapes
    FROM (
        SELECT
            _same, n_pos, n_total,
            count(*) AS _profiles,
            sum(count(*)) OVER (PARTITION BY _same) AS _of
        FROM _all
        WHERE _score IS NOT NULL
        GROUP BY _same, n_pos, n_total
    )
    GROUP BY _same
),
_scores AS MATERIALIZED (
    SELECT t.*, s._shapes
    FROM _treatments AS t
    LEFT JOIN _parts AS s ON t._same = s._same
),
_tested AS (
    SELECT
        s._same AS same,
        s.n_profiles,
        s.n_ranked,
        s._score AS mean_average_precision,
        s._normalized AS mean_normalized_average_precision,
        p._p AS p_value
    FROM _scores AS s
    LEFT JOIN _permuted(_scores, null_size, seed) AS p ON s._shapes = p._shapes AND s._score = p._score
)
SELECT *, p_value < threshold AS below_p, corrected_p < threshold AS below_corrected_p
FROM benjamini_hochberg(_tested, p_value)

-- name: benjamini_hochberg(relation, p, family := true)
-- kind: table
-- about: The rows of `relation` with `corrected_p`: the smallest false discovery rate at which the test of a row is
--   called, given the p-values `p` of all rows with the same `family`. NULL where `p` is NULL; such rows are no
--   tests.
-- source: Benjamini Y., Hochberg Y.: J. R. Stat. Soc. B 57, 289-300 (1995).
-- example: WITH tests AS (SELECT * FROM (VALUES ('A', 0.01), ('B', 0.02), ('C', 0.5)) AS t(gene, p_value))
--   SELECT gene, corrected_p FROM benjamini_hochberg(tests, p_value)
SELECT
    * EXCLUDE (_p, _family, _n, _k),
    CASE WHEN _p IS NOT NULL THEN
        least(1.0::DOUBLE, min(_p * _n / _k) OVER (PARTITION BY _family ORDER BY _k DESC ROWS UNBOUNDED PRECEDING))
    END AS corrected_p
FROM (
    SELECT
        *,
        count(_p) OVER (PARTITION BY _family) AS _n,
        row_number() OVER (PARTITION BY _family ORDER BY _p NULLS LAST) AS _k
    FROM (
        SELECT
            *,
            family AS _family,
            CASE
                WHEN p BETWEEN 0 AND 1 THEN p::DOUBLE
                WHEN p IS NOT NULL THEN error('a p-value is from 0 to 1')
            END AS _p
        FROM query_table(relation)
    )
)

-- name: _replicates(relation, same, leave_out, null_size, seed)
-- kind: table
-- about: Per treatment the median correlation of its profiles, and those of as many profiles of different treatments.
WITH _profiles AS MATERIALIZED (
    SELECT _same, _unit, row_number() OVER (ORDER BY _same, _unit) AS _place
    FROM _directions(relation, same, NULL, leave_out, NULL, 'correlation', [])
    WHERE _same IS NOT NULL AND NOT _against AND _unit IS NOT NULL
),
_treatments AS MATERIALIZED (
    SELECT _same, count(*) AS _n FROM _profiles GROUP BY _same
),
-- Profiles are drawn one by one, and those of a treatment that has been drawn are passed over.
_candidates AS (
    SELECT
        _n, _draw, _turn,
        1 + hash(_turn, _draw, _n, seed) % (SELECT count(*) FROM _profiles) AS _place
    FROM (
        SELECT _n, _draw, unnest(range(8 * _n + 64)) AS _turn
        FROM (SELECT DISTINCT _n FROM _treatments WHERE _n > 1), range(null_size) AS draws(_draw)
    )
),
_drawn AS (
    SELECT c._n, c._draw, arg_min(p._place, c._turn) AS _place, min(c._turn) AS _turn
    FROM _candidates AS c
    JOIN _profiles AS p ON c._place = p._place
    GROUP BY c._n, c._draw, p._same
),
_sets AS MATERIALIZED (
    SELECT _n, _draw, _place
    FROM _drawn
    QUALIFY row_number() OVER (PARTITION BY _n, _draw ORDER BY _turn) <= _n
        AND count(*) OVER (PARTITION BY _n, _draw) >= _n
),
_pairs AS MATERIALIZED (
    SELECT a._n, a._draw, a._place AS _one, b._place AS _other
    FROM _sets AS a
    JOIN _sets AS b ON a._n = b._n AND a._draw = b._draw
    WHERE a._place < b._place
),
-- Each pair is compared once, however often it was drawn.
_compared AS (
    SELECT one._place AS _one, other._place AS _other, list_inner_product(one._unit, other._unit) AS _correlation
    FROM (SELECT DISTINCT _one, _other FROM _pairs) AS d
    JOIN _profiles AS one ON d._one = one._place
    JOIN _profiles AS other ON d._other = other._place
),
_random AS (
    SELECT _n, list(_median ORDER BY _median) AS _medians
    FROM (
        SELECT p._n, p._draw, median(c._correlation) AS _median
        FROM _pairs AS p
        JOIN _compared AS c ON p._one = c._one AND p._other = c._other
        GROUP BY p._n, p._draw
    )
    GROUP BY _n
),
_correlations AS (
    SELECT one._same, median(list_inner_product(one._unit, other._unit)) AS _median
    FROM _profiles AS one
    JOIN _profiles AS other ON one._same = other._same
    WHERE one._place < other._place
    GROUP BY one._same
)
SELECT t._same, t._n, c._median, r._medians
FROM _treatments AS t
LEFT JOIN _correlations AS c ON t._same = c._same
LEFT JOIN _random AS r ON t._n = r._n

-- name: replicate_correlation(relation, same, leave_out := false, percentile := 0.95, null_size := 1000, seed := 0)
-- kind: table
-- about: The median of the correlations between the profiles of every treatment (`same`, an expression over the
--   columns of `relation`), beside `null_size` sets of as many profiles of different treatments, drawn at random:
--   `threshold` is the `percentile` of their medians, `is_replicating` whether the treatment's is above it, `p_value`
--   the share of medians of random sets that are as large. Profiles where `leave_out` is true are neither treatments
--   nor drawn (`leave_out := control_type IS NOT NULL`), nor are those where `same` is NULL. A treatment of one
--   profile has no correlation (NULL), one with more profiles than there are treatments no threshold.
-- source: Way G. P. et al.: Morphology and gene expression profiling provide complementary information for mapping
--   cell state, Cell Syst. 13, 911-923 (2022).
-- example: WITH wells AS (FROM well_profiles(nuclei))
--   SELECT same, n_profiles, median_correlation FROM replicate_correlation(wells, plate_id, null_size := 100)
SELECT
    _same AS same,
    _n AS n_profiles,
    _median AS median_correlation,
    _threshold AS threshold,
    CASE WHEN _median IS NOT NULL AND _medians IS NOT NULL THEN
        (1 + len(list_filter(_medians, lambda m: m >= _median - 1e-12))) / (1 + len(_medians))
    END AS p_value,
    _median > _threshold AS is_replicating
FROM (
    SELECT *, list_aggregate(_medians, 'quantile_cont', percentile) AS _threshold
    FROM _replicates(relation, same, leave_out, null_size, seed)
)

-- name: percent_replicating(relation, same, leave_out := false, percentile := 0.95, null_size := 1000, seed := 0)
-- kind: table
-- about: The percentage of treatments whose profiles correlate more than as many profiles of different treatments do:
--   see `replicate_correlation`, whose arguments it takes. `n_treatments` could be judged, `n_left_out` could not
--   (mostly they have one profile). `thresholds` has the threshold for every number of profiles.
-- source: Way G. P. et al., Cell Syst. 13, 911-923 (2022).
-- example: WITH wells AS (FROM well_profiles(nuclei))
--   SELECT percent_replicating, n_treatments FROM percent_replicating(wells, plate_id, null_size := 100)
SELECT
    100.0::DOUBLE * count(*) FILTER (is_replicating) / nullif(count(is_replicating), 0) AS percent_replicating,
    count(*) FILTER (is_replicating) AS n_replicating,
    count(is_replicating) AS n_treatments,
    count(*) - count(is_replicating) AS n_left_out,
    map_from_entries(list(DISTINCT (n_profiles, threshold)) FILTER (threshold IS NOT NULL)) AS thresholds
FROM replicate_correlation(relation, same, leave_out, percentile, null_size, seed)
