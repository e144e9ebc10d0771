"""An audit: each subject judged once, its row kept at once, so that what was stopped goes on; the rows of all at the end."""

import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from golf.audit.find import Subject, lay_out
from golf.compose.kept import golf_sha256
from golf.engine.local import Died, run_all
from golf.errors import GolfError
from golf.files import Lock, json_text, sha256_of, write_atomically
from golf.reading.choice import choose
from golf.reading.claims import author_and_date, headline
from golf.reading.folder import open_folder
from golf.rules import verify_folder
from golf.stats import Sample

FOLDER = "audits"
ROWS = "verdicts.jsonl"
LOCK = ".audit.lock"
STATIC = ("folder", "json", "log", "static", "stats")


@dataclass(frozen=True)
class Options:
    """How every subject is judged; as `golf verify` takes them. seconds: of one subject at most."""

    pack: str
    only: tuple[str, ...] = STATIC
    quick: bool = False
    execute: bool = False
    seconds: float = 900.0


@dataclass(frozen=True)
class Task:
    """One subject with how it is judged: what a worker is sent."""

    subject: Subject
    options: Options
    key: str


def key_of(subject: Subject, options: Options) -> str:
    """Of everything that a verdict depends on: the subject's content, the options, golf itself."""
    return sha256_of(repr((subject.state, options, golf_sha256())).encode())[:32]


def judge(task: Task) -> dict[str, Any]:
    """The row of one subject; a fault of whatever kind is a row too: one folder never ends an audit."""
    subject = task.subject
    row: dict[str, Any] = {
        "subject": subject.label,
        "pr": subject.pr,
        "folder": str(subject.folder),
        "key": task.key,
        "fault": None,
    }
    begun = time.perf_counter()
    try:
        with _at_most(task.options.seconds):
            lay_out(subject)
            row |= _judged(subject.folder, task.options)
    except GolfError as fault:
        row["fault"] = fault.message
    except TimeoutError:
        row["fault"] = f"not judged within {task.options.seconds:g} s"
    except Exception as fault:
        row["fault"] = f"{type(fault).__name__}: {fault}"[:300]
    return {**row, "seconds": round(time.perf_counter() - begun, 3)}


def _judged(folder: Path, options: Options) -> dict[str, Any]:
    verdict = verify_folder(folder, options.pack, list(options.only), quick=options.quick, execute=options.execute)
    record = open_folder(folder)
    author, date = author_and_date(record.claims, folder.name)
    scores = [
        log.run.score.val_bpb
        for log in choose(record).runs.values()
        if log.run is not None and log.run.score is not None
    ]
    logs = Sample.of(scores) if scores else None
    return {
        "track": verdict.track, "author": author, "date": date, "claim": headline(record.claims),
        "logs": None if logs is None else {"n": logs.n, "mean": logs.mean, "sd": logs.sd},
        "exit": int(verdict.exit), "broken": [finding.code for finding in verdict.broken],
        "untold": [finding.code for finding in verdict.untold],
        "states": {finding.code: finding.state.value for finding in verdict.findings},
    }  # fmt: skip


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """TimeoutError in the block after so many seconds; without bound where another thread than the main one runs it."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    try:
        former = signal.signal(signal.SIGALRM, ring)
    except ValueError:
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def audit(
    root: Path, name: str, subjects: Sequence[Subject], options: Options, *, processes: int = 1, again: bool = False,
    mapper: Callable[..., Iterator[tuple[int, Any]]] = run_all, on_row: Callable[[dict[str, Any], int, int], None] = lambda row, n, of: None,
) -> list[dict[str, Any]]:  # fmt: skip
    """The rows of all subjects in their order. What was judged before with the same content, options and golf is not judged again.

    mapper: the engine. on_row: told of every new row, how many there are, and of how many. GolfError (10): another audit of this name.
    """
    folder = root / FOLDER / name
    lock = Lock(folder / LOCK)
    if not lock.take():
        raise GolfError(f"another golf is at work on the audit {name}", "wait for it, or choose another `--name`")
    try:
        path = folder / ROWS
        known = {} if again else _known(path)
        tasks = [Task(subject, options, key_of(subject, options)) for subject in subjects]
        missing = [task for task in tasks if task.key not in known]
        with path.open("ab") as file:
            results = mapper(judge, missing, max(min(processes, len(missing)), 1))
            for judged, (at, found) in enumerate(results, 1):
                task = missing[at]
                row = found if not isinstance(found, Died) else {**_blank(task), "fault": found.message}
                file.write(json_text(row).encode() + b"\n")
                file.flush()
                known[task.key] = row
                on_row(row, judged, len(missing))
        rows = [{**known[task.key], "subject": task.subject.label} for task in tasks]
        kept = {row["key"]: row for row in [*known.values(), *rows]}
        write_atomically(
            path,
            b"".join(
                json_text(row).encode() + b"\n" for row in sorted(kept.values(), key=lambda r: (r["subject"], r["key"]))
            ),
        )
        return rows
    finally:
        lock.release()


def _blank(task: Task) -> dict[str, Any]:
    return {
        "subject": task.subject.label,
        "pr": task.subject.pr,
        "folder": str(task.subject.folder),
        "key": task.key,
        "seconds": None,
    }


def _known(path: Path) -> dict[str, dict[str, Any]]:
    """Key → row of what was judged before; a last line that a kill cut off is passed over, and so are faults, which may pass."""
    found = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("key"), str) and row.get("fault") is None:
            found[row["key"]] = row
    return found
