"""The artifact alone: script and model in an empty folder, a fresh process, nothing else of the run within reach."""

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from golf.challenge import SCRIPT
from golf.errors import Exit, GolfError
from golf.reading.container import fault_of
from golf.run.advice import reason_of, tail
from golf.run.clocks import Limits
from golf.run.launch import Inputs, Launcher, Script, environment, torchrun
from golf.run.layout import ARTIFACT
from golf.run.lines import Follower, Progress
from golf.run.machine import Machine
from golf.run.watch import Watch, interrupts

TOLERANCE_BPB = 5e-4  # nondeterminism of GPU kernels and of another batch split; on one CPU the scores are equal


@dataclass(frozen=True)
class Score:
    """What the artifact alone scored: the last report, and how long the process took (wall seconds)."""

    val_bpb: float
    val_loss: float
    seconds: float
    total_bytes: int | None


@dataclass(frozen=True)
class Comparison:
    """The artifact's own score beside the one in the log. `agrees`: within TOLERANCE_BPB."""

    seed: int
    alone: Score
    logged_bpb: float

    @property
    def difference_bpb(self) -> float:
        """Alone minus logged."""
        return self.alone.val_bpb - self.logged_bpb

    @property
    def agrees(self) -> bool:
        """Whether the log's score is the artifact's."""
        return abs(self.difference_bpb) <= TOLERANCE_BPB


def refuse_damaged(artifact: Path) -> None:
    """GolfError when a model file is missing or not whole."""
    fault = fault_of(artifact)
    if fault is not None:
        raise GolfError(
            f"{artifact} {fault}", "export it again: `golf run --resume`, or `golf run --again`", Exit.REFUSED
        )


def evaluate_alone(
    script: bytes,
    artifact: Path,
    inputs: Inputs,
    *,
    seed: int,
    nproc: int,
    machine: Machine,
    files: Sequence[Path] = (),
    launcher: Launcher = torchrun,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    stall_seconds: float | None = 1800.0,
) -> Score:
    """Score `artifact` with `script` in an empty temporary folder by a fresh process.

    files: the local files that the script reads. GolfError: a damaged artifact (10), a script that ends without a score (6).
    KeyboardInterrupt after Ctrl-C, with the process ended and the folder gone.
    """
    refuse_damaged(artifact)
    with tempfile.TemporaryDirectory(prefix="golf-alone-") as place:
        folder = Path(place)
        (folder / SCRIPT).write_bytes(script)
        shutil.copyfile(artifact, folder / ARTIFACT)
        for file in files:
            shutil.copyfile(file, folder / file.name)
        env = environment(inputs, seed, "alone", machine, nproc)
        env.pop("PYTHONPATH", None)  # a checkout of golf on the path would be within reach
        # the log lies outside the folder: the script finds nothing there but what ships
        with tempfile.TemporaryDirectory(prefix="golf-alone-log-") as logs, interrupts() as stop:
            log, begun = Path(logs) / "eval.log", time.monotonic()
            process = Script(launcher(Path(SCRIPT), nproc, bool(machine.gpus), ("eval",)), folder, log, env)
            watch = Watch(
                process=process,
                follower=Follower(log),
                progress=Progress(),
                seed=seed,
                limits=Limits(stall_seconds=stall_seconds),
                stop=stop,
                on_progress=on_progress,
                on_phase=lambda phase: None,
            )
            ending = watch.until_end()
            seconds = time.monotonic() - begun
    if ending.interrupted:
        raise KeyboardInterrupt
    return _score(watch.progress, ending.reason, ending.exit_code, seconds, artifact)


def _score(progress: Progress, reason: str | None, exit_code: int | None, seconds: float, artifact: Path) -> Score:
    result = progress.result() or {}
    if reason is None and exit_code != 0:
        reason = reason_of(exit_code, progress)
    if reason is None and result.get("val_bpb") is None:
        reason = "its script ended without a score"
    if reason is not None:
        said = "".join(f"\n  | {line}" for line in tail(progress.last))
        raise GolfError(f"{artifact} could not be evaluated alone: {reason}{said}",
                        "what ships must evaluate with nothing but itself and the data", Exit.UNKNOWN)  # fmt: skip
    return Score(float(result["val_bpb"]), float(result["val_loss"]), seconds, result.get("total_bytes"))
