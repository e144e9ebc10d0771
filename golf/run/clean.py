"""`golf clean`: what lies on disk, what is only left over, and what goes only when it is named."""

import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from golf.project import cache_dir
from golf.run.layout import CHECKPOINTS
from golf.run.resume import is_alive, is_current, is_watched
from golf.run.schema import Run
from golf.run.store import has_store, open_store

DEMO = "golf-demo"
# kind -> (option that takes it, what it is)
KINDS = {
    "leftovers": (
        "",
        "scratch files of killed processes, checkpoints of runs that were moved aside, rows of runs that were removed by hand",
    ),
    "checkpoints": (
        "--checkpoints",
        "float.golf and hessians.golf of finished runs: no `golf package key=value` after that",
    ),
    "runs": ("--runs", "every run: logs, artifacts, rows of the store"),
    "demo": ("--demo", "the project of `golf demo`"),
    "cache": ("--cache", "corpora, tokenizers and shards that golf made or fetched"),
}


@dataclass(frozen=True)
class Heap:
    """Files of one kind."""

    kind: str
    paths: tuple[Path, ...]

    @property
    def bytes(self) -> int:
        """What they take on disk, hard links counted once each."""
        return sum(bytes_of(path) for path in self.paths)


def survey(root: Path, scratch_age_seconds: float = 3600.0) -> list[Heap]:
    """Everything that could go, by kind; what a living run uses is in none of them."""
    runs = _runs(root)
    busy = {run.folder for run in runs if is_alive(run) or is_watched(run)}
    folders = [path for path in sorted((root / "submissions").glob("*/runs/*")) if path.is_dir()]
    idle = [folder for folder in folders if not any(folder in (one, *one.parents) for one in busy)]
    finished = {run.folder for run in runs if run.state == "finished" and is_current(run)}
    aside = [run.folder for run in runs if not is_current(run)]
    return [
        Heap("leftovers", (*_scratch(idle, scratch_age_seconds), *_checkpoints(aside))),
        Heap("checkpoints", tuple(_checkpoints(finished - busy))),
        Heap("runs", tuple(idle)),
        Heap("demo", tuple(path for path in (root / DEMO,) if path.exists())),
        Heap("cache", tuple(path for path in (cache_dir(),) if path.exists())),
    ]


def remove(root: Path, heaps: Iterable[Heap]) -> int:
    """Remove what is in the heaps, rows of removed runs first; the bytes that went."""
    freed = 0
    for heap in heaps:
        freed += heap.bytes
        if heap.kind == "runs" and has_store(root):
            with open_store(root) as store:
                gone = [run.id for run in store.runs() if any(path in run.folder.parents for path in heap.paths)]
                store.forget(gone)
        if heap.kind == "leftovers" and has_store(root):
            with open_store(root) as store:
                store.forget([run.id for run in store.runs() if is_gone(run)])
        for path in heap.paths:
            _remove_path(path)
    return freed


def is_gone(run: Run) -> bool:
    """Whether somebody removed the run's folder, so that nothing backs its row any more."""
    return not run.folder.is_dir() and not is_alive(run) and not is_watched(run)


def bytes_of(path: Path) -> int:
    """The bytes of a file, or of all files below a folder."""
    if path.is_dir():
        return sum(below.lstat().st_size for below in path.rglob("*") if below.is_file())
    return path.lstat().st_size if path.exists() else 0


def _runs(root: Path) -> list[Run]:
    if not has_store(root):
        return []
    with open_store(root) as store:
        return store.runs()


def _scratch(folders: Iterable[Path], age_seconds: float) -> Iterator[Path]:
    for folder in folders:
        for path in sorted(folder.rglob("*.tmp")):
            if time.time() - path.stat().st_mtime > age_seconds:
                yield path


def _checkpoints(folders: Iterable[Path]) -> list[Path]:
    return [folder / name for folder in sorted(folders) for name in CHECKPOINTS if (folder / name).exists()]


def _remove_path(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
