"""One side of a comparison: whatever a name stands for, with its runs, its configuration and its script, as far as there are any."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from golf.board.asked import asked_recipe
from golf.board.gather import seeds_of
from golf.challenge import SCRIPT
from golf.errors import GolfError
from golf.files import own_files
from golf.logs import RunResult, counting, read_log
from golf.logs.runs import configuration, differing, is_configuration
from golf.project import DEMO, find_root, find_submission
from golf.reading.choice import choose
from golf.reading.folder import open_folder
from golf.recipe.log_names import live_values
from golf.recipe.recipe import Recipe
from golf.run.sets import set_that_counts


@dataclass(frozen=True)
class Side:
    """seeds: seed → (val_bpb, val_loss); runs: what the logs say per seed; config: knob or hyper-parameter → value as text.

    recipe: where the configuration is a recipe's, so that its knobs can be given the names that a log prints. count: n beside the n
    that is claimed. notes: what was left out, and why.
    """

    label: str
    kind: str  # "submission", "record", "log", "recipe", "board"
    seeds: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    runs: Mapping[str, RunResult] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    script: str | None = None
    recipe: Recipe | None = None
    count: str = ""
    notes: tuple[str, ...] = ()


def side_of(name: str, *, pool: bool = False) -> Side:
    """The side that `name` stands for: a log, a record folder, a submission, a shipped recipe, or a PR of the board.

    `demo` also stands for the submission of a demo whose project lies in this one. pool: every complete run of a seed counts, not one.

    Raises GolfError when it stands for nothing.
    """
    path = Path(name)
    if path.is_file():
        return _of_logs(path.name, "log", [path], None, pool=pool)
    if path.is_dir() and not (path / "recipe.toml").is_file():
        scripts = own_files(path, "train_gpt*.py") or own_files(path, "train*.py")
        choice = choose(open_folder(path), pool=pool)
        runs = {seed: log.run for seed, log in choice.runs.items()}
        side = _side(path.resolve().name, "record", runs, scripts[0] if scripts else None)
        return replace(side, count=choice.count, notes=choice.notes)
    try:
        submission = find_submission(name)
    except GolfError as fault:
        demo = find_root() / DEMO / "submissions" / name
        if (demo / "recipe.toml").is_file():
            return _of_submission(demo)
        if name == "demo":
            raise GolfError(
                f"{fault.message}, and no {DEMO}/", "`golf demo` makes both, with three seeds of runs"
            ) from fault
        return _of_recipe_or_board(name, fault)
    return _of_submission(submission)


def _of_recipe_or_board(name: str, fault: GolfError) -> Side:
    from golf.recipe import load_recipe, shipped_recipes

    try:
        name = asked_recipe(name)
    except GolfError as vague:
        if not name.lower().removeprefix("pr").removeprefix("#").isdigit():
            raise vague from fault
    if name in shipped_recipes():
        recipe = load_recipe(name)
        found: Mapping[str, tuple[float, float | None]] = {}
        try:
            found = seeds_of(name)[1]
        except GolfError:
            pass
        return Side(f"recipe {name}", "recipe", found, config=_texts(live_values(recipe)), recipe=recipe)
    if name.lower().removeprefix("pr").removeprefix("#").isdigit():
        label, seeds = seeds_of(name)
        return Side(label, "board", seeds)
    raise fault


def _of_logs(label: str, kind: str, paths: list[Path], script: Path | None, *, pool: bool = False) -> Side:
    """The side of the runs in some logs; of several runs of a seed the last, or each with `pool`."""
    runs: dict[str, RunResult] = {}
    notes = []
    for path in paths:
        for run in counting(read_log(path)):
            if run.score is None and run.last_loss is None:
                continue
            seed = str(run.seed) if run.seed is not None else path.stem
            if seed in runs and pool:
                seed = f"{seed} (line {run.first_line})"
            elif seed in runs:
                notes.append(
                    f"seed {seed} has several runs in {path.name}: the last counts, of line {run.first_line} on (`--pool` takes all)"
                )
            runs[seed] = run
    side = _side(label, kind, runs, script)
    first = next(iter(runs.values()))
    names = sorted({name for run in runs.values() for name in differing(configuration(first), configuration(run))})
    if names:
        notes.append(f"the runs of {label} are not of one configuration: they differ in {', '.join(names[:6])}")
    return replace(side, count=f"n={len(runs)}", notes=tuple(notes))


def _side(label: str, kind: str, runs: Mapping[str, RunResult], script: Path | None) -> Side:
    if not runs:
        raise GolfError(f"`{label}` has no log with an evaluation", "`golf logs show FILE` says what a log holds")
    first = next(iter(runs.values()))
    config = {key: value for key, value in first.hyperparameters.items() if is_configuration(key)}
    return Side(label, kind, _scores(runs), runs, config, readable(script) if script else None)


def _scores(runs: Mapping[str, RunResult]) -> dict[str, tuple[float, float | None]]:
    return {seed: (run.score.val_bpb, run.score.val_loss) for seed, run in runs.items() if run.score is not None}


def _of_submission(folder: Path) -> Side:
    from golf.project import is_adopted
    from golf.recipe import load_recipe

    recipe = load_recipe(folder)
    config = _texts(live_values(recipe))
    script = folder / SCRIPT
    text = readable(script) if script.is_file() else None
    newest = set_that_counts(folder)
    if newest is None:
        return Side(folder.name, "submission", config=config, script=text, recipe=recipe)
    logs = sorted(newest.glob("seed_*/train_seed*.log"))
    logs = [path for path in logs if path.parent.name.removeprefix("seed_").isdigit()]
    read = {path.parent.name.removeprefix("seed_"): read_log(path).run for path in logs}
    finished = {seed: run for seed, run in read.items() if run is not None and run.complete}
    if not finished:
        return Side(folder.name, "submission", config=config, script=text, recipe=recipe)
    measured = _side(f"{folder.name} ({newest.name})", "submission", finished, newest / SCRIPT)
    measured = replace(measured, count=f"n={len(finished)}")
    if is_adopted(folder):  # its recipe says nothing of its script; its log does
        return measured
    return replace(measured, config=config, recipe=recipe)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items()}


def readable(script: Path) -> str | None:
    """The script's source, unpacked where it is packed; None when it cannot be read."""
    from golf.reading.unpack import unpack

    try:
        return unpack(script)
    except GolfError:
        return script.read_text(encoding="utf-8", errors="replace")
    except (OSError, UnicodeDecodeError):
        return None
