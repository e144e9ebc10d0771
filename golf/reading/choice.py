"""Which run backs a seed of a record folder: one rule, asked by verify, import, compare, record and the board.

Of a claimed seed: a run whose log shows a score that rounds to the claim's digits; of several the nearest to the claim, then the
nearest to the headline, then one whose name states its seed, then a complete one, then the last by name. A log with another label
counts where only it backs the claim. Without claimed seeds: the runs of the configuration that most seeds share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from golf.logs import RunResult, Score
from golf.logs.backing import backing
from golf.logs.result import same_run
from golf.logs.runs import differing
from golf.reading.claims import SeedClaim, claimed_seeds
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

    @property
    def configuration(self) -> Mapping[str, str]:
        """What was run, whatever the seed, see `golf.logs.runs.configuration`; empty where it is unknown."""


AnyRun = TypeVar("AnyRun", bound=Scored)
Rank = tuple[bool, float, float, bool, bool, int]


def runs_that_count(
    found: Sequence[AnyRun], claims: Mapping[str, SeedClaim], headline: float | None = None
) -> dict[str, AnyRun]:
    """Seed → the run that backs it; without claims every seed of one configuration that a log prints, or names, or the log's name.

    found: in order of the logs' names. headline: the claimed bits per byte of the whole record.
    """
    finished = [run for run in found if run.val_bpb is not None]
    if not claims:
        groups: dict[str, list[AnyRun]] = {}
        for run in _of_one_configuration(finished, headline):
            groups.setdefault(label_of(run), []).append(run)
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


def label_of(run: Scored) -> str:
    """The seed that a log prints or else names, as text; else the log's name."""
    seed = run.seed if run.seed is not None else run.seed_in_name
    return run.name if seed is None else str(seed)


def _of_one_configuration(runs: Sequence[AnyRun], headline: float | None) -> list[AnyRun]:
    """The runs of the configuration with the most seeds; of several the one nearest to the headline, then the last.

    All of them where each is of another seed and of another configuration: nothing says which one is meant.
    """
    groups: list[list[AnyRun]] = []
    for run in runs:
        home = next((group for group in groups if not any(_differ(run, other) for other in group)), None)
        if home is None:
            groups.append([run])
        else:
            home.append(run)

    if len({label_of(run) for run in runs}) == len(runs) == len(groups):
        return list(runs)

    def rank(place: int) -> tuple[int, float, int]:
        group = groups[place]
        mean = sum(run.val_bpb or 0.0 for run in group) / len(group)
        away = 0.0 if headline is None else abs(mean - headline)
        return len({label_of(run) for run in group}), -round(away, 12), place

    return groups[max(range(len(groups)), key=rank)] if groups else []


def _differ(one: Scored, two: Scored) -> list[str]:
    return differing(one.configuration, two.configuration)


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


@dataclass(frozen=True)
class Choice:
    """The runs of a folder that count. runs: seed (or the log's name, where it states none) → log. claimed: seeds that the folder
    claims, () for none. notes: what was left out and why, in words."""

    runs: Mapping[str, SeedLog]
    claimed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> str:
        """n as it stands beside the claim's."""
        n = len(self.runs)
        if not self.claimed:
            return f"n={n}"
        return f"n={n}, as claimed" if n == len(self.claimed) else f"n={n} of {len(self.claimed)} claimed"


def choose(record: Folder, *, pool: bool = False) -> Choice:
    """The runs of a record folder that count, and why the others do not; with `pool` every complete run of a seed, not the best alone."""
    found = runs_that_count(record.logs, record.seed_claims, record.headline)
    found = dict(sorted(found.items(), key=lambda item: item[1].name))
    if pool:
        found = _pooled(found, record.logs)
    claimed = tuple(claimed_seeds(record.claims))
    notes = [_why_not(log, found, record) for log in record.logs if not any(log is one for one in found.values())]
    notes += [f"{name} was left out: {why}" for name, why in record.unread.items()]
    for seed, log in found.items():
        if str(log.seed) not in (seed.partition(" ")[0], "None"):
            notes.append(f"seed {seed} is backed by {log.name}, which prints seed {log.seed}")
    missing = [seed for seed in claimed if seed not in found]
    if missing and found:
        notes.append(f"no log counts for the claimed seed{'s' * (len(missing) > 1)} {', '.join(missing)}")
    return Choice(found, claimed, tuple(notes))


def _pooled(found: Mapping[str, SeedLog], logs: Sequence[SeedLog]) -> dict[str, SeedLog]:
    """The chosen runs and every other complete run of their configuration, one printed in two files once."""
    pooled = dict(found)
    for log in logs:
        mine = [one for one in pooled.values() if one is log or same_run(one.run, log.run)]
        if mine or not log.complete or log.val_bpb is None:
            continue
        if not any(_differ(log, one) for one in found.values()):
            pooled[f"{label_of(log)} ({log.name})"] = log
    return pooled


def _why_not(log: SeedLog, found: Mapping[str, SeedLog], record: Folder) -> str:
    """Why a log is not among those that count."""
    seed = label_of(log)
    if log.val_bpb is None:
        return f"{log.name} was left out: {log.run.score_why}"
    twin = next((one for one in found.values() if same_run(one.run, log.run)), None)
    if twin is not None:
        return f"{log.name} was left out: it prints the run of {twin.name} once more"
    if seed in found:
        return f"seed {seed} has several runs; {found[seed].name} counts ({found[seed].val_bpb}), not {log.name} ({log.val_bpb})"
    if record.seed_claims:
        return f"{log.name} was left out: seed {seed} is not among the claimed ones"
    first = next(iter(found.values()), None)
    names = [] if first is None else _differ(log, first)
    if names:
        shown = ", ".join(
            f"{name} {log.configuration[name]} against {first.configuration[name]}" for name in names[:3] if first
        )
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"{log.name} was left out: it is of another configuration ({shown}{more})"
    return f"{log.name} was left out: it backs no claimed seed"


def choose_logs(record: Folder, seeds: Sequence[int] = ()) -> tuple[dict[int, SeedLog], list[str]]:
    """The runs that count by number, and what was left out, in words.

    A run that states no seed takes, in order of the logs' names: one of `seeds` (given by hand), a claimed seed that no other run
    has, a number in its file's name, else the lowest number that is free, said so.
    """
    choice = choose(record)
    chosen = {int(seed): log for seed, log in choice.runs.items() if seed.isdecimal()}
    given, notes = list(seeds), list(choice.notes)
    free = [int(seed) for seed in choice.claimed if seed.isdecimal() and int(seed) not in chosen]
    for log in (log for seed, log in choice.runs.items() if not seed.isdecimal()):
        guessed = log.number_in_name
        if given:
            seed, how = given.pop(0), "given by hand"
        elif free:
            seed, how = free.pop(0), "the claimed one that no other log has"
        elif guessed is not None and guessed not in chosen:
            seed, how = guessed, "the number in its name"
        else:
            seed = next(number for number in range(len(chosen) + 1) if number not in chosen)
            how = "a number to file it under; name it with --seeds"
        chosen[seed] = log
        notes.append(f"{log.name} prints no seed: {seed}, {how}")
    return chosen, notes


def folder_runs(folder: Path) -> dict[str, RunResult]:
    """Seed → the run that backs it, for the record folder at `folder`. Logs that cannot be read are passed over."""
    return {seed: log.run for seed, log in choose(open_folder(folder)).runs.items()}
