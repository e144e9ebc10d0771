"""Early stopping by successive halving (ASHA): at each rung a trial goes on only while its loss is among the best third there.

A rung is a share of a run's own steps; the losses that are compared are those of one seed, the study's first, at the same share.
Asynchronous successive halving: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from golf.run.lines import Progress
from golf.run.outlook import PRUNED

FACTOR = 3  # one of so many goes on
RUNGS = (1 / 9, 1 / 3)
LEAST = 3  # trials at a rung before one is stopped there


@dataclass
class Halving:
    """What the trials of a study lost at each rung. Safe to ask from several threads."""

    losses: dict[float, dict[str, float]] = field(default_factory=lambda: {rung: {} for rung in RUNGS})
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def remember(self, trial: str, iterations: int, points: Iterable[tuple[int, float]]) -> None:
        """Take in the training losses (step, loss) of a run that went before."""
        for step, loss in sorted(points):
            self._pass(trial, step / iterations, loss)

    def judge(self, trial: str, progress: Progress) -> str | None:
        """Why the trial is stopped now; None while it is among the best third, or too few were there before."""
        if progress.step is None or not progress.iterations or progress.phase not in ("set-up", "train"):
            return None
        total = progress.iterations
        passed = [rung for step, _, loss in progress.losses for rung in self._pass(trial, step / total, loss)]
        for rung in passed:
            with self._lock:
                there = dict(self.losses[rung])
            better = sum(loss < there[trial] for loss in there.values())
            if len(there) >= LEAST and better >= max(len(there) // FACTOR, 1):
                return f"{PRUNED} at step {progress.step} of {progress.iterations}: {better} of {len(there) - 1} trials had a lower loss there"
        return None

    def _pass(self, trial: str, share: float, loss: float) -> list[float]:
        """Note the loss at the rungs that the trial has just passed; those rungs."""
        with self._lock:
            passed = [rung for rung in RUNGS if share >= rung and trial not in self.losses[rung]]
            for rung in passed:
                self.losses[rung][trial] = loss
        return passed


def was_pruned(stop_reason: str | None) -> bool:
    """Whether a run was stopped on purpose: by `Halving.judge` or by its forecast."""
    return stop_reason is not None and stop_reason.startswith(PRUNED)
