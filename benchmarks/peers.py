"""Codes of one model by every coder of golf and by programs of this machine: bytes, CPU seconds and peak memory, each in a process of its own.

    heavy      the full shapes of PR #1394 (35,913,728 codes), simulated as in `coders.py`: Student-t rows, uneven columns
    trained    the matrices of a run folder, quantized by GPTQ with SDClip scales, as in `coders.py`

All get the same codes, one byte each, without scales; programs matrix after matrix, as stored (`rows`) and transposed. Programs and
the libraries of brotli and zstd are no part of a script; `script` is what golf's coder adds to PR #1394's packed one. Memory is that of the
whole process; of golf's it includes Python, torch and the codes (`idle`, before the first call).

    $ python benchmarks/peers.py --set heavy --work scratch
    $ python benchmarks/peers.py --set trained --trained runs/1337 --work scratch --layouts rows transposed
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch
from coders import CODERS, script_bytes, simulated, trained

from golf.artifact.tensors import entropy_bytes
from golf.parts.artifact import RawCoder, read_container, write_container

CODES = "codes.golf"
# {name: (writes IN to OUT, reads OUT to BACK)}, one thread each
PROGRAMS = {
    "xz -9e": ("xz -9e -T1 -c IN > OUT", "xz -dc -T1 OUT > BACK"),
    "zstd --ultra -22": ("zstd -q -f --ultra -22 --long=27 IN -o OUT", "zstd -q -f -d --long=27 OUT -o BACK"),
    "lrzip -z -L9": ("lrzip -q -f -z -L9 -p1 IN -o OUT", "lrzip -q -f -d -p1 OUT -o BACK"),
    "zpaq -m5": ("rm -f OUT.zpaq; zpaq a OUT.zpaq IN -m5 -t1 && mv OUT.zpaq OUT",
                 "mv OUT OUT.zpaq; rm -rf there; zpaq x OUT.zpaq -to there -t1; mv there/IN BACK || mv there BACK; mv OUT.zpaq OUT"),
}  # fmt: skip
OF_CHILDREN = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1], shell=True, capture_output=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"cpu_seconds": used.ru_utime + used.ru_stime, "peak_bytes": 1024 * used.ru_maxrss, "failed": done.returncode}))
"""


def most_kib() -> int:
    """The most memory that this program has held: the system's own count starts with what the process was forked from."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().partition("VmHWM:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def child(name: str, work: Path, reads: bool) -> None:
    """One call of one of golf's coders on the codes in `work`, in this process."""
    coder = next(coder for coder in CODERS if coder.name == name)
    path = str(work / f"{name}.golf")
    tensors = read_container(str(work / CODES), RawCoder)[0]
    idle, begun = most_kib(), time.process_time()
    if reads:
        back = read_container(path, coder)[0]
    else:
        write_container(path, tensors, {}, coder)
    took = time.process_time() - begun
    peak = most_kib()
    same = not reads or all(torch.equal(tensors[key], back[key]) for key in tensors)
    print(json.dumps({"cpu_seconds": took, "peak_bytes": 1024 * peak, "idle_bytes": 1024 * idle, "failed": not same}))


def ran(words: list[str], work: Path) -> dict[str, float]:
    """What one process says of itself; it must have given the codes back."""
    done = subprocess.run([sys.executable, *words], cwd=work, capture_output=True, text=True, check=False)
    said: dict[str, float] = json.loads(done.stdout) if done.returncode == 0 else {"failed": done.returncode}
    if said["failed"]:
        raise SystemExit(f"{words}: {done.stderr[-300:]}")
    return said


def row(name: str, size: int, ideal: float, script: str, wrote: dict[str, float], read: dict[str, float]) -> None:
    peaks = [f"{said['peak_bytes'] / 1e6:,.0f}" for said in (wrote, read)]
    idle = f" ({wrote['idle_bytes'] / 1e6:,.0f})" if "idle_bytes" in wrote else ""
    print(f"| {name} | {size:,} | {100 * (size / ideal - 1):+.2f} % | {script} | {wrote['cpu_seconds']:.1f} "
          f"| {read['cpu_seconds']:.1f} | {peaks[0]}{idle} | {peaks[1]} |", flush=True)  # fmt: skip


def ours(coder: type, work: Path, ideal: float) -> None:
    me = [str(Path(__file__).resolve()), "--work", str(work), "--child", coder.name]
    wrote = ran(me, work)
    read = ran([*me, "--reads"], work)
    row(
        f"golf {coder.name}",
        (work / f"{coder.name}.golf").stat().st_size,
        ideal,
        f"{script_bytes(coder):+,}",
        wrote,
        read,
    )


def theirs(name: str, layout: str, work: Path, ideal: float) -> None:
    said = []
    for command in PROGRAMS[name]:
        for word, path in (("IN", layout), ("OUT", "out"), ("BACK", "back")):
            command = command.replace(word, path)  # noqa: PLW2901
        said.append(ran(["-c", OF_CHILDREN, command], work))
    same = subprocess.run(["cmp", layout, "back"], cwd=work, check=False).returncode == 0
    row(f"{name}, {layout}" + ("" if same else " (NOT THE SAME BACK)"), (work / "out").stat().st_size, ideal, "", *said)
    for left in ("out", "back"):
        (work / left).unlink(missing_ok=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--set", choices=["heavy", "trained"], default="heavy")
    options.add_argument("--trained", type=Path, help="a run folder")
    options.add_argument("--share", type=float, default=1.0, help="of the full shapes")
    options.add_argument("--work", type=Path, required=True, help="a folder for scratch files")
    options.add_argument("--coders", nargs="*", default=["zstd", "brotli", "rans", "ransctx"])
    options.add_argument("--programs", nargs="*", default=list(PROGRAMS), choices=list(PROGRAMS))
    options.add_argument("--layouts", nargs="*", default=["transposed"], choices=["rows", "transposed"])
    options.add_argument("--child", help=argparse.SUPPRESS)
    options.add_argument("--reads", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    torch.set_num_threads(1)
    work = given.work.resolve()
    if given.child:
        child(given.child, work, given.reads)
        return
    work.mkdir(parents=True, exist_ok=True)
    codes = trained(given.trained) if given.set == "trained" else simulated(True, given.share)
    write_container(str(work / CODES), codes, {}, RawCoder)
    for layout in given.layouts:
        parts = [(t if layout == "rows" else t.mT).contiguous().numpy().tobytes() for t in codes.values()]
        (work / layout).write_bytes(b"".join(parts))
    count, ideal = sum(t.numel() for t in codes.values()), sum(entropy_bytes(t) for t in codes.values())
    print(f"\n{given.set}: {count:,} codes, order-0 entropy {ideal:,.0f} bytes\n")
    print(
        "| coder | bytes | of the entropy | script | encode CPU s | decode CPU s | MB to encode (idle) | MB to decode |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for coder in CODERS:
        if coder.name in given.coders:
            ours(coder, work, ideal)
    for name in given.programs:
        for layout in given.layouts:
            if shutil.which(name.split()[0]) is None:
                print(f"| {name}, {layout} | not on this machine | | | | | | |", flush=True)
            else:
                theirs(name, layout, work, ideal)


if __name__ == "__main__":
    main()
