"""What to do with each seed of a plan, from what the store and the locks say; decided for all seeds before one is started."""

import json
from dataclasses import dataclass

from golf.errors import Exit, GolfError
from golf.run.layout import TRAINING
from golf.run.plan import Plan
from golf.run.resume import is_alive, is_current, is_watched, reached
from golf.run.schema import Run
from golf.run.store import Store


@dataclass(frozen=True)
class Step:
    """One seed: `keep` a finished run, `attach` to a living one, `continue` a broken one, or start `fresh`."""

    seed: int
    what: str
    run: Run | None = None


def decide(plan: Plan, store: Store) -> list[Step]:
    """One step per seed. GolfError (10): a seed that runs already, or whose trained checkpoint would be given up unasked."""
    return [_decide(plan, store, seed) for seed in plan.seeds]


def _decide(plan: Plan, store: Store, seed: int) -> Step:
    former = [run for run in store.runs(plan.source.name, set_id=plan.source.set_id, seed=seed) if is_current(run)]
    if not former:
        return Step(seed, "fresh")
    run = former[-1]
    if is_watched(run):
        raise watched_elsewhere(run.submission, seed)
    if is_alive(run):
        if plan.resume:
            return Step(seed, "attach", run)
        raise GolfError(f"seed {seed} of {run.submission} still runs (process {run.pid}) without the golf that started it",
                        f"`golf run {run.submission} --resume` takes it over; to end it: `kill {run.pid}`",
                        Exit.REFUSED)  # fmt: skip
    if plan.again or not is_same(run, plan):
        return Step(seed, "fresh")
    if run.state == "finished":
        return Step(seed, "keep", run)
    how_far = "was trained" if reached(run) != "started" else "is in training"
    if how_far == "is in training" and not (run.folder / TRAINING).is_file():
        return Step(seed, "fresh")
    if plan.resume:
        return Step(seed, "continue", run)
    raise GolfError(f"seed {seed} of {run.submission} {how_far}, then: {run.stop_reason or run.state}",
                    "`--resume` goes on from its checkpoint; `--again` starts over and keeps the old one aside",
                    Exit.REFUSED)  # fmt: skip


def watched_elsewhere(submission: str, seed: int) -> GolfError:
    """The refusal to run what another golf is running."""
    return GolfError(
        f"seed {seed} of {submission} is being run by another golf", "`golf watch` follows it", Exit.REFUSED
    )


def is_same(run: Run, plan: Plan) -> bool:
    """Whether a former run answers what a plan asks: same data, track and overrides (the script is the set's)."""
    former = json.loads(run.recipe).get("inputs") if run.recipe else None
    return (run.data_sha256, run.tokenizer_sha256, run.track, run.derived, former) == (
        *(plan.data.sha256, plan.data.tokenizer_sha256, plan.track, plan.derived),
        inputs_of(plan),
    )


def inputs_of(plan: Plan) -> dict[str, float | int | None]:
    """What the user overrides in the script: part of what a run is."""
    return {"max_wallclock_seconds": plan.inputs.max_wallclock_seconds, "iterations": plan.inputs.iterations}


def recipe_of(plan: Plan) -> str:
    """What the store keeps of a run's configuration, as JSON: name, values, overrides, allowed rules, the submission's script."""
    source = plan.source
    more = {"inputs": inputs_of(plan), "allowed": plan.allowed, "of_sha256": source.of_sha256}
    return json.dumps({**json.loads(source.recipe), **more})


def refuse_twins(runs: list[Run]) -> None:
    """Two seeds with the same loss to the last digit were one seed: it was printed, but it did not reach the training."""
    seen: dict[tuple[object, object], int] = {}
    for run in runs:
        result = run.result or {}
        key = (result.get("val_loss"), result.get("train_loss"))
        if key[0] is not None and key in seen:
            raise GolfError(f"seeds {seen[key]} and {run.seed} of {run.submission} end with the same losses {key}",
                            "SEED is printed but not used by the script: three runs of one seed are one run",
                            Exit.RULE_BROKEN)  # fmt: skip
        seen[key] = run.seed
