-- name: _described_columns()
-- kind: scalar
-- about: The columns of tables and views that identify or describe a profile; `catalog/columns.py` says the same.
[
    'acquisition_id', 'attributes', 'biosample_id', 'column', 'compound', 'concentration_um', 'control_name',
    'control_type', 'excluded', 'exclusion_reason', 'feature_set', 'field_id', 'fit_version', 'gene', 'n_objects',
    'n_perturbations', 'n_plates', 'n_wells', 'object_id', 'object_set', 'parent_id', 'perturbation',
    'pixel_size_x_um', 'pixel_size_y_um', 'plate_id', 'profile_set', 'replicate', 'row', 'run_id', 'sample_id',
    'seeding_density', 'study_id', 'timepoint', 'treatment', 'well_id'
]

-- name: _measured(value)
-- kind: scalar
-- about: A number with a fraction as it is, NULL for values of other types, which are no features.
CASE WHEN regexp_full_match(typeof(value), 'DOUBLE|FLOAT|DECIMAL.*') THEN TRY_CAST(value AS DOUBLE) END

-- name: _length(vector)
-- kind: scalar
-- about: The Euclidean norm of a list of numbers; NULL where it is 0 or too large for a number.
list_transform(
    [sqrt(list_inner_product(vector, vector))],
    lambda norm: CASE WHEN norm > 0 AND isfinite(norm) THEN norm END
)[1]

-- name: _centred(vector)
-- kind: scalar
-- about: A list of numbers less their mean.
list_transform([list_avg(vector)], lambda mean: list_transform(vector, lambda x: x - mean))[1]

-- name: _comparable(one, other)
-- kind: scalar
-- about: Whether two lists hold finite numbers only.
len(one) > 0 AND len(other) > 0
AND list_bool_and(list_transform(one, lambda x: coalesce(isfinite(x), false)))
AND list_bool_and(list_transform(other, lambda x: coalesce(isfinite(x), false)))

-- name: cosine(one, other)
-- kind: scalar
-- about: The cosine of the angle between two profiles, lists of numbers of one length. NULL where a profile is all
--   zeros (it has no direction), is empty, or holds NULL, NaN or infinity.
-- source: Salton G., McGill M. J.: Introduction to Modern Information Retrieval, McGraw-Hill 1983.
-- example: SELECT cosine([1.0, 2.0], [2.0, 4.0]) AS same_way, cosine([1.0, 2.0], [0.0, 0.0]) AS undefined
CASE WHEN _comparable(one, other) THEN
    list_inner_product(one::DOUBLE[], other::DOUBLE[]) / (_length(one::DOUBLE[]) * _length(other::DOUBLE[]))
END

-- name: correlation(one, other)
-- kind: scalar
-- about: Pearson's correlation of two profiles, lists of numbers of one length. NULL where all numbers of a profile
--   are the same (one feature is enough for that), where it is empty, or holds NULL, NaN or infinity.
-- source: Pearson K.: Proc. R. Soc. Lond. 58, 240-242 (1895).
-- example: SELECT correlation([1.0, 2.0, 3.0], [2.0, 4.0, 5.0]) AS r, correlation([1.0, 1.0], [0.0, 3.0]) AS undefined
CASE WHEN _comparable(one, other) AND list_min(one) < list_max(one) AND list_min(other) < list_max(other) THEN
    list_transform(
        [{
            'a': _centred(one::DOUBLE[]),
            'b': _centred(other::DOUBLE[])
        }],
        lambda v: list_inner_product(v.a, v.b) / (_length(v.a) * _length(v.b))
    )[1]
END

-- name: _vectors(relation, same, within, against, apart, keep)
-- kind: table
-- about: Profiles as vectors, with what says how they are compared.
WITH _typed AS (
    -- Features start with a colon here. Expressions over all columns take time to bind: there are no more than needed.
    SELECT
        row_number() OVER () AS _row,
        same AS _same,
        within AS _within,
        coalesce(against, false) AS _against,
        apart AS _apart,
        COLUMNS(lambda name: lower(name) IN _described_columns() OR name IN keep),
        _measured(COLUMNS(lambda name: lower(name) NOT IN _described_columns() AND name NOT IN keep)) AS ':\0'
    FROM query_table(relation)
),
_lists AS MATERIALIZED (
    SELECT
        COLUMNS('^[^:]'),
        list_transform([*COLUMNS('^:')], lambda x: CASE WHEN isfinite(x) THEN x END) AS _numbers
    FROM _typed
),
-- Only rows with a gap are looked at one number at a time.
_gaps AS (
    SELECT list(DISTINCT _gap) AS _missing
    FROM (
        SELECT unnest(list_where(
            range(1, len(_numbers) + 1), list_transform(_numbers, lambda x: x IS NULL)
        )) AS _gap
        FROM _lists
        WHERE list_count(_numbers) BETWEEN 1 AND len(_numbers) - 1
    )
)
SELECT
    * EXCLUDE (_numbers, _missing),
    CASE
        WHEN list_count(_numbers) = 0 THEN NULL
        WHEN _missing IS NULL THEN _numbers
        ELSE list_select(_numbers, list_filter(range(1, len(_numbers) + 1), lambda i: NOT list_contains(_missing, i)))
    END AS vector
FROM _lists, _gaps

-- name: profile_vectors(relation, keep := [])
-- kind: table
-- about: Profiles with their features as one list, `vector`. `relation` is `profiles`, `treatment_profiles`, or a
--   common table expression like them. A feature is a column of floating-point numbers that is none of those that
--   identify or describe a row in every lake; of other columns only those named in the list `keep` stay. The vectors
--   hold the features that every row has: one that is NULL, NaN or infinite in any row is left out of all, so that
--   vectors can be compared. A row without any feature has the vector NULL, and costs the others nothing.
--   `len(vector)` says how many features are left.
-- example: WITH wells AS (FROM well_profiles(nuclei))
--   SELECT well_id, len(vector) AS features FROM profile_vectors(wells)
SELECT * EXCLUDE (_row, _same, _within, _against, _apart)
FROM _vectors(relation, NULL, NULL, NULL, NULL, keep)

-- name: _directions(relation, same, within, against, apart, metric, keep)
-- kind: table
-- about: Profiles as vectors of length 1, whose inner products are their similarities; NULL where there is none.
SELECT
    * EXCLUDE (vector, _mean, _norm),
    CASE WHEN _norm > 0 AND isfinite(_norm) THEN list_transform(vector, lambda x: (x - _mean) / _norm) END AS _unit
FROM (
    SELECT
        *,
        CASE
            WHEN metric = 'cosine' THEN sqrt(list_inner_product(vector, vector))
            WHEN list_min(vector) < list_max(vector) THEN list_transform(
                [list_transform(vector, lambda x: x - _mean)], lambda v: sqrt(list_inner_product(v, v))
            )[1]
        END AS _norm
    FROM (
        SELECT
            *,
            CASE metric
                WHEN 'cosine' THEN 0.0::DOUBLE
                WHEN 'correlation' THEN list_avg(vector)
                ELSE error('metric is ''cosine'' or ''correlation''')
            END AS _mean
        FROM _vectors(relation, same, within, against, apart, keep)
    )
)

-- name: _names_of_profiles()
-- kind: scalar
-- about: The columns that say which profile it is, for a reader.
[
    'study_id', 'plate_id', 'well_id', 'acquisition_id', 'field_id', 'timepoint', 'treatment', 'perturbation',
    'compound', 'concentration_um', 'gene', 'control_type'
]

-- name: nearest(relation, k := 10, asked := true, among := true, apart := NULL, metric := 'cosine', keep := [])
-- kind: table
-- about: The `k` profiles that are most similar to each profile of `relation` for which `asked` is true: `rank` 1 is
--   the nearest. They are looked for among those for which `among` is true and, if `apart` is given, where it is
--   another (`apart := perturbation`: other treatments only). Who the neighbour is, is in columns `neighbour_...`;
--   `keep` lists more columns that both shall have. Profiles without direction have no neighbours and are none. Of
--   equal ones the first in `relation` counts as nearer.
-- source: the similarity is that of `cosine` or, with `metric := 'correlation'`, of `correlation`.
-- example: WITH wells AS (FROM well_profiles(nuclei))
--   SELECT well_id, rank, neighbour_well_id, similarity FROM nearest(wells, k := 2, asked := well_id = 'A01')
WITH _profiles AS MATERIALIZED (
    FROM _directions(relation, asked, NULL, among, apart, metric, keep)
),
_found AS (
    SELECT q._row, max((list_inner_product(q._unit, o._unit), -o._row), k) AS _best
    FROM _profiles AS q
    JOIN _profiles AS o ON q._row <> o._row
    WHERE q._same AND o._against AND (q._apart IS NULL OR q._apart IS DISTINCT FROM o._apart)
        AND q._unit IS NOT NULL AND o._unit IS NOT NULL
    GROUP BY q._row
),
_listed AS (
    SELECT
        _row, _rank,
        -_best[_rank][2] AS _other,
        _best[_rank][1] AS _similarity
    FROM (SELECT _row, _best, unnest(range(1, len(_best) + 1)) AS _rank FROM _found)
),
_queries AS (
    SELECT COLUMNS(lambda name: lower(name) IN _names_of_profiles() OR name IN keep OR name = '_row')
    FROM _profiles
),
_others AS (
    SELECT
        COLUMNS(lambda name: lower(name) IN _names_of_profiles() OR name IN keep OR name = '_row') AS 'neighbour_\0'
    FROM _profiles
)
SELECT q.* EXCLUDE (_row), f._rank AS rank, o.* EXCLUDE (neighbour__row), f._similarity AS similarity
FROM _listed AS f
JOIN _queries AS q ON f._row = q._row
JOIN _others AS o ON f._other = o.neighbour__row
ORDER BY q._row, f._rank

-- name: nsc_match(relation, mechanism, compound, batch := NULL, metric := 'cosine')
-- kind: table
-- about: Whether the most similar profile of another compound has the same mechanism of action (NSC, not the same
--   compound; with `batch` it is of another batch too: NSCB). `mechanism`, `compound` and `batch` are expressions
--   over the columns of `relation`, which is best one of treatments; rows whose mechanism or compound is NULL take no
--   part. `is_match` is NULL where there is no neighbour.
-- source: Ljosa V. et al.: Comparison of methods for image-based profiling of cellular morphological responses to
--   small-molecule treatment, J. Biomol. Screen. 18, 1321-1329 (2013); NSCB: Ando D. M. et al., bioRxiv 161422
--   (2017).
-- example: WITH wells AS (FROM well_profiles(nuclei))
--   SELECT well_id, neighbour_well_id, is_match FROM nsc_match(wells, plate_id, well_id)
WITH _profiles AS MATERIALIZED (
    FROM _directions(relation, mechanism, compound, true, batch, metric, [])
    WHERE _same IS NOT NULL AND _within IS NOT NULL
),
_found AS (
    SELECT q._row, max((list_inner_product(q._unit, o._unit), -o._row)) AS _best
    FROM _profiles AS q
    JOIN _profiles AS o ON q._within <> o._within
    WHERE (q._apart IS NULL OR q._apart IS DISTINCT FROM o._apart) AND q._unit IS NOT NULL AND o._unit IS NOT NULL
    GROUP BY q._row
),
_queries AS (
    SELECT
        COLUMNS(lambda name: lower(name) IN _names_of_profiles() OR name = '_row'),
        _same AS mechanism,
        _within AS _compound
    FROM _profiles
),
_others AS (
    SELECT
        COLUMNS(lambda name: lower(name) IN _names_of_profiles() OR name = '_row') AS 'neighbour_\0',
        _same AS neighbour_mechanism
    FROM _profiles
)
SELECT
    q.* EXCLUDE (_row),
    o.* EXCLUDE (neighbour__row),
    f._best[1] AS similarity,
    q.mechanism = o.neighbour_mechanism AS is_match
FROM _queries AS q
LEFT JOIN _found AS f ON q._row = f._row
LEFT JOIN _others AS o ON -f._best[2] = o.neighbour__row

-- name: nsc_accuracy(relation, mechanism, compound, batch := NULL, metric := 'cosine')
-- kind: table
-- about: The share of profiles whose nearest neighbour of another compound has their mechanism, for every mechanism,
--   and in all (`mechanism` is NULL there): see `nsc_match`, whose arguments it takes. A mechanism of one compound
--   (`n_compounds`) cannot be matched. Profiles without a neighbour are in `n_profiles`, not in `n_judged`.
-- source: Ljosa V. et al., J. Biomol. Screen. 18, 1321-1329 (2013).
-- example: WITH wells AS (FROM well_profiles(nuclei))
--   SELECT mechanism, n_compounds, accuracy FROM nsc_accuracy(wells, plate_id, well_id)
SELECT
    m.mechanism,
    count(DISTINCT m._compound) AS n_compounds,
    count(*) AS n_profiles,
    count(is_match) AS n_judged,
    count(*) FILTER (is_match) AS n_matched,
    count(*) FILTER (is_match) / nullif(count(is_match), 0) AS accuracy
FROM nsc_match(relation, mechanism, compound, batch, metric) AS m
GROUP BY GROUPING SETS ((m.mechanism), ())
ORDER BY m.mechanism NULLS LAST
