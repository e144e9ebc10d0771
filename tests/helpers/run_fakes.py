"""A project with one submission whose script is the torch-free fake; plans and sessions over it."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from golf.challenge import SCRIPT
from golf.cli.pages.live import PlainView
from golf.files import sha256_of
from golf.run.machine import Machine
from golf.run.plan import Data, Plan, Wishes, make_plan
from golf.run.session import Session
from golf.run.source import Source
from golf.run.store import open_store

FAKE = Path(__file__).with_name("fake_train_gpt.py")
CPU = Machine(gpus=(), cores=2)


def make_project(root: Path, name: str = "mine") -> Path:
    """A project at `root` with submission `name`; returns the submission's folder."""
    folder = root / "submissions" / name
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text('extends = "baseline"\n')
    shutil.copy(FAKE, folder / SCRIPT)
    (root / "data").mkdir()
    return folder


def source_of(folder: Path, **changes: Any) -> Source:
    """The fake script as a source, with the small twin's folder names."""
    values = {"smoke": True, "seeds": (1337, 42, 7), "ruling": (), "track": "10min_16mb", "vocab_size": 1024,
              "of_sha256": sha256_of((folder / SCRIPT).read_bytes())}  # fmt: skip
    return Source(
        folder=folder, script=(folder / SCRIPT).read_bytes(), recipe='{"name": "fake"}', **{**values, **changes}
    )


def data_of(root: Path) -> Data:
    """Data that the fake never opens."""
    return Data(root / "data", root / "data" / "tok.model", "fake", "d" * 64, "t" * 64, official=False)


def plan_of(folder: Path, seeds: str = "1337", **wishes: Any) -> Plan:
    """A plan of the small twin on the CPU, in one process unless asked for: the fake knows of no ranks."""
    root = folder.parents[1]
    return make_plan(
        root,
        source_of(folder),
        Wishes(**{"seeds": seeds, "smoke": True, "nproc": 1, **wishes}),
        CPU,
        lambda: data_of(root),
    )


def run_fake(folder: Path, seeds: str = "1337", *, at: Any = None, **wishes: Any) -> Sequence[Any]:
    """Run the fake over seeds; the finished runs."""
    plan = plan_of(folder, seeds, **wishes)
    with open_store(plan.root) as store:
        extra = {"at": at} if at is not None else {}
        return Session(plan, store, PlainView(), grace_seconds=2.0, **extra).run()


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(shown.stdout.strip()) and not shown.stdout.startswith("Z")
