"""The process beside a run that tells a tracker of it: `python -m golf.run.tracker ROOT RUN TRACKER`. It only reads the run's files."""

import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from golf.files import sha256_of
from golf.run.layout import ARTIFACT, SeedFolder
from golf.run.outlook import values_of
from golf.run.resume import is_alive, is_watched
from golf.run.schema import UNFINISHED, Run
from golf.run.store import open_store
from golf.run.track import folder_of

POLL_SECONDS = 1.0
LOST_SECONDS = 60.0  # a run whose script and watcher are gone for so long is over, whatever its row says


class Tracker(Protocol):
    """What a tracker is told."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Metrics of a step."""

    def end(self, summary: Mapping[str, Any], files: Mapping[str, Path], ok: bool) -> None:
        """What the run came to, with its files."""


class Wandb:
    """Weights & Biases; offline unless WANDB_MODE says otherwise. `wandb sync` sends an offline run later."""

    def __init__(self, folder: Path, project: str, name: str, config: Mapping[str, Any]) -> None:
        import wandb

        self._wandb = wandb
        mode = os.environ.get("WANDB_MODE", "offline")
        settings = wandb.Settings(x_disable_stats=True, disable_git=True, save_code=False, console="off", silent=True)
        own = sha256_of(f"{folder} {name}".encode())[:12]  # the same run again goes on in the same place
        self._run = wandb.init(
            project=project, name=name, id=own, resume="allow", dir=str(folder), mode=mode, config=dict(config), settings=settings,
        )  # fmt: skip

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Metrics of a step."""
        self._run.log(dict(values), step=step)

    def end(self, summary: Mapping[str, Any], files: Mapping[str, Path], ok: bool) -> None:
        """The summary, and the files as one artifact."""
        self._run.summary.update(dict(summary))
        if files:
            artifact = self._wandb.Artifact(f"golf-{self._run.id}", type="run")
            for name, path in files.items():
                artifact.add_file(str(path), name=name)
            self._run.log_artifact(artifact)
        self._run.finish(exit_code=0 if ok else 1)


class Trackio:
    """Trackio; kept in the project unless TRACKIO_SPACE_ID and a token of the hub are in the environment."""

    def __init__(self, folder: Path, project: str, name: str, config: Mapping[str, Any]) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(folder))
        import trackio

        self._trackio = trackio
        self._run = trackio.init(
            project=project, name=name, config=dict(config), resume="allow", embed=False, auto_log_gpu=False, auto_log_cpu=False,
            space_id=os.environ.get("TRACKIO_SPACE_ID"),
        )  # fmt: skip

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Metrics of a step."""
        self._trackio.log(dict(values), step=step)

    def end(self, summary: Mapping[str, Any], files: Mapping[str, Path], ok: bool) -> None:
        """The numbers of the summary as metrics after the last step, and the files as one artifact."""
        numbers = {key: value for key, value in summary.items() if isinstance(value, int | float)}
        if numbers:
            self._trackio.log({f"final/{key}": value for key, value in numbers.items()})
        if files:
            artifact = self._trackio.Artifact(f"golf-{sha256_of(str(files).encode())[:12]}", type="run")
            for name, path in files.items():
                artifact.add_file(str(path), name=name)
            self._trackio.log_artifact(artifact)
        self._trackio.finish()


class TensorBoard:
    """TensorBoard event files; nothing is sent."""

    def __init__(self, folder: Path, project: str, name: str, config: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / project / name))
        self._writer.add_text("config", "\n".join(f"    {key} = {value}" for key, value in sorted(config.items())))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Metrics of a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def end(self, summary: Mapping[str, Any], files: Mapping[str, Path], ok: bool) -> None:
        """The summary and where the files lie, as text; its numbers as scalars too."""
        for key, value in summary.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(f"final/{key}", value, 0)
        lines = [
            *(f"    {key} = {value}" for key, value in summary.items()),
            *(f"    {name}: {path}" for name, path in files.items()),
        ]
        self._writer.add_text("result", "\n".join(lines))
        self._writer.close()


KINDS: Mapping[str, Callable[[Path, str, str, Mapping[str, Any]], Tracker]] = {
    "wandb": Wandb,
    "trackio": Trackio,
    "tensorboard": TensorBoard,
}


def config_of(run: Run) -> dict[str, Any]:
    """What a tracker is told of how a run was made."""
    facts = {
        "seed": run.seed, "submission": run.submission, "set": run.set_id, "script_sha256": run.script_sha256, "smoke": run.smoke,
        "track": run.track, "device": run.device, "world_size": run.world_size, "data_sha256": run.data_sha256,
        "tokenizer_sha256": run.tokenizer_sha256,
    }  # fmt: skip
    plain = {
        key: value if isinstance(value, int | float | str | bool) else str(value)
        for key, value in values_of(run).items()
    }
    return {**plain, **facts}


def files_of(run: Run) -> dict[str, Path]:
    """A run's script, log and artifact, those that are there."""
    place = SeedFolder(run.folder.parent, run.seed)
    found = {place.script.name: place.script, run.log.name: run.log, ARTIFACT: run.folder / ARTIFACT}
    return {name: path for name, path in found.items() if path.is_file()}


def follow(
    root: Path, run_id: int, make: Callable[[Run], Tracker], wait: Callable[[float], None] = time.sleep
) -> Tracker:
    """Tell a tracker of a run from its beginning to its end; the tracker. Ends also where the run was lost."""
    told: set[tuple[int, str]] = set()
    with open_store(root) as store:
        tracker = make(store.run(run_id))
        heard = time.monotonic()
        while True:
            run = store.run(run_id)  # asked before reading, so that its last metrics are read too
            fresh: dict[int, dict[str, float]] = {}
            for step, name, value in store.every_metric(run_id):
                if (step, name) not in told and value is not None and math.isfinite(value):
                    told.add((step, name))
                    fresh.setdefault(step, {})[name] = value
            for step, values in sorted(fresh.items()):
                tracker.log(step, values)
            over = run.state not in UNFINISHED
            if not over and (is_alive(run) or is_watched(run)):
                heard = time.monotonic()
            if over or time.monotonic() - heard > LOST_SECONDS:
                break
            wait(POLL_SECONDS)
        plain = {key: value for key, value in (run.result or {}).items() if isinstance(value, int | float | str)}
        summary = {**plain, "state": run.state, **({"stop_reason": run.stop_reason} if run.stop_reason else {})}
        tracker.end(summary, files_of(run), run.state == "finished")
    return tracker


def main() -> None:
    """Follow the run of the command line."""
    root, run_id, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    follow(root, run_id, lambda run: KINDS[kind](folder_of(root, kind), root.name or "golf", f"{run.submission}-{run.set_id}-seed{run.seed}", config_of(run)))  # fmt: skip


if __name__ == "__main__":
    main()
