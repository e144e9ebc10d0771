"""Run a check on a script that golf composed in a process of its own, and take everything back afterwards.

Three fences: namespaces of the kernel where they are permitted (no network, own process ids, so that nothing outlives it), limits
on memory, time, file size and processes, and an audit hook in the child that refuses sockets, processes and writes outside its
temporary folder. The child answers with one JSON file.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from golf.harness.box import namespaces

MAX_ANSWER_BYTES = 4_000_000
MEMORY_BYTES = 8 << 30
FILE_BYTES = 32 << 20
PROCESSES = 512


def run_sandboxed(job: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The child's answer to `job`; {"fault": why} when it was stopped, crashed or said nothing. Nothing is left behind.

    seconds: wall time and CPU time that it may take.
    """
    with tempfile.TemporaryDirectory(prefix="golf-verify-", ignore_cleanup_errors=True) as folder:
        answer = Path(folder) / "answer.json"
        limits = {
            "memory_bytes": MEMORY_BYTES,
            "file_bytes": FILE_BYTES,
            "seconds": int(seconds) + 1,
            "processes": PROCESSES,
        }
        (Path(folder) / "job.json").write_text(json.dumps({**job, "limits": limits}), encoding="utf-8")
        fault = _run([*namespaces(), sys.executable, "-B", "-m", "golf.rules.dynamic.child", folder], folder, seconds)
        if answer.is_file() and answer.stat().st_size <= MAX_ANSWER_BYTES:
            try:
                table: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
            except ValueError:
                return {"fault": fault or "it wrote no answer that could be read"}
            return table
        return {"fault": fault or "it ended without an answer"}


def _run(command: list[str], folder: str, seconds: float) -> str | None:
    """Run to the end or to the limit; why it failed, None when it did not."""
    with (Path(folder) / "output.txt").open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            code = child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return f"stopped after {seconds:.0f} s"
        finally:
            _kill_group(child)
    if code == 0:
        return None
    tail = (Path(folder) / "output.txt").read_bytes()[-2000:].decode("utf-8", "replace").strip().splitlines()
    return f"it ended with {code}: {tail[-1][:200] if tail else 'no output'}"


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    """End the child and everything in its session."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    child.kill()
    child.wait()


def _environment(folder: str) -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join([root, *(entry for entry in sys.path if entry.endswith("site-packages"))])
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": search,
        "HOME": folder,
        "TMPDIR": folder,
        "LANG": "C.UTF-8",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }
