"""What `golf data make` costs on a given amount of text: MB a second, processor seconds and peak memory by processes and engine.

The text is made from FineWeb documents that are named (`--from`, JSON lines with `text`): whole copies of them with their sentences in another order,
drawn with a seed, so that no two documents are the same and their lengths are FineWeb's. Each way makes the same data set with the command of
a user; memory is the sum over all its processes of what each has for itself (PSS, asked five times a second). Prints a table, and whether all
shards are the same to the byte.
"""

import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLES_A_SECOND = 5


def write_text(path: Path, sources: list[Path], megabytes: float, seed: int) -> tuple[int, float]:
    """(documents, MB of UTF-8 text) of a JSON lines file with at least `megabytes`."""
    texts = [json.loads(line)["text"] for source in sources for line in source.read_text().splitlines()]
    sentences = [re.split(r"(?<=[.!?])\s", text) for text in texts]
    draw, size, count = random.Random(seed), 0, 0
    with path.open("w") as file:
        while size < megabytes * 1e6:
            order = draw.sample(range(len(sentences)), len(sentences))
            for at in order:
                text = " ".join(draw.sample(sentences[at], len(sentences[at])))
                file.write(json.dumps({"text": text}) + "\n")
                size, count = size + len(text.encode()), count + 1
    return count, size / 1e6


class Memory(threading.Thread):
    """The most that a process and all under it have had at once, in MB; what several share is counted once (PSS). And their processor seconds."""

    def __init__(self, pids: list[int]) -> None:
        super().__init__(daemon=True)
        self._pids, self._over, self.most, self.processes = pids, threading.Event(), 0.0, 0
        self._seconds: dict[int, float] = {}

    def run(self) -> None:
        while not self._over.wait(1 / SAMPLES_A_SECOND):
            under = _under(self._pids)
            self._seconds |= under
            total = sum(map(_pss, under))
            if total > self.most:
                self.most, self.processes = total, len(under)

    def end(self) -> float:
        """The processor seconds of all, to the last look at each: nobody waits for a cluster's workers, so the system does not say them."""
        self._over.set()
        self.join()
        return sum(self._seconds.values())


def _under(pids: list[int]) -> dict[int, float]:
    """Process → processor seconds, of these and all that they started."""
    parents: dict[int, list[int]] = {}
    seconds: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
            seconds[int(entry.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    found, todo = dict[int, float](), list(pids)
    while todo:
        pid = todo.pop()
        found[pid] = seconds.get(pid, 0.0)
        todo += parents.get(pid, [])
    return found


def _pss(pid: int) -> float:
    try:
        line = next(
            line for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:")
        )
    except (OSError, StopIteration):
        return 0.0
    return int(line.split()[1]) / 1e3


def make(out: Path, text: Path, engine: str, processes: int, words: list[str]) -> tuple[float, float, Memory, dict]:
    """(wall seconds, processor seconds, memory, what the manifest says of the files) of one making."""
    command = [sys.executable, "-m", "golf", "data", "make", "--text", str(text), "--out", str(out), "--engine", engine]
    command += ["--processes", str(processes), "--json", *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    child = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    memory = Memory([child.pid])
    memory.start()
    said, wrong = child.communicate()
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    seen = memory.end()
    if child.returncode:
        sys.exit(f"{' '.join(command)}: {wrong[-800:]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, max(used, seen), memory, json.loads(said)["manifest"]


def main() -> None:
    """Measure what is asked for."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--from", dest="sources", nargs="+", type=Path, required=True, help="JSON lines with `text`")
    options.add_argument("--tokenizer", type=Path, required=True)
    options.add_argument("--transform", default="none")
    options.add_argument("--megabytes", type=float, default=100.0)
    options.add_argument("--shard-tokens", type=int, default=10_000_000)
    options.add_argument("--ways", default="local:1,local:2", help="ENGINE:PROCESSES, …")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--work", type=Path, help="Folder for text and shards (default: a temporary one).")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.work) as top:
        text = Path(top) / "docs.jsonl"
        count, megabytes = write_text(text, asked.sources, asked.megabytes, asked.seed)
        print(
            f"{count:,} documents, {megabytes:.1f} MB of text, {asked.transform}, shards of {asked.shard_tokens:,} tokens; load {os.getloadavg()[0]:.1f}"
        )
        print(
            f"{'engine':<8}{'processes':>10}{'wall s':>9}{'MB/s':>8}{'CPU s':>9}{'MB a CPU s':>12}{'peak MB':>9}  of processes  load"
        )
        words = ["--tokenizer-path", str(asked.tokenizer), "--transform", asked.transform]
        words += ["--val-docs", str(count // 20), "--shard-tokens", str(asked.shard_tokens)]
        written = []
        for way in asked.ways.split(","):
            engine, _, processes = way.partition(":")
            wall, used, memory, manifest = make(Path(top) / way.replace(":", "-"), text, engine, int(processes), words)
            written.append({name: entry["sha256"] for name, entry in manifest["files"].items()})
            print(
                f"{engine:<8}{processes:>10}{wall:>9.1f}{megabytes / wall:>8.2f}{used:>9.1f}{megabytes / used:>12.2f}{memory.most:>9.0f}"
                f"{memory.processes:>14}{os.getloadavg()[0]:>6.1f}",
                flush=True,
            )
        same = all(files == written[0] for files in written)
        print(f"{len(written[0])} files, {'the same to the byte every way' if same else 'NOT the same'}")
    if not same:
        sys.exit(1)


if __name__ == "__main__":
    main()
