"""benchmarks/gpu: the folder that is carried, the runner on a CPU with small twins, and what a failing or hanging item costs."""

import json
import subprocess
import sys
import time
import warnings
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

GPU = ROOT / "benchmarks" / "gpu"
sys.path.insert(0, str(GPU))

import probe as gpu_probe  # noqa: E402
import run as gpu_run  # noqa: E402


def bench(folder: Path, **options: Any) -> gpu_run.Bench:
    carry = folder / "carry"
    (carry / "wheels").mkdir(parents=True, exist_ok=True)
    sizes = {"train_batch_tokens": 1000, "loop_from": 0.5, "warmup_steps": 2,
             "forward_flops_per_token": {"off": {"mm": 80.0, "attention": 40.0}, "on": {"mm": 100.0, "attention": 100.0}}}  # fmt: skip
    about = {"full": sizes, "tiny": sizes, "published": {"step_ms": 50.0}}
    (carry / "manifest.json").write_text(json.dumps({"recipes": {"toy": about}}))
    args = {
        "carry": carry,
        "out": folder / "out",
        "work": folder / "work",
        "budget_seconds": 60,
        "cpu": True,
        "tiny": True,
    }
    return gpu_run.Bench(Namespace(**{**args, **options}))


def process(*code: str) -> Any:
    return lambda b: {"log": b.process([sys.executable, "-c", "\n".join(code)], b.work / "toy", {})}


def test_an_item_that_fails_or_hangs_costs_the_others_nothing(tmp_path: Path) -> None:
    b = bench(tmp_path)
    items = {
        "breaks": gpu_run.Item(process("for i in range(50): print('line', i)", "raise SystemExit(3)"), 1, 20),
        "hangs": gpu_run.Item(process("import time", "print('before', flush=True)", "time.sleep(600)"), 1, 1.5),
        "wrong": gpu_run.Item(lambda b: {"x": {}["y"]}, 1, 20),
        "waits": gpu_run.Item(process("print(1)"), 1, 20, "breaks"),
        "works": gpu_run.Item(process("print('fine')"), 1, 20),
    }
    begun = time.monotonic()
    for name in items:
        b.results.append(gpu_run.perform(b, name, items))
    assert time.monotonic() - begun < 30
    rows = {row["item"]: row for row in b.results}
    assert {name: row["state"] for name, row in rows.items()} == {
        "breaks": "failed", "hangs": "failed", "wrong": "failed", "waits": "skipped", "works": "ok",
    }  # fmt: skip
    assert rows["breaks"]["error"].splitlines() == ["ended with 3", *(f"line {i}" for i in range(20, 50))]
    assert "ran past" in rows["hangs"]["error"] and rows["hangs"]["error"].endswith("before")
    assert rows["wrong"]["error"] == "KeyError: 'y'"
    text = gpu_run.markdown(b)
    assert "needs breaks" in text and "line 49" in text


def test_the_budget_skips_what_no_longer_fits(tmp_path: Path) -> None:
    b = bench(tmp_path, budget_seconds=30, tiny=False)
    row = gpu_run.perform(b, "long", {"long": gpu_run.Item(process("print(1)"), 100, 200)})
    assert row["state"] == "skipped" and "it wants 100" in row["reason"]


def log_of(step_ms: list[int]) -> str:
    at, lines = 0, []
    for step, ms in enumerate(step_ms, 1):
        at += ms
        if step <= 10 or step % 5 == 0:
            lines.append(f"step:{step}/{len(step_ms)} train_loss:{9 - step / 10:.4f} train_time:{at}ms step_avg:1.00ms")
    result = {
        "device": "cpu",
        "dtype": "float32",
        "attention": "sdpa",
        "params": 7,
        "compile_seconds": 1.0,
        "peak_memory_mib": None,
    }
    return "\n".join([*lines, "golf_result " + json.dumps(result)])


def test_the_loop_switch_parts_the_steps_and_the_block_that_holds_it_counts_for_neither(tmp_path: Path) -> None:
    log = log_of([900] * 10 + [100] * 17 + [200] * 33)  # loop_from 0.5 of 60: off until step 30
    marks = [
        {"line": line[:60], "syncs": 0, "compile_seconds": 0.0} for line in log.splitlines() if line.startswith("step")
    ]
    late = [{"seconds": 1.0, "after_mark": 2, "kind": ""}, {"seconds": 1.0, "after_mark": 0, "kind": ""}]
    probe = {"marks": marks, "compilations": late, "compile_seconds": 2.0, "unique_graphs": 2, "graph_breaks": 0,
             "caches": {}, "syncs_by_place": {}}  # fmt: skip
    found = gpu_run.described(bench(tmp_path), "toy", gpu_run.Ran(log, probe, 3.0), 60)
    assert found["loop_off"]["step_ms"] == 100 and found["loop_off"]["blocks"] == 4
    assert found["loop_off"]["highest_ms"] == pytest.approx((2 * 100 + 3 * 200) / 5)
    assert found["loop_on"]["step_ms"] == 200 and found["loop_on"]["blocks"] == 6
    assert found["loop_on"]["tokens_per_second"] == 5000
    assert found["loop_on"]["model_flops_per_token"] == 3 * (100 + 50)
    assert found["loop_off"]["model_flops_per_token"] == 3 * (80 + 20)
    assert found["compilations_in_measured_steps"] == 1
    assert found["falling"] and found["finite"] and found["losses"][60] == 3.0


@pytest.mark.slow
def test_the_runner_works_on_a_cpu_end_to_end(shared: Path, tmp_path: Path) -> None:
    carry, out = tmp_path / "carry", tmp_path / "out"
    prepare = [sys.executable, str(GPU / "prepare.py"), "--shards", str(shared / "shards"), "--tokenizers",
               str(shared / "tokenizers"), "--recipes", "baseline", "--out", str(carry), "--no-wheels"]  # fmt: skip
    subprocess.run(prepare, check=True)
    items = "baseline,export_baseline,eval_baseline,alone_baseline"
    command = [
        sys.executable,
        str(GPU / "run.py"),
        "--carry",
        str(carry),
        "--out",
        str(out),
        "--cpu",
        "--tiny",
        "--only",
        items,
    ]
    subprocess.run([*command, "--budget-seconds", "300"], check=True)
    unknown = subprocess.run([*command, "--skip", "pr9999"], check=False, capture_output=True, text=True)
    assert unknown.returncode == 2 and "no item is called pr9999" in unknown.stderr
    rows = {row["item"]: row for row in map(json.loads, (out / "results.jsonl").read_text().splitlines())}
    assert list(rows) == items.split(",") and {row["state"] for row in rows.values()} == {"ok"}
    assert rows["baseline"]["falling"] and rows["baseline"]["steady"]["tokens_per_second"] > 0
    assert rows["alone_baseline"]["equal"] and rows["alone_baseline"]["logged"]
    assert "equal digits" in (out / "results.md").read_text()


SCRIPT = """
import sys
import torch

def main():
    def body(x):
        return (x * 2).sum()
    f = torch.compile(body, backend="aot_eager", dynamic=False, fullgraph=True)
    for i in range(2):
        f(torch.ones(3, requires_grad=True)).backward()
        print(f"warmup_step:{i + 1}/2", flush=True)
    for step in range(1, 4):
        f(torch.ones(3 + (step == 3), requires_grad=True)).backward()
        print(f"step:{step}/3 train_loss:1.0 train_time:{step}ms step_avg:1.00ms", flush=True)
    print(__name__, __file__, sys.argv[1:])

if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
def test_the_probe_runs_a_script_as_main_and_sees_each_compilation(tmp_path: Path) -> None:
    b, script = bench(tmp_path), tmp_path / "script.py"
    script.write_text(SCRIPT)
    extra = {"GPU_BENCH_PROBE": str(tmp_path / "probe.json"), "GPU_BENCH_SYNCS": "1"}
    b.limit_at = time.monotonic() + 120
    log = b.process([sys.executable, str(GPU / "probe.py"), str(script), "train"], tmp_path / "place", extra)
    assert f"__main__ {script} ['train']" in log
    assert log.count("Recompiling function body") == 1
    found = json.loads((tmp_path / "probe.json").read_text())
    assert [m["line"].split()[0] for m in found["marks"]] == [
        "warmup_step:1/2",
        "warmup_step:2/2",
        "step:1/3",
        "step:2/3",
        "step:3/3",
    ]
    assert found["graph_breaks"] == 0 and found["unique_graphs"] == 2
    at = [c["after_mark"] for c in found["compilations"]]
    assert at[0] == 0 and at[-1] == 4 and set(at) == {0, 4}  # before the first warm-up step, and in step 3
    assert (
        found["marks"][-1]["compile_seconds"] == pytest.approx(found["compile_seconds"])
        and found["compile_seconds"] > 0
    )


def test_a_synchronisation_is_counted_at_the_line_that_causes_it() -> None:
    watch = gpu_probe.Probe(True)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = watch.heard  # type: ignore[assignment]
        for _ in range(3):
            warnings.warn("called a synchronizing CUDA operation (Triggered internally at x.cpp)", stacklevel=1)
        warnings.warn("something else", stacklevel=1)
    ((place, times),) = watch.syncs.items()
    assert times == 3 and place.startswith(
        "test_a_synchronisation_is_counted_at_the_line_that_causes_it: warnings.warn("
    )


def test_steps_before_a_failure_are_kept(tmp_path: Path) -> None:
    b = bench(tmp_path)
    lines = "\n".join(log_of([100] * 12).splitlines()[:-1])
    row = gpu_run.perform(b, "cut", {"cut": gpu_run.Item(process(f"print({lines!r})", "raise SystemExit(1)"), 1, 20)})
    assert row["state"] == "failed" and row["ms_per_step_before"] == [(s, s + 1, 100.0) for s in range(1, 10)]
    b.results.append(row)
    assert "9–10: 100.0" in gpu_run.markdown(b)
