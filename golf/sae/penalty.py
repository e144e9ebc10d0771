"""The weight of the L1 penalty: fixed, or moved after every step so that as many features are active as was asked for.

The published adaptive rule is not known. Ours follows a falling target: L0 shall go from what it is at the first step down to the target,
evenly in its logarithm, over `descent` of the run, and stay there. A proportional-integral controller of log λ on
e = log(L0 / target of the moment), held to ±1, does that: log λ = I + e / 2, and I grows by 0.01 e a step, faster in short runs.
A controller that is shown the final target at once raises λ far above what will be needed while features still form, and kills those
that had no time to. `saeco` is the rule of that library: λ times 1 ± 0.0003 a step.
"""

import math
from typing import Any

INTEGRAL, PROPORTIONAL = 0.01, 0.5
SWEEP, FASTEST = (
    15.0,
    0.05,
)  # in a run too short for that, I may still grow by so much in all, and at most so much a step
L0_MOMENTUM = 0.9
SAECO_RATE = 3e-4
BOUNDS = (1e-9, 1e4)


class Penalty:
    """λ of one layer, in the sum form. target None: fixed at `start`. warmup_tokens: λ grows from 0, and the rule waits.

    total_tokens, steps: of the run, which the falling target is laid over; 0: the target is what it is from the first step.
    descent: share of it in which the target falls; what is trained on is sparse only after that.
    """

    def __init__(
        self,
        start: float,
        *,
        target: float | None = None,
        rule: str = "golf",
        warmup_tokens: int = 0,
        total_tokens: int = 0,
        steps: int = 0,
        descent: float = 0.7,
    ) -> None:
        self.value, self.integral, self.target, self.rule = start, start, target, rule
        self.warmup_tokens, self.total_tokens, self.descent = warmup_tokens, total_tokens, descent
        self.gain = min(max(INTEGRAL, SWEEP / steps), FASTEST) if steps else INTEGRAL
        self.l0_mean: float | None = None
        self.first: float | None = None  # L0 when the rule began

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
        self.first = max(l0, self.target) if self.first is None else self.first
        off = min(max(math.log(max(self.l0_mean, 1e-3) / self.wanted(tokens)), -1.0), 1.0)
        self.integral = _bounded(self.integral * math.exp(self.gain * off))
        self.value = self.integral * math.exp(PROPORTIONAL * off)

    def wanted(self, tokens: int) -> float:
        """The L0 that is aimed at after `tokens`."""
        assert self.target is not None and self.first is not None
        span = self.descent * self.total_tokens - self.warmup_tokens
        share = min(max(tokens - self.warmup_tokens, 0) / span, 1.0) if span > 0 else 1.0
        return math.exp((1 - share) * math.log(self.first) + share * math.log(self.target))

    def state(self) -> dict[str, Any]:
        """What resuming needs."""
        return {"value": self.value, "integral": self.integral, "l0_mean": self.l0_mean, "first": self.first}

    def load(self, state: dict[str, Any]) -> None:
        """The reverse of `state`."""
        self.value, self.integral, self.l0_mean = state["value"], state["integral"], state["l0_mean"]
        self.first = state["first"]


def _bounded(value: float) -> float:
    return min(max(value, BOUNDS[0]), BOUNDS[1])
