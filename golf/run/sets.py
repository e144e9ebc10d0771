"""The sets of runs of a submission: which one is judged, and what the run store knows of it."""

from pathlib import Path
from typing import TYPE_CHECKING

from golf.challenge import SCRIPT
from golf.errors import GolfError
from golf.files import sha256_of_file
from golf.run.layout import is_foreign

if TYPE_CHECKING:
    from golf.run.schema import Run as StoredRun


def set_that_counts(submission: Path, set_id: str | None = None) -> Path | None:
    """The folder of the runs that are judged, compared and recorded; None where no run left a log.

    A full size before a small twin (which is asked for by its name, `set_id`, or stands alone), then the runs of the present script,
    then the newest log.
    """
    sets = [path for path in sorted((submission / "runs").glob("*")) if any(path.glob("seed_*/*.log"))]
    sets = [path for path in sets if set_id is None or path.name.startswith(set_id)]
    script = submission / SCRIPT
    present = sha256_of_file(script)[:12] if script.is_file() else None
    return max(
        sets,
        key=lambda path: (
            not path.name.endswith("-smoke"),
            present is not None and path.name.startswith(present),
            max(log.stat().st_mtime for log in path.glob("seed_*/*.log")),
        ),
        default=None,
    )


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
