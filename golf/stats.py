"""Statistics of seeds: mean, sample sd, one-sided t-tests, power, in every unit that the challenge uses.

Everything is one-sided for "the new one is lower": p is the probability of a difference at least this large if the new one were
not better. A standard deviation has n - 1 in the denominator. The t distribution is computed here (incomplete beta by continued
fraction, noncentral t by its Poisson series), so that no command waits for scipy; tests compare it with tables.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LN2 = math.log(2.0)
NODES = 32  # of the quadrature of `power`
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
    """A one-sided t-test: statistic, degrees of freedom, p."""

    __test__ = False  # not a test class of pytest
    t: float
    df: float
    p: float


def sample_sd(values: Sequence[float]) -> float | None:
    """Standard deviation with n - 1 in the denominator; None for fewer than two values."""
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


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
    a, b = new.sd**2 / new.n, old.sd**2 / old.n
    if a + b == 0:
        return None
    t = (old.mean - new.mean - margin) / math.sqrt(a + b)
    df = (a + b) ** 2 / (a**2 / (new.n - 1) + b**2 / (old.n - 1))
    return Test(t, df, t_sf(t, df))


def one_sample(new: Sample, mean: float, margin: float = 0.0) -> Test | None:
    """The test that `new` is lower than the fixed number `mean` by more than `margin`; None when the sd is unknown or zero."""
    if not new.sd:
        return None
    t = (mean - new.mean - margin) / (new.sd / math.sqrt(new.n))
    return Test(t, new.n - 1.0, t_sf(t, new.n - 1.0))


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


def power(
    delta: float, sd: float, n: int, alpha: float = STRICT_P, margin: float = 0.0, n_old: int | None = None
) -> float:
    """Probability that the one-sided Welch test of n against n_old (default n) seeds of equal true sd finds a true gain `delta`.

    Exact up to quadrature: given the share B of one side's squares in all of them, the statistic is a noncentral t; B is a beta
    variable, B = sin² of an angle that is integrated over.
    """
    other = n if n_old is None else n_old
    if min(n, other) < 2:
        return 0.0
    df, spread = n + other - 2.0, 1 / n + 1 / other
    shift = (delta - margin) / (sd * math.sqrt(spread))
    total = weights = 0.0
    for node in range(NODES):
        angle = (node + 0.5) / NODES * math.pi / 2
        share = math.sin(angle) ** 2
        weight = math.sin(angle) ** (n - 2) * math.cos(angle) ** (other - 2)
        a, b = share / ((n - 1) * n), (1 - share) / ((other - 1) * other)
        welch_df = (a + b) ** 2 / (a * a / (n - 1) + b * b / (other - 1))
        bar = t_quantile(1 - alpha, welch_df) * math.sqrt((a + b) * df / spread)
        total += weight * noncentral_t_sf(bar, df, shift)
        weights += weight
    return total / weights


def seeds_needed(
    delta: float, sd: float, alpha: float = STRICT_P, margin: float = 0.0, wanted: float = 0.8, most: int = 100
) -> int | None:
    """The fewest seeds on each side that give the test power `wanted`; None when `most` do not."""
    if delta <= margin:
        return None
    low, high = 1, 2  # too few, enough
    while power(delta, sd, high, alpha, margin) < wanted:
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(delta, sd, middle, alpha, margin) >= wanted else (middle, high)
    return high


def dollars(seeds: int, seconds_per_seed: float, dollars_per_hour: float) -> float:
    """What `seeds` runs cost at a rate that the user gives."""
    return seeds * seconds_per_seed / 3600 * dollars_per_hour


# ---- distributions --------------------------------------------------------------------------------------------------------


def t_sf(t: float, df: float) -> float:
    """P(T > t) of Student's t with `df` degrees of freedom."""
    if math.isinf(t):
        return 0.0 if t > 0 else 1.0
    tail = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + t * t))
    return tail if t >= 0 else 1.0 - tail


def t_quantile(p: float, df: float) -> float:
    """The t with P(T <= t) = p, by bisection."""
    return _root(lambda t: 1.0 - t_sf(t, df) - p, -1e4, 1e4)


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


def normal_sf(z: float) -> float:
    """P(Z > z) of the standard normal."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def noncentral_t_sf(t: float, df: float, shift: float) -> float:
    """P(T > t) of the noncentral t with `df` degrees of freedom and noncentrality `shift`, t >= 0 (Poisson mixture of betas)."""
    if t < 0:
        return 1.0 - noncentral_t_sf(-t, df, -shift)
    x = t * t / (t * t + df)
    half = shift * shift / 2
    total = 0.0
    for j in range(int(half + 12 * math.sqrt(half + 1) + 60)):
        weight = math.exp(-half + j * math.log(half) - math.lgamma(j + 1)) if half > 0 else float(j == 0)
        odd = shift / math.sqrt(2.0) * math.exp(-half + (j * math.log(half) if half > 0 else 0.0) - math.lgamma(j + 1.5)) if (
            half > 0 or j == 0
        ) else 0.0  # fmt: skip
        total += weight * incomplete_beta(j + 0.5, df / 2, x) + odd * incomplete_beta(j + 1.0, df / 2, x)
    return min(1.0, max(0.0, 1.0 - (normal_sf(shift) + 0.5 * total)))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if function(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
