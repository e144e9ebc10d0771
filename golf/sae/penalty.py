"""The weight of the L1 penalty: fixed, or moved after every step so that as many features are active as was asked for.

The published adaptive rule is not known. Ours follows a falling target: L0 shall go from what it is at the first step down to the target,
evenly in its logarithm, over a share of the run, and stay there. A proportional-integral controller of log λ on
e = log(L0 / target of the moment), held to ±1, does that: log λ = I + P e, and I grows by 0.01 e a step, in most architectures faster
in short runs. A controller that is shown the final target at once raises λ far above what will be needed while features still form, and
kills those that had no time to. How an architecture's L0 answers to λ differs, so each may have its own `Control`.
`saeco` is the rule of that library: λ times 1 ± 0.0003 a step.
"""

import math
from dataclasses import dataclass
from typing import Any

INTEGRAL, FASTEST = 0.01, 0.05  # how much I grows a step at e = 1, and at most in short runs
L0_MOMENTUM = 0.9
SAECO_RATE = 3e-4
BOUNDS = (1e-9, 1e4)


@dataclass(frozen=True)
class Control:
    """How λ is brought to where a target L0 is met: what an architecture's L0 answers to.

    descent: share of the run in which the target falls; head: times the final target, from which it falls at most; proportional: P;
    sweep: by how much I may grow in all in a run of however few steps; start: λ at first, beside an error summed over dimensions
    (None: what the settings have for all).
    """

    descent: float = 0.7
    head: float = math.inf
    proportional: float = 0.5
    sweep: float = 15.0
    start: float | None = None


class Penalty:
    """λ of one layer, in the sum form. target None: fixed at `start`. warmup_tokens: λ grows from 0, and the rule waits.

    total_tokens, steps: of the run, which the falling target is laid over; 0: the target is what it is from the first step.
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
        control: Control | None = None,
    ) -> None:
        self.value, self.integral, self.target, self.rule = start, start, target, rule
        self.warmup_tokens, self.total_tokens, self.control = warmup_tokens, total_tokens, control or Control()
        self.gain = min(max(INTEGRAL, self.control.sweep / steps), FASTEST) if steps else INTEGRAL
        self.l0_mean: float | None = None
        self.first: float | None = None  # where the target falls from: L0 when the rule began

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
        if self.first is None:
            self.first = min(max(l0, self.target), self.control.head * self.target)
        off = min(max(math.log(max(self.l0_mean, 1e-3) / self.wanted(tokens)), -1.0), 1.0)
        self.integral = _bounded(self.integral * math.exp(self.gain * off))
        self.value = self.integral * math.exp(self.control.proportional * off)

    def wanted(self, tokens: int) -> float:
        """The L0 that is aimed at after `tokens`."""
        assert self.target is not None and self.first is not None
        span = self.control.descent * self.total_tokens - self.warmup_tokens
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
