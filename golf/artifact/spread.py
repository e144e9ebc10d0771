"""How widely a matrix's weights are spread after Muon, from what the recipe says about training.

Muon's update of a (rows, columns) matrix has singular values near 1 times √max(1, rows/columns): its mean square is 1/columns,
whatever the gradient is. Successive updates share the Nesterov momentum β, so that the weights are a random walk with steps of that
autocorrelation, pulled back by weight decay:

    m ← βm + noise,  u = noise + βm,  w ← (1 − lr·wd) w + lr·u/|u|

The average that is exported (EMA, SWA) is followed with it: SWA reaches back to larger weights, 4 % more in #265.
Only the Newton–Schulz iteration's shortfall and what gradients have in common are not known: a share of the walk, the middle of what
published bytes of rows with scales on the floor imply. Nine rows that export an average, #265 to #1334, imply 0.80 (#1218) to 0.87
(#265, one seed), seven of them 0.82 to 0.85; three that export the last weights imply 0.78 (#60), 0.79 (#65) and 0.81 (#86). Those three
also take 524,288 tokens a step, the nine 786,432, so which of the two it is cannot be told. Seeds of one row differ by as much as 2 %
of it. Eleven small twins trained here have 0.65 to 1.10 of the walk, most 0.72 to 0.90.
"""

import math
from dataclasses import dataclass

SHARE_OF_WALK, WITHOUT_AVERAGE = 0.84, 0.79


@dataclass(frozen=True)
class Training:
    """What decides the spread. Steps and momentum as in the recipe; warmdown_steps: the last ones, over which lr falls to 0.

    ema_decay: of the exported average; swa_every: steps between snapshots, from where lr is `swa_start` of its start. 0: no average.
    """

    steps: int
    lr: float
    weight_decay: float
    momentum: float
    momentum_start: float
    momentum_warmup_steps: int
    warmdown_steps: float
    ema_decay: float = 0.0
    swa_start: float = 0.0
    swa_every: int = 0


def deviation(columns: int, training: Training) -> float:
    """Standard deviation of the exported weights of a matrix with so many columns."""
    square = together = 0.0  # E[w²], E[wm]
    buffer = 0.0  # E[m²]
    average = beside = over = 0.0  # of an average a: E[a²], E[aw], E[am]
    snapshots = 0
    for step in range(training.steps):
        factor = min(1.0, (training.steps - step) / max(training.warmdown_steps, 1e-9))
        lr = training.lr * factor
        warm = min(1.0, step / training.momentum_warmup_steps) if training.momentum_warmup_steps else 1.0
        beta = training.momentum_start + (training.momentum - training.momentum_start) * warm
        kept = 1 - lr * training.weight_decay
        # Nesterov: the direction is noise + beta m after m took the noise in, (1 + beta) noise + beta² m before
        rate = lr / math.sqrt(columns * ((1 + beta) ** 2 + beta**4 * buffer))
        beside, over = kept * beside + rate * beta**2 * over, beta * over
        square = kept * kept * square + 2 * kept * rate * beta**2 * together + lr * lr / columns
        together = kept * beta * together + rate * (1 + beta + beta**3 * buffer)
        buffer = beta * beta * buffer + 1
        if training.ema_decay:
            old, new = training.ema_decay, 1 - training.ema_decay
        elif training.swa_every and factor < training.swa_start and step % training.swa_every == 0:
            snapshots += 1
            old, new = 1 - 1 / snapshots, 1 / snapshots
        else:
            continue
        average = old * old * average + 2 * old * new * beside + new * new * square
        beside, over = old * beside + new * square, old * over + new * together
    averaged = training.ema_decay or snapshots
    return SHARE_OF_WALK * math.sqrt(average) if averaged else WITHOUT_AVERAGE * math.sqrt(square)
