"""The least loss that a narrower student must pay, predicted from a dictionary's codes (arXiv 2604.04037, its measurement code).

With F alive features of which L0 are active on a token: α = 1 − L0/F, g(α) = 1 / ((1 − α) ln(1 / (1 − α))), and a student of
width d_S holds F_S = min(⌊d_S · g⌋, F) features; what the others carried, Σ_{i > F_S} E[z_i²] over importances in descending
order, is the floor. d* = F / g is the width from which nothing must be lost. Floors are in units of squared activation: they
are compared with measured losses through observed = C · floor + B only. An audit (a toy model) found the count F_S good well
below d* and too kind near it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTHS = (128, 256, 384, 512, 768, 1024)  # of the published predictions, for a teacher of width 1024


def sparsity(l0: float, features: int) -> float:
    """α = 1 − L0/F; ValueError unless 0 < L0 < F."""
    if not 0 < l0 < features:
        raise ValueError(f"L0 {l0} of {features} features: the share must lie between 0 and 1")
    return 1.0 - l0 / features


def capacity(alpha: float) -> float:
    """g(α): features that one dimension holds in superposition."""
    if not 0 < alpha < 1:
        raise ValueError(f"α {alpha} must lie between 0 and 1")
    return 1.0 / ((1.0 - alpha) * math.log(1.0 / (1.0 - alpha)))


def features_kept(width: float, features: int, gain: float) -> int:
    """F_S of a student of `width` dimensions."""
    return min(math.floor(width * gain), features)


@dataclass(frozen=True)
class Floors:
    """A layer's geometry. importance: E[z²] of the alive features, descending."""

    l0: float
    importance: NDArray[np.float64]

    @property
    def features(self) -> int:
        return len(self.importance)

    @property
    def alpha(self) -> float:
        return sparsity(self.l0, self.features)

    @property
    def gain(self) -> float:
        return capacity(self.alpha)

    @property
    def critical_width(self) -> float:
        """d*: the width from which the floor is zero."""
        return self.features / self.gain

    def floor(self, width: float) -> float:
        """The importance that a student of `width` dimensions cannot hold."""
        return float(self.importance[features_kept(width, self.features, self.gain) :].sum())

    def report(self, widths: Sequence[int]) -> dict[str, Any]:
        """Plain Python under the names of the published measurement files, which others' plots read; `pct` is of all importance."""
        total = float(self.importance.sum())
        predictions = {}
        for width in widths:
            kept, floor = features_kept(width, self.features, self.gain), self.floor(width)
            predictions[str(width)] = {
                "d_S": width,
                "features_kept": kept,
                "features_dropped": self.features - kept,
                "predicted_floor": floor,
                "pct": 100 * floor / total if total else 0.0,
            }
        return {
            "F_alive": self.features,
            "avg_active": self.l0,
            "alpha": self.alpha,
            "g_alpha": self.gain,
            "d_star_S": self.critical_width,
            "total_importance": total,
            "rank_slope": rank_slope(self.importance),
            "predictions": predictions,
        }


def floors_of(l0: float, importance: Sequence[float] | NDArray[np.float64]) -> Floors | None:
    """Floors of alive features in any order; None where α is not defined (nothing active, or everything)."""
    ranked = np.sort(np.asarray(importance, dtype=np.float64))[::-1].copy()
    return Floors(l0, ranked) if 0 < l0 < len(ranked) else None


def student_widths(dim: int) -> list[int]:
    """The published widths as shares of the teacher's: 1/8, 1/4, 3/8, 1/2, 3/4, 1."""
    return sorted({max(1, dim * width // WIDTHS[-1]) for width in WIDTHS})


def rank_slope(importance: NDArray[np.float64], low: float = 0.1, high: float = 0.9) -> float | None:
    """The slope of log importance on log rank between the 10th and 90th percent of the ranks; None for too few."""
    ranks = np.arange(1, len(importance) + 1)
    part = (ranks >= low * len(ranks)) & (ranks <= high * len(ranks)) & (importance > 0)
    if part.sum() < 3:
        return None
    return float(np.polyfit(np.log(ranks[part]), np.log(importance[part]), 1)[0])


# ---- predicted against measured --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Affine:
    """observed = slope · floor + base, least squares. r2 is of the fit; two points always give 1."""

    slope: float  # the paper's C
    base: float  # the paper's B, which no width removes
    r2: float | None
    points: int


def calibrate(floors: Sequence[float], observed: Sequence[float]) -> Affine | None:
    """The affine fit of measured losses on predicted floors; None for fewer than two different floors."""
    x, y = np.asarray(floors, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    if len(np.unique(x)) < 2:
        return None
    slope, base = np.polyfit(x, y, 1)
    return Affine(float(slope), float(base), r_squared(y, slope * x + base), len(x))


def r_squared(observed: NDArray[np.float64], fitted: NDArray[np.float64]) -> float | None:
    """1 − residual / total sum of squares; None where the observed values do not vary."""
    total = float(np.square(observed - observed.mean()).sum())
    return None if total == 0 else 1.0 - float(np.square(observed - fitted).sum()) / total


def measured_points(found: Any) -> dict[int, dict[int, float]]:
    """Measured student losses as `{"<layer>": {"<width>": nats}}`; ValueError says what is wrong with them."""
    if not isinstance(found, Mapping):
        raise ValueError("expected an object of layers")
    points: dict[int, dict[int, float]] = {}
    for layer, row in found.items():
        if not isinstance(row, Mapping):
            raise ValueError(f"layer {layer}: expected an object of width and loss")
        points[int(layer)] = {int(width): float(loss) for width, loss in row.items()}
    return points
