"""The weight of the L1 penalty: fixed, or moved after every step so that as many features are active as was asked for.

The published adaptive rule is not known. Ours is a proportional-integral controller of log λ on e = log(L0 / target), held to ±1:
log λ = I + e, and I grows by 0.01 e a step. The integral alone overshoots, for features take some hundred steps to answer: from 500 active
it passed a target of 32 down to 1.3 within 300 steps, where this rule has no overshoot. `saeco` is the rule of that library: λ times
1 ± 0.0003 a step.
"""

import math
from typing import Any

INTEGRAL = 0.01
L0_MOMENTUM = 0.9
SAECO_RATE = 3e-4
BOUNDS = (1e-9, 1e4)


class Penalty:
    """λ of one layer, in the sum form. target None: fixed at `start`. warmup_tokens: λ grows from 0, and the rule waits."""

    def __init__(
        self, start: float, *, target: float | None = None, rule: str = "golf", warmup_tokens: int = 0
    ) -> None:
        self.value, self.integral, self.target, self.rule, self.warmup_tokens = (
            start,
            start,
            target,
            rule,
            warmup_tokens,
        )
        self.l0_mean: float | None = None

    def at(self, tokens: int) -> float:
        """The weight for a step that begins after `tokens` tokens."""
        if tokens < self.warmup_tokens:
            return self.value * tokens / self.warmup_tokens
        return self.value

    def update(self, l0: float, tokens: int) -> None:
        """Take in how many features were active in the step that began after `tokens`."""
        if self.target is None or tokens < self.warmup_tokens:
            return
        self.l0_mean = l0 if self.l0_mean is None else L0_MOMENTUM * self.l0_mean + (1 - L0_MOMENTUM) * l0
        if self.rule == "saeco":
            self.value = _bounded(self.value * (1 + SAECO_RATE if l0 > self.target else 1 - SAECO_RATE))
            return
        off = min(max(math.log(max(self.l0_mean, 1e-3) / self.target), -1.0), 1.0)
        self.integral = _bounded(self.integral * math.exp(INTEGRAL * off))
        self.value = self.integral * math.exp(off)

    def state(self) -> dict[str, Any]:
        """What resuming needs."""
        return {"value": self.value, "integral": self.integral, "l0_mean": self.l0_mean}

    def load(self, state: dict[str, Any]) -> None:
        """The reverse of `state`."""
        self.value, self.integral, self.l0_mean = state["value"], state["integral"], state["l0_mean"]


def _bounded(value: float) -> float:
    return min(max(value, BOUNDS[0]), BOUNDS[1])
