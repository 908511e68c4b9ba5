-- Probabilities of the normal, t and chi-square distributions, which DuckDB does not have.
--
-- The tail of a t distribution beyond t > 0, with y = 1 + u²/df = (1 + t²/df) exp(2 s/df), becomes
--   density constant · (1 + t²/df)^((1 - df)/2) · ∫ exp(-s) / sqrt(t² + df (1 - exp(-2 s/df))) ds,  s from 0 to infinity,
-- and the normal's, where df goes to infinity, φ(t) · ∫ exp(-s) / sqrt(t² + 2 s) ds. What is integrated is positive and
-- the size of the tail stands in front, so that far tails are as accurate as near ones. The integral is taken with the
-- double exponential rule s = exp(x - exp(-x)) at fixed points; near 0, where a tail is not small, it is one half less
-- the density's integral by Gauss and Legendre's rule.

-- name: _tail_points()
-- kind: scalar
-- about: Points s and weights w for integrals of exp(-s) f(s) from 0 to infinity, exp(-s) in the weights.
-- source: Takahasi and Mori, Publ. RIMS 9 (1974) 721-741.
list_transform(
  list_transform(range(46), lambda i: {'x': -3.5 + 0.16 * i, 's': exp(-3.5 + 0.16 * i - exp(3.5 - 0.16 * i))}),
  lambda p: {'s': p.s, 'w': 0.16 * p.s * (1 + exp(-p.x)) * exp(-p.s)})

-- name: _unit_points()
-- kind: scalar
-- about: Points and weights of Gauss and Legendre's rule of 14 points between 0 and 1; the points squared.
list_transform([
  {'x': 0.006858095651593787::DOUBLE, 'w': 0.017559730165875875::DOUBLE},
  {'x': 0.03578255816821324, 'w': 0.04007904357987999}, {'x': 0.08639934246511749, 'w': 0.060759285343951655},
  {'x': 0.15635354759415726, 'w': 0.07860158357909681}, {'x': 0.24237568182092295, 'w': 0.09276919873896894},
  {'x': 0.3404438155360551, 'w': 0.10259923186064786}, {'x': 0.44597252564632817, 'w': 0.10763192673157897},
  {'x': 0.5540274743536718, 'w': 0.10763192673157897}, {'x': 0.6595561844639448, 'w': 0.10259923186064786},
  {'x': 0.757624318179077, 'w': 0.09276919873896894}, {'x': 0.8436464524058427, 'w': 0.07860158357909681},
  {'x': 0.9136006575348825, 'w': 0.060759285343951655}, {'x': 0.9642174418317868, 'w': 0.04007904357987999},
  {'x': 0.9931419043484062, 'w': 0.017559730165875875}], lambda p: {'x2': p.x * p.x, 'w': p.w})

-- name: _log1p(q)
-- kind: scalar
-- about: ln(1 + q) for q ≥ 0, small q included.
CASE WHEN q < 1 THEN 2 * atanh(q / (2 + q)) ELSE ln(1 + q) END

-- name: _expm1_negative(w)
-- kind: scalar
-- about: 1 - exp(-w) for w ≥ 0, small w included.
2 / (1 + 1 / nullif(tanh(w / 2), 0))

-- name: _half_gamma_ratio(x)
-- kind: scalar
-- about: Γ(x + 1/2) / Γ(x) for x > 0.
-- source: The asymptotic series of its logarithm from x = 10; Abramowitz and Stegun, Handbook of Mathematical Functions, 6.1.
CASE WHEN x < 10 THEN gamma(x + 0.5) / gamma(x)
  ELSE sqrt(x) * exp(-1 / (8 * x) + 1 / (192 * x ^ 3) - 1 / (640 * x ^ 5) + 17 / (14336 * x ^ 7) - 31 / (18432 * x ^ 9)
    + 691 / (180224 * x ^ 11)) END

-- name: _points()
-- kind: scalar
-- about: Both rules. Asked for outside of lambdas, where DuckDB computes them once for a question.
{'tail': _tail_points(), 'unit': _unit_points()}

-- name: _normal_tail(z, points)
-- kind: scalar
-- about: The upper tail of the standard normal distribution, z ≥ 0.
CASE WHEN z < 1
  THEN 0.5 - z * list_sum(list_transform(points.unit, lambda p: p.w * exp(-z * z * p.x2 / 2))) / sqrt(2 * pi())
  ELSE exp(-z * z / 2) * list_sum(list_transform(points.tail, lambda p: p.w / sqrt(z * z + 2 * p.s))) / sqrt(2 * pi()) END

-- name: _t_tail(t, df, points)
-- kind: scalar
-- about: The upper tail of the t distribution, t ≥ 0.
_half_gamma_ratio(df / 2) / sqrt(df * pi()) * CASE WHEN t * t < least(df, 1)
  THEN sqrt(df * pi()) / _half_gamma_ratio(df / 2) / 2
    - t * list_sum(list_transform(points.unit, lambda p: p.w * exp(-(df + 1) / 2 * _log1p(t * t * p.x2 / df))))
  ELSE exp((1 - df) / 2 * _log1p(t * t / df))
    * list_sum(list_transform(points.tail, lambda p: p.w / sqrt(t * t + df * _expm1_negative(2 * p.s / df)))) END

-- name: normal_cdf(z)
-- kind: scalar
-- about: The probability that a standard normal number is at most `z`. NULL of NULL and NaN.
-- source: Relative error below 1e-12 in both tails; the tail integral of this file's head.
-- example: SELECT normal_cdf(-1.959963984540054) AS p
list_transform([{'z': z::DOUBLE, 'points': _points()}], lambda one: CASE
  WHEN isnan(one.z) THEN NULL WHEN one.z <= -40 THEN 0 WHEN one.z >= 40 THEN 1
  WHEN one.z < 0 THEN _normal_tail(-one.z, one.points) ELSE 1 - _normal_tail(one.z, one.points) END)[1]

-- name: normal_p(z)
-- kind: scalar
-- about: The two-sided p of a standard normal number: that another is as far from 0 or farther.
-- source: Twice the tail of normal_cdf; down to about 1e-308 (|z| = 37.5), 0 from |z| = 38.6.
-- example: SELECT normal_p(-3.5) AS p
list_transform([{'z': abs(z::DOUBLE), 'points': _points()}], lambda one: CASE
  WHEN isnan(one.z) THEN NULL WHEN one.z >= 40 THEN 0 ELSE 2 * _normal_tail(one.z, one.points) END)[1]

-- name: _normal_upper_quantile(q, points)
-- kind: scalar
-- about: The z ≥ 0 with an upper tail of q, 0 < q ≤ 1/2.
-- source: Start of Abramowitz and Stegun 26.2.23 (4.5e-4 off), then two steps of Halley's method.
list_reduce(
  list_transform([sqrt(-2 * ln(q))], lambda r: r - (2.515517::DOUBLE + r * (0.802853::DOUBLE + r * 0.010328::DOUBLE))
    / (1 + r * (1.432788::DOUBLE + r * (0.189269::DOUBLE + r * 0.001308::DOUBLE)))) || [0::DOUBLE, 0],
  lambda z, _: list_transform([(_normal_tail(greatest(z, 0), points) - q) * sqrt(2 * pi()) * exp(z * z / 2)],
    lambda u: greatest(z, 0) + u / (1 - z * u / 2))[1])

-- name: normal_quantile(p)
-- kind: scalar
-- about: The number that a standard normal one is at most with probability `p`. NULL unless 0 < p < 1.
-- source: Inverse of normal_cdf by Halley's method.
-- example: SELECT normal_quantile(0.975) AS z
list_transform([{'p': p::DOUBLE, 'points': _points()}], lambda one: CASE
  WHEN isnan(one.p) OR NOT (one.p > 0 AND one.p < 1) THEN NULL
  WHEN one.p = 0.5 THEN 0
  WHEN one.p < 0.5 THEN -_normal_upper_quantile(one.p, one.points)
  ELSE _normal_upper_quantile(1 - one.p, one.points) END)[1]

-- name: t_cdf(t, df)
-- kind: scalar
-- about: The probability that a number of Student's t distribution with `df` degrees of freedom (any number above 0,
--   infinity is the normal distribution) is at most `t`. NULL of NULL, NaN and degrees of freedom that are not above 0.
-- source: Relative error below 1e-12 in both tails; the tail integral of this file's head.
-- example: SELECT t_cdf(-2.5, 6) AS p
list_transform([{'t': t::DOUBLE, 'df': df::DOUBLE, 'points': _points()}], lambda one: CASE
  WHEN isnan(one.t) OR isnan(one.df) OR one.df <= 0 THEN NULL
  WHEN isinf(one.t) THEN CASE WHEN one.t > 0 THEN 1 ELSE 0 END
  WHEN one.df > 1e15 THEN CASE WHEN one.t < 0 THEN _normal_tail(-one.t, one.points) ELSE 1 - _normal_tail(one.t, one.points) END
  WHEN one.t < 0 THEN _t_tail(-one.t, one.df, one.points) ELSE 1 - _t_tail(one.t, one.df, one.points) END)[1]

-- name: t_p(t, df)
-- kind: scalar
-- about: The two-sided p of a number of Student's t distribution with `df` degrees of freedom.
-- source: Twice the tail of t_cdf.
-- example: SELECT t_p(3.5, 6.5) AS p
2 * t_cdf(-abs(t::DOUBLE), df)

-- name: _t_upper_quantile(q, df, points)
-- kind: scalar
-- about: The t > 0 with an upper tail of q, 0 < q < 1/2.
-- source: Newton's method for ln q over ln t, from the smaller of Wallace's approximation (Ann. Math. Stat. 30 (1959)
--   1121-1130) and of the bound that the power law of the tail gives.
list_reduce([least(
    sqrt(df) * list_transform([(_normal_upper_quantile(q, points) * (8 * df + 3) / (8 * df + 1)) ^ 2 / df],
      lambda v: sqrt(exp(v) * _expm1_negative(v)))[1],
    exp(((df - 1) / 2 * ln(df) + ln(_half_gamma_ratio(df / 2) / sqrt(df * pi())) - ln(q)) / df))] || [0::DOUBLE, 0, 0, 0, 0],
  lambda t, _: CASE WHEN isinf(t) THEN t ELSE list_transform([_t_tail(t, df, points)], lambda tail: t * exp(ln(tail / q) * tail * sqrt(df * pi())
    / (t * _half_gamma_ratio(df / 2) * exp(-(df + 1) / 2 * _log1p(t * t / df)))))[1] END)

-- name: t_quantile(p, df)
-- kind: scalar
-- about: The number that one of Student's t distribution with `df` degrees of freedom is at most with probability `p`.
--   NULL unless 0 < p < 1 and df > 0; infinite where no double is as large.
-- source: Inverse of t_cdf by Newton's method.
-- example: SELECT t_quantile(0.975, 4) AS t
list_transform([{'p': p::DOUBLE, 'df': df::DOUBLE, 'points': _points()}], lambda one: CASE
  WHEN isnan(one.p) OR isnan(one.df) OR NOT (one.p > 0 AND one.p < 1 AND one.df > 0) THEN NULL
  WHEN one.p = 0.5 THEN 0
  WHEN one.df > 1e15 THEN sign(one.p - 0.5) * _normal_upper_quantile(least(one.p, 1 - one.p), one.points)
  WHEN one.p < 0.5 THEN -_t_upper_quantile(one.p, one.df, one.points)
  ELSE _t_upper_quantile(1 - one.p, one.df, one.points) END)[1]

-- name: _chi_square_tail(q, n, points)
-- kind: scalar
-- about: The upper tail of the chi-square distribution, q > 0, n a whole number.
CASE WHEN n % 2 = 0 THEN 0 WHEN q < 1600 THEN 2 * _normal_tail(sqrt(q), points) ELSE 0 END
  + coalesce(list_sum(list_transform(range(floor(n / 2)::BIGINT), lambda j:
      exp((j + n % 2 / 2) * ln(q / 2) - q / 2 - lgamma(j + n % 2 / 2 + 1)))), 0)

-- name: chi_square_p(q, df)
-- kind: scalar
-- about: The probability that a number of the chi-square distribution with `df` degrees of freedom (a whole number above
--   0; another is an error) is `q` or more. NULL of NULL and NaN.
-- source: The finite sums of Abramowitz and Stegun 26.4.4 and 26.4.5.
-- example: SELECT chi_square_p(7.8, 3) AS p
list_transform([{'q': q::DOUBLE, 'n': df::DOUBLE, 'points': _points()}], lambda one: CASE
  WHEN one.q IS NULL OR one.n IS NULL OR isnan(one.q) OR isnan(one.n) THEN NULL
  WHEN one.n < 1 OR one.n != floor(one.n) OR isinf(one.n)
    THEN error('chi_square_p: the degrees of freedom are a whole number above 0, not ' || one.n)
  WHEN one.q <= 0 THEN 1
  WHEN isinf(one.q) THEN 0
  ELSE _chi_square_tail(one.q, one.n, one.points) END)[1]
