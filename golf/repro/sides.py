"""Where the two sides come from: the record's folder, a clone, an import or the board; logs made elsewhere or runs made here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from golf.board.rows import Row
from golf.board.sides import side_of
from golf.board.sync import board_rows
from golf.errors import Exit, GolfError
from golf.logs import RunResult, Score
from golf.project import find_root


@dataclass(frozen=True)
class Evidence:
    """label; folder: of the record, None where only the board knows it; runs: seed → run; script: readable text."""

    label: str
    folder: Path | None
    runs: Mapping[str, RunResult]
    script: str | None = None
    notes: tuple[str, ...] = ()


def published_of(name: str, repo: Path | None = None, folder: Path | None = None) -> Evidence:
    """The record that `name` stands for: a folder, a PR in a clone, an imported submission, or a row of the board.

    Raises GolfError when it stands for nothing that was published.
    """
    place = folder or _folder_of(name, repo)
    if place is None:
        return _of_the_board(name)
    if not place.is_dir():
        raise GolfError(f"`{place}` is no record folder", "name the folder that holds the record's script and logs")
    side = side_of(str(place))
    return Evidence(place.resolve().name, place, side.runs, side.script, side.notes)


def _folder_of(name: str, repo: Path | None) -> Path | None:
    path = Path(name)
    if repo is None and path.is_dir() and not (path / "recipe.toml").is_file():
        return path
    row = _row(name)
    if repo is not None:
        if row is None or not row.folder:
            raise GolfError(f"the board knows no folder of `{name}`", "name it: `--folder records/…/…`")
        found = repo / row.folder
        if not found.is_dir():
            raise GolfError(
                f"`{repo}` has no {row.folder}", "name the record's folder itself: `--folder`", Exit.UNKNOWN
            )
        return found
    kept = find_root() / "submissions" / name / "original"
    return kept if kept.is_dir() else None


def _row(name: str) -> Row | None:
    number = name.lower().removeprefix("pr").removeprefix("#")
    rows = board_rows(find_root())
    return next((row for row in rows if row.key == name or (number.isdigit() and row.pr == int(number))), None)


def _of_the_board(name: str) -> Evidence:
    """What the board keeps of a record whose folder is not here: scores of seeds, mean steps; no stages, no settings."""
    row = _row(name)
    if row is None or row.bpb is None:
        raise GolfError(
            f"`{name}` is no record that golf knows",
            "a PR of the board (`golf leaderboard`), a record folder, or an import",
        )
    seeds = row.seeds or {"mean": (row.bpb, None)}
    steps, step_ms = row.stats.get("steps"), row.stats.get("step_ms")
    runs = {
        seed: RunResult(
            0, 0, 0, "board", seed=int(seed) if seed.isdecimal() else None, steps=round(steps) if steps else None, step_ms=step_ms,
            score=Score("sliding", "the board", bpb, loss, 0, 8), complete=True,
        )
        for seed, (bpb, loss) in seeds.items()
    }  # fmt: skip
    return Evidence(
        row.label, None, runs, notes=("the record's folder is not here: only what the board keeps of it is compared",)
    )


def obtained_of(place: Path) -> Evidence:
    """The runs in a folder of logs, a log, or a submission of this name; none of them where no log has a score."""
    try:
        side = side_of(str(place))
    except GolfError as fault:
        if not place.exists():
            raise
        return Evidence(place.name, place if place.is_dir() else None, {}, notes=(fault.message,))
    return Evidence(side.label, place if place.is_dir() else None, side.runs, side.script, side.notes)
