-- name: is_negative_control(control_type)
-- kind: scalar
-- about: Whether a control type is one that others are compared with: negative_vehicle, negative_non_targeting or
--   untreated; false where it is NULL. Profiles are normalised against the same by default.
-- example: SELECT well_id FROM wells WHERE is_negative_control(control_type)
coalesce(control_type IN ('negative_vehicle', 'negative_non_targeting', 'untreated'), false)

-- name: _finite(value)
-- kind: scalar
-- about: A number as DOUBLE; NULL where it is NULL, NaN or infinite.
CASE WHEN isfinite(value::DOUBLE) THEN value::DOUBLE END

-- name: robust_z(value, is_control, per)
-- kind: scalar
-- about: Distance from the controls' median in units of 1.4826 times their median absolute distance from it (MAD), among
--   the rows of the same `per`: `(study_id, plate_id)` measures each well against the controls of its plate.
--   `COLUMNS('^Nuclei_')` as the value scales many features at once. Of controls NULL, NaN and infinite values are not
--   learned from. NULL where the value is no finite number, there are no controls, or their MAD is 0: nothing is known then
--   about how far is far. The numbers are those of the operator robust_z of profile recipes.
-- source: Malo et al., Nature Biotechnology 24 (2006) 167-175.
-- example: SELECT well_id, robust_z(n_objects, is_negative_control(control_type), (study_id, plate_id)) AS z FROM profiles
list_transform([(value::DOUBLE
    - median(value::DOUBLE) FILTER (WHERE is_control AND isfinite(value::DOUBLE)) OVER (PARTITION BY per))
    / nullif(1.4826::DOUBLE
      * mad(value::DOUBLE) FILTER (WHERE is_control AND isfinite(value::DOUBLE)) OVER (PARTITION BY per), 0)],
  lambda z: CASE WHEN isfinite(z) THEN z END)[1]

-- name: _hedges_correction(df)
-- kind: scalar
-- about: What makes a standardised mean difference of few wells unbiased, above 0 for 2 or more degrees of freedom.
-- source: Hedges, J. Educ. Stat. 6 (1981) 107-128: J(m) = Γ(m/2) / (sqrt(m/2) Γ((m-1)/2)).
_half_gamma_ratio((df - 1) / 2) / sqrt(df / 2)

-- name: hedges_g_of(treated_mean, treated_sd, treated_n, control_mean, control_sd, control_n)
-- kind: scalar
-- about: Hedges' g of two arms that are known by mean, deviation (divided by n - 1) and number: a struct of estimate,
--   variance, df, n_treated and n_control. NULL with fewer than 2 in an arm, or where no deviation is above 0.
-- source: Hedges, J. Educ. Stat. 6 (1981) 107-128, with the exact correction J; its variance as J² (1/n₁ + 1/n₂ +
--   d²/(2 (n₁ + n₂))), Borenstein et al., Introduction to Meta-Analysis (2009), 4.20 to 4.24.
-- example: SELECT hedges_g_of(103, 5.5, 50, 100, 4.5, 50) AS g
list_transform(list_transform(
  [{'difference': _finite(treated_mean) - _finite(control_mean), 'n1': treated_n::DOUBLE, 'n2': control_n::DOUBLE,
    's1': _finite(treated_sd), 's2': _finite(control_sd), 'df': treated_n::DOUBLE + control_n::DOUBLE - 2}],
  lambda a: CASE WHEN a.n1 >= 2 AND a.n2 >= 2 AND a.s1 >= 0 AND a.s2 >= 0 AND a.s1 + a.s2 > 0 THEN {
    'd': a.difference / sqrt(((a.n1 - 1) * a.s1 ^ 2 + (a.n2 - 1) * a.s2 ^ 2) / a.df),
    'j': _hedges_correction(a.df), 'df': a.df, 'n1': a.n1, 'n2': a.n2} END),
  lambda b: CASE WHEN b.d IS NOT NULL THEN {'estimate': b.j * b.d,
    'variance': b.j ^ 2 * (1 / b.n1 + 1 / b.n2 + b.d ^ 2 / (2 * (b.n1 + b.n2))),
    'df': b.df, 'n_treated': b.n1::BIGINT, 'n_control': b.n2::BIGINT} END)[1]

-- name: hedges_g(value, is_treated)
-- kind: aggregate
-- about: Hedges' g of the rows where `is_treated` is true against those where it is false: the difference of their means in
--   units of their pooled deviation. A struct of estimate, variance, df, n_treated and n_control; values that are NULL,
--   NaN or infinite are left out. NULL with fewer than 2 values in an arm, or where both arms are constant.
-- source: As hedges_g_of.
-- example: SELECT hedges_g(n_objects, NOT is_negative_control(control_type)) AS g FROM profiles
hedges_g_of(
  avg(_finite(value)) FILTER (WHERE is_treated), stddev_samp(_finite(value)) FILTER (WHERE is_treated),
  count(_finite(value)) FILTER (WHERE is_treated),
  avg(_finite(value)) FILTER (WHERE NOT is_treated), stddev_samp(_finite(value)) FILTER (WHERE NOT is_treated),
  count(_finite(value)) FILTER (WHERE NOT is_treated))

-- name: log_response_ratio(value, is_treated)
-- kind: aggregate
-- about: Logarithm of the ratio of the treated rows' mean to the others', for counts, areas and intensities: a struct of
--   estimate, variance, n_treated and n_control. NULL with fewer than 2 values in an arm, or where a mean is not above 0.
-- source: Hedges, Gurevitch and Curtis, Ecology 80 (1999) 1150-1156.
-- example: SELECT log_response_ratio(n_objects, NOT is_negative_control(control_type)) AS ratio FROM profiles
list_transform([{
  'm1': avg(_finite(value)) FILTER (WHERE is_treated), 'v1': var_samp(_finite(value)) FILTER (WHERE is_treated),
  'n1': count(_finite(value)) FILTER (WHERE is_treated),
  'm2': avg(_finite(value)) FILTER (WHERE NOT is_treated), 'v2': var_samp(_finite(value)) FILTER (WHERE NOT is_treated),
  'n2': count(_finite(value)) FILTER (WHERE NOT is_treated)}],
  lambda a: CASE WHEN a.n1 >= 2 AND a.n2 >= 2 AND a.m1 > 0 AND a.m2 > 0 THEN {
    'estimate': ln(a.m1 / a.m2), 'variance': a.v1 / (a.n1 * a.m1 ^ 2) + a.v2 / (a.n2 * a.m2 ^ 2),
    'n_treated': a.n1, 'n_control': a.n2} END)[1]

-- name: _digamma(x)
-- kind: scalar
-- about: Derivative of ln Γ, x > 0.
-- source: Abramowitz and Stegun 6.3.5 and 6.3.18: shifted by 10, then the asymptotic series.
ln(x + 10) - 1 / (2 * (x + 10)) - 1 / (12 * (x + 10) ^ 2) + 1 / (120 * (x + 10) ^ 4) - 1 / (252 * (x + 10) ^ 6)
  + 1 / (240 * (x + 10) ^ 8) - 1 / (132 * (x + 10) ^ 10)
  - list_sum(list_transform(range(10), lambda i: 1 / (x + i)))

-- name: _trigamma(x)
-- kind: scalar
-- about: Second derivative of ln Γ, x > 0.
-- source: Abramowitz and Stegun 6.4.6 and 6.4.12.
1 / (x + 10) + 1 / (2 * (x + 10) ^ 2) + 1 / (6 * (x + 10) ^ 3) - 1 / (30 * (x + 10) ^ 5) + 1 / (42 * (x + 10) ^ 7)
  - 1 / (30 * (x + 10) ^ 9) + 5 / (66 * (x + 10) ^ 11)
  + list_sum(list_transform(range(10), lambda i: 1 / (x + i) ^ 2))

-- name: _tetragamma(x)
-- kind: scalar
-- about: Third derivative of ln Γ, x > 0.
-- source: Abramowitz and Stegun 6.4.6 and 6.4.13.
-(1 / (x + 10) ^ 2 + 1 / (x + 10) ^ 3 + 1 / (2 * (x + 10) ^ 4) - 1 / (6 * (x + 10) ^ 6) + 1 / (6 * (x + 10) ^ 8)
  - 3 / (10 * (x + 10) ^ 10) + 5 / (6 * (x + 10) ^ 12))
  - list_sum(list_transform(range(10), lambda i: 2 / (x + i) ^ 3))

-- name: _trigamma_inverse(y)
-- kind: scalar
-- about: The x whose trigamma is y, y > 0.
-- source: Newton's method for 1 / trigamma, which is convex and nearly linear; Smyth (2004), appendix.
CASE WHEN y > 1e7 THEN 1 / sqrt(y) WHEN y < 1e-6 THEN 1 / y ELSE
  list_reduce([0.5 + 1 / y] || list_transform(range(10), lambda i: 0::DOUBLE), lambda x, _:
    list_transform([_trigamma(x)], lambda t: x + t * (1 - t / y) / _tetragamma(x))[1]) END

-- name: moderated_variances(relation, variance, df, per := NULL)
-- kind: table
-- about: The rows of `relation` with variances that have learned from one another. `variance` is the sample variance of a
--   row and `df` its degrees of freedom (wells - 1); the true variances are taken as drawn from a scaled inverse
--   chi-square distribution around `prior_variance` worth `prior_df` degrees of freedom, which are estimated from all rows
--   of the same `per` (a column; several as (study_id, feature)). The columns added are prior_variance, prior_df,
--   moderated_variance = (prior_df prior_variance + df variance) / (prior_df + df), and moderated_df. Rows without a
--   variance of their own (one well) get the prior's. Where variances differ no more than by chance, or fewer than three
--   are known, prior_df is infinite and all have their pooled variance. A variance of 0 counts as 1e-5 of the median.
-- source: Smyth, Stat. Appl. Genet. Mol. Biol. 3 (2004) article 3, section 6.2 (limma's squeezeVar, which leaves fewer than
--   three variances as they are).
-- example: WITH spread AS (SELECT plate_id, well_id, var_samp(object_id) AS s2, count(*) - 1 AS df FROM nuclei GROUP BY ALL)
--   SELECT well_id, s2, moderated_variance FROM moderated_variances(spread, s2, df)
WITH _numbered AS (
  SELECT *, _finite(variance) AS _s2, CASE WHEN df >= 0 THEN _finite(df) END AS _df, {'is': per} AS _per
  FROM query_table(relation)
), _known AS (
  SELECT _per, _df, _s2, greatest(_s2, 1e-5 * median(_s2) OVER (PARTITION BY _per)) AS _v
  FROM _numbered WHERE _df > 0 AND _s2 >= 0
), _logs AS (
  SELECT _per, count(*) AS _n, sum(_df * _s2) / sum(_df) AS _pooled,
    avg(ln(_v) - _digamma(_df / 2) + ln(_df / 2)) AS _mean,
    var_samp(ln(_v) - _digamma(_df / 2) + ln(_df / 2)) - avg(_trigamma(_df / 2)) AS _excess
  FROM _known WHERE _v > 0 GROUP BY _per
), _degrees AS (
  SELECT *, CASE WHEN _n >= 3 AND _excess > 0 THEN 2 * _trigamma_inverse(_excess) ELSE 'infinity'::DOUBLE END AS _d0 FROM _logs
), _prior AS (
  SELECT _per, _d0, CASE WHEN isinf(_d0) THEN _pooled ELSE exp(_mean + _digamma(_d0 / 2) - ln(_d0 / 2)) END AS _s0 FROM _degrees
)
SELECT _numbered.* EXCLUDE (_s2, _df, _per), _s0 AS prior_variance, _d0 AS prior_df,
  CASE WHEN _df IS NULL THEN NULL WHEN isinf(_d0) OR _df = 0 THEN _s0
    WHEN _s2 >= 0 THEN (_d0 * _s0 + _df * _s2) / (_d0 + _df) END AS moderated_variance,
  CASE WHEN _s2 >= 0 OR _df = 0 THEN _d0 + _df END AS moderated_df
FROM _numbered LEFT JOIN _prior ON _numbered._per IS NOT DISTINCT FROM _prior._per
