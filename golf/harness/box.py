"""The box for strangers' scripts: bubblewrap or bare namespaces, Landlock, seccomp and limits around one server, supervised from outside.

The server (`inside/server.py`) forks one process per play. Files can be read in Python's own folders and in the box, written in the
box alone; there is no network; nothing can be executed; memory, processes, disk and time are limited for the box as a whole.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from golf.errors import Exit, GolfError
from golf.harness.inside import walls

NAMESPACES = (
    "unshare", "--user", "--map-root-user", "--mount", "--mount-proc", "--net", "--pid", "--ipc", "--fork", "--kill-child",
)  # fmt: skip
BUBBLEWRAP = ("bwrap", "--unshare-all", "--die-with-parent", "--as-pid-1", "--cap-drop", "ALL")
GOLF = Path(__file__).resolve().parents[1]
PROCESS_BYTES = 12 << 30  # address space of a process: torch alone maps several GB
FILE_BYTES = 256 << 20
BOX_BYTES = 1 << 30  # on disk, in all
RESIDENT_BYTES = 6 << 30  # in memory, in all
PROCESSES = 64
START_SECONDS = 90.0
WATCH_SECONDS = 0.2
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
FACTS = (
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self",
    "/sys/devices/system/cpu",
    "/etc/localtime",
    "/usr/share/zoneinfo",
)
WALLS = ("files", "sockets", "processes")


@cache
def namespaces() -> tuple[str, ...]:
    """The command that starts a process without network, with process ids and mounts of its own; empty where that is not permitted."""
    if shutil.which("unshare") is None:
        return ()
    try:
        done = subprocess.run([*NAMESPACES, "true"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return NAMESPACES if done.returncode == 0 else ()


@cache
def has_bubblewrap() -> bool:
    """Whether bubblewrap is installed and permitted to make its namespaces here."""
    if shutil.which("bwrap") is None:
        return False
    try:
        done = subprocess.run(
            [*BUBBLEWRAP, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"],
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def wrapping(place: Path) -> tuple[str, ...]:
    """The command that starts the server of the box at `place` behind the walls that programs raise: bubblewrap, where it is, shows it nothing
    but Python's folders, golf's own code and the box; else namespaces; empty where neither is permitted."""
    if not has_bubblewrap():
        return namespaces()
    shown = [each for each in (*python_places(), *FACTS, str(GOLF)) if not each.startswith("/proc")]
    binds = [word for each in shown for word in ("--ro-bind-try", each, each)]
    return (
        *BUBBLEWRAP,
        "--tmpfs",
        "/tmp",
        *binds,
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--bind",
        str(place),
        str(place),
        "--chdir",
        str(place),
    )


@dataclass(frozen=True)
class Standing:
    """Which walls this machine can raise. files: bubblewrap or Landlock; sockets: a network namespace or seccomp; processes: a pid namespace."""

    files: bool
    sockets: bool
    processes: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """What is not fenced here, in words."""
        words = {
            "files": "files (no Landlock in this kernel, no bubblewrap)",
            "sockets": "the network (no namespaces, no seccomp filter)",
            "processes": "processes (no namespaces)",
        }
        return tuple(words[name] for name in WALLS if not getattr(self, name))

    def refuse(self) -> None:
        """Raise GolfError (exit 10) where a wall is missing, with its name and the way out."""
        if self.missing:
            raise GolfError(
                f"strangers' scripts are not run here: nothing fences {', '.join(self.missing)}",
                "run it where user namespaces and Landlock are permitted, or give --unsafe to run it with your rights",
                Exit.REFUSED,
            )


def standing() -> Standing:
    """The walls of this machine."""
    wrapped = has_bubblewrap()
    spaces = wrapped or bool(namespaces())
    return Standing(wrapped or walls.landlock_abi() > 0, spaces or walls.has_seccomp(), spaces)


class Stopped(Exception):
    """The box was ended from outside: a limit of the whole, or the server is gone."""


class Box:
    """A scratch folder and the server in it; a context. Nothing is left behind at its end.

    unsafe: start although a wall is missing; else GolfError (exit 10) names those that are.
    """

    def __init__(self, *, unsafe: bool = False) -> None:
        self.unsafe = unsafe
        self.standing = standing()
        self.plays = 0

    def __enter__(self) -> Self:
        if not self.unsafe:
            self.standing.refuse()
        self._folder = tempfile.TemporaryDirectory(prefix="golf-box-", ignore_cleanup_errors=True)
        self.place = Path(self._folder.name).resolve()
        for name in ("work", "home", "data", "seen"):
            (self.place / name).mkdir()
        self._server: subprocess.Popen[str] | None = None
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._folder.cleanup()

    def end(self) -> None:
        """Kill the server with everything in its session and namespace."""
        server, self._server = self._server, None
        if server is None:
            return
        for process in [*_tree(server.pid), server.pid]:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        server.wait()
        for stream in (server.stdin, server.stdout):
            if stream is not None:
                stream.close()

    def _start(self) -> "subprocess.Popen[str]":
        if self._server is not None and self._server.poll() is None:
            return self._server
        self.end()
        root = str(Path(__file__).resolve().parents[2])
        search = os.pathsep.join([root, *(entry for entry in sys.path if entry.endswith("site-packages"))])
        with (self.place / "seen" / "server.txt").open("wb") as errors:
            self._server = subprocess.Popen(
                [*wrapping(self.place), sys.executable, "-B", "-m", "golf.harness.inside.server"],
                cwd=self.place,
                env={
                    "PATH": os.environ.get("PATH", ""), "PYTHONPATH": search, "HOME": str(self.place / "home"), "LANG": "C.UTF-8",
                    "TMPDIR": str(self.place / "home"), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0",
                },
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True,
            )  # fmt: skip
        if not self._hear(START_SECONDS).get("ready"):
            raise Stopped("its Python did not start")
        return self._server

    def play(self, job: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Run one job; the server's answer with what was printed. Stopped when a limit of the whole was passed.

        The answer: code (None where it was stopped), seconds, cpu_seconds, stopped, left (processes that it left and that were
        ended), output, twin_output, events (list of objects).
        """
        server = self._start()
        self.plays += 1
        places = {
            name: self.place / "seen" / f"{name}-{self.plays}.txt" for name in ("output", "twin_output", "events")
        }
        order = {
            **job,
            **{name: str(path) for name, path in places.items()},
            "seconds": seconds,
            "memory_bytes": PROCESS_BYTES,
            "file_bytes": FILE_BYTES,
            "walls": {"files": walls.landlock_abi() > 0, "sockets": walls.has_seccomp()},
            "readable": [*python_places(), *FACTS, str(self.place / "data")],
            "writable": [str(self.place / "work"), str(self.place / "home"), *DEVICES],
        }
        assert server.stdin is not None
        try:
            server.stdin.write(json.dumps(order) + "\n")
            server.stdin.flush()
            answer = self._hear(seconds + 20.0)
        except (BrokenPipeError, Stopped) as fault:
            self.end()
            answer = {
                "code": None,
                "stopped": True,
                "seconds": seconds,
                "cpu_seconds": 0.0,
                "left": 0,
                "why": str(fault) or "its process ended",
            }
        answer["output"] = tail_of(places["output"])
        answer["twin_output"] = tail_of(places["twin_output"])
        answer["events"] = _events(places["events"])
        for path in places.values():
            path.unlink(missing_ok=True)
        return answer

    def _hear(self, seconds: float) -> dict[str, Any]:
        """The server's next line; the limits of the whole box are watched meanwhile."""
        server = self._server
        assert server is not None and server.stdout is not None
        until = time.monotonic() + seconds
        while not select.select([server.stdout], [], [], WATCH_SECONDS)[0]:
            if time.monotonic() > until:
                self.end()
                raise Stopped(f"stopped after {seconds:.0f} s")
            if why := self._over(server.pid):
                self.end()
                raise Stopped(why)
        line = server.stdout.readline()
        if not line:
            self.end()
            raise Stopped("its process ended")
        found: dict[str, Any] = json.loads(line)
        return found

    def _over(self, root: int) -> str | None:
        tree = _tree(root)
        if len(tree) > PROCESSES:
            return f"stopped at {len(tree)} processes"
        resident = sum(map(_resident_bytes, tree))
        if resident > RESIDENT_BYTES:
            return f"stopped at {resident >> 20} MiB of memory"
        used = disk_bytes(self.place)
        return f"stopped at {used >> 20} MiB on disk" if used > BOX_BYTES else None


@cache
def python_places() -> tuple[str, ...]:
    """Where Python, its packages and the shared libraries lie."""
    found = {
        sys.prefix,
        sys.base_prefix,
        str(Path(sys.executable).resolve().parents[1]),
        "/usr/lib",
        "/usr/lib64",
        "/lib",
        "/lib64",
        "/usr/local/lib",
    }
    found |= {entry for entry in sys.path if entry.endswith("site-packages")}
    found |= {"/usr/share/locale", "/etc/ld.so.cache", str(Path(__file__).resolve().parent)}
    return tuple(sorted(path for path in found if os.path.exists(path)))


def tail_of(path: Path, most: int = 2_000_000) -> str:
    """The end of a file that the box wrote, as text; empty for what is no plain file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    with os.fdopen(handle, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(size - most, 0))
        return file.read(most).decode("utf-8", "replace")


def _events(path: Path) -> list[dict[str, Any]]:
    found = []
    for line in tail_of(path).splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            found.append(event)
    return found


def disk_bytes(folder: Path) -> int:
    """Bytes of all files below a folder, links not followed."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def _tree(root: int) -> list[int]:
    """A process's descendants, by /proc; empty without it."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(entry))
    found, queue = [], [root]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += children
    return found


def _resident_bytes(process: int) -> int:
    try:
        with open(f"/proc/{process}/statm", "rb") as file:
            fields = file.read().split()
        return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")  # shared pages are counted once elsewhere
    except (OSError, ValueError, IndexError):
        return 0
