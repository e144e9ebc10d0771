"""The box's own process: loads torch once, forks one process per play, ends every descendant of it, and answers in JSON lines.

It never runs a line of the script itself. `python -m golf.harness.inside.server` reads jobs from stdin.
"""

import json
import os
import select
import signal
import sys
import time
import traceback
from typing import Any, TextIO

from golf.harness.inside import walls

POLL_SECONDS = 0.02
clock, sleep = time.monotonic, time.sleep


def main() -> None:
    jobs, answers = os.fdopen(os.dup(0), "r", encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 0)
    os.dup2(quiet, 1)
    walls.adopt_orphans()
    walls.hide()
    _load()
    _say(answers, {"ready": True})
    for line in jobs:
        _say(answers, _answer(json.loads(line)))


def _say(answers: TextIO, table: dict[str, Any]) -> None:
    answers.write(json.dumps(table) + "\n")
    answers.flush()


def _load() -> None:
    """Everything that a play needs, before the walls."""
    import glob  # noqa: F401
    import importlib

    import golf.harness.inside.cpu
    import golf.harness.inside.play
    import golf.harness.inside.rewrite

    for name in ("numpy", "torch", "torch.nn.functional", "sentencepiece", "lzma", "zlib", "brotli", "zstandard"):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    import torch

    torch.set_num_threads(1)
    golf.harness.inside.cpu.patch_torch()


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    """Fork, wait to the end or the limit, end what is left; {"code", "seconds", "cpu_seconds", "stopped"}."""
    output = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    twin = os.open(job["twin_output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    events = os.open(job["events"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    began, spent = clock(), _cpu()
    child = os.fork()
    if child == 0:
        _child(job, output, twin, events)
    for handle in (output, twin, events):
        os.close(handle)
    code, stopped = _wait(child, began + job["seconds"])
    left = _end_descendants()
    return {"code": code, "seconds": clock() - began, "cpu_seconds": _cpu() - spent, "stopped": stopped, "left": left}


def _wait(child: int, until: float) -> tuple[int | None, bool]:
    while clock() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), False
        select.select([], [], [], POLL_SECONDS)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None, True


def _cpu() -> float:
    usage = os.times()
    return usage.children_user + usage.children_system


def _child(job: dict[str, Any], output: int, twin: int, events: int) -> None:
    """In the fork: close what is not the play's, raise the walls, run, leave."""
    code = 0
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.closerange(max(output, twin, events) + 1, 4096)
        for handle in range(3, min(output, twin, events)):
            try:
                os.close(handle)
            except OSError:
                continue
        sys.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace", buffering=1)
        sys.stderr = sys.stdout
        walls.limit(int(job["seconds"]) + 5, job["memory_bytes"], job["file_bytes"])
        if job["walls"]["files"]:
            walls.forbid_files(job["readable"], job["writable"])
        if job["walls"]["sockets"]:
            walls.forbid_sockets()
        from golf.harness.inside.play import play

        play(job, events, twin)
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else int(bool(leave.code))
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        try:
            sys.stdout.flush()
        finally:
            os._exit(code & 0xFF)


def _end_descendants() -> int:
    """Kill every process that a play left behind; how many there were. Orphans come to this process."""
    count = 0
    for _ in range(200):
        try:
            if os.getpid() == 1:
                os.kill(-1, signal.SIGKILL)  # everything in this namespace but this process
            else:
                for child in _children():
                    os.kill(child, signal.SIGKILL)
            os.waitpid(-1, 0)
            count += 1
        except ChildProcessError:
            return count
        except ProcessLookupError:
            continue
    return count


def _children() -> list[int]:
    """Direct children of this process, orphans of its children among them."""
    try:
        with open("/proc/thread-self/children", encoding="ascii") as file:
            return [int(each) for each in file.read().split()]
    except OSError:
        return []


if __name__ == "__main__":
    main()
