"""What a running script says of itself: its log, read line by line as it grows.

Only the lines that golf's own scripts print are read here, to watch a run; `golf.logs` reads everybody's, to judge one.
"""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golf.files import parse_json
from golf.parts.log import RESULT_FIELDS

_NUMBER = r"(-?[\d.]+(?:[eE][-+]?\d+)?|nan|-?inf)"
_STEP = re.compile(rf"step:(\d+)/(\d+) train_loss:{_NUMBER} train_time:(\d+)ms step_avg:([\d.]+)ms")
_VALIDATION = re.compile(rf"step:(\d+)/(\d+) val_loss:{_NUMBER} val_bpb:{_NUMBER} train_time:(\d+)ms")
_STOP = re.compile(r"stopping_early: (\w+) train_time:(\d+)ms step:(\d+)/(\d+)")
_WARMUP = re.compile(r"warmup_step:(\d+)/(\d+)")
_SEED = re.compile(r"seed:(-?\d+)\s*$")
_WORLD = re.compile(r"world_size:(\d+) ")
_CAP = re.compile(r"\bmax_wallclock_seconds:([\d.]+)")
_ITERATIONS = re.compile(r"\biterations:(\d+)")
_PARAMS = re.compile(r"model_params:(\d+)")
_MEMORY = re.compile(r"peak memory allocated: (\d+) MiB")
_TOTAL = re.compile(r"Total submission size \S+: (\d+) bytes")
_SCORE = re.compile(rf"(\w+)_exact val_loss:{_NUMBER} val_bpb:{_NUMBER}")
_SCORING = re.compile(r"eval_progress (\w+) ([\d.]+%) running_bpb:([\d.]+) elapsed:(\d+)s eta:(\d+)s")
_PHASE = re.compile(r"golf_phase (train|export|eval)\b")
_RESULT = "golf_result "

LAST_LINES = 200


@dataclass
class Progress:
    """What the log has said so far. Seconds are the script's own; None is what it has not said."""

    phase: str = "set-up"
    seed: int | None = None
    world_size: int | None = None
    params: int | None = None
    cap_seconds: float | None = None
    iterations: int | None = None
    warmup: str | None = None
    step: int | None = None
    train_loss: float | None = None
    train_seconds: float | None = None
    step_ms: float | None = None
    val_loss: float | None = None  # in training, before quantization
    val_bpb: float | None = None
    scoring: str | None = None  # how far the evaluator at work is: its share, its BPB so far, what remains
    score: str | None = None  # the evaluator that spoke last
    score_bpb: float | None = None
    score_loss: float | None = None
    stop_reason: str | None = None
    peak_memory_mib: int | None = None
    total_bytes: int | None = None
    results: list[dict[str, Any]] = field(default_factory=list)
    points: list[tuple[int, str, float]] = field(
        default_factory=list
    )  # (step, name, value), taken away by `take_points`
    losses: list[tuple[int, float | None, float]] = field(
        default_factory=list
    )  # (step, train_seconds, train_loss), all of them
    validations: list[tuple[int, float | None, float]] = field(default_factory=list)  # (step, train_seconds, val_bpb)
    forecast: str | None = None  # of the final BPB, in words, by whoever knows more than the log
    last: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))

    def read(self, line: str) -> None:
        """Take in one line; a line that says nothing to us is only kept among the last ones."""
        self.last.append(line)
        if line.startswith(_RESULT):
            self._read_result(line)
        elif match := _STEP.search(line):
            step, total, loss, milliseconds, average = match.groups()
            self._at(step, total, milliseconds)
            self.train_loss, self.step_ms = float(loss), float(average)
            self.losses.append((int(step), self.train_seconds, float(loss)))
            self.points += [
                (int(step), "train_loss", float(loss)),
                (int(step), "train_seconds", int(milliseconds) / 1e3),
            ]
        elif match := _VALIDATION.search(line):
            step, total, loss, bpb, milliseconds = match.groups()
            self._at(step, total, milliseconds)
            self.val_loss, self.val_bpb = float(loss), float(bpb)
            self.validations.append((int(step), self.train_seconds, float(bpb)))
            self.points += [(int(step), "val_loss", float(loss)), (int(step), "val_bpb", float(bpb))]
        elif match := _STOP.search(line):
            self.stop_reason = match[1]
            self._at(match[3], match[4], match[2])
        elif match := _SCORE.search(line):
            self.score, self.score_loss, self.score_bpb = match[1], float(match[2]), float(match[3])
            self.scoring = None
        elif match := _SCORING.match(line):
            self.scoring = f"{match[1]} {match[2]}  bpb so far {match[3]}  {match[4]} s, about {match[5]} s left"
        elif match := _PHASE.match(line):
            self.phase = match[1]
        elif match := _WARMUP.match(line):
            self.warmup = f"{match[1]}/{match[2]}"
        else:
            self._read_header(line)

    def _at(self, step: str, total: str, milliseconds: str) -> None:
        self.step, self.iterations, self.train_seconds = int(step), int(total), int(milliseconds) / 1e3

    def _read_header(self, line: str) -> None:
        if match := _SEED.match(line):
            self.seed = int(match[1])
        elif match := _WORLD.match(line):
            self.world_size = int(match[1])
        elif match := _PARAMS.match(line):
            self.params = int(match[1])
        elif match := _MEMORY.match(line):
            self.peak_memory_mib = int(match[1])
        elif match := _TOTAL.match(line):
            self.total_bytes = int(match[1])
        elif line.startswith("train_batch_tokens:"):
            if match := _CAP.search(line):
                self.cap_seconds = float(match[1])
            if match := _ITERATIONS.search(line):
                self.iterations = int(match[1])

    def _read_result(self, line: str) -> None:
        try:
            result = parse_json(line[len(_RESULT) :])
        except ValueError:
            return  # cut off by a kill: the run is not finished
        if isinstance(result, dict):
            self.results.append(result)

    def take_points(self) -> list[tuple[int, str, float]]:
        """The metrics since the last call."""
        points, self.points = self.points, []
        return points

    def result(self) -> dict[str, Any] | None:
        """All golf_result lines as one: a later value that is not null wins, phases add up, set-up is the first one's.

        What a killed process measured but had no time to report is filled in from its other lines. None: nothing known.
        """
        if not self.results:
            return None
        merged = merge_results(self.results)
        from_lines = {
            "steps": self.step,
            "train_seconds": self.train_seconds,
            "step_ms": self.step_ms,
            "train_loss": self.train_loss,
            "stop_reason": self.stop_reason,
            "pre_quant_val_loss": self.val_loss,
            "pre_quant_val_bpb": self.val_bpb,
            "peak_memory_mib": self.peak_memory_mib,
        }
        return {**merged, **{key: value for key, value in from_lines.items() if merged.get(key) is None}}


def merge_results(results: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One result of several processes of one run, in order (train, then a resumed export and eval)."""
    merged: dict[str, Any] = dict.fromkeys(RESULT_FIELDS)
    phases: list[str] = []
    for result in results:
        phases += [phase for phase in result.get("phases") or [] if phase not in phases]
        first_setup = merged.get("setup_seconds")
        merged |= {key: value for key, value in result.items() if value is not None or key not in merged}
        merged["setup_seconds"] = first_setup if first_setup is not None else merged.get("setup_seconds")
    return {**merged, "phases": phases}


class Follower:
    """Reads the lines that were added to a log since the last call; a line still without its end waits."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        self._rest = b""

    def lines(self, *, to_end: bool = False) -> list[str]:
        """The new whole lines; with `to_end` also a last one without its newline (the process is gone)."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                fresh = file.read()
        except FileNotFoundError:
            return []
        self.offset += len(fresh)
        *whole, self._rest = (self._rest + fresh).split(b"\n")
        if to_end and self._rest:
            whole, self._rest = [*whole, self._rest], b""
        return [line.decode("utf-8", "replace").rstrip("\r") for line in whole]


def read_log(path: Path) -> Progress:
    """Everything that a log says, read at once."""
    progress = Progress()
    for line in Follower(path).lines(to_end=True):
        progress.read(line)
    return progress


def heard_before(log: Path) -> tuple[Progress, int]:
    """What a resumed run's log said before, and its length: what was measured counts, seed and phase are said anew."""
    follower, progress = Follower(log), Progress()
    for line in follower.lines():
        progress.read(line)
    progress.take_points()
    progress.seed, progress.phase = None, "set-up"
    return progress, follower.offset
