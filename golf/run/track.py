"""Experiment trackers (`golf run --track wandb`): each run is told to W&B, Trackio or TensorBoard by a process of its own.

That process reads the run store and the run's folder, and nothing waits for it: a tracker that hangs, dies or has no network does
not touch the run, nor the golf that watches it. Without keys and a mode in the environment everything stays on this machine.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from golf.errors import Exit, GolfError
from golf.run.schema import Run

TRACKERS = ("wandb", "trackio", "tensorboard")
FOLDER = Path(".golf") / "trackers"


def refuse_missing(trackers: Sequence[str]) -> None:
    """GolfError (10) for a tracker that is not installed."""
    for name in trackers:
        if importlib.util.find_spec(name) is None:
            raise GolfError(f"`--track {name}` needs {name}, which is not installed", "`pip install 'parameter-golf[track]'`", Exit.REFUSED)  # fmt: skip


def folder_of(root: Path, tracker: str) -> Path:
    """Where a tracker keeps what it does not send."""
    return root / FOLDER / tracker


def start(tracker: str, root: Path, run: Run) -> subprocess.Popen[bytes]:
    """Start the process that tells a tracker of a run; it ends by itself after the run. OSError: no process, no disk."""
    folder = folder_of(root, tracker)
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "golf.run.tracker", str(root), str(run.id), tracker]
    with (folder / f"run-{run.id}.log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=folder, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
