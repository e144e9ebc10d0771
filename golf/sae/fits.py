"""Power laws with a floor: loss over tokens or features, L = E + A·T^−β, and over parameters and tokens (Chinchilla).

Both are separable: for fixed exponents the rest is linear least squares with non-negative coefficients, so a grid over the
exponents, refined around its best point, finds the optimum without a start value.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golf.sae.floors import r_squared

Array = NDArray[np.float64]
EXPONENTS = (0.02, 4.0)  # what the grid spans
GRID = 33  # points of each refinement
ROUNDS = 12  # refinements of the grid


@dataclass(frozen=True)
class Decay:
    """L(T) = floor + scale · T^−exponent."""

    floor: float
    scale: float
    exponent: float
    rmse: float
    r2: float | None
    points: int

    def at(self, amount: float) -> float:
        """The loss at `amount` of what the fit was over."""
        return self.floor + self.scale * float(amount**-self.exponent)


@dataclass(frozen=True)
class Chinchilla:
    """L(N, D) = floor + a · N^−alpha + b · D^−beta."""

    floor: float
    a: float
    alpha: float
    b: float
    beta: float
    rmse: float
    points: int

    def at(self, parameters: float, tokens: float) -> float:
        """The loss of a model of `parameters` after `tokens`."""
        return self.floor + self.a * float(parameters**-self.alpha) + self.b * float(tokens**-self.beta)


def nonnegative(columns: Array, target: Array) -> Array:
    """Least squares with coefficients >= 0, exact for the two or three columns here: the best feasible subset of columns."""
    count = columns.shape[1]
    best, best_error = np.zeros(count), float(np.square(target).sum())
    free, *_ = np.linalg.lstsq(columns, target, rcond=None)
    if (free >= 0).all():  # the least error of all
        return np.asarray(free)
    for size in range(1, count):
        for chosen in combinations(range(count), size):
            part, *_ = np.linalg.lstsq(columns[:, chosen], target, rcond=None)
            error = float(np.square(columns[:, chosen] @ part - target).sum())
            if (part >= 0).all() and error < best_error:
                best, best_error = np.zeros(count), error
                best[list(chosen)] = part
    return best


def _line(x: Array, y: Array, exponents: Array) -> tuple[Array, Array, Array]:
    """(floors, scales, squared errors) of the best floor + scale · x^−exponent with neither negative, for each of the exponents.

    `nonnegative` for two columns, one of them constant, in closed form for a whole grid at once.
    """
    columns = x ** -exponents[:, None]
    spread = columns - columns.mean(1, keepdims=True)
    slopes = spread @ (y - y.mean()) / np.square(spread).sum(1)
    free = np.stack((y.mean() - slopes * columns.mean(1), slopes))
    through_zero = np.stack((np.zeros_like(slopes), columns @ y / np.square(columns).sum(1)))
    constant = np.stack((np.full_like(slopes, y.mean()), np.zeros_like(slopes)))
    choices = np.stack((free, through_zero, constant, np.zeros_like(free)))  # (4, floor and scale, exponents)
    errors = np.square(choices[:, 0, :, None] + choices[:, 1, :, None] * columns - y).sum(-1)
    errors[(choices < 0).any(1)] = np.inf
    best = errors.argmin(0)
    floors, scales = np.take_along_axis(choices, best[None, None], 0)[0]
    return floors, scales, errors.min(0)


def _search(errors: Callable[[Array], Array], dims: int) -> list[float]:
    """The exponents of least error: a grid on a log scale, then ever finer grids around the best point. errors: of (points, dims)."""
    low, high = np.log(EXPONENTS[0]), np.log(EXPONENTS[1])
    axis = np.linspace(low, high, GRID)
    mesh = np.stack(np.meshgrid(*[axis] * dims, indexing="ij"), -1).reshape(-1, dims)
    best = mesh[errors(np.exp(mesh)).argmin()]
    span = axis[1] - axis[0]
    offsets = np.linspace(-1.5, 1.5, 7 if dims > 1 else GRID)
    for _ in range(ROUNDS):
        near = np.stack(np.meshgrid(*[offsets * span] * dims, indexing="ij"), -1).reshape(-1, dims) + best
        near = np.clip(near, low, high)
        best = near[errors(np.exp(near)).argmin()]
        span *= 0.5 if dims > 1 else 0.2
    return [float(value) for value in np.exp(best)]


def fit_decay(amounts: Sequence[float], losses: Sequence[float]) -> Decay | None:
    """Fit L = E + A·T^−β with E, A >= 0; None for fewer than three points. Three points are always fitted (almost) exactly."""
    x, y = np.asarray(amounts, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    if len(np.unique(x)) < 3:
        return None
    unit = float(np.exp(np.log(x).mean()))  # centred, so that the columns are comparable
    (exponent,) = _search(lambda points: _line(x / unit, y, points[:, 0])[2], 1)
    floor, scale, _ = (float(values[0]) for values in _line(x / unit, y, np.array([exponent])))
    fitted = floor + scale * (x / unit) ** -exponent
    rmse = float(np.sqrt(np.square(fitted - y).mean()))
    return Decay(float(floor), float(scale * unit**exponent), exponent, rmse, r_squared(y, fitted), len(x))


def fit_chinchilla(points: Sequence[tuple[float, float, float]]) -> Chinchilla | None:
    """Fit rows of (parameters, tokens, loss); None for fewer than five, the number of free values."""
    if len(points) < 5:
        return None
    n, d, y = (np.asarray(column, dtype=np.float64) for column in zip(*points, strict=True))
    n_unit, d_unit = float(np.exp(np.log(n).mean())), float(np.exp(np.log(d).mean()))

    def columns(point: Sequence[float]) -> Array:
        return np.stack((np.ones_like(y), (n / n_unit) ** -point[0], (d / d_unit) ** -point[1]), 1)

    def error(point: Sequence[float]) -> float:
        part = columns(point)
        return float(np.square(part @ nonnegative(part, y) - y).sum())

    alpha, beta = _search(lambda points: np.array([error(point) for point in points]), 2)
    floor, a, b = nonnegative(columns((alpha, beta)), y)
    rmse = float(np.sqrt(error((alpha, beta)) / len(y)))
    return Chinchilla(float(floor), float(a * n_unit**alpha), alpha, float(b * d_unit**beta), beta, rmse, len(y))


def forecast(amounts: Sequence[float], losses: Sequence[float], factor: float = 2.0) -> dict[str, Any] | None:
    """The decay fit, what it says of `factor` times the last amount, and how well the fit without the last point foretold it.

    The second needs four points (else None there): a fit of three values to three points has nothing left to be wrong by.
    """
    fit = fit_decay(amounts, losses)
    if fit is None:
        return None
    missed = None
    if len(amounts) >= 4:
        earlier = fit_decay(amounts[:-1], losses[:-1])
        missed = None if earlier is None else (earlier.at(amounts[-1]) - losses[-1]) / losses[-1]
    return {
        **asdict(fit),
        "next_amount": factor * amounts[-1],
        "next_loss": fit.at(factor * amounts[-1]),
        "leave_last_out_error": missed,
    }
