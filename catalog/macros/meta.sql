-- name: _studies(estimates, variances)
-- kind: aggregate
-- about: What a pooled estimate is made from: estimates `e` and variances `v` of the usable studies, how many of them there
--   are and how many rows are left out.
list_transform([{'of': list({'e': estimates::DOUBLE, 'v': variances::DOUBLE}) FILTER (
    WHERE isfinite(estimates::DOUBLE) AND isfinite(variances::DOUBLE) AND variances::DOUBLE > 0), 'n': count(*)}],
  lambda s: {'e': list_transform(s.of, lambda x: x.e), 'v': list_transform(s.of, lambda x: x.v),
    'k': coalesce(len(s.of), 0), 'left_out': s.n - coalesce(len(s.of), 0)})[1]

-- name: _pooled(e, v, tau2)
-- kind: scalar
-- about: The mean of estimates weighted by 1 / (variance + tau2), with the sums of the weights and of their squares, and
--   the weighted sums of squares about it with weights (q) and squared weights (q2).
list_transform(list_transform([list_transform(v, lambda x: 1 / (x + tau2))],
  lambda w: {'w': w, 'sum': list_sum(w), 'mean': list_dot_product(w, e) / list_sum(w)}), lambda f:
  list_transform([list_transform(e, lambda x: (x - f.mean) ^ 2)], lambda r: {'mean': f.mean, 'sum': f.sum,
    'squares': list_dot_product(f.w, f.w), 'q': list_dot_product(f.w, r),
    'q2': list_sum(list_transform(r, lambda x, i: x * f.w[i] ^ 2))})[1])[1]

-- name: _tau2(s, fixed, method)
-- kind: scalar
-- about: The variance between studies, at least 0; NULL for fewer than two.
-- source: DerSimonian and Laird, Control. Clin. Trials 7 (1986) 177-188; Paule and Mandel, J. Res. Natl. Bur. Stand. 87
--   (1982) 377-385, solved by Newton's method for 1/Q (after DerSimonian and Kacker, Contemp. Clin. Trials 28 (2007) 105-114).
CASE WHEN s.k < 2 THEN NULL WHEN fixed.q <= s.k - 1 THEN 0
  WHEN method = 'DL' THEN (fixed.q - (s.k - 1)) / (fixed.sum - fixed.squares / fixed.sum)
  ELSE list_reduce([0::DOUBLE] || list_transform(range(20), lambda i: 0::DOUBLE), lambda t, _:
    list_transform([_pooled(s.e, s.v, t)], lambda f: greatest(0, t + (f.q - (s.k - 1)) * f.q / ((s.k - 1) * f.q2)))[1]) END

-- name: _t_quantiles(p)
-- kind: scalar
-- about: Quantiles of the t distribution for 1 to 100 degrees of freedom. Of a constant DuckDB computes it once for a
--   question.
list_transform(range(1, 101), lambda df: t_quantile(p, df))

-- name: _t_quantile_of(df, quantiles, z)
-- kind: scalar
-- about: A quantile of the t distribution for whole degrees of freedom: of _t_quantiles, or for more of them the series
--   around the normal quantile z.
-- source: Abramowitz and Stegun 26.7.5.
CASE WHEN df <= 100 THEN quantiles[df] ELSE z + z * ((z ^ 2 + 1) / 4 + ((5 * z ^ 4 + 16 * z ^ 2 + 3) / 96
  + ((3 * z ^ 6 + 19 * z ^ 4 + 17 * z ^ 2 - 15) / 384
  + (79 * z ^ 8 + 776 * z ^ 6 + 1482 * z ^ 4 - 1920 * z ^ 2 - 945) / (92160 * df)) / df) / df) / df END

-- name: _meta(studies, method, test, level)
-- kind: scalar
-- about: A pooled estimate of what _studies gives; `method` is 'fixed', 'DL' or 'PM'.
list_transform(list_transform(list_transform(list_transform(list_transform([{'s': studies,
    'of': {'z': normal_quantile(0.5 + level::DOUBLE / 2), 't': _t_quantiles(0.5 + level::DOUBLE / 2), 'points': _points()},
    'is_known': (method IN ('fixed', 'DL', 'PM')
        OR error('meta_random: method is ''DL'' or ''PM'', not ' || coalesce(method, 'NULL')) IS NULL)
      AND (test IN ('z', 'hksj', 'hksj_plain')
        OR error('meta_random: test is ''z'', ''hksj'' or ''hksj_plain'', not ' || coalesce(test, 'NULL')) IS NULL)
      AND ((level > 0 AND level < 1)
        OR error('level is between 0 and 1, not ' || coalesce(level::VARCHAR, 'NULL')) IS NULL)}],
  lambda a: {'s': a.s, 'of': a.of, 'fixed': CASE WHEN a.is_known AND a.s.k > 0 THEN _pooled(a.s.e, a.s.v, 0) END}),
  lambda b: {'s': b.s, 'of': b.of, 'fixed': b.fixed,
    'tau2': CASE WHEN method != 'fixed' THEN _tau2(b.s, b.fixed, method) END}),
  lambda c: {'k': c.s.k, 'left_out': c.s.left_out, 'of': c.of, 'fixed': c.fixed, 'tau2': c.tau2,
    'df': CASE WHEN c.s.k > 1 AND test != 'z' THEN c.s.k - 1 END,
    'f': CASE WHEN c.tau2 > 0 THEN _pooled(c.s.e, c.s.v, c.tau2) ELSE c.fixed END}),
  lambda d: {'k': d.k, 'left_out': d.left_out, 'points': d.of.points, 'fixed': d.fixed, 'tau2': d.tau2, 'df': d.df,
    'mean': d.f.mean,
    'se': sqrt(CASE WHEN d.df IS NULL THEN 1 WHEN test = 'hksj' THEN greatest(1, d.f.q / d.df) ELSE d.f.q / d.df END
      / d.f.sum),
    'times': CASE WHEN d.df IS NULL THEN d.of.z ELSE _t_quantile_of(d.df, d.of.t, d.of.z) END,
    'times_pi': CASE WHEN d.tau2 IS NOT NULL AND d.k > 2 THEN _t_quantile_of(d.k - 2, d.of.t, d.of.z) END}),
  lambda m: {
    'k': m.k, 'k_left_out': m.left_out, 'estimate': m.mean, 'se': m.se,
    'ci_low': m.mean - m.times * m.se, 'ci_high': m.mean + m.times * m.se,
    'statistic': m.mean / nullif(m.se, 0), 'df': m.df,
    'p': CASE WHEN m.k = 0 OR m.se = 0 OR isnan(m.mean / m.se) THEN NULL WHEN m.df IS NOT NULL THEN 2 * _t_tail(abs(m.mean / m.se), m.df, m.points)
      WHEN abs(m.mean / m.se) < 40 THEN 2 * _normal_tail(abs(m.mean / m.se), m.points) ELSE 0 END,
    'q': CASE WHEN m.k > 1 THEN m.fixed.q END,
    'q_p': CASE WHEN m.k < 2 THEN NULL WHEN m.fixed.q > 0 THEN _chi_square_tail(m.fixed.q, m.k - 1, m.points) ELSE 1 END,
    'i2': CASE WHEN m.k < 2 THEN NULL WHEN m.fixed.q > m.k - 1 THEN 1 - (m.k - 1) / m.fixed.q ELSE 0 END,
    'tau2': m.tau2,
    'pi_low': m.mean - m.times_pi * sqrt(m.tau2 + m.se ^ 2), 'pi_high': m.mean + m.times_pi * sqrt(m.tau2 + m.se ^ 2),
    'method': CASE WHEN m.k = 0 THEN NULL WHEN m.k = 1 THEN 'one study' WHEN m.df IS NULL THEN method
      ELSE method || ' ' || test END})[1]

-- name: meta_fixed(estimates, variances, level := 0.95)
-- kind: aggregate
-- about: One estimate of studies that are all taken to measure the same: their mean weighted by 1 / variance. A struct of k
--   (studies), k_left_out, estimate, se, ci_low, ci_high, statistic (z), df (NULL), p, q (Cochran's Q), q_p, i2 (a fraction),
--   and tau2, pi_low and pi_high, which are NULL. A row without a finite estimate and a finite variance above 0 is left out
--   and counted in k_left_out. One study gives its own estimate, without q; none gives NULL.
-- source: Hedges and Olkin, Statistical Methods for Meta-Analysis (1985); I² of Higgins and Thompson, Stat. Med. 21 (2002)
--   1539-1558.
-- example: WITH trials(estimate, variance) AS (VALUES (0.10, 0.03), (0.30, 0.03), (0.35, 0.05), (0.65, 0.01))
--   SELECT pooled.* FROM (SELECT meta_fixed(estimate, variance) AS pooled FROM trials)
_meta(_studies(estimates, variances), 'fixed', 'z', level)

-- name: meta_random(estimates, variances, method := 'DL', test := 'z', level := 0.95)
-- kind: aggregate
-- about: One estimate of studies whose true effects differ with variance tau2: their mean weighted by 1 / (variance + tau2).
--   The struct of meta_fixed, with tau2 (at least 0) and the prediction interval, in which the effect in another study is
--   expected (t with k - 2 degrees of freedom; NULL for fewer than three studies). `method` finds tau2: 'DL' (DerSimonian and
--   Laird) or 'PM' (Paule and Mandel). `test` finds se, interval and p: 'z' takes the variances as known; 'hksj' (Hartung,
--   Knapp, Sidik, Jonkman) scales se by how much the estimates scatter, never down, with t of k - 1 degrees of freedom;
--   'hksj_plain' scales it down too, and is then narrower than 'z' where estimates happen to agree. Give it moderated
--   variances (study_effects has them): with the variances of a few wells alone some study is precise by chance.
-- source: DerSimonian and Laird, Control. Clin. Trials 7 (1986) 177-188; Paule and Mandel, J. Res. Natl. Bur. Stand. 87
--   (1982) 377-385; Hartung and Knapp, Stat. Med. 20 (2001) 3875-3889; the factor of at least 1: Röver, Knapp and Friede,
--   BMC Med. Res. Methodol. 15 (2015) 99; interval: Higgins, Thompson and Spiegelhalter, J. R. Stat. Soc. A 172 (2009) 137-159.
-- example: WITH trials(estimate, variance) AS (VALUES (0.10, 0.03), (0.30, 0.03), (0.35, 0.05), (0.65, 0.01))
--   SELECT pooled.* FROM (SELECT meta_random(estimate, variance, method := 'PM') AS pooled FROM trials)
_meta(_studies(estimates, variances), method, test, level)

-- name: study_effects(relation, treatment, feature, moderated := true)
-- kind: table
-- about: One effect per study, treatment and feature of wells that lie on plates with negative controls. `relation` has a row
--   per well (of several time points or acquisitions choose one first: each row counts as a well), with study_id, plate_id, control_type and the columns of the two others: `treatment` is a column (gene,
--   compound) or an expression; `feature` is a column, or `COLUMNS('^Nuclei_')` for many. A well counts as robust_z against
--   the negative controls of its plate; `estimate` is the mean of the treatment's n_wells wells, which lie on n_plates plates
--   with n_controls controls. Controls themselves, and wells whose treatment is NULL, are not treatments; n_left_out counts
--   the treatment's wells that have a value and no robust_z (no controls, or controls that do not differ).
--   `variance` = well_variance / n_wells, and what centre and scale of the controls add, (1.571 + 1.361 estimate²) / controls
--   by plate. well_variance is moderated: what the treatment's wells show (their variance, NULL for one well), drawn to
--   what the study's treatments have in common, see moderated_variances; df are its degrees of freedom.
--   `moderated := false` takes the variance of the few wells as it is: some are tiny by chance, with absurd z and weights.
-- source: Moderation: Smyth, Stat. Appl. Genet. Mol. Biol. 3 (2004) article 3. Variance of median (π/2) and MAD (1.361) of
--   normal numbers: Rousseeuw and Croux, J. Am. Stat. Assoc. 88 (1993) 1273-1283, and the delta method.
-- example: SELECT study_id, treatment, estimate, variance FROM study_effects(profiles, perturbation, n_objects)
WITH _chosen AS (
  SELECT study_id, plate_id, control_type, treatment AS _treatment, feature FROM query_table(relation)
), _cast AS (
  SELECT study_id, plate_id, control_type, _treatment::VARCHAR AS _treatment,
    COLUMNS(* EXCLUDE (study_id, plate_id, control_type, _treatment))::DOUBLE FROM _chosen
), _long AS (
  SELECT * FROM _cast UNPIVOT (_value FOR _feature IN (COLUMNS(* EXCLUDE (study_id, plate_id, control_type, _treatment))))
), _scaled AS (
  SELECT study_id, plate_id, _feature, _treatment, is_negative_control(control_type) AS _is_control, _value,
    robust_z(_value, is_negative_control(control_type), (study_id, plate_id, _feature)) AS _z,
    count(_finite(_value)) FILTER (WHERE is_negative_control(control_type))
      OVER (PARTITION BY study_id, plate_id, _feature) AS _controls
  FROM _long
), _by_plate AS (
  SELECT study_id, _feature, _treatment, plate_id, count(_z) AS _n, count(_finite(_value)) - count(_z) AS _without,
    sum(_z) AS _sum, avg(_z) AS _mean, coalesce(var_pop(_z) * count(_z), 0) AS _within, any_value(_controls) AS _controls
  FROM _scaled WHERE NOT _is_control AND _treatment IS NOT NULL GROUP BY ALL
), _centred AS (
  SELECT *, sum(_sum) OVER (PARTITION BY study_id, _feature, _treatment)
    / nullif(sum(_n) OVER (PARTITION BY study_id, _feature, _treatment), 0) AS _effect FROM _by_plate
), _effects AS (
  SELECT study_id, _feature, _treatment, any_value(_effect) AS _estimate, sum(_n)::BIGINT AS _wells,
    count(*) FILTER (WHERE _n > 0) AS _plates, sum(_controls) FILTER (WHERE _n > 0)::BIGINT AS _all_controls,
    sum(_without)::BIGINT AS _left_out, sum(_n)::BIGINT - 1 AS _sample_df,
    CASE WHEN sum(_n) > 1 THEN sum(_within + _n * coalesce((_mean - _effect) ^ 2, 0)) / (sum(_n) - 1) END AS _sample_variance,
    sum((_n / nullif(_controls, 0)) * _n) FILTER (WHERE _n > 0) / nullif(sum(_n), 0) ^ 2 AS _per_control
  FROM _centred GROUP BY study_id, _feature, _treatment
), _spread AS (
  SELECT * FROM moderated_variances(_effects, _sample_variance, _sample_df, per := (study_id, _feature))
), _final AS (
  SELECT *, CASE WHEN moderated THEN moderated_variance ELSE _sample_variance END AS _used FROM _spread
)
SELECT study_id, _treatment AS treatment, _feature AS feature, _estimate AS estimate,
  _used / nullif(_wells, 0) + _per_control * (pi() / 2 + 1.361 * _estimate ^ 2) AS variance,
  _wells AS n_wells, _plates AS n_plates, _all_controls AS n_controls, _left_out AS n_left_out,
  _used AS well_variance, CASE WHEN moderated THEN moderated_df ELSE _sample_df END AS df
FROM _final

-- name: meta_effects(relation, treatment, feature, method := 'DL', test := 'z', level := 0.95, moderated := true)
-- kind: table
-- about: From wells of several studies to one pooled effect per treatment and feature: study_effects, then meta_random of
--   its estimates and variances. The columns are treatment, feature and the fields of meta_random.
-- source: As study_effects and meta_random.
-- example: SELECT treatment, k, estimate, ci_low, ci_high FROM meta_effects(profiles, perturbation, n_objects)
SELECT _treatment AS treatment, _feature AS feature, _meta.* FROM (
  SELECT _treatment, _feature, meta_random(_estimate, _variance, method := method, test := test, level := level) AS _meta
  FROM study_effects(relation, treatment, feature, moderated := moderated) AS _effects(_study, _treatment, _feature, _estimate, _variance)
  GROUP BY _treatment, _feature)

-- name: forest(relation, label, per := NULL, method := 'DL', test := 'z', level := 0.95)
-- kind: table
-- about: The rows of a forest plot (`cytolake plot forest`) of a relation with a row per study and the columns estimate and
--   variance, as study_effects gives them. `label` is the column that names a row, `per` the one that is pooled by: each of
--   its values is a group of its own. Per group its studies (kind `study`, the interval of each alone, and its weight in the
--   pooled estimate as a fraction), the pooled estimate of meta_random (kind `pooled`), and where there are three studies or
--   more the prediction interval around it (kind `prediction`). A study that meta_random leaves out has no interval and no
--   weight. Columns: group, label, kind, estimate, ci_low, ci_high, weight.
-- source: As meta_random; a weight is 1 / (variance + tau2), divided by the sum of the group's.
-- example: WITH effects AS (FROM study_effects(profiles, perturbation, n_objects)) FROM forest(effects, study_id, per := treatment)
WITH _rows AS (
  SELECT per::VARCHAR AS _per, label::VARCHAR AS _label, _finite(estimate) AS _e, variance::DOUBLE AS _v,
    isfinite(estimate::DOUBLE) AND isfinite(variance::DOUBLE) AND variance::DOUBLE > 0 AS _is_usable
  FROM query_table(relation)
), _fits AS (
  SELECT _per, meta_random(_e, _v, method := method, test := test, level := level) AS _fit FROM _rows GROUP BY _per
), _weighted AS (
  SELECT _rows.*, CASE WHEN _is_usable THEN 1 / (_v + coalesce(_fit.tau2, 0)) END AS _w
  FROM _rows JOIN _fits ON _rows._per IS NOT DISTINCT FROM _fits._per
), _all AS (
  SELECT _per, 0 AS _order, _label, 'study' AS _kind, _e,
    CASE WHEN _is_usable THEN _e - normal_quantile(0.5 + level::DOUBLE / 2) * sqrt(_v) END AS _low,
    CASE WHEN _is_usable THEN _e + normal_quantile(0.5 + level::DOUBLE / 2) * sqrt(_v) END AS _high,
    _w / sum(_w) OVER (PARTITION BY _per) AS _weight
  FROM _weighted
  UNION ALL
  SELECT _per, 1, 'pooled', 'pooled', _fit.estimate, _fit.ci_low, _fit.ci_high, NULL FROM _fits WHERE _fit.k > 0
  UNION ALL
  SELECT _per, 2, 'prediction interval', 'prediction', _fit.estimate, _fit.pi_low, _fit.pi_high, NULL
  FROM _fits WHERE _fit.pi_low IS NOT NULL
)
SELECT _per AS "group", _label AS label, _kind AS kind, _e AS estimate, _low AS ci_low, _high AS ci_high, _weight AS weight
FROM _all ORDER BY _per, _order, _label
