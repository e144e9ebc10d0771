"""The guard of a pod: `python -m golf.pods.guard FILE`, a process of its own that takes the machine down when the golf that ordered it
is gone, whatever ended it, or when the money is spent."""

import json
import subprocess
import sys
import time
from pathlib import Path

from golf.files import Lock, json_text, write_atomically
from golf.pods.cloud import Cloud, cloud_of

FOLDER = Path(".golf") / "pods"
POLL_SECONDS = 1.0
AGAIN_SECONDS = 20.0  # between two attempts to take a machine down
ATTEMPTS = 30


class Guarded:
    """A block in which a pod may be up. Begins with the guard's start, ends with the machine taken down, here or by the guard."""

    def __init__(
        self, root: Path, cluster: str, cloud: str, deadline: float | None, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self.file = root / FOLDER / f"{cluster}.json"
        self.cluster, self.cloud = cluster, cloud_of(cloud)
        self._lock = Lock(self.file.with_suffix(".lock"))
        self._table = {"cluster": cluster, "cloud": cloud, "deadline": deadline, "poll_seconds": poll_seconds}

    def __enter__(self) -> "Guarded":
        """Take the lock, which dies with this process, and start the guard. GolfError: another golf is at work on this pod."""
        from golf.errors import Exit, GolfError

        self.file.parent.mkdir(parents=True, exist_ok=True)
        if not self._lock.take():
            raise GolfError(f"another golf is at work on the pod {self.cluster}", "wait for it", Exit.REFUSED)
        write_atomically(self.file, json_text(self._table).encode())
        with self.file.with_suffix(".log").open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-m", "golf.pods.guard", str(self.file)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        """Take the machine down; where that fails, leave it to the guard, which goes on trying."""
        try:
            _down(self.cloud, self.cluster, self.file)
        finally:
            self._lock.release()
            if not self.file.exists():
                self._guard.wait(30)

    @property
    def is_down(self) -> bool:
        """Whether the machine is known to be gone."""
        return not self.file.exists()


def watch(file: Path) -> bool:
    """Wait until the machine's golf or its money is gone, then take it down; whether it is. True at once where it was taken down in order."""
    table = json.loads(file.read_text(encoding="utf-8"))
    cloud, lock = cloud_of(table["cloud"]), Lock(file.with_suffix(".lock"))
    while file.exists() and not lock.take():
        if table["deadline"] is not None and time.time() > table["deadline"]:
            break
        time.sleep(table["poll_seconds"])
    return not file.exists() or take_down(cloud, table["cluster"], file)


def take_down(cloud: Cloud, cluster: str, file: Path, attempts: int = ATTEMPTS) -> bool:
    """Take a machine down, again and again until it is gone; then its file goes."""
    for attempt in range(attempts):
        if attempt:
            time.sleep(AGAIN_SECONDS)
        try:
            if _down(cloud, cluster, file):
                return True
        except Exception as fault:  # whatever it is, the machine costs money until it is gone
            sys.stderr.write(f"{time.ctime()} {cluster} could not be taken down: {fault!r}\n")
    return False


def _down(cloud: Cloud, cluster: str, file: Path) -> bool:
    """Take a machine down once; whether it is gone, and its file with it. Raises as `Cloud.down`."""
    cloud.down(cluster)
    gone = not cloud.is_up(cluster)
    if gone:
        file.unlink(missing_ok=True)
    return gone


if __name__ == "__main__":
    raise SystemExit(0 if watch(Path(sys.argv[1])) else 1)
