"""What this machine is, asked without importing torch: GPUs, cores, free disk."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from golf.errors import GolfError


@dataclass(frozen=True)
class Machine:
    """The devices that a run would use. `gpus` are names, one per visible GPU; empty means the CPU."""

    gpus: tuple[str, ...]
    cores: int

    @property
    def device(self) -> str:
        """The kind of device: a GPU's name, or `cpu`."""
        return self.gpus[0] if self.gpus else "cpu"

    def describe(self, nproc: int) -> str:
        """`8 x NVIDIA H100 80GB HBM3`, or `cpu, 1 process on 2 cores`."""
        if self.gpus:
            return f"{nproc} x {self.gpus[0]}"
        return f"cpu, {nproc} process{'es' if nproc > 1 else ''} on {self.cores} cores"

    def is_contest(self, nproc: int) -> bool:
        """Whether this is what the contest runs on: eight H100 (the SXM variant calls itself HBM3)."""
        return nproc == 8 and len(self.gpus) >= 8 and all("H100" in name and "PCIe" not in name for name in self.gpus)


KINDS = {
    "H100": "NVIDIA H100 80GB HBM3",
    "H200": "NVIDIA H200",
    "A100": "NVIDIA A100-SXM4-80GB",
    "RTX4090": "NVIDIA GeForce RTX 4090",
}
MEMORY_BYTES = {"H100": 80 << 30, "H200": 141 << 30, "A100": 80 << 30, "RTX4090": 24 << 30}


def machine_of(text: str) -> Machine:
    """A machine that is not here, as one writes it: `8xH100`, `1xA100`. GolfError for any other form."""
    match = re.fullmatch(r"([1248])\s*[x×]\s*([A-Za-z0-9 ]+)", text.strip(), re.IGNORECASE)
    kind = match.group(2).replace(" ", "").upper() if match else ""
    if match is None or kind not in KINDS:
        raise GolfError(f"`--on {text}` names no machine", f"1, 2, 4 or 8 GPUs of {', '.join(KINDS)}: `--on 8xH100`")
    count = int(match.group(1))
    return Machine(gpus=(KINDS[kind],) * count, cores=0)


def memory_bytes_of(machine: Machine) -> int | None:
    """Memory of one of a machine's GPUs; None where its kind is not known."""
    return next((MEMORY_BYTES[kind] for kind, name in KINDS.items() if name == machine.device), None)


def this_machine() -> Machine:
    """The visible GPUs (nvidia-smi, narrowed by CUDA_VISIBLE_DEVICES) and the cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(gpus=_gpus(), cores=cores)


def slots_of(machine: Machine, parallel: int, nproc: int) -> list[tuple[str, ...]]:
    """The GPUs of each of `parallel` runs side by side, by the ids that CUDA_VISIBLE_DEVICES takes; empty ones on a CPU."""
    if not machine.gpus:
        return [()] * parallel
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    ids = visible.split(",") if visible is not None else [str(number) for number in range(len(machine.gpus))]
    return [tuple(ids[first : first + nproc]) for first in range(0, parallel * nproc, nproc)]


def _gpus() -> tuple[str, ...]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return ()
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if listed.returncode != 0:
        return ()
    names = [line.strip() for line in listed.stdout.splitlines() if line.strip()]
    count = len(names) if visible is None else len(visible.split(","))
    return tuple(names[:count])


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk that `folder` is on, or would be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
