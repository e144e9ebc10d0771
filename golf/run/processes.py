"""Processes from outside: who holds a run's folder, and how a whole tree of processes is ended.

A lock file is the proof of life: the script inherits the locked handle, so that the lock lasts exactly as long as the script,
even when the golf that started it was killed. Process ids alone can be reused.
"""

import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from golf.files import is_locked

_POLL_SECONDS = 0.05
_HAS_PROC = Path("/proc/self/stat").exists()


class Watched(Protocol):
    """A process that is watched: one that we started, or one that outlived the golf that did."""

    pid: int | None

    def poll(self) -> int | None:
        """Its exit code, -1 where nobody can know it, None while it runs."""
        ...


class Adopted:
    """A script that outlived its golf: it runs as long as it holds its lock."""

    def __init__(self, lock: Path, pid: int | None) -> None:
        self.lock = lock
        self.pid = pid

    def poll(self) -> int | None:
        """None while it runs; its exit code went to the golf that was killed, so -1 afterwards."""
        return None if is_locked(self.lock) else -1


def tree(pid: int) -> list[int]:
    """`pid` and every process below it. torchrun puts each worker into a session of its own, so a group is not enough."""
    children: dict[int, list[int]] = defaultdict(list)
    for child, parent in _parents().items():
        children[parent].append(child)
    found, queue = [], [pid]
    while queue:
        here = queue.pop()
        found.append(here)
        queue += children[here]
    return found


def end(process: Watched, grace_seconds: float = 10.0) -> None:
    """End a process with everything below it: SIGTERM, and SIGKILL for what is left after `grace_seconds`.

    A worker is told by its launcher, which then ends in order; SIGKILL goes to all.
    """
    stop = getattr(process, "stop", None)  # of a process on another machine
    if stop is not None:
        stop(grace_seconds)
    elif process.pid is not None:
        _end(tree(process.pid), [process.pid], grace_seconds, process)


def end_strays(folder: Path, run_id: str, grace_seconds: float = 5.0) -> int:
    """End workers that outlived their launcher; how many there were. They are known by their folder and their RUN_ID (Linux)."""
    found = [pid for pid in _parents() if _is_stray(pid, folder, run_id)] if _HAS_PROC else []
    _end(found, found, grace_seconds)
    return len(found)


def _is_stray(pid: int, folder: Path, run_id: str) -> bool:
    here = Path(f"/proc/{pid}")
    try:
        at_home = (here / "cwd").readlink() == folder.resolve()
        return (
            at_home
            and f"RUN_ID={run_id}".encode() in (here / "environ").read_bytes().split(b"\0")
            and bool(_birth(pid))
        )
    except OSError:  # it ended, or it is another user's
        return False


def _end(pids: Iterable[int], told: Iterable[int], grace_seconds: float, process: Watched | None = None) -> None:
    members, told = {pid: _birth(pid) for pid in pids}, list(told)
    for number, patience in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
        for pid in _alive(members):
            if number == signal.SIGKILL or pid in told:
                _signal(pid, number)
        deadline = time.monotonic() + patience
        while _alive(members) and time.monotonic() < deadline:
            if process is not None:
                process.poll()  # reaps our own child
            time.sleep(_POLL_SECONDS)


def _alive(members: dict[int, str]) -> list[int]:
    return [pid for pid, birth in members.items() if birth and _birth(pid) == birth]


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _birth(pid: int) -> str:
    """When the process began, as the system writes it; empty when there is none, or only its zombie."""
    stat = Path(f"/proc/{pid}/stat")
    if _HAS_PROC:
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] == "Z" else fields[19]
    shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, birth = shown.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else birth.strip()


def _parents() -> dict[int, int]:
    """The parent of every process."""
    if _HAS_PROC:
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                except OSError:
                    continue  # it ended meanwhile
                found[int(entry.name)] = int(fields[1])
        return found
    shown = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False)
    return {int(pid): int(parent) for pid, parent in (line.split() for line in shown.stdout.splitlines())}
