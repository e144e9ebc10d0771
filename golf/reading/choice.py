"""Which run backs a seed of a record folder: one rule, asked by verify, import, compare, record and the board.

Of a claimed seed: a run whose log shows a score that rounds to the claim's digits; of several the nearest to the claim, then the
nearest to the headline, then one whose name states its seed, then a complete one, then the last by name. A log with another label
counts where only it backs the claim.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from golf.logs import RunResult, Score
from golf.logs.backing import backing
from golf.reading.claims import SeedClaim
from golf.reading.folder import Folder, SeedLog, open_folder


class Scored(Protocol):
    """A run of a log, as far as the choice looks at it."""

    @property
    def seed(self) -> int | None:
        """The seed that the log prints."""

    @property
    def seed_in_name(self) -> int | None:
        """The seed that the log's name states."""

    @property
    def val_bpb(self) -> float | None:
        """The score."""

    @property
    def scores(self) -> Sequence[Score]:
        """Every evaluation in the log."""

    @property
    def complete(self) -> bool:
        """Whether the log shows the run's end."""

    @property
    def name(self) -> str:
        """What the log is called."""


AnyRun = TypeVar("AnyRun", bound=Scored)
Rank = tuple[bool, float, float, bool, bool, int]


def runs_that_count(
    found: Sequence[AnyRun], claims: Mapping[str, SeedClaim], headline: float | None = None
) -> dict[str, AnyRun]:
    """Seed → the run that backs it; without claims every seed that a log prints, or names, or else the log's name.

    found: in order of the logs' names. headline: the claimed bits per byte of the whole record.
    """
    finished = [run for run in found if run.val_bpb is not None]
    if not claims:
        groups: dict[str, list[AnyRun]] = {}
        for run in finished:
            printed = run.seed if run.seed is not None else run.seed_in_name
            groups.setdefault(str(printed) if printed is not None else run.name, []).append(run)
        return {seed: _best(group, finished, None, headline) for seed, group in groups.items()}
    chosen: dict[str, AnyRun] = {}
    for seed, claim in claims.items():
        own = [run for run in finished if seed in (str(run.seed), str(run.seed_in_name))]
        backed = [run for run in own if _backs(run, claim)] or [run for run in finished if _backs(run, claim)]
        if backed or own:
            run = _best(backed or own, finished, claim, headline)
            if not any(run is other for other in chosen.values()):
                chosen[seed] = run
    return chosen


def _backs(run: Scored, claim: SeedClaim) -> bool:
    return claim.val_bpb is not None and backing(run.scores, claim.val_bpb, claim.digits) is not None


def _best(group: Sequence[AnyRun], order: Sequence[AnyRun], claim: SeedClaim | None, headline: float | None) -> AnyRun:
    def rank(run: AnyRun) -> Rank:
        shown = backing(run.scores, claim.val_bpb, claim.digits) if claim and claim.val_bpb is not None else None
        apart = abs(shown.val_bpb - claim.val_bpb) if shown and claim and claim.val_bpb is not None else 0.0
        away = abs((run.val_bpb or 0.0) - headline) if headline is not None else 0.0
        last = next(place for place, other in enumerate(order) if other is run)
        named = run.seed_in_name is not None
        return shown is not None, -round(apart, 12), -round(away, 12), named, run.complete, last

    return max(group, key=rank)


def choose_logs(record: Folder) -> tuple[dict[int, SeedLog], list[str]]:
    """One log per seed of a record folder, see `runs_that_count`; and what was left out, in words."""
    chosen = {int(seed): log for seed, log in _counted(record).items() if seed.isdecimal()}
    notes, counted = [], list(chosen.values())
    for log in record.logs:
        seed = log.seed if log.seed is not None else log.seed_in_name
        if seed is None or log.val_bpb is None:
            notes.append(f"{log.name} was left out: it names no seed or has no evaluation")
        elif not any(log is one for one in counted):
            other = chosen.get(seed)
            notes.append(
                f"seed {seed} has several logs; {other.name} counts, not {log.name}"
                if other is not None
                else f"{log.name} was left out: seed {seed} is not among the claimed ones"
            )
    for seed, log in chosen.items():
        if log.seed not in (seed, None):
            notes.append(f"seed {seed} is backed by {log.name}, which prints seed {log.seed}")
    return chosen, notes


def folder_runs(folder: Path) -> dict[str, RunResult]:
    """Seed → the run that backs it, for the record folder at `folder`. Logs that cannot be read are passed over."""
    return {seed: log.run for seed, log in _counted(open_folder(folder)).items()}


def _counted(record: Folder) -> dict[str, SeedLog]:
    """Seed → log, in order of the logs' names."""
    found = runs_that_count(record.logs, record.seed_claims, record.headline)
    return dict(sorted(found.items(), key=lambda item: item[1].name))
