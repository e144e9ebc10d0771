"""The six clocks of a run, and what they say of the 600 seconds under two readings (rules R05, R06, R07).

Strict: calibration is training time, and evaluation is all that lies between the start of the evaluation phase and its end.
As merged: what merged records were allowed: the training loop alone, up to 0.2 s over its cap (the step that crosses it
is finished; 600.137 s is the longest merged one) with calibration outside, and evaluation without its compile warm-up.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from golf.challenge import EVAL_CAP_SECONDS, TRAIN_CAP_SECONDS

LAST_STEP_SECONDS = 0.2

PASS, FAIL, UNKNOWN, NA = "PASS", "FAIL", "UNKNOWN", "N/A"


@dataclass(frozen=True)
class Clocks:
    """Seconds of one run, each clock apart; None is what was not measured. `eval_wall` is measured from outside."""

    setup: float | None
    training: float | None
    calibration: float | None
    serialization: float | None
    compile_warmup: float | None
    evaluation: float | None
    eval_wall: float | None = None


@dataclass(frozen=True)
class Verdict:
    """One reading of one clock: `state`, the seconds it counted, its limit."""

    clock: str  # "training" or "evaluation"
    reading: str  # "strict" or "as merged"
    state: str
    seconds: float | None
    limit_seconds: float


def clocks_of(result: Mapping[str, Any], eval_wall: float | None = None) -> Clocks:
    """The clocks that a golf_result tells, and the evaluation's wall seconds as the watch saw them."""
    return Clocks(
        setup=result.get("setup_seconds"),
        training=result.get("train_seconds"),
        calibration=result.get("calibration_seconds"),
        serialization=result.get("serialization_seconds"),
        compile_warmup=result.get("compile_seconds"),
        evaluation=result.get("eval_seconds"),
        eval_wall=eval_wall,
    )


def judge(clocks: Clocks, track: str) -> list[Verdict]:
    """The verdicts of both readings. On any track but the ten-minute one the clocks decide nothing: N/A."""
    strict_training = _sum(clocks.training, clocks.calibration if clocks.calibration is not None else 0.0)
    strict_evaluation = clocks.eval_wall
    counted = (
        ("training", "strict", strict_training, TRAIN_CAP_SECONDS),
        ("training", "as merged", clocks.training, TRAIN_CAP_SECONDS + LAST_STEP_SECONDS),
        ("evaluation", "strict", strict_evaluation, EVAL_CAP_SECONDS),
        ("evaluation", "as merged", clocks.evaluation, EVAL_CAP_SECONDS),
    )
    applies = track == "10min_16mb"
    return [
        Verdict(clock, reading, _state(seconds, limit) if applies else NA, seconds, limit)
        for clock, reading, seconds, limit in counted
    ]


def is_overrun(verdicts: list[Verdict]) -> bool:
    """Whether a clock is over its limit by the lenient reading: then no reading saves the run."""
    return any(verdict.state == FAIL and verdict.reading == "as merged" for verdict in verdicts)


def readings_differ(verdicts: list[Verdict]) -> list[str]:
    """The clocks whose verdict depends on the reading: no record should."""
    by_clock: dict[str, set[str]] = {}
    for verdict in verdicts:
        by_clock.setdefault(verdict.clock, set()).add(verdict.state)
    return [clock for clock, states in by_clock.items() if {PASS, FAIL} <= states]


def as_json(clocks: Clocks, verdicts: list[Verdict]) -> dict[str, Any]:
    """Clocks and verdicts for `--json`."""
    return {"seconds": asdict(clocks), "verdicts": [asdict(verdict) for verdict in verdicts]}


def _sum(*seconds: float | None) -> float | None:
    known = [value for value in seconds if value is not None]
    return sum(known) if len(known) == len(seconds) else None


def _state(seconds: float | None, limit: float) -> str:
    if seconds is None:
        return UNKNOWN
    return PASS if seconds <= limit else FAIL


@dataclass(frozen=True)
class Limits:
    """When the watch from outside ends a run. None: that clock is not limited here.

    train: on the script's own training clock. eval: on the wall, from the start of the evaluation phase.
    stall: on the wall, without a line of output.
    """

    train_seconds: float | None = None
    eval_seconds: float | None = None
    stall_seconds: float | None = 1800.0

    def overrun(self, train_seconds: float | None, eval_wall: float | None, silent_seconds: float) -> str | None:
        """What has run out, in words; None while nothing has."""
        if self.train_seconds is not None and train_seconds is not None and train_seconds > self.train_seconds:
            return f"its training clock reads {train_seconds:.1f} s, more than {self.train_seconds:.0f} s"
        if self.eval_seconds is not None and eval_wall is not None and eval_wall > self.eval_seconds:
            return f"its evaluation has taken {eval_wall:.0f} s, more than {self.eval_seconds:.0f} s"
        if self.stall_seconds is not None and silent_seconds > self.stall_seconds:
            return f"it has printed nothing for {silent_seconds:.0f} s, more than {self.stall_seconds:.0f} s"
        return None


def limits_for(*, contest: bool, cap_seconds: float | None, stall_seconds: float | None, grace: float = 30.0) -> Limits:
    """The limits of a run: the training cap always where there is one, evaluation only on the contest's machine.

    There, evaluation may take its 600 s and 300 s of loading and compiling, which the rules leave open.
    """
    return Limits(
        train_seconds=cap_seconds + grace if cap_seconds else None,
        eval_seconds=EVAL_CAP_SECONDS + 300.0 if contest else None,
        stall_seconds=stall_seconds,
    )
