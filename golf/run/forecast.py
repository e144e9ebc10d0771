"""A forecast of a run's final BPB from the part of its log that is there.

Two ways, and the surer one is taken. By reference: at equal steps the losses of this run and of a finished one on the same batches
differ by what their finals differ by; how hard a batch is cancels. By the model: final = loss now × exp(a + b·log(share) + c·(learning
rate, 1 at its peak)), three constants and an offset for each kind of evaluation, from the public logs. The constants, their errors
and where they are from stand in `forecast.toml`; `benchmarks/forecast.py` fits them on half of the logs and tests them on the other.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from golf.stats import sample_sd

CONSTANTS = Path(__file__).with_name("forecast.toml")
FIRST_SHARE = 0.1  # of the run before which nothing is foretold
LEAST_POINTS = {True: 2, False: 4}  # common steps with another seed of the script, with another script
SAME_TEXT = 1e-3  # how far apart the BPB of a nat may be on one tokenizer and text: what is printed is rounded
STAGES = ("quantized", "sliding", "ttt")  # how the score is evaluated


@dataclass(frozen=True)
class Curve:
    """What a log says of training so far. train: (step, share of the run, nats per token); validations: (step, share, BPB).

    bpb_per_nat: BPB of a loss of one nat per token, which the tokenizer and the text fix; None where nothing tells it.
    """

    train: tuple[tuple[int, float, float], ...]
    validations: tuple[tuple[int, float, float], ...] = ()
    bpb_per_nat: float | None = None

    @property
    def share(self) -> float:
        """How much of the run has been seen, 0 to 1."""
        return max((share for _, share, _ in (*self.train, *self.validations)), default=0.0)

    def until(self, share: float) -> "Curve":
        """What it said when this share of the run was over."""
        train = tuple(point for point in self.train if point[1] <= share)
        return Curve(train, tuple(point for point in self.validations if point[1] <= share), self.bpb_per_nat)


@dataclass(frozen=True)
class Schedule:
    """The learning rate: 1, then linearly to 0 over the last `warmdown` of the run (a share; above 1: it falls from the start)."""

    warmdown: float
    floor: float = 0.0

    def at(self, share: float) -> float:
        """The learning rate at a share of the run, 1 at its peak."""
        return max(min((1 - share) / self.warmdown, 1.0), self.floor) if self.warmdown > 0 else 1.0


@dataclass(frozen=True)
class Reference:
    """A finished run. is_same: of the same script, another seed; schedule and stage: of its own, where they are known."""

    label: str
    curve: Curve
    final_bpb: float
    is_same: bool
    schedule: Schedule | None = None
    stage: str = "sliding"


@dataclass(frozen=True)
class Forecast:
    """A predicted final BPB. sd: of its error, as measured on logs at this share; by: what it leans on.

    stop_sds: how many of these above a bound it must lie for a stop, so that, asked at every line, 95 % of the runs that end at the
    bound are kept; infinite for what is too unsure to stop by, another script's curve.
    """

    bpb: float
    sd: float
    share: float
    by: str
    stop_sds: float

    def is_worse_than(self, bpb: float) -> bool:
        """Whether the final would be above `bpb` with 95 % confidence."""
        return self.bpb - self.stop_sds * self.sd > bpb


def forecasts(
    curve: Curve, references: Sequence[Reference] = (), schedule: Schedule | None = None, stage: str = "sliding"
) -> list[Forecast]:
    """Every forecast, the surest first; none where less than a tenth of the run is over, or nothing can be said.

    schedule: None where it is not known, and for runs that are unlike those of the public logs (small twins).
    """
    if curve.share < FIRST_SHARE:
        return []
    found = [by_reference(curve, one, schedule, stage) for one in references]
    if schedule is not None:
        found.append(by_model(curve, schedule, stage))
    return sorted((one for one in found if one is not None), key=lambda one: one.sd)


def by_reference(
    curve: Curve, reference: Reference, schedule: Schedule | None = None, stage: str = "sliding"
) -> Forecast | None:
    """From one finished run; None where too few steps are common, or the batches were not the same.

    On the same batches the ratio of the two losses hardly moves from step to step; on others it moves as the batches do. Another script
    must be evaluated in the same way; where its schedule differs, the model says what each still has before it.
    """
    if not _same_text(curve, reference.curve) or not (reference.is_same or reference.stage == stage):
        return None
    there = {step: (share, loss) for step, share, loss in reference.curve.train}
    common = [(share, loss, *there[step]) for step, share, loss in recent(curve.train, curve.share) if step in there]
    common = [point for point in common if _is_positive(point[1]) and _is_positive(point[3])]
    logs = [math.log(loss / other) for _, loss, _, other in common]
    table = constants()["same" if reference.is_same else "other"]
    spread = sample_sd(logs)
    if spread is None or len(logs) < LEAST_POINTS[reference.is_same] or spread > table["most_spread"]:
        return None
    share = curve.share
    moved = between(table["slope"], share) * sum(logs) / len(logs)
    if not reference.is_same and schedule is not None and reference.schedule is not None:
        model = constants()["model"]
        moved += sum(
            _remaining(model, schedule, stage, mine) - _remaining(model, reference.schedule, reference.stage, theirs)
            for mine, _, theirs, _ in common
        ) / len(common)
    sd = between(table["sd"], share)
    what = "another seed of its script" if reference.is_same else reference.label
    return Forecast(reference.final_bpb * math.exp(moved), reference.final_bpb * sd, share, what, table["stop_sds"])


def by_model(curve: Curve, schedule: Schedule, stage: str) -> Forecast | None:
    """From the public logs' constants; None where no BPB is known of the losses."""
    table = constants()["model"]
    weighted = [
        (table[f"{kind}_weight"], bpb, share)
        for kind, points in (("train", _in_bpb(curve)), ("validation", curve.validations))
        for _, share, bpb in recent(points, curve.share)
        if _is_positive(bpb)
    ]
    if not weighted:
        return None
    logs = [math.log(bpb) + _remaining(table, schedule, stage, share) for _, bpb, share in weighted]
    mean = sum(weight * value for (weight, _, _), value in zip(weighted, logs, strict=True)) / sum(
        w for w, _, _ in weighted
    )
    bpb = math.exp(mean)
    return Forecast(bpb, bpb * between(table["sd"], curve.share), curve.share, "the public logs", table["stop_sds"])


def features(schedule: Schedule, stage: str, share: float) -> list[float]:
    """What the model's constants multiply: one offset for each stage, the logarithm of the share, the learning rate."""
    return [*(float(stage == one) for one in STAGES), math.log(share), schedule.at(share)]


def _remaining(table: Mapping[str, Any], schedule: Schedule, stage: str, share: float) -> float:
    """Logarithm of final BPB over BPB at this share."""
    return math.fsum(c * x for c, x in zip(table["coefficients"], features(schedule, stage, share), strict=True))


def recent(points: Sequence[tuple[int, float, float]], share: float) -> list[tuple[int, float, float]]:
    """The points of the later half of what was seen: old ones say less of the end, one alone is as noisy as its batch."""
    return [point for point in points if point[1] >= max(share / 2, FIRST_SHARE / 2)]


def _in_bpb(curve: Curve) -> list[tuple[int, float, float]]:
    if curve.bpb_per_nat is None:
        return []
    return [(step, share, loss * curve.bpb_per_nat) for step, share, loss in curve.train]


def _same_text(one: Curve, two: Curve) -> bool:
    """Whether two runs count the same bytes for a token, as far as is known."""
    return (
        None in (one.bpb_per_nat, two.bpb_per_nat)
        or abs((one.bpb_per_nat or 1) / (two.bpb_per_nat or 1) - 1) < SAME_TEXT
    )


def _is_positive(loss: float) -> bool:
    return loss > 0 and math.isfinite(loss)


def between(table: Mapping[str, float], share: float) -> float:
    """The value at a share, linear between those that the table has."""
    known = sorted((float(at), value) for at, value in table.items())
    for (left, low), (right, high) in pairwise(known):
        if share <= right:
            return low + (high - low) * min(max((share - left) / (right - left), 0.0), 1.0)
    return known[-1][1]


@cache
def constants() -> dict[str, Any]:
    """The fitted constants."""
    return tomllib.loads(CONSTANTS.read_text(encoding="utf-8"))
