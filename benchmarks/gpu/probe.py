"""Runs a composed script unchanged and writes down what it did: `python probe.py SCRIPT [phase …]`.

The script sees itself as `__main__`, with its own file name and arguments; this file only watches `print`, torch's compilation
callbacks and, with GPU_BENCH_SYNCS=1, the warnings of `torch.cuda.set_sync_debug_mode("warn")` from the first training step on.
GPU_BENCH_PROBE names the JSON file: marks (one per line of the log that starts a stage or ends a step), compilations, graphs,
graph breaks, host synchronisations by place.
"""

import builtins
import collections
import json
import linecache
import os
import re
import runpy
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import torch
from torch._dynamo.callback import callback_handler
from torch._dynamo.utils import counters

MARK = re.compile(
    r"(golf_start|golf_phase|eval:compile|warmup_step|loop_warmup_step|step:\d+/|final_|legal_|quantized|pre-quant|Total sub|golf_result)"
)
SYNC_WARNING = "called a synchronizing CUDA operation"


class Probe:
    def __init__(self, count_syncs: bool) -> None:
        self.count_syncs = count_syncs
        self.begun = time.perf_counter()
        self.marks: list[dict[str, Any]] = []
        self.compilations: list[dict[str, Any]] = []  # the outermost only, with what they compile inside
        self.open: list[float] = []
        self.syncs: collections.Counter[str] = collections.Counter()
        self.steps_syncs: collections.Counter[str] = collections.Counter()  # until the last training step logged
        self.print = builtins.print

    def install(self) -> None:
        callback_handler.register_start_callback(self.start_compiling)
        callback_handler.register_end_callback(self.end_compiling)
        builtins.print = self.watch

    def start_compiling(self, *_: object) -> None:
        self.open.append(time.perf_counter())

    def end_compiling(self, *what: object) -> None:
        if not self.open:
            return
        since = self.open.pop()
        if not self.open:
            kind = str(getattr(getattr(what[0], "callback_trigger", None), "name", "")) if what else ""
            self.compilations.append(
                {"seconds": time.perf_counter() - since, "after_mark": len(self.marks), "kind": kind}
            )

    def watch(self, *words: object, **options: Any) -> None:
        self.print(*words, **options)
        if words and isinstance(words[0], str) and MARK.match(words[0]):
            self.marks.append(
                {
                    "line": words[0][:60],
                    "at_seconds": time.perf_counter() - self.begun,
                    "compile_seconds": sum(c["seconds"] for c in self.compilations),
                    "compilations": len(self.compilations),
                    "syncs": sum(self.syncs.values()),
                }
            )
            if "train_loss" in words[0]:
                self.steps_syncs = self.syncs.copy()
            if self.count_syncs and words[0].startswith("step:1/") and "train_loss" in words[0]:
                self.listen()
            elif self.count_syncs and "val_loss" in words[0]:
                self.deafen()

    def listen(self) -> None:
        if torch.cuda.is_available():
            self.show = warnings.showwarning
            warnings.simplefilter("always")
            warnings.showwarning = self.heard  # type: ignore[assignment]
            torch.cuda.set_sync_debug_mode("warn")

    def deafen(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode("default")

    def heard(self, message: Any, category: Any, filename: str, lineno: int, *rest: Any) -> None:
        if SYNC_WARNING not in str(message):
            return
        # the line of the script that is to blame, not the one in torch that it went through
        frames = [
            f
            for f in traceback.extract_stack()
            if "/torch/" not in f.filename and f.filename not in (__file__, warnings.__file__)
        ]
        where = frames[-1] if frames else None
        line = (where.line or linecache.getline(where.filename, where.lineno or 0)) if where else ""
        name = where.name if where else Path(filename).name
        self.syncs[f"{name}: {line.strip()[:90]}" if line else f"{filename}:{lineno}"] += 1

    def report(self) -> dict[str, Any]:
        return {
            "marks": self.marks,
            "compilations": self.compilations,
            "compile_seconds": sum(c["seconds"] for c in self.compilations),
            "unique_graphs": counters["stats"]["unique_graphs"],
            "graph_breaks": sum(counters["graph_break"].values()),
            "graph_break_reasons": {str(k)[:200]: v for k, v in list(counters["graph_break"].items())[:5]},
            "caches": {str(k): v for k, v in counters["inductor"].items() if "cache" in str(k)}
            | {str(k): v for k, v in counters["aot_autograd"].items() if "cache" in str(k)},
            "syncs_by_place": dict(self.steps_syncs.most_common(12)),
            "total_seconds": time.perf_counter() - self.begun,
        }


def look_around(thread: int) -> None:
    """Where a process that is cut off spent its time: the script's own stack into the log, every 15 seconds.

    A thread of Python, since faulthandler's own watchdog ended a process that was compiling.
    """
    while True:
        time.sleep(15)
        stack = [f for f in traceback.extract_stack(sys._current_frames()[thread]) if f.filename != __file__]
        own = [f"{f.name}:{f.lineno}" for f in stack if "/torch/" not in f.filename and "runpy" not in f.filename]
        print(f"stack {' < '.join(reversed(own[-8:]))} | {stack[-1].filename}:{stack[-1].lineno}", file=sys.stderr)


def main() -> None:
    script = sys.argv[1]
    sys.argv = sys.argv[1:]
    out = Path(os.environ["GPU_BENCH_PROBE"])
    probe = Probe(os.environ.get("GPU_BENCH_SYNCS") == "1")
    probe.install()
    threading.Thread(target=look_around, args=(threading.get_ident(),), daemon=True).start()
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        out.write_text(json.dumps(probe.report()))


if __name__ == "__main__":
    main()
