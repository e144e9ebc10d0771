"""A cloud of folders: a machine is a folder below $STAND_IN_CLOUD, its shell runs here. Faults are files in it, so that a guard of its own process meets them too.

`lose`: the connection fails as long as the file is there; `lose_after`: after so many commands; `refuse`: nothing comes up;
`stubborn`: this many attempts to take a machine down fail.
"""

import os
import shutil
import subprocess
from pathlib import Path

from golf.errors import Exit, GolfError
from golf.pods.cloud import Lost

NAME = "stand_in_cloud:StandIn"


class StandIn:
    def __init__(self):
        self.top = Path(os.environ["STAND_IN_CLOUD"])

    def _fault(self, name):
        path = self.top / name
        return int(path.read_text() or 1) if path.is_file() else 0

    def _count_down(self, name):
        left = self._fault(name)
        if left:
            (self.top / name).write_text(str(left - 1))
        return left

    def up(self, cluster, task):
        """The file mounts of the task become copies, so that what the pod has is what was sent."""
        import json

        if self._fault("refuse"):
            raise GolfError("SkyPilot brought no machine up: quota", None, Exit.REFUSED)
        home = self.top / cluster
        home.mkdir(parents=True)
        (home / "task.yaml").write_text(task)
        for line in task.splitlines():
            if line.startswith("  ~/"):
                place, _, source = line.strip().partition(": ")
                target, origin = home / place[2:], Path(json.loads(source))
                target.parent.mkdir(parents=True, exist_ok=True)
                if origin.is_dir():
                    shutil.copytree(origin, target)
                else:
                    shutil.copy(origin, target)

    def sh(self, cluster, command, send=b"", seconds=60.0):
        home = self.top / cluster
        left = self.top / "lose_after"
        if left.is_file() and self._count_down("lose_after") <= 0:
            (self.top / "lose").write_text("1")
        if self._fault("lose") or not home.is_dir():
            raise Lost("connection refused")
        done = subprocess.run(
            ["bash", "-c", command], cwd=home, env={**os.environ, "HOME": str(home)}, input=send, capture_output=True, check=False, timeout=seconds
        )  # fmt: skip
        if done.returncode:
            raise GolfError(f"on {cluster}: {done.stderr.decode()}")
        return done.stdout

    def down(self, cluster):
        if self._count_down("stubborn"):
            raise OSError("the cloud does not answer")
        home = self.top / cluster
        for name in home.glob("golf-work/*/golf_pid"):
            subprocess.run(
                ["bash", "-c", f"kill -KILL -- -{name.read_text().strip()}"], capture_output=True, check=False
            )
        shutil.rmtree(home, ignore_errors=True)

    def is_up(self, cluster):
        return (self.top / cluster).is_dir()
