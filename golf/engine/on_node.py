"""What a node of a Ray cluster does with a script. Sent to it by value: the node needs no golf, only what the script needs.

Only the standard library is imported here.
"""

import ctypes
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.05
EDGE_BYTES = 1 << 16
_DIE_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG


def data_state(folder: Path, tokenizer: Path) -> str | None:
    """A hash of the shards' names, sizes and edges and of the tokenizer; None where they are not there."""
    shards = sorted(folder.glob("fineweb_*.bin")) if folder.is_dir() else []
    if not shards or not tokenizer.is_file():
        return None
    found = hashlib.sha256(tokenizer.read_bytes())
    for path in shards:
        size = path.stat().st_size
        with path.open("rb") as file:
            found.update(f"{path.name} {size}".encode() + file.read(EDGE_BYTES))
            file.seek(max(size - EDGE_BYTES, 0))
            found.update(file.read(EDGE_BYTES))
    return found.hexdigest()


def run_script(spec: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Run a script in a folder of its own; yields ("log", bytes) as it prints, then ("files", name → bytes) and ("exit", code).

    ("refused", why) where the disk is full or the folder cannot be written: another attempt on this node would meet the same. spec: script (bytes), command (the interpreter's place is None), env, files (name → bytes, what an earlier phase left), data
    (shards, tokenizer, their state or None). ("refused", why) where the data are not here, or are others.
    """
    shards, tokenizer, state = spec["data"]
    if state is not None and (here := data_state(Path(shards), Path(tokenizer))) != state:
        what = "has no data there" if here is None else "holds other shards there"
        yield "refused", f"the node {os.uname().nodename} {what}: {shards}"
        return
    try:
        yield from _run(spec)
    except OSError as fault:
        yield (
            "refused",
            f"the node {os.uname().nodename} cannot write in {tempfile.gettempdir()}: {fault.strerror or fault}",
        )


def _run(spec: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="golf-trial-") as top:
        folder, log = Path(top) / "run", Path(top) / "log"
        folder.mkdir()
        (Path(top) / "train_gpt.py").write_bytes(spec["script"])
        for name, content in spec["files"].items():
            (folder / name).write_bytes(content)
        command = [sys.executable if word is None else word for word in spec["command"]]
        child = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **spec["env"]}, stdin=subprocess.DEVNULL, stdout=log.open("wb"),
            stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_die_with_parent,  # noqa: PLW1509 - it only calls the system
        )  # fmt: skip
        try:
            offset = 0
            while True:
                code = child.poll()  # asked before reading, so that its last lines are read too
                with log.open("rb") as file:
                    file.seek(offset)
                    fresh = file.read()
                if fresh:
                    offset += len(fresh)
                    yield "log", fresh
                if code is not None:
                    break
                time.sleep(POLL_SECONDS)
            yield "files", {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
            yield "exit", code
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def _die_with_parent() -> None:
    """A worker that is killed takes its script along (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
