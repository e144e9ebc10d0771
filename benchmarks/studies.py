"""What a study costs beside its trials, and how often an ablation is right: over a fake script that keeps golf's contract.

`--trials 1000`: seconds a trial beside its script, bytes of the store, seconds of `golf status` and of the study's page. `--runs 5000`:
seconds to read a store of so many finished runs. `--repetitions 20`: studies of one technique worth two sds and ten that are idle, each run
through the driver: how often the one is called real, and an idle one. Prints a table.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers")]

from study_fakes import driver, make_ablation, make_fakes  # noqa: E402

from golf.run.status import row_of  # noqa: E402
from golf.run.status import standings as every  # noqa: E402
from golf.run.store import open_store  # noqa: E402
from golf.study.ablation import table_of  # noqa: E402
from golf.study.page import page  # noqa: E402
from golf.study.results import standings  # noqa: E402
from golf.study.study import load  # noqa: E402


def cpu() -> float:
    """Processor seconds so far, children with it."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def timed(root: Path, *words: str) -> tuple[float, float]:
    """(wall, processor) seconds of a golf command in a project."""
    wall, used = time.perf_counter(), cpu()
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "golf", *words], cwd=root, env=env, check=True, capture_output=True)
    return time.perf_counter() - wall, cpu() - used


def overhead(root: Path, count: int, parallel: int) -> None:
    """The driver over `count` trials of a script that takes no time."""
    study = make_fakes(root, count, seeds=(1,), steps=1)
    wall, used = time.perf_counter(), cpu()
    outcome = driver(root, parallel=parallel).run()
    wall, used = time.perf_counter() - wall, cpu() - used
    with open_store(root) as store:
        own = [run.result["train_seconds"] for run in store.runs(state="finished") if run.result]
    print(
        f"trials                     {count}, {parallel} at a time, {len(outcome.failed)} failed, {len(own)} finished"
    )
    print(
        f"seconds a trial            {wall / count * parallel:.3f} of the wall for each of {parallel}, {used / count:.3f} of a processor, its script's Python with it"
    )
    print(f"store                      {(root / '.golf' / 'golf.db').stat().st_size / count / 1000:.2f} kB a trial")
    begun = time.perf_counter()
    found = standings(study, root)
    text = page(study, root, found)
    print(f"page                       {time.perf_counter() - begun:.2f} s, {len(text) / 1e6:.2f} MB")
    print("golf status                {:.2f} s of the wall, {:.2f} of a processor".format(*timed(root, "status")))


def large_store(root: Path, count: int) -> None:
    """Reading a store of `count` finished runs without their folders."""
    (root / "submissions").mkdir(parents=True)
    result = {"val_bpb": 1.2, "steps": 20, "iterations": 20, "total_bytes": 15_000_000, "train_loss": 2.0}
    with open_store(root) as store:
        for number in range(count):
            run = store.start(
                folder=root / f"submissions/s{number}/runs/x/seed_1", submission=f"s{number}", set_id="x", seed=1, script_sha256="0" * 64,
                recipe="{}", smoke=True, track="local", device="cpu", world_size=1, data_sha256="d", tokenizer_sha256="t",
            )  # fmt: skip
            store.move(run.id, "finished", result=result)
    begun = cpu()
    with open_store(root) as store:
        assert len(store.runs()) == count
    print(f"{count} runs read           {cpu() - begun:.3f} s of a processor")
    begun = cpu()
    rows = [row_of(one) for one in every(root)]
    print(f"golf status, {len(rows)} rows     {cpu() - begun:.3f} s of a processor, without the start of Python")


def planted(top: Path, repetitions: int, seeds: int, parallel: int) -> None:
    """Ablations with a known truth, each trial run by the driver."""
    found = wrong = floor = 0
    for number in range(repetitions):
        root = top / str(number)
        study = make_ablation(
            root, 11, tuple(range(1 + 1000 * number, 1 + 1000 * number + seeds)), noise=1e-3, effect=2e-3
        )
        driver(root, name="why", parallel=parallel).run()
        table = table_of(load(root, study.name), root, None)
        real = {row.trial for row in table.rows if row.verdict == "real"}
        found += "why-02" in real
        wrong += len(real - {"why-02"})
        floor += table.floor is not None and table.floor.verdict == "within noise"
    print(f"planted two sds            called real in {found} of {repetitions} studies of {seeds} seeds")
    print(f"idle techniques            called real {wrong} of {10 * repetitions} times")
    print(f"A/A pairs                  within noise in {floor} of {repetitions}")


def main() -> None:
    """Measure what is asked for."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, default=0)
    options.add_argument("--runs", type=int, default=0)
    options.add_argument("--repetitions", type=int, default=0)
    options.add_argument("--seeds", type=int, default=8)
    options.add_argument("--parallel", type=int, default=2)
    asked = options.parse_args()
    os.environ["FAKE_STEP_SECONDS"] = "0"
    with tempfile.TemporaryDirectory() as top:
        if asked.runs:
            large_store(Path(top) / "large", asked.runs)
        if asked.trials:
            overhead(Path(top) / "many", asked.trials, asked.parallel)
        if asked.repetitions:
            planted(Path(top) / "planted", asked.repetitions, asked.seeds, asked.parallel)


if __name__ == "__main__":
    main()
