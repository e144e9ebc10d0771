"""How widely a matrix's weights are spread after Muon, from what the recipe says about training.

Muon's update of a (rows, columns) matrix has singular values near 1 times √max(1, rows/columns): its mean square is 1/columns,
whatever the gradient is. Successive updates share momentum β, so that the weights are a random walk with steps of that
autocorrelation, pulled back by weight decay:

    m ← βm + noise,  w ← (1 − lr·wd) w + lr·m

Only the Newton–Schulz iteration's shortfall and what gradients have in common are not known: one constant, 0.83, the same for
all recipes, fitted to the published model bytes of PR #1019 and the run of PR #740 (whose scales have a floor, so that bytes tell
the spread). Eleven small twins trained here have
0.65 to 1.10 of the walk, most 0.72 to 0.90.
"""

import math
from dataclasses import dataclass

SHARE_OF_WALK = 0.83


@dataclass(frozen=True)
class Training:
    """What decides the spread. Steps and momentum as in the recipe; warmdown_steps: the last ones, over which lr falls to 0."""

    steps: int
    lr: float
    weight_decay: float
    momentum: float
    momentum_start: float
    momentum_warmup_steps: int
    warmdown_steps: float


def deviation(columns: int, training: Training) -> float:
    """Standard deviation of the weights of a matrix with so many columns at the end of training."""
    square = together = 0.0  # E[w²], E[wm]
    update = 1 / columns
    for step in range(training.steps):
        lr = training.lr * min(1.0, (training.steps - step) / max(training.warmdown_steps, 1e-9))
        warm = min(1.0, step / training.momentum_warmup_steps) if training.momentum_warmup_steps else 1.0
        beta = training.momentum_start + (training.momentum - training.momentum_start) * warm
        kept = 1 - lr * training.weight_decay
        square = kept * kept * square + 2 * kept * lr * beta * together + lr * lr * update
        together = kept * beta * together + lr * update
    return SHARE_OF_WALK * math.sqrt(square)
