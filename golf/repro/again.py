"""Run a record again, unchanged: adopt its folder, lock what it needs, refuse a machine that cannot, start its script as published."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from golf.errors import Exit, GolfError
from golf.logs import RunResult, read_text
from golf.project import find_root
from golf.repro.locked import Lock, lacking, lock_of, write_lock
from golf.repro.sides import Evidence, obtained_of
from golf.run.api import Wishes, run_submission
from golf.run.machine import this_machine
from golf.run.view import View
from golf.run.whole import run_whole


@dataclass(frozen=True)
class Prepared:
    """submission: the folder adopted, with its lock; missing: what keeps this machine from running it as published, in words."""

    submission: Path
    lock: Lock
    missing: tuple[str, ...]


def prepare(record: Evidence) -> Prepared:
    """Adopt the record's folder as `submissions/repro_<name>`, if that is not done, and lock what it needs."""
    from golf.record.adopt import adopt_folder

    if record.folder is None:
        raise GolfError(
            f"the folder of {record.label} is not here",
            "`--repo CLONE` or `--folder F` names it; `--from-logs` needs none",
        )
    name = f"repro_{record.label}"
    home = find_root() / "submissions" / name
    folder = home if home.is_dir() else adopt_folder(record.folder, name).folder
    lock = lock_of(record.folder, record.runs)
    write_lock(lock, folder)
    return Prepared(folder, lock, tuple(lacking(lock, record.folder, this_machine())))


def run_again(prepared: Prepared, seeds: str | None, view: View | None = None) -> Evidence:
    """Run it over the record's seeds (or `seeds`) in the record's environment; refused (10) where the machine lacks something."""
    if prepared.missing:
        raise GolfError(
            f"this machine cannot run {prepared.lock.record} as it was run: it lacks {'; '.join(prepared.missing)}",
            "run it where that is, and bring the logs: `--from-logs DIR`; `--smoke` shows the flow here",
            Exit.REFUSED,
        )
    wanted = seeds or ",".join(map(str, prepared.lock.seeds)) or None
    with environment(prepared.lock.environment):
        run_submission(prepared.submission.name, Wishes(seeds=wanted, again=True), view=view)
    return obtained_of(prepared.submission)


def rehearse(
    prepared: Prepared, say: Callable[[str], None], seeds: tuple[int, int] = (1337, 42)
) -> tuple[dict[str, RunResult], dict[str, RunResult]]:
    """The record's script twice, small and whole in a box on this CPU: the first run in the place of the record's own.

    A look at the flow; no number of it says anything of the record. GolfError where the script does not come to its end.
    """
    sides = []
    for seed in seeds:
        say(f"seed {seed}: the whole script, small; minutes on a laptop")
        played = run_whole(prepared.submission, seed=seed, text_seed=seeds[0]).played
        run = read_text(played.text, f"{prepared.submission.name} (small)").run
        if not played.ran or run is None or run.score is None:
            raise GolfError(
                f"the small whole of {prepared.lock.record} has no score: {played.fault or 'its log names none'}",
                "`golf run NAME --smoke` shows its log", Exit.UNKNOWN,
            )  # fmt: skip
        sides.append({str(seed): run})
    return sides[0], sides[1]


@contextmanager
def environment(settings: Mapping[str, str]) -> Iterator[None]:
    """These names in the environment of what is started meanwhile."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
