"""A machine somewhere else, as golf needs it: brought up from a task, spoken to by a shell, taken down."""

import importlib
import subprocess
from typing import Any, Protocol

from golf.errors import Exit, GolfError

CONNECT_SECONDS = 15
SKY = "golf.pods.cloud:SkyCloud"


class Lost(Exception):
    """The connection to the machine failed; the machine may be there all the same."""


class Cloud(Protocol):
    """Where machines come from."""

    def up(self, cluster: str, task: str) -> None:
        """Bring a machine up, set up as the task says. GolfError: no account, no quota, nothing free."""

    def sh(self, cluster: str, command: str, send: bytes = b"", seconds: float = 60.0) -> bytes:
        """What a shell command on the machine prints. Lost: no connection; GolfError: the command failed."""
        ...

    def down(self, cluster: str) -> None:
        """Take the machine down; nothing where it is gone. Raises whatever keeps it from being taken down."""

    def is_up(self, cluster: str) -> bool:
        """Whether the machine still costs money."""
        ...


class SkyCloud:
    """SkyPilot's clouds: `sky.launch` and `sky.down`, and ssh by the names that SkyPilot writes into ~/.ssh/config."""

    def __init__(self) -> None:
        try:
            import sky
        except ImportError as fault:
            raise GolfError("`--on sky` needs SkyPilot, which is not installed", "`pip install skypilot` in an environment of its own, with golf", Exit.REFUSED) from fault  # fmt: skip
        self._sky: Any = sky

    def up(self, cluster: str, task: str) -> None:
        """Launch; raises GolfError with SkyPilot's own first line."""
        import yaml

        sky = self._sky
        try:
            made = sky.Task.from_yaml_config(yaml.safe_load(task))
            sky.stream_and_get(sky.launch(made, cluster_name=cluster, idle_minutes_to_autostop=10, down=True))
        except Exception as fault:
            said = str(fault).strip().splitlines()
            raise GolfError(f"SkyPilot brought no machine up: {said[0] if said else fault!r}", "`sky check` shows accounts and quotas", Exit.REFUSED) from fault  # fmt: skip

    def sh(self, cluster: str, command: str, send: bytes = b"", seconds: float = 60.0) -> bytes:
        """By ssh, whose exit code 255 is the connection's."""
        words = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_SECONDS}", cluster, command]
        try:
            done = subprocess.run(words, input=send, capture_output=True, check=False, timeout=seconds)
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise Lost(str(fault)) from fault
        if done.returncode == 255:
            raise Lost(done.stderr.decode(errors="replace").strip())
        if done.returncode:
            raise GolfError(
                f"on {cluster}: `{command[:80]}` ended with {done.returncode}: {done.stderr.decode(errors='replace')[-200:]}"
            )
        return done.stdout

    def down(self, cluster: str) -> None:
        """Tear down; a cluster that SkyPilot does not know is gone."""
        if self.is_up(cluster):
            self._sky.get(self._sky.down(cluster))

    def is_up(self, cluster: str) -> bool:
        """Whether SkyPilot knows a cluster of this name."""
        return bool(self._sky.get(self._sky.status([cluster], refresh=self._sky.StatusRefreshMode.AUTO)))


def cloud_of(name: str) -> Cloud:
    """The cloud that `module:Class` names, so that a process of its own can make the same one."""
    module, _, kind = name.partition(":")
    made: Cloud = getattr(importlib.import_module(module), kind)()
    return made
