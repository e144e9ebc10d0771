"""Trackers: told everything by a process of its own, and whatever becomes of it, the run does not notice."""

import os
import subprocess
import sys
import time

import pytest
from run_fakes import make_project, plan_of, run_fake

from golf.run import track, tracker
from golf.run.session import Session
from golf.run.store import open_store
from golf.run.view import Silent


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("FAKE", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.001")
    return make_project(tmp_path / "project")


class Recorder:
    def __init__(self, run):
        self.config, self.points, self.ended = tracker.config_of(run), [], None

    def log(self, step, values):
        self.points += [(step, name, value) for name, value in values.items()]

    def end(self, summary, files, ok):
        self.ended = (summary, files, ok)


def test_a_tracker_is_told_every_metric_once_the_result_and_the_files(folder):
    (run,) = run_fake(folder)
    found = tracker.follow(folder.parents[1], run.id, Recorder)
    with open_store(folder.parents[1]) as store:
        assert sorted(found.points) == sorted(store.every_metric(run.id)) and len(found.points) > 40
    summary, files, ok = found.ended
    assert (
        ok and summary["val_bpb"] == run.result["val_bpb"] and summary["total_bytes"] and summary["state"] == "finished"
    )
    assert set(files) == {"train_gpt.py", "train_seed1337.log", "model.golf"}
    assert found.config["seed"] == 1337 and found.config["script_sha256"] == run.script_sha256


def test_a_run_that_failed_is_told_as_failed_and_a_lost_one_ends(folder, monkeypatch):
    monkeypatch.setenv("FAKE", "crash:export")
    with pytest.raises(Exception, match="no result"):
        run_fake(folder)
    with open_store(folder.parents[1]) as store:
        run = store.runs()[-1]
        found = tracker.follow(folder.parents[1], run.id, Recorder)
        assert found.ended[2] is False and "crash" in found.ended[0]["stop_reason"]
        # its script and its watcher are gone, and nobody wrote the end down
        store.move(run.id, "started")
    monkeypatch.setattr(tracker, "LOST_SECONDS", 0.0)
    assert tracker.follow(folder.parents[1], run.id, Recorder).ended[2] is False


def run_tracked(folder, name):
    started = []
    plan = plan_of(folder)

    said: list[str] = []

    class Kept(Silent):
        def say(self, sentence):
            said.append(sentence)

    def start(*words):
        started.append(track.start(*words))
        return started[-1]

    with open_store(plan.root) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr("golf.run.session.start", start)
        (run,) = Session(plan, store, Kept(), trackers=(name,), grace_seconds=1.0).run()
    return run, started, said


@pytest.mark.parametrize(
    "body", ["import time; time.sleep(3600)", "import os; os._exit(3)", "raise OSError('no network')"]
)
def test_a_tracker_that_hangs_or_dies_does_not_touch_the_run(folder, tmp_path, monkeypatch, body):
    (tmp_path / "stand-in").mkdir()
    (tmp_path / "stand-in" / "wandb.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "stand-in"), *sys.path]))
    begun = time.monotonic()
    run, started, _ = run_tracked(folder, "wandb")
    assert run.state == "finished" and time.monotonic() - begun < 10
    for process in started:
        process.kill()
        process.wait()


def test_a_tracker_that_cannot_be_started_is_said(folder, monkeypatch):
    def refuse(*words):
        raise OSError("no space left on device")

    monkeypatch.setattr(
        track.subprocess,
        "Popen",
        lambda *words, **more: refuse() if "golf.run.tracker" in words[0] else popen(*words, **more),
    )
    run, _, said = run_tracked(folder, "wandb")
    assert run.state == "finished" and any("wandb is not told of seed 1337: no space left" in line for line in said)


popen = subprocess.Popen


def test_what_is_not_installed_or_unknown_is_refused_before_anything_starts(golf, monkeypatch):
    golf("new mine --from baseline")
    monkeypatch.setattr(track.importlib.util, "find_spec", lambda name: None)
    for line, code, said in (
        ("run mine --smoke --track wandb", 10, "parameter-golf[track]"),
        ("run mine --smoke --track mlflow", 2, "no track `mlflow`"),
        ("run mine --smoke --track long --track energy", 2, "one track"),
        ("sweep mine --over num_layers=2,3 --smoke --track mlflow", 2, "no tracker `mlflow`"),
        ("sweep mine --over num_layers=2,3 --smoke --track trackio", 10, "parameter-golf[track]"),
    ):
        found, _, err = golf(line)
        assert found == code and said in err, (line, err)
    assert not (golf.root / ".golf" / "golf.db").exists() and not (golf.root / "studies").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", track.TRACKERS)
def test_each_tracker_keeps_a_run_on_this_machine(folder, name, monkeypatch):
    pytest.importorskip(name, reason="needs the tracker: pip install 'parameter-golf[track]'")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    root = folder.parents[1]
    run, (process,), _ = run_tracked(folder, name)
    assert process.wait(120) == 0, (track.folder_of(root, name) / f"run-{run.id}.log").read_text()[-2000:]
    kept = track.folder_of(root, name)
    if name == "wandb":
        assert list(kept.glob("wandb/offline-run-*/run-*.wandb"))
    elif name == "tensorboard":
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        (events,) = kept.rglob("events.*")
        read = EventAccumulator(str(events.parent)).Reload()
        assert len(read.Scalars("train_loss")) == 20 and read.Scalars("final/val_bpb")[0].value == pytest.approx(
            run.result["val_bpb"]
        )
    else:
        import sqlite3

        (database,) = kept.glob("*.db")
        with sqlite3.connect(database) as held:
            rows = [row[0] for row in held.execute("SELECT metrics FROM metrics")]
        assert len([row for row in rows if "train_loss" in str(row)]) >= 20
