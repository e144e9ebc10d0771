"""What a study found so far: a standing for each trial, the Pareto front of BPB and bytes, the share of variance behind each axis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.run.schema import Run
from golf.run.store import has_store, open_store
from golf.stats import Sample, on_front
from golf.study.drive import Runs, runs_of
from golf.study.prune import was_pruned
from golf.study.study import Study, Trial


@dataclass(frozen=True)
class Standing:
    """One trial as it stands. runs: seed → its finished run; wanted: how many seeds it shall have."""

    trial: Trial
    runs: Mapping[int, Run]
    wanted: int
    state: str  # finished, part, pruned, failed, running, waiting
    note: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether every seed has a score: only such trials are ranked."""
        return len(self.scores) == self.wanted

    @property
    def scores(self) -> dict[int, float]:
        """Seed → final BPB."""
        return {
            seed: float(bpb)
            for seed, run in self.runs.items()
            if (bpb := (run.result or {}).get("val_bpb")) is not None
        }

    @property
    def bpb(self) -> Sample | None:
        """Final bits per byte over the seeds."""
        return Sample.of(list(self.scores.values())) if self.scores else None

    @property
    def total_bytes(self) -> int | None:
        """Artifact and code of the worst seed."""
        return max(
            (int(total) for run in self.runs.values() if (total := (run.result or {}).get("total_bytes"))), default=None
        )

    def mean_of(self, name: str) -> float | None:
        """The mean over the seeds of a number of their results; None where a seed lacks it."""
        values = [value for run in self.runs.values() if (value := (run.result or {}).get(name)) is not None]
        return sum(values) / len(values) if values and len(values) == len(self.runs) else None


def standings(study: Study, root: Path) -> list[Standing]:
    """Every trial, those with all seeds first, the best score first among them."""
    runs: Runs = {}
    if has_store(root):
        with open_store(root) as store:
            runs = runs_of(study, store)
    found = [_standing(study, trial, runs) for trial in study.trials]
    return sorted(found, key=lambda one: (not one.is_whole, one.bpb.mean if one.is_whole and one.bpb else 0.0))


def _standing(study: Study, trial: Trial, runs: Runs) -> Standing:
    seeds = study.seeds_of(trial)
    last = {seed: rows[-1] for seed in seeds if (rows := runs.get((trial.name, seed)))}
    finished = {seed: run for seed, run in last.items() if run.state == "finished"}
    state, note = "part" if last else "waiting", ""
    if len(finished) == len(seeds):
        state = "finished"
    for run in last.values():
        if run.state in ("started", "trained", "exported"):
            state = "running"
        elif was_pruned(run.stop_reason):
            state, note = "pruned", run.stop_reason or ""
        elif run.state in ("failed", "stopped"):
            state, note = run.state, run.stop_reason or ""
    return Standing(trial, finished, len(seeds), state, note)


def pareto(found: Sequence[Standing]) -> set[str]:
    """The names of the trials of which none is better in both BPB and bytes; of whole trials only."""
    points = {
        one.trial.name: (one.bpb.mean, one.total_bytes)
        for one in found
        if one.is_whole and one.bpb is not None and one.total_bytes is not None
    }
    return {name for name, best in zip(points, on_front([*points.values()]), strict=True) if best}


def importance(found: Sequence[Standing]) -> dict[str, float]:
    """Axis → share of the variance of the trials' mean BPB that lies between its values (eta squared, main effects alone).

    Only axes whose values come up at least twice on average: a value for every trial would explain everything.
    """
    whole = [one for one in found if one.is_whole and one.bpb is not None]
    means = [one.bpb.mean for one in whole if one.bpb is not None]
    if len(means) < 3:
        return {}
    middle = sum(means) / len(means)
    total = sum((mean - middle) ** 2 for mean in means)
    shares = {}
    for axis in dict.fromkeys(axis for one in whole for axis in one.trial.choices):
        groups: dict[str, list[float]] = {}
        for one, mean in zip(whole, means, strict=True):
            groups.setdefault(one.trial.choices.get(axis, ""), []).append(mean)
        if total > 0 and 1 < len(groups) <= len(means) / 2:
            between = sum(len(group) * (sum(group) / len(group) - middle) ** 2 for group in groups.values())
            shares[axis] = between / total
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))


COLUMNS = ("trial", "what", "n", "BPB", "sd", "Δ best", "bytes", "ms/step", "state")
RIGHT = ("n", "BPB", "sd", "Δ best", "bytes", "ms/step")


def rows_of(found: Sequence[Standing]) -> list[list[str]]:
    """The table's rows; `*` marks the Pareto front."""
    front = pareto(found)
    best = next((one.bpb.mean for one in found if one.is_whole and one.bpb is not None), None)
    return [_row(one, best, one.trial.name in front) for one in found]


def _row(one: Standing, best: float | None, on_front: bool) -> list[str]:
    bpb, bytes_, step_ms = one.bpb, one.total_bytes, one.mean_of("step_ms")
    return [
        one.trial.name + ("*" if on_front else ""), one.trial.label, f"{len(one.scores)}/{one.wanted}",
        "" if bpb is None else f"{bpb.mean:.5f}", "" if bpb is None or bpb.sd is None else f"{bpb.sd:.5f}",
        f"{bpb.mean - best:+.5f}" if best is not None and bpb is not None and one.is_whole else "",
        "" if bytes_ is None else f"{bytes_:,}", "" if step_ms is None else f"{step_ms:.1f}",
        one.state + (f": {one.note}" if one.note else ""),
    ]  # fmt: skip


def to_json(study: Study, found: Sequence[Standing], seconds: float, rate: float | None) -> dict[str, Any]:
    """The study for `--json`."""
    front = pareto(found)
    return {
        "study": study.name, "kind": study.kind, "base": study.base, "asked": dict(study.asked), "seeds": list(study.seeds),
        "seconds": seconds, "rate_dollars_per_hour": rate, "dollars": None if rate is None else seconds * rate / 3600,
        "trials": [
            {
                "submission": one.trial.name, "choices": dict(one.trial.choices), "state": one.state, "note": one.note,
                "wanted": one.wanted, "scores": {str(seed): bpb for seed, bpb in one.scores.items()},
                "mean": one.bpb.mean if one.bpb else None, "sd": one.bpb.sd if one.bpb else None,
                "total_bytes": one.total_bytes, "step_ms": one.mean_of("step_ms"), "pareto": one.trial.name in front,
            }
            for one in found
        ],
        "importance": importance(found),
    }  # fmt: skip
