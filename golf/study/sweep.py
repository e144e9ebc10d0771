"""A sweep: a grid of choices, or random draws of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from golf.board.asked import asked_recipe
from golf.errors import Exit, GolfError
from golf.run.plan import Wishes, parse_seeds
from golf.study.axes import Choices, draws, grid, parse_axes
from golf.study.drive import Budget, Driver, Outcome
from golf.study.make import base_of, base_sha256, make_submissions, refuse_rulings, trial_of
from golf.study.results import standings
from golf.study.study import (
    Study,
    Trial,
    default_name,
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
    prune: bool = False
    stop_if_worse: float | None = None
    resume: bool = False
    wishes: Wishes = field(default_factory=Wishes)
    budget: Budget = field(default_factory=Budget)


def find_sweep(asked: Asked, root: Path) -> tuple[Study, bool]:
    """The study that is asked for, and whether it was begun before. GolfError: an axis or a value that names nothing, a name that
    is another study's, `--resume` of none."""
    if not asked.over:
        return find_begun(asked, root, "sweep"), True
    axes = parse_axes(asked.over)
    choices = grid(axes) if asked.random is None else draws(axes, asked.random, asked.draw_seed)
    what = {
        "over": list(asked.over), "random": asked.random, "draw_seed": None if asked.random is None else asked.draw_seed,
        "prune": asked.prune, "stop_if_worse": asked.stop_if_worse,
    }  # fmt: skip
    return settled(asked, root, "sweep", what, lambda base: _trials(base, choices))


def _trials(base: str, choices: Sequence[Choices]) -> list[Trial]:
    """The trials of the choices; a choice that names nothing is a fault of all trials, so it is said at once."""
    return [trial_of(base, one, asked_recipe) for one in choices]


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
    study = Study(name, kind, base, seeds, found, told, base_sha256(found))
    refuse_rulings(found, wishes.allow)
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
        hint = f"name one: `--name {there[0]}`" if there else "`golf sweep BASE --over matrix_lr=0.018,0.022 --smoke`"
        raise GolfError(f"nothing to vary: no `--over`, and {len(there) or 'no'} studies here to go on with", hint)
    study = load(root, name)
    if study.kind != kind:
        raise GolfError(f"`{name}` is no {kind}: its kind is {study.kind}", "choose another `--name`")
    return study


def wishes_of(study: Study, wishes: Wishes) -> Wishes:
    """The wishes of a study that goes on: what it was begun with, and from the command line only how it runs."""
    held = study.asked
    return replace(wishes, smoke=bool(held["smoke"]), iterations=held["iterations"], max_wallclock_seconds=held["max_wallclock_seconds"],
                   nproc=held["nproc"], allow=tuple(held["allow"]), resume=True)  # fmt: skip


def carry_out(study: Study, begun: bool, asked: Asked, driver: Driver) -> Outcome:
    """Make the trials' submissions, keep the study, run what is missing. GolfError (10) before anything starts: trials that
    cannot compose; a study that was begun and is not asked to go on."""
    root = driver.root
    if not begun:
        make_submissions(study, root, smoke=driver.wishes.smoke, say=driver.view.say)
        save(root, study)
    elif not asked.resume and not is_whole(study, root):
        done = sum(one.is_whole for one in standings(study, root))
        verb = "sweep" if study.kind == "sweep" else "ablate"
        raise GolfError(f"the study {study.name} was begun: {done} of {len(study.trials)} trials are finished",
                        f"go on with it: `golf {verb} --name {study.name} --resume`", Exit.REFUSED)  # fmt: skip
    elif not is_whole(study, root):
        if base_sha256(study.trials) != study.base_sha256:
            raise GolfError(f"{study.base} changed since the study {study.name} began: its trials would start from two things",
                            "undo the change, or begin a study of another `--name`", Exit.REFUSED)  # fmt: skip
        make_submissions(study, root, smoke=driver.wishes.smoke, say=driver.view.say)
    return driver.run()


def is_whole(study: Study, root: Path) -> bool:
    """Whether nothing is left to run: every trial finished, or stopped early."""
    return all(one.is_whole or one.state == "pruned" for one in standings(study, root))
