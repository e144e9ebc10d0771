"""Seeds of anything that can be named: a PR, a record folder, a submission, a log file."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from golf.board.local import local_runs
from golf.board.rows import official
from golf.errors import GolfError
from golf.project import find_root, find_submission
from golf.reading.choice import folder_runs
from golf.reading.folder import log_files

if TYPE_CHECKING:
    from golf.logs import RunResult

Seeds = Mapping[str, tuple[float, float | None]]


def seeds_of(name: str | None) -> tuple[str, Seeds]:
    """(label, seed → (val_bpb, val_loss)) of `name`: pr1493 or #1493, a record folder, a log, or a submission with finished runs.

    Raises GolfError when it names nothing, or nothing with results.
    """
    if name and (number := name.lower().removeprefix("pr").removeprefix("#")).isdigit():
        return _of_pr(int(number))
    path = Path(name) if name else None
    if path is not None and path.is_file():
        from golf.logs import read_log

        run = read_log(path).run
        return path.name, _scores({} if run is None else {str(run.seed if run.seed is not None else path.stem): run})
    if path is not None and path.is_dir() and not (path / "recipe.toml").is_file():
        if not log_files(path):
            raise GolfError(f"`{path}` has no log", "a record folder holds one log per seed")
        return path.name, _scores(folder_runs(path))
    submission = find_submission(name)
    rows = [row for row in local_runs(find_root(submission)) if row.key.startswith(submission.name + "/")]
    if not rows:
        raise GolfError(
            f"`{submission.name}` has no finished run", f"run it: `golf run {submission.name} --seeds 1337,42,7`"
        )
    return submission.name, rows[-1].seeds


def _of_pr(number: int) -> tuple[str, Seeds]:
    found = [row for row in official() if row.pr == number]
    if not found:
        raise GolfError(f"PR #{number} is not on the board", "`golf leaderboard` lists the rows")
    row = found[0]
    if row.seeds:
        return row.label, row.seeds
    if row.bpb is None:
        raise GolfError(f"PR #{number} has no score on the board", "name a record folder or a submission instead")
    return row.label, {"mean": (row.bpb, None)}


def _scores(runs: Mapping[str, "RunResult"]) -> Seeds:
    seeds = {seed: (run.score.val_bpb, run.score.val_loss) for seed, run in runs.items() if run.score is not None}
    if not seeds:
        raise GolfError("no log there has an evaluation", "`golf logs show FILE` says what a log holds")
    return seeds
