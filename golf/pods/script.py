"""A script on a pod; to whoever watches it the same as `golf.run.launch.Script`: its log grows here, its files come back here."""

import inspect
import io
import os
import shlex
import tarfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from golf.challenge import SCRIPT
from golf.engine import on_node
from golf.engine.ray_engine import LOST
from golf.errors import Exit, GolfError
from golf.files import write_atomically
from golf.pods.cloud import Cloud, Lost
from golf.pods.task import DATA, TOKENIZER, WORK, torchrun_words

POLL_SECONDS = 2.0
PATIENCE_SECONDS = 180.0  # without a connection, before a run counts as lost
EXIT = "golf_exit"
SENT = ("SEED", "RUN_ID", "PYTHONUNBUFFERED", "MAX_WALLCLOCK_SECONDS", "ITERATIONS", "OMP_NUM_THREADS")


class PodScript:
    """A script that was started on a cluster. A lost connection is waited for; the script goes on meanwhile."""

    def __init__(
        self, cloud: Cloud, cluster: str, command: Sequence[str], folder: Path, log: Path, env: Mapping[str, str], lock: Any = None,
        *, poll_seconds: float = POLL_SECONDS, patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:  # fmt: skip
        self.pid: int | None = None
        self._cloud, self._cluster, self._folder, self._log = cloud, cluster, folder, log
        self._poll_seconds, self._patience_seconds = poll_seconds, patience_seconds
        self._code: int | None = None
        self._held = os.dup(lock.handle) if lock is not None and lock.handle is not None else None
        self._there = f"{WORK}/{folder.name}"
        self._stop = threading.Event()
        words = [word for word in command if not word.startswith("--")]
        phases = words[words.index(next(w for w in words if w.endswith(SCRIPT))) + 1 :]
        nproc = next((int(word.partition("=")[2]) for word in command if word.startswith("--nproc_per_node=")), 1)
        self._begin(nproc, phases, env)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _begin(self, nproc: int, phases: Sequence[str], env: Mapping[str, str]) -> None:
        """Refuse other data, send the script and what an earlier phase left, start it."""
        wanted = on_node.data_state(Path(env["DATA_PATH"]), Path(env["TOKENIZER_PATH"]))
        ask = f"{inspect.getsource(on_node)}\nprint(data_state(Path.home() / {DATA + '/shards'!r}, Path.home() / {TOKENIZER!r}))"
        there = self._sh("python3 -", ask.encode()).decode().strip()
        if there != str(wanted):
            what = "has no data" if there == "None" else "holds other shards"
            raise GolfError(
                f"the pod {self._cluster} {what} in ~/{DATA}", "`golf pod plan` sends those that are here", Exit.REFUSED
            )
        script = (self._folder.parent / SCRIPT).read_bytes()
        self._sh(f"mkdir -p {self._there} && cat > {WORK}/{SCRIPT}", script)
        for path in self._folder.iterdir():
            if path.is_file() and path != self._log:
                self._sh(f"cat > {self._there}/{shlex.quote(path.name)}", path.read_bytes(), 3600.0)
        exports = " ".join(f"{name}={shlex.quote(env[name])}" for name in SENT if name in env)
        places = f'DATA_PATH="$HOME/{DATA}/shards" TOKENIZER_PATH="$HOME/{TOKENIZER}"'
        run = f"{exports} {places} {' '.join(torchrun_words(nproc))} ../{SCRIPT} {' '.join(phases)}"
        inner = f"{run} > {self._log.name} 2>&1; echo $? > {EXIT}.tmp; mv {EXIT}.tmp {EXIT}"
        self._sh(
            f"cd {self._there} && rm -f {EXIT} && (setsid nohup bash -c {shlex.quote(inner)} > /dev/null 2>&1 < /dev/null & echo $! > golf_pid)"
        )

    def _sh(self, command: str, send: bytes = b"", seconds: float = 60.0) -> bytes:
        """A command that is tried again until the connection is back. Lost: it did not come back in time."""
        since = time.monotonic()
        while True:
            try:
                return self._cloud.sh(self._cluster, command, send, seconds)
            except Lost:
                if time.monotonic() - since > self._patience_seconds or self._stop.is_set():
                    raise
                time.sleep(min(self._poll_seconds, 5.0))

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._code

    def stop(self, grace_seconds: float) -> None:
        """End it on the pod, with its workers; a pod that does not answer is taken down with it anyway."""
        if self._code is None:
            self._stop.set()
            pid = f'P=$(cat {self._there}/golf_pid); kill -TERM -- -"$P"; sleep {min(grace_seconds, 10):g}; kill -KILL -- -"$P"'
            try:
                self._cloud.sh(self._cluster, f"({pid}) 2>/dev/null; true", b"", grace_seconds + 30.0)
            except (Lost, GolfError):
                pass
            self._thread.join(grace_seconds + 30.0)

    def _listen(self) -> None:
        code, said, offset = LOST, "", 0
        try:
            while True:
                ended = self._sh(
                    f"cat {self._there}/{EXIT} 2>/dev/null || true"
                ).strip()  # asked before reading, so that its last lines are read too
                fresh = self._sh(f"tail -c +{offset + 1} {self._there}/{self._log.name} 2>/dev/null || true")
                if fresh:
                    offset += len(fresh)
                    with self._log.open("ab") as file:
                        file.write(fresh)
                if ended:
                    self._fetch()
                    code = int(ended)
                    return
                if self._stop.wait(self._poll_seconds):
                    code = -15
                    return
        except Lost as fault:
            said = f"golf: the connection to the pod {self._cluster} is lost: {fault}"
        except (GolfError, OSError, ValueError) as fault:
            said = f"golf: the pod {self._cluster}: {fault}"
        finally:
            if said:
                with self._log.open("ab") as file:
                    file.write(f"\n{said}\n".encode())
            if self._held is not None:
                os.close(self._held)
            self._code = code

    def _fetch(self) -> None:
        """Bring the files of its folder here, the log left out, which is here already."""
        skip = " ".join(f"--exclude=./{name}" for name in (self._log.name, EXIT, "golf_pid"))
        packed = self._sh(f"tar -C {self._there} {skip} -cf - .", b"", 3600.0)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for member in archive.getmembers():
                name = Path(member.name).name
                content = (
                    archive.extractfile(member) if member.isfile() and Path(member.name).parent == Path() else None
                )
                if content is not None:
                    write_atomically(self._folder / name, content.read())
