"""A sweep: a grid of choices, or random draws of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from golf.board.asked import asked_recipe
from golf.errors import Exit, GolfError
from golf.run.plan import Wishes, parse_seeds
from golf.study.axes import FROM, Axis, Choices, draws, grid, parse_axes
from golf.study.drive import Budget, Driver, Outcome
from golf.study.make import base_of, base_sha256, make_submissions, refuse_rulings, trial_of
from golf.study.results import standings
from golf.study.search import import_optuna, is_searched, next_batch, parse_objectives, wanted_trials
from golf.study.study import (
    Study,
    Trial,
    default_name,
    label_of,
    load,
    named,
    refuse_changed,
    refuse_name,
    save,
    study_names,
)

SEEDS = (1337, 42, 7)


@dataclass(frozen=True)
class Asked:
    """What a user asks of a study, as the command line parsed it; what is not in `wishes` is part of what the study is."""

    base: str | None = None
    over: tuple[str, ...] = ()
    name: str | None = None
    seeds: str | None = None
    random: int | None = None
    draw_seed: int = 0
    search: int | None = None  # trials that Optuna proposes
    objective: str = "bpb"
    batch: int = 1  # trials of a search that are proposed at a time
    prune: bool = False
    stop_if_worse: float | None = None
    resume: bool = False
    wishes: Wishes = field(default_factory=Wishes)
    budget: Budget = field(default_factory=Budget)
    trackers: tuple[str, ...] = ()


def find_sweep(asked: Asked, root: Path) -> tuple[Study, bool]:
    """The study that is asked for, and whether it was begun before. GolfError: an axis or a value that names nothing, a name that
    is another study's, `--resume` of none; for a search, no Optuna."""
    if not asked.over:
        return find_begun(asked, root, "sweep"), True
    axes = parse_axes(asked.over)
    if asked.search is None and parse_objectives(asked.objective) != ("bpb",):
        raise GolfError("`--objective` is what a search looks for, and there is none", "add `--search 40`, or leave it out: the table marks the front of both")  # fmt: skip
    what: dict[str, Any] = {
        "over": list(asked.over), "random": asked.random,
        "draw_seed": None if asked.random is None and asked.search is None else asked.draw_seed,
        "prune": asked.prune, "stop_if_worse": asked.stop_if_worse,
    }  # fmt: skip
    if asked.search is not None:
        return _find_search(asked, root, axes, what)
    choices = grid(axes) if asked.random is None else draws(axes, asked.random, asked.draw_seed)
    return settled(asked, root, "sweep", what, lambda base: _trials(base, choices))


def _find_search(asked: Asked, root: Path, axes: Sequence[Axis], what: dict[str, Any]) -> tuple[Study, bool]:
    """A search has no trials yet; its axes are tried with each value, or both ends of a range."""
    if asked.random is not None:
        raise GolfError("`--search` and `--random` are two ways to choose trials", "give one of them")
    import_optuna()
    what |= {"search": asked.search, "objective": list(parse_objectives(asked.objective)), "batch": asked.batch}

    def tried(base: str) -> list[Trial]:
        ends = [
            {axis.name: value} for axis in axes for value in axis.values or map(axis.text_of, (axis.low, axis.high))
        ]
        return _trials(base, ends)

    study, begun = settled(asked, root, "sweep", what, tried)
    return (load(root, study.name) if begun else replace(study, trials=())), begun


def _trials(base: str, choices: Sequence[Choices]) -> list[Trial]:
    """The trials of the choices; a choice that names nothing is a fault of all trials, so it is said at once."""
    return [trial_of(base, one, asked_recipe) for one in choices]


def parents_of(study: Study) -> set[str]:
    """What the trials of a study start from, those of a search that are not proposed yet too."""
    if wanted_trials(study) is None:
        return {trial.parent for trial in study.trials}
    starts = [axis for axis in parse_axes(study.asked["over"]) if axis.name == FROM]
    return {asked_recipe(value) for value in starts[0].values} if starts else {study.base}


def settled(
    asked: Asked, root: Path, kind: str, what: dict[str, Any], trials: Callable[[str], Sequence[Trial]]
) -> tuple[Study, bool]:
    """The study of these trials with its name, held against one of that name that was begun."""
    base = base_of(asked.base, root, asked_recipe)
    seeds = seeds_of(asked)
    wishes = asked.wishes
    told = {
        "base": base, "seeds": list(seeds), **what, "smoke": wishes.smoke, "iterations": wishes.iterations,
        "max_wallclock_seconds": wishes.max_wallclock_seconds, "nproc": wishes.nproc, "allow": list(wishes.allow),
    }  # fmt: skip
    name = asked.name or default_name(base, told)
    refuse_name(name)
    found = tuple(named(trials(base), name))
    study = Study(name, kind, base, seeds, found, told)
    study = replace(study, base_sha256=base_sha256(parents_of(study)))
    refuse_rulings(parents_of(study), wishes.allow)
    if name in study_names(root):
        refuse_changed(load(root, name), study)
        return study, True
    return study, False


def seeds_of(asked: Asked) -> tuple[int, ...]:
    """The seeds that are asked for, or the usual three."""
    return parse_seeds(asked.seeds) if asked.seeds is not None else SEEDS


def find_begun(asked: Asked, root: Path, kind: str) -> Study:
    """The study that `--name` (or the only one's) names, as it was begun."""
    there = [name for name in study_names(root) if load(root, name).kind == kind]
    name = asked.name or (there[0] if len(there) == 1 else None)
    if name is None:
        begin = "golf sweep BASE --over matrix_lr=0.018,0.022" if kind == "sweep" else "golf ablate BASE"
        hint = f"name one: `--name {there[0]}`" if there else f"begin one: `{begin} --smoke`"
        varied = "nothing to vary: no `--over`, and " if kind == "sweep" else ""
        raise GolfError(f"{varied}{len(there) or 'no'} {kind}s here to go on with", hint)
    study = load(root, name)
    if study.kind != kind:
        raise GolfError(f"`{name}` is no {kind}: its kind is {study.kind}", "choose another `--name`")
    return study


def wishes_of(study: Study, wishes: Wishes) -> Wishes:
    """The wishes of a study that goes on: what it was begun with, and from the command line only how it runs."""
    held = study.asked
    return replace(wishes, smoke=bool(held["smoke"]), iterations=held["iterations"], max_wallclock_seconds=held["max_wallclock_seconds"],
                   nproc=held["nproc"], allow=tuple(held["allow"]), resume=True)  # fmt: skip


def carry_out(study: Study, begun: bool, asked: Asked, driver: Driver) -> tuple[Study, Outcome]:
    """Make the trials' submissions, keep the study, run what is missing; the study as it stands then. GolfError (10) before anything
    starts: trials that cannot compose; a study that was begun and is not asked to go on."""
    root, smoke, say = driver.root, driver.wishes.smoke, driver.view.say
    if not begun:
        make_submissions(study, root, smoke=smoke, say=say)
        save(root, study)
    elif not asked.resume and not is_whole(study, root):
        done = sum(one.is_whole for one in standings(study, root))
        verb = "sweep" if study.kind == "sweep" else "ablate"
        raise GolfError(f"the study {study.name} was begun: {done} of {wanted_trials(study) or len(study.trials)} trials are finished",
                        f"go on with it: `golf {verb} --name {study.name} --resume`", Exit.REFUSED)  # fmt: skip
    elif not is_whole(study, root):
        if base_sha256(parents_of(study)) != study.base_sha256:
            raise GolfError(f"{study.base} changed since the study {study.name} began: its trials would start from two things",
                            "undo the change, or begin a study of another `--name`", Exit.REFUSED)  # fmt: skip
        make_submissions(study, root, smoke=smoke, say=say)
    outcome = driver.run()
    while not is_searched(study) and not outcome.not_started:
        longer = next_batch(study, root, partial(trial_of, study.base, asked=asked_recipe))
        fresh = longer.trials[len(study.trials) :]
        for choices in longer.refused[len(study.refused) :]:
            say(f"passed over, it cannot be composed: {label_of(choices)}")
        if longer.is_used_up:
            say(f"the axes have no more than {len(longer.trials)} trials that compose")
        make_submissions(replace(longer, trials=fresh), root, smoke=smoke, say=say)
        save(root, longer)
        study = longer
        runs = len(study.seeds)
        before, of = (len(study.trials) - len(fresh)) * runs, (wanted_trials(study) or 0) * runs
        more = replace(driver, study=study, before=before, of=of).run()
        outcome = Outcome({**outcome.failed, **more.failed}, more.not_started)
    return study, outcome


def is_whole(study: Study, root: Path) -> bool:
    """Whether nothing is left to run: every trial finished, or stopped early, and none is to be proposed."""
    return is_searched(study) and all(one.is_whole or one.state == "pruned" for one in standings(study, root))
