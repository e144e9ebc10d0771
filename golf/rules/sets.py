"""The sets of runs of a submission: which one is judged, and what the run store knows of it."""

from pathlib import Path
from typing import TYPE_CHECKING

from golf.errors import GolfError
from golf.run.layout import is_foreign

if TYPE_CHECKING:
    from golf.run.schema import Run as StoredRun


def choose_set(submission: Path) -> Path | None:
    """The folder of runs with a log that counts: a full size before a smoke one, the current script's before others, the newest."""
    sets = [path for path in sorted((submission / "runs").glob("*")) if any(path.glob("seed_*/*.log"))]
    return max(
        sets,
        key=lambda path: (not path.name.endswith("-smoke"), _is_current(submission, path), path.stat().st_mtime),
        default=None,
    )


def _is_current(submission: Path, run_set: Path) -> bool:
    from hashlib import sha256

    script = submission / "train_gpt.py"
    return script.is_file() and run_set.name.startswith(sha256(script.read_bytes()).hexdigest()[:12])


def stored_runs(submission: Path, run_set: Path) -> "list[StoredRun]":
    """The run store's rows of a set; none without a store, or with a damaged one."""
    from golf.project import find_root
    from golf.run.store import has_store, open_store

    root = find_root(submission)
    if not has_store(root):
        return []
    try:
        with open_store(root) as store:
            rows = store.runs(submission.resolve().name)
    except GolfError:
        return []
    return [row for row in rows if row.set_id == run_set.name]


def track_of(run_set: Path, rows: "list[StoredRun]", tracks: tuple[str, ...]) -> str | None:
    """The track that the store gives a set; `local` for one that golf ran here of an imported script and does not know.

    The recipe of an imported script holds its authors' track: it says nothing of a run on this machine.
    """
    stored = {row.track for row in rows if row.track in tracks}
    if len(stored) == 1:
        return stored.pop()
    return "local" if stored or is_foreign(run_set.name) else None
