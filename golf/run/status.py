"""What runs and what ran: the store's word against the locks that living scripts hold."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.run.advice import way_on
from golf.run.layout import is_foreign
from golf.run.lines import Follower, Progress, read_log
from golf.run.outlook import Outlook
from golf.run.resume import is_alive, is_current, is_watched
from golf.run.schema import UNFINISHED, Run
from golf.run.store import has_store, open_store
from golf.run.view import View, describe

COLUMNS = ("submission", "set", "seed", "state", "track", "step", "bpb", "started (UTC)", "note")
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Standing:
    """One run as it stands. `state`: running, orphan (its golf is gone), killed (its script is gone too), or the store's own."""

    run: Run
    state: str
    progress: Progress

    @property
    def note(self) -> str:
        """What the user may do, or what is happening."""
        resume = f"`golf run {self.run.submission}{' --smoke' if self.run.smoke else ''} --resume`"
        go_on = way_on(self.run.submission, smoke=self.run.smoke, foreign=is_foreign(self.run.set_id))
        if self.state == "running":
            return describe(self.progress)
        if self.state == "orphan":
            return f"runs without its golf (process {self.run.pid}); take it over with {resume}"
        if self.state == "killed":
            return go_on
        if self.state in ("stopped", "failed"):
            return f"{self.run.stop_reason}; {go_on}"
        if not self.run.folder.is_dir():
            return "its folder is gone; `golf clean` forgets it"
        if self.run.derived:
            return "derived: " + ", ".join(f"{key}={value}" for key, value in self.run.derived.items())
        return ""

    @property
    def is_live(self) -> bool:
        """Whether a script is at work."""
        return self.state in ("running", "orphan")


def standings(root: Path, submission: str | None = None, *, all_runs: bool = False) -> list[Standing]:
    """Every current run of the project, oldest first; with `all_runs` also those that later runs moved aside."""
    if not has_store(root):
        return []
    with open_store(root) as store:
        runs = store.runs(submission)
    return [standing_of(run) for run in runs if all_runs or is_current(run)]


def standing_of(run: Run) -> Standing:
    """A run as it stands now. Reads its log and its locks, changes nothing."""
    if run.state == "finished" and run.result:
        return Standing(run, run.state, measured(run.result))
    if run.state not in UNFINISHED:
        return Standing(run, run.state, read_log(run.log))
    state = ("running" if is_watched(run) else "orphan") if is_alive(run) else "killed"
    if state == "killed" and is_watched(run):
        state = "running"  # its golf is just starting the script, or drawing the conclusion
    return Standing(run, state, read_log(run.log))


def measured(result: Mapping[str, Any]) -> Progress:
    """What a finished run's result says of its progress: its log need not be read again."""
    return Progress(
        phase="eval", step=result.get("steps"), iterations=result.get("iterations"), train_seconds=result.get("train_seconds"),
        step_ms=result.get("step_ms"), train_loss=result.get("train_loss"), score_bpb=result.get("val_bpb"),
    )  # fmt: skip


def row_of(standing: Standing) -> list[str]:
    """The table's cells."""
    run, progress = standing.run, standing.progress
    bpb = (run.result or {}).get("val_bpb") or progress.score_bpb or progress.val_bpb
    step = f"{progress.step}/{progress.iterations}" if progress.step is not None else ""
    return [
        run.submission, run.set_id, str(run.seed), standing.state, run.track, step,
        f"{bpb:.4f}" if bpb is not None else "", run.started_at[:16].replace("T", " "), standing.note,
    ]  # fmt: skip


def to_json(standing: Standing) -> dict[str, Any]:
    """One run for `--json`."""
    run, progress = standing.run, standing.progress
    return {
        "id": run.id, "submission": run.submission, "set": run.set_id, "seed": run.seed, "smoke": run.smoke,
        "state": standing.state, "stored_state": run.state, "track": run.track, "device": run.device,
        "world_size": run.world_size, "pid": run.pid, "folder": str(run.folder), "log": str(run.log),
        "started_at": run.started_at, "finished_at": run.finished_at, "exit_code": run.exit_code,
        "phase": progress.phase, "step": progress.step, "iterations": progress.iterations,
        "train_seconds": progress.train_seconds, "step_ms": progress.step_ms, "train_loss": progress.train_loss,
        "val_bpb": progress.score_bpb if progress.score_bpb is not None else progress.val_bpb,
        "note": standing.note, "result": run.result,
    }  # fmt: skip


def to_watch(root: Path, submission: str | None) -> Standing:
    """The run that `golf watch` follows: the newest living one, else the newest. GolfError when nothing was ever run."""
    found = standings(root, submission)
    if not found:
        what = f"of {submission} " if submission else ""
        raise GolfError(f"no run {what}in {root}", f"start one: `golf run {submission or 'NAME'} --smoke`")
    return next((standing for standing in reversed(found) if standing.is_live), found[-1])


def follow(
    standing: Standing, view: View, outlook: Outlook | None = None, wait: Callable[[float], None] = time.sleep
) -> Standing:
    """Show a living run until its script ends; how it stands then. Only reads: Ctrl-C ends the watching, not the run."""
    run, progress, follower = standing.run, Progress(), Follower(standing.run.log)
    view.begin(run, 1, 1, f"{run.world_size} x {run.device}")
    try:
        living = True
        while living:
            living = is_alive(run) or is_watched(run)  # asked before reading, so that its last lines are read too
            if lines := follower.lines(to_end=not living):
                for line in lines:
                    progress.read(line)
                if outlook is not None:
                    outlook.note(progress)
                view.progress(progress)
            wait(POLL_SECONDS if living else 0.0)
    finally:
        view.close()
    return standing_of(run)
