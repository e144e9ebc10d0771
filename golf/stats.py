"""Statistics of seeds: mean, sample sd, one-sided t-tests, power, in every unit that the challenge uses.

Everything is one-sided for "the new one is lower": p is the probability of a difference at least this large if the new one were
not better. A standard deviation has n - 1 in the denominator. The t distribution is computed here (incomplete beta by continued
fraction, noncentral t by Gauss-Legendre quadrature), so that no command waits for scipy; tests compare it with scipy's values.
Every loop has a bound that does not depend on the data: no effect, however large, makes a command wait.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

LN2 = math.log(2.0)
LEAST_P = 1e-300  # a smaller p stands as this one: it would be 0 in a float, and no test gives 0
MARGIN_NATS = (
    0.005  # README: a record beats the last one by 0.005 nats (per token of its own tokenizer, as maintainers read it)
)
STRICT_P = 0.01  # README
PROGRESSION_P = 0.25  # the maintainers' chronological audit of 2026-04-29 (#1902)
# bytes of text per token on the official validation split
BYTES_PER_TOKEN = {"sp1024": 2.43593, "sp4096": 3.31968, "sp8192": 3.72663, "sp8192_caseops": 3.15715, "byte": 1.0}


@dataclass(frozen=True)
class Sample:
    """What is known of a set of seeds: how many, their mean and sample sd (None for fewer than two)."""

    n: int
    mean: float
    sd: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Sample":
        """The sample of `values`; ValueError for none."""
        if not values:
            raise ValueError("no values")
        mean = math.fsum(values) / len(values)
        return cls(len(values), mean, sample_sd(values))


@dataclass(frozen=True)
class Test:
    """A one-sided t-test: statistic, degrees of freedom, p (at least LEAST_P)."""

    __test__ = False  # not a test class of pytest
    t: float
    df: float
    p: float

    @classmethod
    def of(cls, t: float, df: float) -> "Test | None":
        """The test of this statistic; None where it is no number (scores beyond what floats hold)."""
        return cls(t, df, max(t_sf(t, df), LEAST_P)) if math.isfinite(t) and math.isfinite(df) else None


def p_text(p: float) -> str:
    """A p-value behind its name: "= 0.0123", "= 3.1e-07", "< 1e-300"; never 0."""
    return f"< {LEAST_P:g}" if p <= LEAST_P else f"= {p:.4f}" if p >= 0.0005 else f"= {p:.1e}"


def sample_sd(values: Sequence[float]) -> float | None:
    """Standard deviation with n - 1 in the denominator; None for fewer than two values."""
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) * (value - mean) for value in values) / (len(values) - 1))


def on_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Of each point whether it is on the Pareto front: no other has at most both of its coordinates, and one of them less."""
    return [
        not any(one <= first and two <= second and (one, two) != (first, second) for one, two in points)
        for first, second in points
    ]


def sd_convention(claimed: float, values: Sequence[float], digits: int) -> str | None:
    """Which convention a claimed sd follows to its printed digits: "sample", "population", "neither"; None if it cannot be told."""
    sample = sample_sd(values)
    if sample is None:
        return None
    tolerance = 0.5000001 * 10.0**-digits
    population = sample * math.sqrt((len(values) - 1) / len(values))
    hits = [name for name, sd in (("sample", sample), ("population", population)) if abs(sd - claimed) <= tolerance]
    return hits[0] if hits else "neither"


def welch(new: Sample, old: Sample, margin: float = 0.0) -> Test | None:
    """Welch's test that `new` is lower than `old` by more than `margin`; None when a variance is unknown or both are zero."""
    if new.sd is None or old.sd is None:
        return None
    a, b = new.sd * new.sd / new.n, old.sd * old.sd / old.n
    if not 0 < a + b < math.inf:
        return None
    share = a / (a + b)
    df = 1 / (share * share / (new.n - 1) + (1 - share) * (1 - share) / (old.n - 1))
    return Test.of((old.mean - new.mean - margin) / math.sqrt(a + b), df)


def one_sample(new: Sample, mean: float, margin: float = 0.0) -> Test | None:
    """The test that `new` is lower than the fixed number `mean` by more than `margin`; None when the sd is unknown or zero."""
    if not new.sd:
        return None
    return Test.of((mean - new.mean - margin) / (new.sd / math.sqrt(new.n)), new.n - 1.0)


def confidence(sample: Sample, level: float = 0.95) -> tuple[float, float] | None:
    """The two-sided t interval of the mean; None for fewer than two values."""
    if sample.sd is None:
        return None
    half = t_quantile(0.5 + level / 2, sample.n - 1.0) * sample.sd / math.sqrt(sample.n)
    return sample.mean - half, sample.mean + half


# ---- units ----------------------------------------------------------------------------------------------------------------


def bpb_of(nats_per_token: float, bytes_per_token: float) -> float:
    """Bits per byte of a loss in nats per token."""
    return nats_per_token / (LN2 * bytes_per_token)


def nats_per_token_of(bpb: float, bytes_per_token: float) -> float:
    """Nats per token of a number of bits per byte."""
    return bpb * LN2 * bytes_per_token


def nats_per_byte_of(bpb: float) -> float:
    """Nats per byte of a number of bits per byte."""
    return bpb * LN2


def bytes_per_token_of(val_loss: float, val_bpb: float) -> float:
    """Bytes per token that a loss (nats/token) and its BPB imply together."""
    return val_loss / (LN2 * val_bpb)


# ---- power and cost -------------------------------------------------------------------------------------------------------


def power(delta: float, sd: float, n: int, alpha: float = STRICT_P, margin: float = 0.0) -> float:
    """Probability that the one-sided Welch test of n seeds against n, both of true sd `sd`, finds a true gain `delta`.

    Exact up to quadrature (1e-9): given the share B of one side's squares in all of them, the statistic is a noncentral t; B is a
    beta variable, B = sin² of an angle that is integrated over. ValueError for an sd that is not positive.
    """
    if not sd > 0:
        raise ValueError(f"no power without a spread: sd {sd}")
    if n < 2:
        return 0.0
    df = 2.0 * n - 2
    shift = (delta - margin) / (sd * math.sqrt(2 / n))
    total = weights = 0.0
    # the sides exchange, so the angles below pi/4 say it all; where the weight is below 1e-16 of its peak they say nothing
    low, high = 0.0 if n == 2 else 0.5 * math.asin(10 ** (-16 / (n - 2))), math.pi / 4
    for angle, width in gauss_nodes(low, high):
        weight = width * math.sin(2 * angle) ** (n - 2)
        share = math.sin(angle) ** 2
        welch_df = (n - 1) / (share * share + (1 - share) * (1 - share))
        total += weight * noncentral_t_sf(t_upper_quantile(alpha, welch_df), df, shift)
        weights += weight
    return total / weights


def seeds_needed(
    delta: float, sd: float, alpha: float = STRICT_P, margin: float = 0.0, wanted: float = 0.8, most: int = 100
) -> int | None:
    """The fewest seeds on each side that give the test power `wanted`; None when `most` do not."""
    if not delta > margin:
        return None
    low, high = 1, most + 1  # too few; enough, or not to be had
    z = t_upper_quantile(alpha, 1e4) - t_upper_quantile(wanted, 1e4)
    effect = max((delta - margin) / sd, 1e-3)
    probe = min(max(round(2 * (z / effect) ** 2 + 1), 2), most)  # the normal approximation, mostly right to one seed
    stride = 1
    while high - low > 1:
        if power(delta, sd, probe, alpha, margin) >= wanted:
            high, probe = probe, max(probe - stride, low + 1)
        else:
            low, probe = probe, min(probe + stride, high - 1)
        stride *= 2
        if low > 1 and high <= most:
            probe = (low + high) // 2
    return high if high <= most else None


def dollars(seeds: int, seconds_per_seed: float, dollars_per_hour: float) -> float:
    """What `seeds` runs cost at a rate that the user gives."""
    return seeds * seconds_per_seed / 3600 * dollars_per_hour


# ---- many comparisons at once ---------------------------------------------------------------------------------------------


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order of `ps`: below alpha where the step-down test at familywise alpha rejects."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    adjusted, largest = [1.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = largest
    return adjusted


def moderated(variances: Sequence[float], df: float) -> tuple[list[float], float]:
    """Variances of many small samples, each drawn towards all of them, and the degrees of freedom that this gives them.

    The empirical Bayes estimate of Smyth (2004, the moderated t of limma): the true variances are taken to be scaled inverse chi²,
    fitted by the mean and the variance of the logarithms. df: of each sample. At most the freedom of all samples pooled.
    """
    positive = sorted(v for v in variances if v > 0)
    if len(variances) < 2 or not positive:
        return list(variances), df
    least = 1e-5 * positive[len(positive) // 2]
    logs = [math.log(max(v, least)) - digamma(df / 2) + math.log(df / 2) for v in variances]
    mean = math.fsum(logs) / len(logs)
    spread = math.fsum((x - mean) ** 2 for x in logs) / (len(logs) - 1) - trigamma(df / 2)
    if spread <= 0:  # no more different than chance makes them: one variance for all
        pooled = math.fsum(variances) / len(variances)
        return [pooled] * len(variances), df * len(variances)
    prior_df = 2 * inverse_trigamma(spread)
    prior = math.exp(mean + digamma(prior_df / 2) - math.log(prior_df / 2))
    return [(prior_df * prior + df * v) / (prior_df + df) for v in variances], min(df + prior_df, df * len(variances))


def two_sided_p(t: float, df: float) -> float:
    """P(|T| > |t|), at least LEAST_P; 1 for a t that is no number."""
    return max(2 * t_sf(abs(t), df), LEAST_P) if t == t else 1.0


def pairs_needed(
    delta: float, sd: float, alpha: float, extra_df: float = 0.0, wanted: float = 0.8, most: int = 200
) -> int | None:
    """The fewest pairs whose two-sided t-test at `alpha` finds a true difference `delta` with power `wanted`; None above `most`.

    sd: of the differences. extra_df: freedom of the sd beyond its own n - 1 (`moderated`).
    """
    if not delta or not sd > 0:
        return None
    low, high = 1, most + 1

    def finds(n: int) -> bool:
        df = n - 1 + extra_df
        return noncentral_t_sf(t_upper_quantile(alpha / 2, df), df, abs(delta) / sd * math.sqrt(n)) >= wanted

    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if finds(middle) else (middle, high)
    return high if high <= most else None


def digamma(x: float) -> float:
    """The logarithmic derivative of the gamma function, for x > 0: recurrence up to 6, then the asymptotic series."""
    shift = 0.0
    while x < 6:
        shift -= 1 / x
        x += 1
    y = 1 / (x * x)
    return shift + math.log(x) - 0.5 / x - y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y / 132))))


def trigamma(x: float) -> float:
    """The derivative of `digamma`, for x > 0."""
    shift = 0.0
    while x < 6:
        shift += 1 / (x * x)
        x += 1
    y = 1 / (x * x)
    return shift + 1 / x + y / 2 + y / x * (1 / 6 - y * (1 / 30 - y * (1 / 42 - y * (1 / 30 - y * 5 / 66))))


def inverse_trigamma(value: float) -> float:
    """The x > 0 with trigamma(x) = value, by bisection of its logarithm."""
    low, high = -20.0, 20.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if trigamma(math.exp(middle)) > value else (low, middle)
    return math.exp((low + high) / 2)


# ---- distributions --------------------------------------------------------------------------------------------------------


def t_sf(t: float, df: float) -> float:
    """P(T > t) of Student's t with `df` degrees of freedom."""
    if math.isinf(t):
        return 0.0 if t > 0 else 1.0
    tail = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + t * t))
    return tail if t >= 0 else 1.0 - tail


def t_quantile(p: float, df: float) -> float:
    """The t with P(T <= t) = p, for p in (0, 1)."""
    return t_upper_quantile(1 - p, df) if p >= 0.5 else -t_upper_quantile(p, df)


@cache
def t_upper_quantile(tail: float, df: float) -> float:
    """The t with P(T > t) = tail, for tail in (1e-30, 1): Newton's method for log tail over log t, where it is concave."""
    if not 1e-30 < tail < 1:
        raise ValueError(f"no quantile of {tail}")
    if tail > 0.5:
        return -t_upper_quantile(1 - tail, df)
    if tail == 0.5:
        return 0.0
    log_density = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    t, step = 1.0, 0.0
    for _ in range(100):
        found = t_sf(t, df)
        if found < 1e-290:  # the first step went to where floats end
            step /= 2
            t /= math.exp(step)
            continue
        slope = math.exp(log_density + math.log(t / found) - (df + 1) / 2 * math.log1p(t * t / df))
        step = min(math.log(found / tail) / slope, 700.0)
        t *= math.exp(step)
        if abs(step) < 1e-14:
            break
    return t


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b)."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(a, b, x) / a
    return 1.0 - front * _beta_fraction(b, a, 1 - x) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by the modified Lentz method."""
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    value = d
    for m in range(1, 500):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + numerator * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + numerator / c
            c = c if abs(c) > tiny else tiny
            step = c * d
            value *= step
        if abs(step - 1.0) < 1e-15:
            break
    return value


# nodes and weights of the Gauss-Legendre rule of 16 points on [-1, 1], the positive half
GAUSS = (
    (0.09501250983763744, 0.1894506104550685), (0.2816035507792589, 0.1826034150449236),
    (0.4580167776572274, 0.1691565193950025), (0.6178762444026438, 0.1495959888165767),
    (0.755404408355003, 0.1246289712555339), (0.8656312023878318, 0.0951585116824928),
    (0.9445750230732326, 0.0622535239386479), (0.9894009349916499, 0.0271524594117541),
)  # fmt: skip


def gauss_nodes(low: float, high: float) -> Iterator[tuple[float, float]]:
    """The points and weights of the rule on [low, high]."""
    middle, half = (low + high) / 2, (high - low) / 2
    for node, weight in GAUSS:
        yield middle - half * node, half * weight
        yield middle + half * node, half * weight


def normal_sf(z: float) -> float:
    """P(Z > z) of the standard normal."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


PANELS = 5  # of each of the two intervals of `noncentral_t_sf`
REACH = 8.5  # sds beyond which a normal tail is 0 in sums that shall be right to 1e-16
SPREAD = 7.0  # as REACH, for sqrt(chi²/df): it lies within 1 ± SPREAD/sqrt(df)


def noncentral_t_sf(t: float, df: float, shift: float) -> float:
    """P(T > t) of the noncentral t with `df` >= 1 degrees of freedom and noncentrality `shift`, to 1e-10 for all of them.

    T = (Z + shift)/U, so the tail is the mean of normal_cdf(shift - t·U) over U = sqrt(chi²/df). Where the argument exceeds REACH
    it is the density of U alone that is integrated, up to the end of its SPREAD; between ± REACH the product; so each interval is
    a few sds of a smooth function, whatever the shift. Over w = cbrt(U), since U's own density may have a root at 0.
    """
    if t < 0:
        return 1.0 - noncentral_t_sf(-t, df, -shift)
    if t == 0 or shift < -REACH:
        return normal_sf(-shift) if t == 0 else 0.0
    low, high = math.cbrt(max(0.0, 1 - SPREAD / math.sqrt(df))), math.cbrt(1 + SPREAD / math.sqrt(df))
    starts = _held(math.cbrt(max(0.0, shift - REACH) / t), low, high)  # where the normal tail begins to fall
    ends = _held(math.cbrt((shift + REACH) / t), low, high)
    log_front = math.log(6.0) + df / 2 * (math.log(df / 2) - 1) - math.lgamma(df / 2)

    def density(w: float) -> float:
        return math.exp(log_front + (3 * df - 1) * math.log(w) - df / 2 * (w**6 - 1))

    total = 0.0
    for left, right, falls in ((low, starts, False), (starts, ends, True)):
        step = (right - left) / PANELS
        for panel in range(PANELS if step > 0 else 0):
            for w, width in gauss_nodes(left + panel * step, left + (panel + 1) * step):
                total += width * density(w) * (normal_sf(t * w**3 - shift) if falls else 1.0)
    return min(1.0, max(0.0, total))


def _held(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
