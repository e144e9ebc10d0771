"""The child's own fence: an audit hook that refuses what a scorer has no business to do."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROCESS_EVENTS = frozenset(
    (
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.exec",
        "os.system",
        "subprocess.Popen",
        "pty.spawn",
        "os.startfile",
    )
)
SOCKET_EVENTS = frozenset(
    (
        "socket.connect",
        "socket.bind",
        "socket.sendto",
        "socket.sendmsg",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "urllib.Request",
    )
)
CHANGE_EVENTS = frozenset(
    (
        *(
            "os.remove",
            "os.rename",
            "os.rmdir",
            "os.mkdir",
            "os.link",
            "os.symlink",
            "os.truncate",
            "os.chmod",
            "os.chown",
        ),
        *("shutil.rmtree", "shutil.move", "shutil.copyfile", "shutil.copytree", "os.utime", "os.mkfifo"),
    )
)
KILL_EVENTS = frozenset(("os.kill", "os.killpg", "signal.pthread_kill"))
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Refused(PermissionError):
    """What the script tried and may not do here."""


def fence(folder: Path, seen: Callable[[str, str], None]) -> None:
    """From here on refuse sockets, processes, foreign libraries and writes outside `folder`; tell `seen` of these and of every
    file that is opened. The hook cannot be removed."""
    inside = f"{folder.resolve()}{os.sep}"
    packages = tuple(f"{Path(entry).resolve()}{os.sep}" for entry in (*sys.path, sys.prefix, sys.base_prefix) if entry)

    def refuse(kind: str, what: object) -> None:
        seen(kind, str(what)[:200])
        raise Refused(f"{kind} is refused here: {str(what)[:200]}")

    def is_inside(path: object) -> bool:
        if isinstance(path, int):
            return True
        text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)
        return f"{os.path.realpath(text)}{os.sep}".startswith(inside) or text == os.devnull

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            writes = bool((flags or 0) & WRITES) if flags is not None else any(sign in (mode or "r") for sign in "wax+")
            if writes and not is_inside(path):
                refuse("write", path)
            if isinstance(path, str | bytes):
                seen("read", os.fsdecode(path))
        elif event in PROCESS_EVENTS:
            refuse("process", event)
        elif event in SOCKET_EVENTS:
            refuse("network", event)
        elif event in KILL_EVENTS:
            refuse("signal", args)
        elif event in CHANGE_EVENTS and not all(is_inside(path) for path in args[:2] if isinstance(path, str | bytes)):
            refuse("change", f"{event} {args[0]!r}")
        elif event == "ctypes.dlopen" and not str(args[0] or "").startswith(packages):
            refuse("library", args[0])

    sys.addaudithook(hook)
