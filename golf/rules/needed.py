"""R14's numbers: n, sd and tests of the seeds, and how many seeds, hours and dollars a bar takes at a given power."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from golf.challenge import EVAL_CAP_SECONDS, TRAIN_CAP_SECONDS
from golf.rules.runs import Run
from golf.stats import Sample, Test, dollars, p_text, seeds_needed

POWER = 0.8
CAP_SECONDS = TRAIN_CAP_SECONDS + EVAL_CAP_SECONDS  # training and evaluation at their limits, where the logs do not say


@dataclass(frozen=True)
class Bar:
    """A test that a record must pass, with what the seeds show of it.

    gain and sd: in `unit`; sd is the pooled one of both sides, or the new side's where the old one's seeds are unknown.
    """

    name: str
    unit: str
    alpha: float
    margin: float
    gain: float
    sd: float | None
    test: Test | None

    def seeds(self, power: float) -> int | None:
        """Seeds on each side for this power, if gain and sd are the true ones; None when a hundred do not suffice."""
        return _seeds(self.gain, self.sd, self.alpha, self.margin, power) if self.sd else None


@cache
def _seeds(gain: float, sd: float, alpha: float, margin: float, power: float) -> int | None:
    return seeds_needed(gain, sd, alpha, margin, power)


def pooled_sd(new: Sample, old: Sample) -> float | None:
    """The sd of both sides together, as the power of a test on equal numbers of seeds takes it."""
    known = [side.sd for side in (new, old) if side.sd is not None]
    return math.hypot(*known) / math.sqrt(len(known)) if known else None


def seconds_per_seed(runs: Sequence[Run]) -> tuple[float, bool]:
    """(seconds that one seed takes on the clocks, whether the logs say so): training, calibration, evaluation; mean of the runs."""
    known = [
        run.train_seconds + (run.calibration_seconds or 0.0) + max(run.eval_seconds, run.all_eval_seconds or 0.0)
        for run in runs
        if run.train_seconds is not None and run.eval_seconds is not None
    ]
    return (sum(known) / len(known), True) if known else (CAP_SECONDS, False)


def figures_of(
    new: Sample, old: Sample, bars: Sequence[Bar], runs: Sequence[Run], power: float, rate: float | None
) -> dict[str, Any]:
    """Everything as plain data. rate: dollars per hour of the machine that runs a seed."""
    seconds, measured = seconds_per_seed(runs)
    return {
        "new_bpb": {"n": new.n, "mean": new.mean, "sd": new.sd},
        "old_bpb": {"n": old.n, "mean": old.mean, "sd": old.sd},
        "power": power,
        "seconds_per_seed": seconds,
        "seconds_measured": measured,
        "dollars_per_hour": rate,
        "bars": {bar.name: _figures(bar, new.n, seconds, power, rate) for bar in bars},
    }


def _figures(bar: Bar, n: int, seconds: float, power: float, rate: float | None) -> dict[str, Any]:
    seeds, test = bar.seeds(power), bar.test
    cost = dollars(seeds, seconds, rate) if seeds is not None and rate is not None else None
    return {
        "unit": bar.unit, "alpha": bar.alpha, "margin": bar.margin, "gain": bar.gain, "sd": bar.sd,
        "p": test.p if test else None, "t": test.t if test else None, "df": test.df if test else None,
        "seeds_needed": seeds, "seeds_missing": max(seeds - n, 0) if seeds is not None else None, "dollars": cost,
    }  # fmt: skip


def lines_of(figures: dict[str, Any]) -> tuple[str, ...]:
    """The same for people."""
    new, old = figures["new_bpb"], figures["old_bpb"]
    lines = [f"val_bpb, sd with n - 1: new {_sample(new)}; old {_sample(old)}"]
    for name, bar in figures["bars"].items():
        p = "no p-value" if bar["p"] is None else f"p {p_text(bar['p'])} (t = {bar['t']:.2f}, df = {bar['df']:.2f})"
        margin = f"margin {bar['margin']:g}" if bar["margin"] else "no margin"
        lines.append(f"{name}, one-sided Welch on {bar['unit']}, {margin}, p < {bar['alpha']:g}: {p}")
        lines.append(f"{name}, seeds for {100 * figures['power']:g} % power: {_needed(bar, figures)}")
    return tuple(lines)


def _sample(side: dict[str, Any]) -> str:
    return f"{side['mean']:.5f} (n={side['n']}, sd {'unknown' if side['sd'] is None else format(side['sd'], '.5f')})"


def _needed(bar: dict[str, Any], figures: dict[str, Any]) -> str:
    if bar["seeds_needed"] is None:
        if bar["sd"] is None:
            return "unknown without a spread"
        why = "does not exceed the margin" if bar["gain"] <= bar["margin"] else "is too small: over a hundred"
        return f"no number, since the gain of {bar['gain']:.5f} {why}"
    text = f"{bar['seeds_needed']} on each side (gain {bar['gain']:.5f}, sd {bar['sd']:.5f}), {bar['seeds_missing']} more than there are"
    if bar["dollars"] is not None:
        clock = "measured" if figures["seconds_measured"] else "at both limits"
        text += f"; ${bar['dollars']:,.2f} at ${figures['dollars_per_hour']:g} an hour and {figures['seconds_per_seed']:.0f} s a seed ({clock})"
    return text
