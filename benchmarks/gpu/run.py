"""What only a GPU can show, the most important first, within a budget of seconds: `python benchmarks/gpu/run.py --carry .carry`.

Standard library only (the scripts bring torch); golf need not be installed. Every item runs in processes of its own with its own
time limit: a failure or a hang costs the others nothing, and the last lines of its output stay in the result. Results are written
after every item: OUT/results.jsonl, OUT/results.md, OUT/output.log.
"""

import argparse
import contextlib
import itertools
import json
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
PEAK_FLOPS = 989e12  # dense bf16 of an H100 SXM or H200, by the data sheet
MICRO_BATCHES = 8
KEPT_LINES = 30  # of a failed process's output
LOG_CAP_BYTES = 8_000_000
STEP = re.compile(r"^step:(\d+)/\d+ train_loss:(\S+) train_time:(\d+)ms", re.MULTILINE)
WARMUP = re.compile(r"^eval:compile warmup done \(([\d.]+)s\)", re.MULTILINE)
REPORT = re.compile(r"^(\S+)_exact val_loss:(\S+) val_bpb:(\S+)", re.MULTILINE)


class Failed(Exception):
    """A process of an item ended with an error or ran past its limit; the message ends with its last lines; the second argument is its whole output."""


class Ran(NamedTuple):
    log: str
    probe: dict[str, Any]
    seconds: float

    @property
    def result(self) -> dict[str, Any]:
        """The script's own golf_result line."""
        found: dict[str, Any] = json.loads(re.findall(r"^golf_result (.*)$", self.log, re.MULTILINE)[-1])
        return found


class Bench:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.carry, self.out = args, args.carry.resolve(), args.out.resolve()
        self.recipes = json.loads((self.carry / "manifest.json").read_text())["recipes"]
        self.size = "tiny" if args.tiny else "full"
        self.begun = time.monotonic()
        self.limit_at = math.inf  # of the item at work
        self.results: list[dict[str, Any]] = []
        self.out.mkdir(parents=True, exist_ok=True)
        self.work = Path(args.work or tempfile.mkdtemp(prefix="gpu-bench-")).resolve()
        self.site = self.work / "site"
        self.unpack_wheels()

    def left(self) -> float:
        return float(self.args.budget_seconds) - (time.monotonic() - self.begun)

    def unpack_wheels(self) -> None:
        """The carried modules that are missing here; a wheel of another Python is left alone."""
        self.site.mkdir(parents=True, exist_ok=True)
        tag = f"cp{sys.version_info[0]}{sys.version_info[1]}-"
        for wheel in sorted((self.carry / "wheels").glob("*.whl")):
            look = [sys.executable, "-c", f"import {wheel.name.split('-')[0]}"]
            if subprocess.run(look, check=False, capture_output=True).returncode and tag in wheel.name:
                with zipfile.ZipFile(wheel) as packed:
                    packed.extractall(self.site)

    def environment(self) -> dict[str, str]:
        base = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
        base |= {
            "PYTHONPATH": str(self.site),
            "PYTHONUNBUFFERED": "1",
            "TORCHINDUCTOR_CACHE_DIR": str(self.work / "inductor"),
            "TRITON_CACHE_DIR": str(self.work / "triton"),
            "TORCH_LOGS": "recompiles,graph_breaks",
            "SEED": "1337",
            "RUN_ID": "gpu",
        }
        if self.args.cpu:
            base |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        return base

    def process(self, command: list[str], folder: Path, extra: dict[str, str], seconds: float = math.inf) -> str:
        """The output of a process that ends well within the time that its item has left."""
        folder.mkdir(parents=True, exist_ok=True)
        limit = max(1.0, min(seconds, self.limit_at - time.monotonic()))
        path = folder / f"output{len(list(folder.glob('output*')))}.txt"
        with path.open("wb") as output:
            child = subprocess.Popen(
                command, cwd=folder, env=self.environment() | extra, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                code = child.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
                # torch.distributed.run ends its workers, which have their own sessions, if it is asked to
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(child.pid, signal.SIGTERM)
                    child.wait(8)
            finally:
                with contextlib.suppress(ProcessLookupError):  # its helpers too, those of compilation among them
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        log = path.read_text(errors="replace")
        with (self.out / "output.log").open("a") as every:
            if every.tell() < LOG_CAP_BYTES:
                every.write(f"\n===== {' '.join(command[1:])[-300:]} → {code}\n{log[-LOG_CAP_BYTES // 10 :]}")
        if code != 0:
            said = f"ran past {limit:.0f} s" if code is None else f"ended with {code}"
            raise Failed(f"{said}\n" + "\n".join(log.splitlines()[-KEPT_LINES:]), log)
        return log

    def script(self, name: str, *, packed: bool = False) -> Path:
        folder = "tiny" if self.args.tiny else "scripts"
        return Path(self.carry / folder / f"{name}{'_packed' if packed else ''}.py")

    def run(
        self, name: str, folder: str, *phases: str, steps: int = 0, script: Path | None = None, ranks: bool = False,
        syncs: bool = False,
    ) -> Ran:  # fmt: skip
        """Run a composed script under the probe; with `ranks` by torch.distributed.run, one process."""
        place, vocab = self.work / folder, self.recipes[name][self.size]["vocab_size"]
        data = self.carry / ("tiny_data" if self.args.tiny else "data")
        probe = place / "probe.json"
        extra = {
            "DATA_PATH": str(data / f"fineweb10B_sp{vocab}"),
            "TOKENIZER_PATH": str(self.carry / "tokenizers" / f"fineweb_{vocab}_bpe.model"),
            "MAX_WALLCLOCK_SECONDS": "0",
            "ITERATIONS": str(steps),
            "GPU_BENCH_PROBE": str(probe),
            "GPU_BENCH_SYNCS": str(int(syncs)),
        }
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"] if ranks else []
        begun = time.monotonic()
        command = [sys.executable, *launcher, str(HERE / "probe.py"), str(script or self.script(name)), *phases]
        log = self.process(command, place, extra)
        return Ran(log, json.loads(probe.read_text()), time.monotonic() - begun)


def blocks(log: str, after: int) -> Iterator[tuple[int, int, float]]:
    """first step, last step, ms per step of every stretch between two logged steps beyond `after`."""
    steps = [(int(s), int(ms)) for s, _, ms in STEP.findall(log) if int(s) >= after]
    for (a, before), (b, now) in itertools.pairwise(steps):
        yield a, b, (now - before) / (b - a)


def speed(bench: Bench, name: str, step_ms: float, loop: str) -> dict[str, Any]:
    """Rates that follow from a step's time. Model FLOPs of a token: 3 · (matrices + half the attention square), forward counted."""
    about = bench.recipes[name][bench.size]
    flops = about["forward_flops_per_token"].get(loop) or about["forward_flops_per_token"]["on"]
    per_token, tokens = 3 * (flops["mm"] + flops["attention"] / 2), about["train_batch_tokens"]
    found = {
        "step_ms": round(step_ms, 2),
        "micro_batch_ms": round(step_ms / MICRO_BATCHES, 3),
        "tokens_per_second": round(1000 * tokens / step_ms),
        "model_flops_per_token": per_token,
    }
    if not bench.args.cpu:
        found["mfu"] = round(per_token * tokens / (step_ms / 1000) / PEAK_FLOPS, 4)
    return found


def described(bench: Bench, name: str, ran: Ran, steps: int) -> dict[str, Any]:
    """What a training run showed."""
    about, result = bench.recipes[name][bench.size], ran.result
    losses = {int(s): float(x) for s, x, _ in STEP.findall(ran.log)}
    first_mark = next(i for i, m in enumerate(ran.probe["marks"]) if m["line"].startswith("step:1/"))
    late = [c for c in ran.probe["compilations"] if c["after_mark"] > first_mark]
    last_step = max(i for i, m in enumerate(ran.probe["marks"]) if "train_loss" in m["line"])
    switch = math.ceil(about["loop_from"] * steps)
    rows = list(blocks(ran.log, 10 if steps > 12 else 2))
    found: dict[str, Any] = {
        "recipe": name,
        "steps": steps,
        "warmup_steps": about["warmup_steps"],
        "device": result["device"],
        "dtype": result["dtype"],
        "attention": result["attention"],
        "params": result["params"],
        "train_batch_tokens": about["train_batch_tokens"],
        "warmup_seconds": round(result["compile_seconds"], 1),
        "compile_seconds": round(ran.probe["compile_seconds"], 1),
        "process_seconds": round(ran.seconds, 1),
        "peak_memory_mib": result["peak_memory_mib"],
        "losses": {s: losses[s] for s in (1, 5, 10, 20, 40, 60) if s in losses} | {max(losses): losses[max(losses)]},
        "finite": all(math.isfinite(x) for x in losses.values()),
        "falling": losses[max(losses)] < losses[1],
        "pre_quant_val_bpb": result.get("pre_quant_val_bpb"),
        "calibration_seconds": result.get("calibration_seconds"),
        "unique_graphs": ran.probe["unique_graphs"],
        "compilations": len(ran.probe["compilations"]),
        "graph_breaks": ran.probe["graph_breaks"],
        "recompilations_logged": len(re.findall(r"Recompiling function", ran.log)),
        "compilations_in_measured_steps": sum(c["after_mark"] <= last_step for c in late),
        "caches": ran.probe["caches"],
    }
    kinds = {"off": [ms for a, b, ms in rows if b <= switch], "on": [ms for a, b, ms in rows if a >= switch]}
    for loop, times in kinds.items():
        if times:
            median = statistics.median(times)
            label = f"loop_{loop}" if about["loop_from"] else "steady"
            spread = {"blocks": len(times), "lowest_ms": min(times), "highest_ms": max(times)}
            found[label] = speed(bench, name, median, loop) | spread
    found["published_8_gpu_step_ms"] = bench.recipes[name]["published"]["step_ms"]
    return found | synced(ran, steps)


def synced(ran: Ran, steps: int) -> dict[str, Any]:
    """Host synchronisations per step, counted after the first; nothing where the probe did not listen."""
    marks = [m for m in ran.probe["marks"] if "train_loss" in m["line"]]
    if not ran.probe["syncs_by_place"] or len(marks) < 2:
        return {}
    return {
        "syncs_per_step": round((marks[-1]["syncs"] - marks[0]["syncs"]) / (steps - 1), 2),
        "syncs_by_place": ran.probe["syncs_by_place"],
        "logged_steps": len(marks),  # each reads its loss: one more
    }


def environment(bench: Bench) -> dict[str, Any]:
    log = bench.process([sys.executable, str(HERE / "environment.py")], bench.work / "environment", {})
    found: dict[str, Any] = json.loads(re.findall(r"^environment (.*)$", log, re.MULTILINE)[-1])
    return found


def kernels(bench: Bench) -> dict[str, Any]:
    """The Triton kernels beside their plain twins; nothing on a CPU, which takes the twins."""
    if bench.args.cpu:
        return {"kernels": []}
    log = bench.process([sys.executable, str(HERE / "kernels.py")], bench.work / "kernels", {})
    return {"kernels": [json.loads(line) for line in log.splitlines() if line.startswith("{")]}


def training(
    name: str, full: int, tiny: int, *, ranks: bool = False, syncs: bool = False
) -> Callable[[Bench], dict[str, Any]]:
    """An item: train a recipe for some steps. Its folder keeps the checkpoint for the items that export."""

    def item(bench: Bench) -> dict[str, Any]:
        steps = tiny if bench.args.tiny else (bench.args.steps or full)
        folder = f"{name}{'_ranks' if ranks else ''}{'_syncs' if syncs else ''}"
        return described(bench, name, bench.run(name, folder, "train", steps=steps, ranks=ranks, syncs=syncs), steps)

    return item


def packed(bench: Bench) -> dict[str, Any]:
    """The packed file trains as the readable one does; if not, the readable one again shows what the GPU alone changes."""
    name, steps = "baseline", 4 if bench.args.tiny else 10

    def losses(folder: str, script: Path) -> list[str]:
        return [loss for _, loss, _ in STEP.findall(bench.run(name, folder, "train", steps=steps, script=script).log)]

    one = losses("readable", bench.script(name))
    two = losses("packed", bench.script(name, packed=True))
    found: dict[str, Any] = {"recipe": name, "steps": len(one), "equal": one == two, "losses": one}
    if one != two:
        again = losses("readable_again", bench.script(name))
        found["largest_difference"] = max(abs(float(a) - float(b)) for a, b in zip(one, two, strict=True))
        found["readable_again_differs_by"] = max(abs(float(a) - float(b)) for a, b in zip(one, again, strict=True))
    return found


def exporting(name: str) -> Callable[[Bench], dict[str, Any]]:
    def item(bench: Bench) -> dict[str, Any]:
        ran = bench.run(name, name, "export")
        keys = ("serialization_seconds", "model_bytes", "total_bytes")
        return (
            {"recipe": name} | {key: ran.result.get(key) for key in keys} | {"process_seconds": round(ran.seconds, 1)}
        )

    return item


def evaluated(bench: Bench, name: str, ran: Ran) -> dict[str, Any]:
    """Per report: targets, seconds with and without compiling, targets per second without."""
    marks, reports = ran.probe["marks"], []
    at = max(i for i, m in enumerate(marks) if m["line"].startswith(("golf_phase eval", "eval:compile warmup")))
    ends = [m for m in marks[at:] if "val_loss" in m["line"] and "_exact" not in m["line"].split()[0]]
    before = marks[at]["compile_seconds"]
    for report, mark in zip(ran.result["reports"], ends, strict=True):
        compiling, before = mark["compile_seconds"] - before, mark["compile_seconds"]
        net = max(report["seconds"] - compiling, 1e-9)
        reports.append(
            {
                "name": report["name"], "tokens": report["tokens"], "seconds": round(report["seconds"], 2),
                "compile_seconds": round(compiling, 2), "tokens_per_second": round(report["tokens"] / net),
                "val_bpb": report["val_bpb"],
            }
        )  # fmt: skip
    return {
        "recipe": name, "reports": reports, "process_seconds": round(ran.seconds, 1),
        "rehearsal_seconds": float(found[-1]) if (found := WARMUP.findall(ran.log)) else None,
        "compilations": len(ran.probe["compilations"]), "graph_breaks": ran.probe["graph_breaks"],
        "recompilations_logged": len(re.findall(r"Recompiling function", ran.log)),
        "exact": {label: [loss, bpb] for label, loss, bpb in REPORT.findall(ran.log)},
    }  # fmt: skip


def evaluating(name: str) -> Callable[[Bench], dict[str, Any]]:
    def item(bench: Bench) -> dict[str, Any]:
        found = evaluated(bench, name, bench.run(name, name, "eval"))
        (bench.work / name / "exact.json").write_text(json.dumps(found["exact"]))
        return found

    return item


def alone(name: str) -> Callable[[Bench], dict[str, Any]]:
    """The packed script and the artifact in an empty folder score what the log said, digit for digit."""

    def item(bench: Bench) -> dict[str, Any]:
        logged = json.loads((bench.work / name / "exact.json").read_text())
        place = bench.work / f"{name}_alone"
        place.mkdir()
        shutil.copyfile(bench.work / name / "model.golf", place / "model.golf")
        script = shutil.copyfile(bench.script(name, packed=True), place / "train_gpt.py")
        found = evaluated(bench, name, bench.run(name, place.name, "eval", script=script))
        worst = max(abs(float(found["exact"][k][1]) - float(logged[k][1])) for k in logged)
        return found | {"logged": logged, "equal": found["exact"] == logged, "largest_difference_bpb": worst}

    return item


class Item(NamedTuple):
    work: Callable[[Bench], dict[str, Any]]
    needs: float  # seconds without which it is not begun
    limit: float  # seconds
    wants: str = ""  # the item without which it cannot begin


# the most important first
ITEMS = {
    "environment": Item(environment, 10, 90),
    "baseline": Item(training("baseline", 60, 5), 60, 180),
    "baseline_ranks": Item(training("baseline", 20, 5, ranks=True), 30, 110),
    "pr1493": Item(training("pr1493", 60, 5), 110, 300),
    "kernels": Item(kernels, 30, 90),
    "pr2135": Item(training("pr2135", 30, 5), 80, 360),
    "pr1573": Item(training("pr1573", 25, 5, syncs=True), 50, 130),
    "pr740": Item(training("pr740", 25, 5, syncs=True), 45, 120),
    "pr549": Item(training("pr549", 25, 5, syncs=True), 45, 120),
    "packed": Item(packed, 45, 150),
    "export_pr2135": Item(exporting("pr2135"), 20, 240, "pr2135"),
    "eval_pr2135": Item(evaluating("pr2135"), 45, 240, "export_pr2135"),
    "alone_pr2135": Item(alone("pr2135"), 45, 240, "eval_pr2135"),
    "export_pr1493": Item(exporting("pr1493"), 20, 240, "pr1493"),
    "eval_pr1493": Item(evaluating("pr1493"), 45, 180, "export_pr1493"),
    "syncs_baseline": Item(training("baseline", 10, 5, syncs=True), 20, 90),
    "syncs_pr1493": Item(training("pr1493", 10, 5, syncs=True), 50, 150),
    "export_baseline": Item(exporting("baseline"), 12, 60, "baseline"),
    "eval_baseline": Item(evaluating("baseline"), 15, 60, "export_baseline"),
    "alone_baseline": Item(alone("baseline"), 15, 60, "eval_baseline"),
    "pr50": Item(training("pr50", 20, 5), 40, 120),
    "export_pr50": Item(exporting("pr50"), 12, 60, "pr50"),
    "eval_pr50": Item(evaluating("pr50"), 15, 100, "export_pr50"),
    "alone_pr50": Item(alone("pr50"), 15, 100, "eval_pr50"),
    "alone_pr1493": Item(alone("pr1493"), 40, 120, "eval_pr1493"),
    "pr1855": Item(training("pr1855", 30, 5, syncs=True), 80, 200),
    "pr1809_legal": Item(training("pr1809_legal", 30, 5, syncs=True), 80, 200),
}  # fmt: skip


def perform(bench: Bench, name: str, items: dict[str, Item]) -> dict[str, Any]:
    """One item's result: state ok, failed, or skipped with the reason."""
    item, row = items[name], {"item": name}
    if item.wants and not (bench.work / f"{item.wants}.ok").exists():
        return row | {"state": "skipped", "reason": f"needs {item.wants}"}
    if bench.left() < (3 if bench.args.tiny else item.needs):
        return row | {"state": "skipped", "reason": f"{bench.left():.0f} s left, it wants {item.needs:.0f}"}
    begun = time.monotonic()
    bench.limit_at = begun + min(item.limit, bench.left())
    try:
        found = item.work(bench) | {"state": "ok"}
        (bench.work / f"{name}.ok").touch()  # a later call with the same --work goes on from here
    except Failed as fault:
        found = {"state": "failed", "error": fault.args[0]}
        if steps := [(a, b, round(ms, 1)) for a, b, ms in blocks(fault.args[1], 1)]:
            found["ms_per_step_before"] = steps
    except Exception as fault:  # whatever a log or a process holds, the other items go on
        found = {"state": "failed", "error": f"{type(fault).__name__}: {fault}"}
    return row | found | {"seconds": round(time.monotonic() - begun, 1)}


def cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def table(rows: list[list[object]], head: str) -> list[str]:
    names = head.split("|")
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names),
            *("| " + " | ".join(map(cell, row)) + " |" for row in rows), ""]  # fmt: skip


def markdown(bench: Bench) -> str:
    done = {r["item"]: r for r in bench.results if r["state"] == "ok"}
    said = done.get("environment", {})
    about = [f"{key} {said[key]}" for key in ("device", "driver", "python", "torch", "cuda") if said.get(key)]
    lines = [f"# {said.get('device', 'unknown device')}, {time.strftime('%Y-%m-%d')}", "", ", ".join(about), ""]
    if said:
        absent = [name for name, v in said["modules"].items() if v is None]
        matmul = said["matmul"]
        lines += [f"Modules: {', '.join(f'{k} {v}' for k, v in said['modules'].items() if v)}; absent: {', '.join(absent) or 'none'}. "
                  + (f"A compiled function: {said['compile'].splitlines()[-1][:200]} ({said['compile_seconds']:.1f} s). " if "compile" in said else "") +
                  f"Matmul {matmul['size']}³: {matmul['tflops']:.0f} TFLOP/s. Attention, forward and backward, ms: "
                  + ", ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k}: {v[:60]}" for k, v in said["attention_ms"].items()), ""]  # fmt: skip
    lines += [
        "One process on one GPU takes the 8 micro-batches of a step one after another: ms/step is no figure of 8 GPUs. Warm-up "
        "steps are fewer than the recipe's. Medians of blocks of steps. Model FLOPs per token = 3 · (2 · weights applied + "
        f"half of the attention square); MFU against {PEAK_FLOPS / 1e12:.0f} TFLOP/s (data sheet, dense bf16). The train shard "
        "is small and read over and over: losses say finite and falling, nothing more.", "",
    ]  # fmt: skip
    rows: list[list[object]] = []
    for r in done.values():
        for label in ("steady", "loop_off", "loop_on"):
            if label in r:
                s = r[label]
                mfu = f"{100 * s['mfu']:.1f} %" if "mfu" in s else ""
                losses = ", ".join(f"{step}: {loss:.4f}" for step, loss in r["losses"].items())
                rows.append([
                    r["item"], label, r["steps"], f"{s['step_ms']:.1f}", f"{s['lowest_ms']:.1f}–{s['highest_ms']:.1f} ({s['blocks']})",
                    f"{s['micro_batch_ms']:.2f}", s["tokens_per_second"], mfu, r["peak_memory_mib"], r["compile_seconds"],
                    f"{r['unique_graphs']}/{r['compilations']}", r["graph_breaks"],
                    f"{r['recompilations_logged']} ({r['compilations_in_measured_steps']})", r.get("syncs_per_step"),
                    losses + ("" if r["finite"] and r["falling"] else " NOT FALLING"),
                ])  # fmt: skip
    lines += table(rows, "item|part|steps|ms/step|lowest–highest (blocks)|ms/micro-batch|tokens/s|MFU|peak MiB|compile s|"
                         "graphs/compilations|breaks|recompiles logged (compilations in measured steps)|syncs/step|loss")  # fmt: skip
    for r in done.values():
        if r.get("syncs_by_place"):
            lines += [
                f"{r['item']}: syncs by place " + ", ".join(f"{n} × `{p}`" for p, n in r["syncs_by_place"].items()),
                "",
            ]
    for row in done.get("kernels", {}).get("kernels", ()):
        lines += [", ".join(f"{key} {value}" for key, value in row.items()), ""]
    if "packed" in done:
        r = done["packed"]
        extra = "" if r["equal"] else (f"; largest difference {r['largest_difference']:.4f}, readable against readable "
                                       f"{r['readable_again_differs_by']:.4f}")  # fmt: skip
        lines += [
            f"Packed = readable, {r['recipe']}, {r['steps']} logged losses: {'equal' if r['equal'] else 'DIFFERENT'}{extra}",
            "",
        ]
    for r in done.values():
        if "serialization_seconds" in r:
            lines += [
                f"Export of {r['recipe']}: {r['serialization_seconds']:.1f} s, {r['model_bytes']:,} bytes; "
                f"calibration in training: {done[r['recipe']]['calibration_seconds']} s",
                "",
            ]
    reports = [[r["item"], p["name"], p["tokens"], p["seconds"], p["compile_seconds"], p["tokens_per_second"], f"{p['val_bpb']:.6f}"]
               for r in done.values() for p in r.get("reports", ())]  # fmt: skip
    if reports:
        lines += table(reports, "item|report|scored tokens|s|of it compiling|scored tokens/s without compiling|val_bpb")
    for r in done.values():
        if "largest_difference_bpb" in r:
            word = "equal digits" if r["equal"] else f"DIFFERS by {r['largest_difference_bpb']:.8f} BPB"
            lines += [f"Artifact of {r['recipe']} alone in an empty folder, packed script, against the log: {word}", ""]
    other = [[r["item"], r["state"], r.get("reason") or r["error"].splitlines()[0], r.get("seconds")]
             for r in bench.results if r["state"] != "ok"]  # fmt: skip
    if other:
        lines += table(other, "item|state|why|s")
    for r in bench.results:
        if r["state"] == "failed":
            steps = ", ".join(f"{a}–{b}: {ms}" for a, b, ms in r.get("ms_per_step_before", ()))
            lines += [
                f"{r['item']}:" + (f" steps before that, ms each: {steps}" if steps else ""),
                "",
                "```",
                "\n".join(line[:200] for line in r["error"].splitlines()),
                "```",
                "",
            ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--carry", type=Path, default=Path(".carry"), help="the folder that prepare.py made")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "gpu-out")))
    parser.add_argument(
        "--work",
        type=Path,
        help="scripts run and caches lie here, and a second call goes on from them; a new temporary folder by default",
    )
    parser.add_argument("--steps", type=int, default=0, help="training steps of every item, in place of its own number")
    parser.add_argument("--budget-seconds", type=float, default=480)
    parser.add_argument("--only", default="", help="items, with commas")
    parser.add_argument("--skip", default="", help="items, with commas")
    parser.add_argument("--cpu", action="store_true", help="hide the GPUs")
    parser.add_argument("--tiny", action="store_true", help="small twins, few steps: tries out this file")
    args = parser.parse_args()
    if unknown := set(filter(None, f"{args.only},{args.skip}".split(","))) - set(ITEMS):
        parser.error(f"no item is called {', '.join(sorted(unknown))}; there are {', '.join(ITEMS)}")
    bench = Bench(args)
    names = [n for n in ITEMS if (not args.only or n in args.only.split(",")) and n not in args.skip.split(",")]
    for name in names:
        row = perform(bench, name, ITEMS)
        bench.results.append(row)
        with (bench.out / "results.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        (bench.out / "results.md").write_text(markdown(bench))
        print(f"{time.monotonic() - bench.begun:6.0f} s  {name}: {row['state']}", row.get("reason", ""), flush=True)
    print(markdown(bench), flush=True)
    if not args.work:
        shutil.rmtree(bench.work, ignore_errors=True)
    return int(any(row["state"] == "failed" for row in bench.results))


if __name__ == "__main__":
    sys.exit(main())
