"""The handshake with a machine: what it is, how fast it is, and what a submission's pace on it would cost. Runs anywhere, with what is there.

A slow pod costs BPB: fewer steps fit under the clock. What the steps that are lost cost is a prediction, from how BPB falls with the
share of a run at the same learning rate on public logs (`golf.run.forecast`).
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.challenge import TRAIN_CAP_SECONDS
from golf.errors import GolfError
from golf.run.forecast import constants
from golf.run.machine import free_bytes, this_machine

WHEELS = ("torch", "triton", "flash_attn_interface", "brotli", "zstandard", "sentencepiece")
LEAST_GEMM_TFLOPS = 550.0  # bf16, of an H100 SXM that is not throttled (its sheet says 989 dense)
LEAST_ALL_REDUCE_GBPS = 150.0  # bus bandwidth over NVLink between eight H100
LEAST_FREE_GB = 40.0
LEAST_DISK_MBPS = 200.0
SLOWER = 0.03  # than the record's own pace, at which a pod is refused
STEPS = 50


@dataclass(frozen=True)
class Finding:
    """One line of the handshake. state: OK, WARN, FAIL, or N/A where this machine has none of it."""

    name: str
    state: str
    found: str
    value: float | None = None


def look(folder: Path) -> list[Finding]:
    """Everything that is known or measured in about a minute."""
    machine = this_machine()
    return [
        _gpus(), *_smi_lines(), gemm(bool(machine.gpus)), all_reduce(len(machine.gpus)), *disk(folder), memory(), *wheels(), lrzip(),
    ]  # fmt: skip


def _gpus() -> Finding:
    machine = this_machine()
    names = ", ".join(f"{machine.gpus.count(name)} × {name}" for name in dict.fromkeys(machine.gpus))
    if not machine.gpus:
        return Finding("GPUs", "WARN", f"none; {machine.cores} cores")
    return Finding(
        "GPUs", "OK" if machine.is_contest(min(len(machine.gpus), 8)) else "WARN", names, float(len(machine.gpus))
    )


def smi(*words: str) -> str | None:
    """What nvidia-smi says; None without one."""
    try:
        done = subprocess.run(["nvidia-smi", *words], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _smi_lines(ask: Callable[..., str | None] = smi) -> list[Finding]:
    """Driver, memory, clocks and NVLink, of the worst GPU each."""
    told = ask(
        "--query-gpu=driver_version,memory.total,clocks.max.sm,clocks.current.sm,temperature.gpu,power.limit",
        "--format=csv,noheader,nounits",
    )
    if not told or not told.strip():
        return [
            Finding(name, "N/A", "no NVIDIA driver answers") for name in ("driver", "GPU memory", "clocks", "NVLink")
        ]
    rows = [[word.strip() for word in line.split(",")] for line in told.splitlines() if line.strip()]
    memory_mib = min(_number(row[1]) for row in rows)
    top, power = min(_number(row[2]) for row in rows), min(_number(row[5]) for row in rows)
    hot = max(_number(row[4]) for row in rows)
    links = ask("nvlink", "--status") or ""
    speeds = [float(speed) for speed in re.findall(r"Link \d+: ([\d.]+) GB/s", links)]
    least = len(speeds) / max(len(rows), 1)
    return [
        Finding("driver", "OK", rows[0][0]),
        Finding("GPU memory", "OK" if memory_mib >= 79_000 else "WARN", f"{memory_mib:,.0f} MiB each", memory_mib),
        # the limit of an H100 SXM is 700 W and 1,980 MHz: a lower one is a machine that was made slower
        Finding("clocks", "OK" if top >= 1900 and power >= 690 and hot < 85 else "WARN", f"at most {top:.0f} MHz, {power:.0f} W, {hot:.0f} °C now", top),
        Finding("NVLink", "OK" if least >= 18 else "WARN", f"{len(speeds)} links on {len(rows)} GPUs", float(len(speeds))),
    ]  # fmt: skip


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def gemm(on_gpu: bool, size: int | None = None) -> Finding:
    """Rate of a matrix product: bf16 on a GPU, float32 on a CPU, the best of five."""
    import torch

    size = size or (8192 if on_gpu else 768)
    device, dtype = ("cuda", torch.bfloat16) if on_gpu else ("cpu", torch.float32)
    left = torch.randn(size, size, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(6):  # the first one starts kernels
        begun = time.perf_counter()
        for _ in range(4):
            left @ left
        if on_gpu:
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - begun) / 4)
    tflops = 2 * size**3 / best / 1e12
    if not on_gpu:
        return Finding("GEMM", "N/A", f"{tflops * 1000:.1f} GFLOP/s in float32 on the CPU", tflops)
    return Finding(
        "GEMM",
        "OK" if tflops >= LEAST_GEMM_TFLOPS else "FAIL",
        f"{tflops:.0f} TFLOP/s in bf16 (at least {LEAST_GEMM_TFLOPS:.0f})",
        tflops,
    )


_REDUCE = """
import os, sys, time, torch, torch.distributed as dist
cuda = sys.argv[1] == "1"
rank = int(os.environ["LOCAL_RANK"])
if cuda:
    torch.cuda.set_device(rank)
dist.init_process_group("nccl" if cuda else "gloo")
n = dist.get_world_size()
x = torch.ones((64 if cuda else 2) << 20, device="cuda" if cuda else "cpu")
best = 1e9
for _ in range(6):
    if cuda:
        torch.cuda.synchronize()
    dist.barrier()
    begun = time.perf_counter()
    dist.all_reduce(x)
    if cuda:
        torch.cuda.synchronize()
    best = min(best, time.perf_counter() - begun)
if rank == 0:
    sys.stdout.write(f"GBPS {x.numel() * 4 * 2 * (n - 1) / n / best / 1e9:.3f}\\n")
dist.destroy_process_group()
"""


def all_reduce(gpus: int) -> Finding:
    """Bus bandwidth of an all-reduce over all GPUs (256 MB), or over two processes of a CPU (8 MB)."""
    if gpus == 1:
        return Finding("all-reduce", "N/A", "one GPU has nobody to reduce with")
    count = gpus or 2
    with tempfile.TemporaryDirectory(prefix="golf-check-") as folder:
        script = Path(folder) / "reduce.py"
        script.write_text(_REDUCE)
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc_per_node={count}",
            str(script),
            str(int(gpus > 0)),
        ]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=False, timeout=180, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Finding("all-reduce", "FAIL", "did not end within 180 s")
    match = re.search(r"GBPS ([\d.]+)", done.stdout)
    if match is None:
        said = [line for line in done.stderr.splitlines() if "Error" in line]
        return Finding("all-reduce", "FAIL", said[-1].strip()[:120] if said else f"ended with {done.returncode}")
    gbps = float(match[1])
    if not gpus:
        return Finding("all-reduce", "N/A", f"{gbps:.2f} GB/s between {count} CPU processes", gbps)
    return Finding(
        "all-reduce",
        "OK" if gbps >= LEAST_ALL_REDUCE_GBPS else "FAIL",
        f"{gbps:.0f} GB/s over {gpus} GPUs (at least {LEAST_ALL_REDUCE_GBPS:.0f})",
        gbps,
    )


def disk(folder: Path, write_bytes: int = 128 << 20) -> list[Finding]:
    """Free space, and the rate of writing 128 MB through to the disk."""
    free_gb = free_bytes(folder) / 1e9
    found = [
        Finding(
            "free disk",
            "OK" if free_gb >= LEAST_FREE_GB else "WARN",
            f"{free_gb:.0f} GB (shards and checkpoints want {LEAST_FREE_GB:.0f})",
            free_gb,
        )
    ]
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".golf-check-", buffering=0) as file:
            block, begun = os.urandom(4 << 20), time.perf_counter()
            for _ in range(max(write_bytes // len(block), 1)):
                file.write(block)
            os.fdatasync(file.fileno()) if hasattr(os, "fdatasync") else None
            rate = write_bytes / (time.perf_counter() - begun) / 1e6
    except OSError as fault:
        return [*found, Finding("disk rate", "FAIL", f"cannot be written: {fault.strerror}")]
    return [*found, Finding("disk rate", "OK" if rate >= LEAST_DISK_MBPS else "WARN", f"{rate:.0f} MB/s written", rate)]


def memory() -> Finding:
    """Memory and cores."""
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return Finding("memory", "OK" if size >= 200 else "WARN", f"{size:.0f} GB, {this_machine().cores} cores", size)


def wheels() -> list[Finding]:
    """The packages that composed scripts use where they are there."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in WHEELS:
        if importlib.util.find_spec(name) is None:
            found.append(Finding(name, "FAIL" if name == "torch" else "WARN", "missing"))
            continue
        try:
            found.append(Finding(name, "OK", version(name)))
        except PackageNotFoundError:
            found.append(Finding(name, "OK", "importable"))
    return found


def lrzip() -> Finding:
    """The packer that some records call."""
    path = shutil.which("lrzip")
    return Finding("lrzip", "OK" if path else "WARN", path or "missing; only records that call it need it")


@dataclass(frozen=True)
class Pace:
    """How fast a submission runs here against its record. cost_bpb: what the lost steps cost, predicted; None without a pace to hold it against."""

    step_ms: float
    steps: int
    record_step_ms: float | None
    cost_bpb: float | None

    @property
    def slower(self) -> float | None:
        """Share by which a step takes longer than the record's."""
        return None if self.record_step_ms is None else self.step_ms / self.record_step_ms - 1

    @property
    def is_slow(self) -> bool:
        """Whether the pod is refused."""
        return self.slower is not None and self.slower > SLOWER


def pace_of(step_ms: float, published: Mapping[str, Any]) -> Pace:
    """The pace against what a record published: `step_ms`, or `steps` under the clock; BPB for the cost."""
    steps = int(TRAIN_CAP_SECONDS * 1000 / step_ms)
    theirs = published.get("step_ms")
    if theirs is None and published.get("steps"):
        theirs = TRAIN_CAP_SECONDS * 1000 / float(published["steps"])
    bpb = published.get("val_bpb")
    if theirs is None:
        return Pace(step_ms, steps, None, None)
    by_log = constants()["model"]["coefficients"][-2]  # of log(share): final / BPB now, at one learning rate
    cost = None if bpb is None else float(bpb) * ((step_ms / float(theirs)) ** by_log - 1)
    return Pace(step_ms, steps, float(theirs), cost)


def measured_step_ms(points: list[tuple[int, float]]) -> float:
    """Milliseconds of a step from (step, training seconds), the first ones left out: they compile and fill caches. GolfError: too few."""
    late = [point for point in points if point[0] >= points[-1][0] * 0.2] if points else []
    if len(late) < 2 or late[-1][0] == late[0][0]:
        raise GolfError("its log has too few steps to tell a pace", "more of them: `--steps 50`")
    return (late[-1][1] - late[0][1]) * 1000 / (late[-1][0] - late[0][0])
