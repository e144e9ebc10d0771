"""`golf demo`, the front door: two processes over and over on a busy machine, and on from whatever an earlier demo left."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from run_fakes import CPU, data_of, make_project, source_of
from worlds import tiny

from golf.cli.pages.demo import Demo, call, travel
from golf.cli.pages.live import PlainView
from golf.compose import compose
from golf.errors import Exit, GolfError
from golf.run.plan import Wishes, make_plan
from golf.run.processes import tree
from golf.run.session import Session
from golf.run.store import open_store

STRESS_RUNS = int(
    os.environ.get("GOLF_STRESS_RUNS", "2")
)  # before a release: GOLF_STRESS_RUNS=50 pytest tests/cli/test_demo.py


@pytest.mark.slow
def test_two_processes_on_a_busy_machine_lose_no_result_and_abort_nowhere(tmp_path, tiny_data):
    """The demo's way: torchrun, two gloo ranks, all phases, while two loops keep the cores busy."""
    folder = make_project(tmp_path)
    (folder / "train_gpt.py").write_text(compose(tiny("baseline")))
    seeds = ",".join(str(seed) for seed in range(1, STRESS_RUNS + 1))
    data = replace(data_of(tmp_path), path=tiny_data, tokenizer=tiny_data / "tokenizer.model")
    wishes = Wishes(seeds=seeds, smoke=True, nproc=2, iterations=2)
    plan = make_plan(tmp_path, source_of(folder), wishes, CPU, lambda: data)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        with open_store(tmp_path) as store:
            finished = Session(plan, store, PlainView()).run()
    finally:
        for loop in busy:
            loop.kill()
            loop.wait()
    assert [run.exit_code for run in finished] == [0] * STRESS_RUNS
    assert not any(run.result.get("remarks") for run in finished)


@pytest.mark.slow
def test_a_demo_goes_on_from_a_seed_that_was_killed_after_training(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    folder = tmp_path / "golf-demo" / "submissions" / "demo"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(
        'extends = "baseline"\n[env]\niterations = 3\n[model]\nnum_layers = 2\n[train]\nwarmup_steps = 0\nval_loss_every = 0\n'
    )
    command = [sys.executable, "-m", "golf", "run", "demo", "--smoke", "--seeds", "1337"]
    subprocess.run([*command[:3], "compose", "demo"], cwd=folder, check=True, capture_output=True)
    first = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_checkpoint(folder)
    first.kill()
    first.wait()
    with open_store(tmp_path / "golf-demo") as store:
        (left,) = store.runs("demo")
    for pid in tree(left.pid) if left.pid else ():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # what follows the runs is measured elsewhere, and takes its time
    monkeypatch.setattr("golf.cli.pages.demo.call", only_compose_and_run)
    monkeypatch.setattr("golf.cli.pages.demo.record", lambda name: None)
    travel(Demo(tmp_path / "golf-demo", seeds="1337"))
    said = capsys.readouterr().err
    assert "goes on with export and eval" in said or "goes on with eval" in said
    travel(Demo(tmp_path / "golf-demo", seeds="1337"))
    assert "kept, finished" in capsys.readouterr().err


def only_compose_and_run(verb: str, *words: str, **fine: object) -> Exit:
    return call(verb, *words) if verb in ("compose", "run") else Exit.OK


@pytest.mark.parametrize(("answer", "goes_on"), [(Exit.OK, True), (Exit.UNKNOWN, True), (Exit.RULE_BROKEN, False)])
def test_a_rule_that_could_not_be_told_does_not_end_the_journey_and_a_broken_one_does(
    tmp_path, monkeypatch, capsys, answer, goes_on
):
    def verb(name):
        return SimpleNamespace(main=lambda *words, **ways: int(answer) if name == "verify" else None)

    monkeypatch.setattr("golf.cli.load_verb", verb)
    monkeypatch.setattr("golf.cli.pages.demo.record", lambda name: None)
    if goes_on:
        travel(Demo(tmp_path / "golf-demo"))
        assert "$ golf leaderboard" in capsys.readouterr().out
    else:
        with pytest.raises(GolfError, match="ended with 1"):
            travel(Demo(tmp_path / "golf-demo"))


def wait_for_checkpoint(folder: Path) -> None:
    """Until training is over."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if list(folder.glob("runs/*/seed_1337/float.golf")):
            return
        time.sleep(0.01)
    raise AssertionError("no checkpoint came")
