"""One side of a comparison: whatever a name stands for, with its runs, its configuration and its script, as far as there are any."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golf.board.gather import seeds_of
from golf.challenge import SCRIPT
from golf.errors import GolfError
from golf.files import own_files
from golf.logs import RunResult, read_log
from golf.project import DEMO, find_root, find_submission
from golf.reading.choice import folder_runs
from golf.run.sets import set_that_counts

# printed by every log and different in every run: no configuration
NOT_CONFIGURATION = frozenset(
    (
        "seed",
        "run_id",
        "logfile",
        "rank",
        "local_rank",
        "is_main_process",
        "model_path",
        "quantized_model_path",
        "artifact_dir",
    )
)


@dataclass(frozen=True)
class Side:
    """seeds: seed → (val_bpb, val_loss); runs: what the logs say per seed; config: knob or hyper-parameter → value as text."""

    label: str
    kind: str  # "submission", "record", "log", "recipe", "board"
    seeds: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    runs: Mapping[str, RunResult] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    script: str | None = None


def side_of(name: str) -> Side:
    """The side that `name` stands for: a log, a record folder, a submission, a shipped recipe, or a PR of the board.

    `demo` also stands for the submission of a demo whose project lies in this one.

    Raises GolfError when it stands for nothing.
    """
    path = Path(name)
    if path.is_file():
        return _of_logs(path.name, "log", [path], None)
    if path.is_dir() and not (path / "recipe.toml").is_file():
        scripts = own_files(path, "train_gpt*.py") or own_files(path, "train*.py")
        return _side(path.resolve().name, "record", folder_runs(path), scripts[0] if scripts else None)
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

    if name in shipped_recipes():
        recipe = load_recipe(name)
        found: Mapping[str, tuple[float, float | None]] = {}
        try:
            found = seeds_of(name)[1]
        except GolfError:
            pass
        return Side(f"recipe {name}", "recipe", found, config=_texts(recipe.values))
    if name.lower().removeprefix("pr").removeprefix("#").isdigit():
        label, seeds = seeds_of(name)
        return Side(label, "board", seeds)
    raise fault


def _of_logs(label: str, kind: str, paths: list[Path], script: Path | None) -> Side:
    runs: dict[str, RunResult] = {}
    for path in paths:
        run = read_log(path).run
        if run is not None and run.score is not None:
            runs.setdefault(str(run.seed) if run.seed is not None else path.stem, run)
    return _side(label, kind, runs, script)


def _side(label: str, kind: str, runs: Mapping[str, RunResult], script: Path | None) -> Side:
    if not runs:
        raise GolfError(f"`{label}` has no log with an evaluation", "`golf logs show FILE` says what a log holds")
    first = next(iter(runs.values()))
    config = {key: value for key, value in first.hyperparameters.items() if key not in NOT_CONFIGURATION}
    return Side(label, kind, _scores(runs), runs, config, readable(script) if script else None)


def _scores(runs: Mapping[str, RunResult]) -> dict[str, tuple[float, float | None]]:
    return {seed: (run.score.val_bpb, run.score.val_loss) for seed, run in runs.items() if run.score is not None}


def _of_submission(folder: Path) -> Side:
    from golf.project import is_adopted
    from golf.recipe import load_recipe

    config = _texts(load_recipe(folder).values)
    script = folder / SCRIPT
    text = readable(script) if script.is_file() else None
    newest = set_that_counts(folder)
    if newest is None:
        return Side(folder.name, "submission", config=config, script=text)
    logs = sorted(newest.glob("seed_*/train_seed*.log"))
    logs = [path for path in logs if path.parent.name.removeprefix("seed_").isdigit()]
    finished = [path for path in logs if (run := read_log(path).run) is not None and run.complete]
    if not finished:
        return Side(folder.name, "submission", config=config, script=text)
    measured = _of_logs(f"{folder.name} ({newest.name})", "submission", finished, newest / SCRIPT)
    if is_adopted(folder):  # its recipe says nothing of its script; its log does
        config = dict(measured.config)
    return Side(measured.label, "submission", measured.seeds, measured.runs, config, measured.script)


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
