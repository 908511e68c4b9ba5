-- name: controls
-- kind: view
-- about: The wells that serve as controls: of vehicle, non-targeting or untreated cells (`is_negative`), and those with
--   a treatment whose effect is known. Wells that are excluded or empty are none.
-- source: The roles are those of the enumeration ControlType; see the schema reference.
-- columns: is_negative: Whether the well shows cells without an effect: vehicle, non-targeting, untreated.
-- example: SELECT control_type, is_negative, count(*) FROM controls GROUP BY ALL
SELECT study_id, plate_id, well_id, control_type, control_type <> 'positive' AS is_negative, control_name, perturbation,
  compound, concentration_um, gene, replicate
FROM wells
WHERE control_type IN ('negative_vehicle', 'negative_non_targeting', 'untreated', 'positive')
  AND NOT coalesce(excluded, false)

-- name: controls_of(relation)
-- kind: table
-- about: The rows of a view, table or common table expression that lie in control wells, as `controls` has them; it needs
--   the columns `study_id`, `plate_id` and `well_id`.
-- example: SELECT plate_id, count(*) FROM controls_of(nuclei) GROUP BY plate_id
SELECT _r.*
FROM query_table(relation) AS _r
SEMI JOIN controls AS _c ON _r.study_id = _c.study_id AND _r.plate_id = _c.plate_id AND _r.well_id = _c.well_id

-- name: well_profiles(objects, statistic := 'median')
-- kind: table
-- about: Wells as the median (or `'mean'`) of every feature of their objects, with the number of objects and what
--   `wells` says of them. `objects` is a view of objects (`cells`, `nuclei`, ...) or a common table expression like it;
--   all its columns beyond those that every view of objects has count as features, and have to be numbers.
--   Acquisitions and time points stay apart. Excluded wells are left out, and a well without any object has no row. A
--   missing value (NULL, NaN, infinite) counts for nothing; a feature without any value is NULL.
-- source: Aggregation as in pycytominer's aggregate (median or mean over the objects of a well).
-- example: SELECT well_id, object_count FROM well_profiles(nuclei) ORDER BY well_id
WITH _objects AS (
  SELECT * FROM query_table(objects)
  UNION ALL BY NAME SELECT * FROM _object_columns
), _medians AS (
  SELECT study_id, plate_id, acquisition_id, well_id, timepoint, count(*) AS object_count,
    _center(COLUMNS(* EXCLUDE (study_id, plate_id, acquisition_id, well_id, field_id, timepoint, object_id, parent_id,
      perturbation, compound, concentration_um, gene, control_type, replicate, excluded, feature_set, profile_set,
      pixel_size_x_um, pixel_size_y_um, n_objects, fit_version, run_id))::DOUBLE, statistic) AS "\0"
  FROM _objects
  GROUP BY study_id, plate_id, acquisition_id, well_id, timepoint
)
SELECT _m.study_id, _m.plate_id, _m.acquisition_id, _m.well_id, _m.timepoint, _w.perturbation, _w.compound,
  _w.concentration_um, _w.gene, _w.control_type, _w.replicate, _m.object_count,
  _m.* EXCLUDE (study_id, plate_id, acquisition_id, well_id, timepoint, object_count)
FROM _medians AS _m
LEFT JOIN wells AS _w ON _m.study_id = _w.study_id AND _m.plate_id = _w.plate_id AND _m.well_id = _w.well_id
WHERE NOT coalesce(_w.excluded, false)

-- name: _center(x, statistic)
-- kind: aggregate
-- about: The median or the mean of the finite numbers; DuckDB's own take NaN as the largest number.
CASE statistic WHEN 'median' THEN median(x) FILTER (WHERE isfinite(x)) WHEN 'mean' THEN avg(x) FILTER (WHERE isfinite(x))
  ELSE error('the statistic is ''median'' or ''mean''') END

-- name: _object_columns
-- kind: view
-- about: The columns that a row of objects or profiles may have beside its features; it has no row.
SELECT NULL::VARCHAR AS study_id, NULL::VARCHAR AS plate_id, NULL::INTEGER AS acquisition_id, NULL::VARCHAR AS well_id,
  NULL::INTEGER AS field_id, NULL::INTEGER AS timepoint, NULL::INTEGER AS object_id, NULL::INTEGER AS parent_id,
  NULL::VARCHAR AS perturbation, NULL::VARCHAR AS compound, NULL::DOUBLE AS concentration_um, NULL::VARCHAR AS gene,
  NULL::VARCHAR AS control_type, NULL::INTEGER AS replicate, NULL::BOOLEAN AS excluded, NULL::VARCHAR AS feature_set,
  NULL::VARCHAR AS profile_set, NULL::DOUBLE AS pixel_size_x_um, NULL::DOUBLE AS pixel_size_y_um,
  NULL::BIGINT AS n_objects, NULL::INTEGER AS fit_version, NULL::VARCHAR AS run_id
WHERE false

-- name: dose_key(compound, concentration_um)
-- kind: scalar
-- about: A text that is the same for the same dose of a compound, however it was written: the concentration in µM with
--   three significant digits, so that 1, 1.0 and 0.9999999 are one. `nocodazole @ 0.3 uM`; the compound alone where no
--   concentration is given. NULL where there is no compound, or where the concentration is negative or not finite.
-- source: Dose series of screens are spaced by factors of 1.5 or more, far above the rounding of 0.5 %.
-- example: SELECT dose_key('nocodazole', 0.9999999), dose_key('nocodazole', 1), dose_key('DMSO', NULL)
CASE
  WHEN concentration_um IS NULL THEN nullif(trim(compound), '')
  WHEN isfinite(concentration_um::DOUBLE) AND concentration_um >= 0 THEN nullif(trim(compound), '') || ' @ '
    || regexp_replace(format('{:.3g}', concentration_um::DOUBLE + 0)::DOUBLE::VARCHAR, '[.]0$', '') || ' uM'
END

-- name: replicates
-- kind: view
-- about: The wells of a study that hold the same treatment, one row per treatment, with `wells` as a list. A treatment is
--   the compound at its dose (`dose_key`), the reagent of a gene, or all compounds of a combination with their doses.
--   Excluded wells, and wells of which nobody says what they hold, are left out.
-- columns: treatment: The compound at its dose, the reagent of a gene, or a combination.
--   n_wells: Wells that hold it.
--   n_plates: Plates that they lie on.
--   wells: The wells, with plate_id and well_id.
-- example: SELECT treatment, n_wells, n_plates FROM replicates ORDER BY n_wells DESC, treatment
WITH _combinations AS (
  SELECT _d.study_id, _d.plate_id, _d.well_id,
    string_agg(dose_key(coalesce(_p.name, _d.perturbation_id), _d.concentration_um), ' + '
      ORDER BY _d.perturbation_id, _d.concentration_um) AS treatment
  FROM (SELECT DISTINCT study_id, plate_id, well_id, perturbation_id, concentration_um FROM well_perturbations) AS _d
  LEFT JOIN perturbations AS _p ON _d.study_id = _p.study_id AND _d.perturbation_id = _p.perturbation_id
  GROUP BY _d.study_id, _d.plate_id, _d.well_id
  HAVING count(*) > 1
), _treated AS (
  SELECT _w.study_id, _w.plate_id, _w.well_id, _w.perturbation, _w.compound, _w.gene, _w.control_type,
    coalesce(_c.treatment, dose_key(_w.compound, _w.concentration_um), _w.perturbation, _w.gene) AS treatment
  FROM wells AS _w
  LEFT JOIN _combinations AS _c ON _w.study_id = _c.study_id AND _w.plate_id = _c.plate_id AND _w.well_id = _c.well_id
  WHERE NOT coalesce(_w.excluded, false)
)
SELECT study_id, treatment, control_type, min(perturbation) AS perturbation, min(compound) AS compound,
  min(gene) AS gene, count(*) AS n_wells, count(DISTINCT plate_id) AS n_plates,
  list({'plate_id': plate_id, 'well_id': well_id} ORDER BY plate_id, well_id) AS wells
FROM _treated
WHERE treatment IS NOT NULL
GROUP BY study_id, treatment, control_type

-- name: coverage
-- kind: view
-- about: How much there is of each perturbation in each study: wells, plates, doses, and which studies share it.
--   Perturbations are the same across studies by their `key` (see `harmonised_perturbations`); those without a key stand
--   for themselves. Excluded wells are left out.
-- columns: key: What the perturbation is called across studies; see harmonised_perturbations.
--   kind: compound or gene.
--   perturbations: Its identifiers in the study.
--   n_wells: Wells of the study that hold it, at any dose.
--   n_plates: Plates that they lie on.
--   n_doses: Different doses, to three significant digits.
--   n_studies: Studies that have a well with it.
--   studies: Which ones.
-- example: SELECT study_id, name, n_wells, n_studies FROM coverage ORDER BY n_wells DESC
WITH _doses AS (
  SELECT _d.study_id, _d.plate_id, _d.well_id, _d.perturbation_id, _d.concentration_um
  FROM well_perturbations AS _d
  LEFT JOIN wells AS _w ON _d.study_id = _w.study_id AND _d.plate_id = _w.plate_id AND _d.well_id = _w.well_id
  WHERE NOT coalesce(_w.excluded, false)
), _counted AS (
  SELECT _h.study_id, coalesce(_h.key, 'study:' || _h.study_id || ':' || _h.perturbation_id) AS own, _h.key,
    any_value(_h.kind) AS kind, min(_h.name) AS name, list_sort(list(DISTINCT _h.perturbation_id)) AS perturbations,
    count(DISTINCT (_d.plate_id, _d.well_id)) FILTER (_d.well_id IS NOT NULL) AS n_wells,
    count(DISTINCT _d.plate_id) AS n_plates,
    count(DISTINCT dose_key('x', _d.concentration_um)) FILTER (_d.concentration_um IS NOT NULL) AS n_doses
  FROM harmonised_perturbations AS _h
  LEFT JOIN _doses AS _d ON _h.study_id = _d.study_id AND _h.perturbation_id = _d.perturbation_id
  GROUP BY _h.study_id, own, _h.key
)
SELECT study_id, key, kind, name, perturbations, n_wells, n_plates, n_doses,
  count(*) FILTER (n_wells > 0) OVER (PARTITION BY own, kind) AS n_studies,
  list_sort(list(study_id) FILTER (n_wells > 0) OVER (PARTITION BY own, kind)) AS studies
FROM _counted

-- name: coverage_of(objects)
-- kind: table
-- about: How much there is of each feature of a view of objects or profiles: one row per study, treatment and feature,
--   with the wells and plates that have a value of it, and the studies that share treatment and feature. The treatment is
--   the compound's, gene's or perturbation's harmonised key, with `dose` beside it: doses of one treatment are the same to
--   three significant digits, however the compound is written.
-- example: SELECT study_id, treatment, feature, n_wells, n_studies FROM coverage_of(nuclei) ORDER BY ALL LIMIT 5
WITH _wells AS (
  SELECT * EXCLUDE (acquisition_id, timepoint, perturbation, compound, concentration_um, gene, control_type, replicate,
      object_count),
    coalesce(harmonise_perturbation(compound), harmonise_perturbation(gene, 'symbol'),
      harmonise_perturbation(perturbation)) AS treatment,
    dose_key(compound, concentration_um) AS dose,
    CASE WHEN compound IS NOT NULL THEN dose_key('any', concentration_um) END AS _same_dose
  FROM well_profiles(objects)
), _long AS (
  UNPIVOT _wells ON COLUMNS(* EXCLUDE (study_id, plate_id, well_id, treatment, dose, _same_dose)) INTO NAME feature VALUE value
)
SELECT study_id, treatment, min(dose) AS dose, feature, count(DISTINCT (plate_id, well_id)) AS n_wells,
  count(DISTINCT plate_id) AS n_plates,
  count(*) OVER (PARTITION BY treatment, _same_dose, feature) AS n_studies,
  list_sort(list(study_id) OVER (PARTITION BY treatment, _same_dose, feature)) AS studies
FROM _long
WHERE treatment IS NOT NULL
GROUP BY study_id, treatment, _same_dose, feature

-- name: feature_map
-- kind: view
-- about: Which columns of which feature sets and profile sets mean the same: one row per column, under `feature`, the
--   name that the dictionary has for it. `relation` is `same` (one name, one definition), `scaled` (the same measure in
--   another unit, which stands behind the name), `different` (another tool's definition, whose name stands behind it),
--   or `alias` (a table's own name that is another tool's name of the feature, `alias`). `n_sets` and `n_studies` count
--   who has the feature in any of these ways; `original` is the column's name in the table that it came from.
-- source: The aliases are those of feature_synonyms.toml (CellProfiler, cp_measure, Nyxus, InCarta, Harmony); see the
--   reference of feature names.
-- columns: feature: The name that the dictionary has for what is measured.
--   relation: same, scaled, different or alias.
--   alias: The name of another tool by which a column was recognised.
--   set: Feature set or profile set, name@version.
--   kind: features or profiles.
--   studies: Studies that have rows of the set.
--   n_sets: Sets that have the feature in any of these ways.
--   n_studies: Studies that have it.
-- example: SELECT feature, relation, "column", "set" FROM feature_map WHERE feature LIKE '%_AreaShape_Area'
WITH _sets AS (
  SELECT hash, 'features' AS kind, name || '@' || version AS label, '/' || hash[:8] || '/' AS part FROM feature_sets
  UNION ALL
  SELECT hash, 'profiles', name || '@' || version, '/' || hash[:8] || '/' FROM profile_sets
), _made AS (
  SELECT DISTINCT study_id, output.name AS output
  FROM (SELECT study_id, unnest(outputs) AS output FROM runs WHERE verb IN ('transform', 'import', 'profile'))
  WHERE study_id IN (SELECT study_id FROM studies)
), _studies AS (
  SELECT _s.hash, list_sort(list(DISTINCT _m.study_id)) AS studies
  FROM _sets AS _s JOIN _made AS _m ON contains(_m.output, _s.part)
  GROUP BY _s.hash
), _known AS (
  SELECT feature_set_hash, object_set, "column", original, unit, aliases,
    regexp_replace("column", '(_(um|um2|um3|grey|grey_um2))?(_(cp_measure|nyxus|incarta|harmony))?$', '') AS base,
    regexp_extract("column", '_(cp_measure|nyxus|incarta|harmony)$', 1) AS tool
  FROM feature_dictionary
), _aliases AS (
  SELECT DISTINCT object_set, regexp_replace(alias, '^[^:]*:', '') AS name, alias, base
  FROM (SELECT object_set, base, unnest(aliases) AS alias FROM _known)
), _mapped AS (
  SELECT _k.feature_set_hash, _k.object_set, _k."column", _k.original, _k.unit, coalesce(min(_a.base), _k.base) AS feature,
    CASE WHEN count(_a.base) > 0 THEN 'alias' WHEN _k.tool <> '' THEN 'different' WHEN _k.base <> _k."column" THEN 'scaled'
      ELSE 'same' END AS relation,
    min(_a.alias) AS alias
  FROM _known AS _k
  LEFT JOIN _aliases AS _a
    ON _k.object_set = _a.object_set AND _a.name = coalesce(_k.original, _k."column") AND _a.base <> _k.base
      AND _k."column" = _k.base AND _k."column" = _k.original
  GROUP BY _k.feature_set_hash, _k.object_set, _k."column", _k.original, _k.unit, _k.base, _k.tool
)
SELECT _m.feature, _m.object_set, _m."column", _m.relation, _m.alias, _m.original, _m.unit, _s.label AS "set",
  _s.kind, coalesce(_t.studies, []) AS studies,
  count(DISTINCT _s.hash) OVER (PARTITION BY _m.object_set, _m.feature) AS n_sets,
  len(list_distinct(flatten(list(coalesce(_t.studies, [])) OVER (PARTITION BY _m.object_set, _m.feature)))) AS n_studies
FROM _mapped AS _m
JOIN _sets AS _s ON _m.feature_set_hash = _s.hash
LEFT JOIN _studies AS _t ON _m.feature_set_hash = _t.hash
