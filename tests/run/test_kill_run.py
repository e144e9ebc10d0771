"""kill -9 at every named point and at random moments: the store and the files agree, no finished seed is lost, resume ends it."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from places import HELPERS, ROOT
from run_fakes import is_running, make_project

from golf.cli.pages.live import PlainView
from golf.files import Lock, is_locked
from golf.reading.container import fault_of
from golf.run.lines import read_log
from golf.run.resume import is_current, place_of, settle
from golf.run.status import follow, standings, to_watch
from golf.run.store import open_store

DRIVER = HELPERS / "run_driver.py"
POINTS = ("script", "row", "aside", "launched", "noted", "trained", "exported", "ended", "finishing", "finished")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("FAKE", raising=False)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.02")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(DRIVER.parent), str(ROOT)]))
    return make_project(tmp_path)


def golf(folder, seeds, point="-", *rest):
    return subprocess.Popen(
        [sys.executable, str(DRIVER), str(folder), seeds, point, *rest],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def resumed(folder, seeds):
    """Run `--resume` to its end; the finished rows by seed."""
    output, _ = golf(folder, seeds, "-", "resume").communicate(timeout=60)
    assert f"finished {seeds}" in output.decode(), output.decode()
    with open_store(folder.parents[1]) as store:
        return {run.seed: run for run in store.runs("mine", "finished") if is_current(run)}


def check_consistent(folder):
    """What must hold at any moment, also right after a kill."""
    with open_store(folder.parents[1]) as store:
        runs = store.runs("mine")
    for run in runs:
        if run.state == "finished":
            assert fault_of(run.folder / "model.golf") is None
            assert read_log(run.log).result()["val_bpb"] == run.result["val_bpb"]
        for name in ("float.golf", "model.golf"):
            path = run.folder / name
            assert not path.exists() or fault_of(path) is None, f"{path} is half-written"
    assert len({run.folder for run in runs}) == len(runs)
    return runs


def finished_of(folder):
    return {run.seed: (run.id, run.result["val_bpb"], run.folder) for run in check_consistent(folder)
            if run.state == "finished"}  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_a_golf_killed_at_a_named_point_is_resumed(folder, point):
    first = golf(folder, "1337", point)
    output, _ = first.communicate(timeout=60)
    assert first.returncode == -signal.SIGKILL, output.decode()
    check_consistent(folder)
    finished = resumed(folder, "1337")
    assert set(finished) == {1337} and finished[1337].result["steps"] == 20
    # and again, for whatever the first resumption left to be done later
    assert resumed(folder, "1337").keys() == {1337}
    runs = check_consistent(folder)
    assert sum(run.state == "finished" for run in runs) == 1
    assert not is_locked(place_of(runs[-1]).script_lock)


@pytest.mark.parametrize("point", ["row", "aside"])
def test_a_kill_between_the_row_and_the_move_of_a_former_run_loses_neither(folder, point):
    (before,) = resumed(folder, "1337").values()
    killed = golf(folder, "1337", point, "again")
    output, _ = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, output.decode()
    after = resumed(folder, "1337")
    with open_store(folder.parents[1]) as store:
        former = store.run(before.id)
    assert former.state == "finished" and former.folder.name == "seed_1337.1"
    assert fault_of(former.folder / "model.golf") is None and former.result == before.result
    assert after[1337].id != before.id


@pytest.mark.parametrize("second", ["empty", "row", "aside", "launched"])
def test_a_run_killed_before_it_had_a_folder_takes_no_other_runs_folder(folder, second):
    """Its row is moved aside without a folder; what lies at its old place later belongs to the run after it."""
    for point in ("row", second):
        killed = golf(folder, "1337", point, "resume")
        output, _ = killed.communicate(timeout=60)
        assert killed.returncode == -signal.SIGKILL, output.decode()
        check_consistent(folder)
    finished = resumed(folder, "1337")
    for _ in range(2):
        assert resumed(folder, "1337")[1337].id == finished[1337].id
        check_consistent(folder)


def test_a_move_that_is_due_waits_while_a_golf_is_at_work_on_the_seed(folder):
    (before,) = resumed(folder, "1337").values()
    golf(folder, "1337", "row", "again").communicate(timeout=60)
    with open_store(folder.parents[1]) as store:
        former = store.run(before.id)
        watching = Lock(place_of(former).watch_lock)
        assert watching.take() and not former.folder.exists()
        settle(store, "mine")
        assert not former.folder.exists()
        watching.release()
        settle(store, "mine")
        assert fault_of(former.folder / "model.golf") is None


def test_a_script_that_outlives_its_golf_is_taken_over_not_run_twice(folder, monkeypatch):
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.1")
    golf(folder, "1337", "noted").communicate(timeout=60)
    (run,) = check_consistent(folder)
    assert run.state == "started" and is_locked(place_of(run).script_lock)
    finished = resumed(folder, "1337")
    assert finished[1337].id == run.id and finished[1337].pid == run.pid
    assert read_log(run.log).last.count("golf_phase train") == 1


@pytest.mark.parametrize("victim", ["golf", "script", "both"])
def test_kills_at_random_moments_lose_no_finished_seed(folder, victim):
    number = int(os.environ.get("KILL_SEED", time.time_ns() % 100_000))
    print(f"KILL_SEED={number}")
    dice = random.Random(number)
    seeds, kept = "1337,42,7", {}
    for _ in range(5):
        running = golf(folder, seeds, "-", "resume")
        time.sleep(dice.uniform(0.1, 1.6))
        if victim in ("golf", "both"):
            running.kill()
        if victim in ("script", "both"):
            kill_script(folder)
        running.communicate(timeout=60)
        finished = finished_of(folder)
        assert kept.items() <= finished.items(), f"lost a finished seed (KILL_SEED={number})"
        kept = finished
    finished = resumed(folder, seeds)
    assert set(finished) == {1337, 42, 7}
    assert kept.items() <= finished_of(folder).items()
    assert len({run.result["val_loss"] for run in finished.values()}) == 3


def kill_script(folder):
    """kill -9 to whatever script the store says is running."""
    with open_store(folder.parents[1]) as store:
        for run in store.runs("mine", ("started", "trained", "exported")):
            if run.pid and is_locked(place_of(run).script_lock):
                os.kill(run.pid, signal.SIGKILL)


def when_running(folder):
    """The row of the run, once its script is at work."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with open_store(folder.parents[1]) as store:
            for run in store.runs("mine", "started"):
                if run.pid and read_log(run.log).step:
                    return run
        time.sleep(0.02)
    raise AssertionError("no script came to its first step")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_golf_that_is_asked_to_stop_ends_its_script_in_order(folder, monkeypatch, number):
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.2")
    running = golf(folder, "1337")
    run = when_running(folder)
    running.send_signal(number)
    running.communicate(timeout=30)
    assert running.returncode != 0 and not is_running(run.pid)
    (stopped,) = check_consistent(folder)
    assert stopped.state == "stopped" and not is_locked(place_of(stopped).script_lock)


def test_a_terminal_that_goes_away_does_not_stop_a_run_that_costs_money(folder, monkeypatch):
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.1")
    running = golf(folder, "1337")
    when_running(folder)
    running.send_signal(signal.SIGHUP)
    output, _ = running.communicate(timeout=30)
    assert running.returncode == 0 and b"finished 1337" in output


def test_watching_follows_a_living_run_to_its_end_and_changes_nothing(folder, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.1")
    running = golf(folder, "1337")
    when_running(folder)
    root = folder.parents[1]
    standing = to_watch(root, "mine")
    assert standing.state == "running" and standing.is_live
    ended = follow(standing, PlainView())
    running.communicate(timeout=30)
    assert ended.progress.score_bpb is not None and "final bpb" in capsys.readouterr().err
    assert [one.state for one in standings(root)] == ["finished"]
