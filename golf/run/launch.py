"""How a script is started: the command, the environment, and a process that holds its own lock."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from golf.errors import Exit, GolfError
from golf.files import Lock
from golf.run.machine import Machine

PHASES = ("train", "export", "eval")
# what scripts may read; whatever else the caller's shell holds of these would change a run unseen
COMMUNITY_NAMES = ("SEED", "DATA_PATH", "TOKENIZER_PATH", "RUN_ID", "MAX_WALLCLOCK_SECONDS", "ITERATIONS")
TORCHRUN_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")

ELASTIC = ".torchelastic"  # torchrun's own folder, in the run's; unnamed it would be left in the system's folder of scratch files

# (script, processes, on GPUs, phases) -> command line
Launcher = Callable[[Path, int, bool, Sequence[str]], list[str]]


def torchrun(script: Path, nproc: int, cuda: bool, phases: Sequence[str]) -> list[str]:
    """torchrun for several processes or GPUs, as the contest does; one CPU process is plain Python, which starts sooner."""
    wanted = [] if tuple(phases) == PHASES else list(phases)
    if nproc == 1 and not cuda:
        return [sys.executable, str(script), *wanted]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={nproc}"]
    return [*launcher, f"--log-dir={ELASTIC}", str(script), *wanted]


@dataclass(frozen=True)
class Inputs:
    """What a script is told: its data, and the clock or the steps where the user overrides the script's own."""

    data_path: Path
    tokenizer_path: Path
    max_wallclock_seconds: float | None = None
    iterations: int | None = None


def run_id(submission: str, set_id: str, seed: int) -> str:
    """RUN_ID of a run's processes: the name of the script's own log, and how its processes are known."""
    return f"{submission}_{set_id}_seed{seed}"


def told(inputs: Inputs, seed: int, name: str) -> dict[str, str]:
    """What a script is told by its environment, wherever it runs. name: its RUN_ID."""
    found = {"SEED": str(seed), "RUN_ID": name, "PYTHONUNBUFFERED": "1"}
    found |= {"DATA_PATH": str(inputs.data_path), "TOKENIZER_PATH": str(inputs.tokenizer_path)}
    if inputs.max_wallclock_seconds is not None:
        found["MAX_WALLCLOCK_SECONDS"] = f"{inputs.max_wallclock_seconds:g}"
    if inputs.iterations is not None:
        found["ITERATIONS"] = str(inputs.iterations)
    return found


def environment(
    inputs: Inputs,
    seed: int,
    name: str,
    machine: Machine,
    nproc: int,
    inherited: Mapping[str, str] | None = None,
    gpus: Sequence[str] = (),
) -> dict[str, str]:
    """The environment of a script: the caller's, with the names that scripts read replaced by ours. name: its RUN_ID; gpus: the only ones it sees."""
    base = dict(os.environ if inherited is None else inherited)
    for read_by_scripts in (*COMMUNITY_NAMES, *TORCHRUN_NAMES):
        base.pop(read_by_scripts, None)
    # on a CPU the models are small twins: a second thread costs more than it gives, and forty times as much on a busy machine
    base.setdefault("OMP_NUM_THREADS", str(max(1, machine.cores // nproc)) if machine.gpus else "1")
    if gpus:
        base["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    return base | told(inputs, seed, name)


class Script:
    """A script that we started in `folder`: in a session of its own, its output added to `log`, its lock in its hand."""

    def __init__(
        self, command: Sequence[str], folder: Path, log: Path, env: Mapping[str, str], lock: Lock | None = None
    ) -> None:
        held = (lock.handle,) if lock is not None and lock.handle is not None else ()
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    list(command),
                    cwd=folder,
                    env=dict(env),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C in the terminal reaches golf alone, which ends the script in order
                    pass_fds=held,
                )
        except OSError as fault:
            raise GolfError(f"`{command[0]}` cannot be started: {fault}",
                            "`golf doctor` looks at the environment", Exit.REFUSED) from fault  # fmt: skip
        self.pid: int | None = self._process.pid

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()
