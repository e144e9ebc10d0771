"""After a kill: which runs have lost their golf or their script, what they left, and where each may go on."""

from collections.abc import Collection
from pathlib import Path

from golf.files import Lock, is_locked
from golf.reading.container import fault_of, read_meta
from golf.run.layout import ARTIFACT, CHECKPOINT, SeedFolder, is_foreign
from golf.run.lines import Progress, read_log
from golf.run.schema import UNFINISHED, Run
from golf.run.store import Store

KILLED = "killed"
_ORDER = ("started", "trained", "exported")


def settle(store: Store, submission: str) -> list[Run]:
    """Bring the store in line with what happened while no golf was watching; the runs that changed.

    A move of folders that was cut off is done again. A run whose script is gone becomes `finished` when its log and artifact are
    complete, else `stopped`; a foreign one always `stopped`.
    """
    runs = store.runs(submission)
    launched = {run.folder for run in runs if run.pid is not None}
    for run in runs:
        if not is_current(run) and not run.folder.exists():
            redo_move(run, launched)
    changed = []
    for run in runs:
        if run.state in UNFINISHED and not is_alive(run) and not is_watched(run):
            progress = read_log(run.log)
            # nobody saw how a foreign script ended, and another evaluation may have been due after the last one in its log
            fault = KILLED if is_foreign(run.set_id) else incomplete(run, progress)
            if fault is None:
                changed.append(store.move(run.id, "finished", result=progress.result()))
            else:
                changed.append(store.move(run.id, "stopped", stop_reason=KILLED))
    return changed


def redo_move(run: Run, launched: Collection[Path] = ()) -> None:
    """`Store.start` names the new place of a former run's folder; a kill may come before the folder itself is moved.

    What lies at the old place is the former run's while no script was launched there since (`launched`): a run without a folder
    is given an empty one before its row is moved. Nobody moves anything while a golf is at work on that seed.
    """
    stem, _, number = run.folder.name.rpartition(".")
    former = run.folder.with_name(stem)
    if not number.isdecimal() or not stem or former in launched:
        return
    watching = Lock(place_of(run).watch_lock)
    if watching.take():
        try:
            if former.exists() and not run.folder.exists():
                former.rename(run.folder)
        finally:
            watching.release()


def place_of(run: Run) -> SeedFolder:
    """The folder and locks of a run."""
    return SeedFolder(run.folder.parent, run.seed)


def is_current(run: Run) -> bool:
    """Whether the run is in its seed's own folder, not moved aside by a later one."""
    return run.folder.name == f"seed_{run.seed}"


def is_alive(run: Run) -> bool:
    """Whether the script of an unfinished run still holds its lock."""
    return run.state in UNFINISHED and is_current(run) and is_locked(place_of(run).script_lock)


def is_watched(run: Run) -> bool:
    """Whether a golf is watching the run."""
    return run.state in UNFINISHED and is_current(run) and is_locked(place_of(run).watch_lock)


def incomplete(run: Run, progress: Progress) -> str | None:
    """What a run lacks to be finished; None when nothing does: its own seed, its score, a whole artifact."""
    if progress.seed is not None and progress.seed != run.seed:
        return f"asked for seed {run.seed}, the script printed seed {progress.seed}"
    result = progress.result()
    if result is None:
        return "it ended without its `golf_result` line"
    if result.get("seed") != run.seed:
        return f"asked for seed {run.seed}, its result is of seed {result.get('seed')}"
    if progress.seed is None:
        return "it never printed its seed"
    if result.get("val_bpb") is None:
        return "it ended without a score"
    fault = fault_of(run.folder / ARTIFACT)
    return f"{ARTIFACT} {fault}" if fault is not None else None


def reached(run: Run) -> str:
    """The state that the files of a run prove: `exported`, `trained` or `started`."""
    checkpoint_holds = holds(run.folder / CHECKPOINT, run.seed)
    if (
        checkpoint_holds
        and fault_of(run.folder / ARTIFACT) is None
        and _ORDER.index(_said(run)) >= _ORDER.index("exported")
    ):
        return "exported"
    return "trained" if checkpoint_holds else "started"


def holds(checkpoint: Path, seed: int) -> bool:
    """Whether a checkpoint is whole and of this seed."""
    return fault_of(checkpoint) is None and read_meta(checkpoint).get("seed", seed) == seed


def phases_left(state: str) -> tuple[str, ...]:
    """What a run that reached `state` has still to do; training itself is never taken up in the middle,
    since a clock that was stopped measures nothing."""
    return {"exported": ("eval",), "trained": ("export", "eval")}.get(state, ("train", "export", "eval"))


def _said(run: Run) -> str:
    """The state that the log proves: the artifact is whole when evaluation began."""
    return {"eval": "exported", "export": "trained"}.get(read_log(run.log).phase, "started")
