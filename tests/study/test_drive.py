"""The driver of a study over the fake script: each run once, whatever ends the driver; budgets, early stopping, bad surroundings."""

import os
import random
import subprocess
import sys
import time

import pytest
from places import HELPERS, ROOT
from study_fakes import Heard, driver, make_fakes, planner

from golf.errors import Exit, GolfError
from golf.files import Lock
from golf.run.store import open_store
from golf.study.drive import Budget
from golf.study.results import importance, pareto, standings
from golf.study.study import LOCK, folder_of, load

POINTS = ("row", "noted", "trained", "finishing", "finished")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.delenv("FAKE", raising=False)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.001")


def stored(root, state=None):
    with open_store(root) as store:
        return store.runs_like("fake-") if state is None else [r for r in store.runs_like("fake-") if r.state == state]


def scores(root):
    return {
        (run.submission, run.seed): (run.result["val_bpb"], run.result["train_loss"])
        for run in stored(root, "finished")
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study of 12 trials, run without a break; its project and the scores."""
    root = tmp_path_factory.mktemp("whole")
    make_fakes(root, 12, seeds=(1,))
    os.environ["FAKE_STEP_SECONDS"] = "0.001"
    assert not driver(root).run().failed
    return root, scores(root)


def test_every_trial_runs_once_and_the_same_study_again_runs_nothing(whole):
    root, found = whole
    assert len(stored(root)) == 12 == len(found)
    heard = Heard()
    driver(root, view=heard).run()
    assert len(stored(root)) == 12 and not heard.lines


def test_the_best_comes_first_and_side_by_side_gives_the_same(whole, tmp_path):
    root, found = whole
    assert [one.trial.name for one in standings(load(root, "fake"), root)] == [f"fake-{i:02}" for i in range(1, 13)]
    make_fakes(tmp_path / "p", 12, seeds=(1,))
    driver(tmp_path / "p", parallel=2).run()
    assert scores(tmp_path / "p") == found


@pytest.mark.parametrize("point", POINTS)
def test_a_driver_that_was_killed_goes_on_and_every_run_finishes_once(tmp_path, whole, point):
    seed = random.randrange(1 << 30)
    count = 1 + random.Random(seed).randrange(3)
    print(f"{point}: seed {seed}, at passing {count}")
    make_fakes(tmp_path, 4, seeds=(1,))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(HELPERS)])}
    command = [sys.executable, str(HELPERS / "study_fakes.py"), str(tmp_path), point, str(count)]
    assert subprocess.run(command, env=env, check=False, timeout=60, capture_output=True).returncode == -9
    assert not driver(tmp_path).run().failed, "a script that outlived its driver is taken over, or has ended by itself"
    assert len(stored(tmp_path, "finished")) == 4
    assert scores(tmp_path) == {key: value for key, value in whole[1].items() if key[0] <= "fake-04"}


def test_a_fault_of_one_trial_leaves_the_others(tmp_path, monkeypatch):
    make_fakes(tmp_path, 3, seeds=(1, 2))
    monkeypatch.setenv("FAKE", "crash:eval")
    monkeypatch.setenv("FAKE_SEED", "2")
    outcome = driver(tmp_path).run()
    assert sorted(outcome.failed) == [(f"fake-0{i}", 2) for i in (1, 2, 3)]
    assert len(stored(tmp_path, "finished")) == 3
    assert [one.state for one in standings(load(tmp_path, "fake"), tmp_path)] == ["failed"] * 3
    monkeypatch.delenv("FAKE")
    assert not driver(tmp_path).run().failed and len(stored(tmp_path, "finished")) == 6


def test_a_run_that_a_signal_ended_is_tried_once_more_from_its_checkpoint(tmp_path, monkeypatch):
    make_fakes(tmp_path, 1, seeds=(1,))
    monkeypatch.setenv("FAKE", "kill:eval")
    heard = Heard()
    outcome = driver(tmp_path, view=heard).run()
    assert any("trying once more" in line for line in heard.lines)
    assert "signal 9" in outcome.failed["fake-01", 1] and len(stored(tmp_path)) == 1, "continued, not begun anew"


def test_two_drivers_of_one_study_are_refused(tmp_path):
    make_fakes(tmp_path, 1)
    lock = Lock(folder_of(tmp_path, "fake") / LOCK)
    assert lock.take()
    with pytest.raises(GolfError, match="another golf is at work") as fault:
        driver(tmp_path).run()
    lock.release()
    assert fault.value.code == Exit.REFUSED and not (tmp_path / ".golf").exists()


def test_other_shards_than_the_study_began_on_are_refused(tmp_path):
    make_fakes(tmp_path, 2, seeds=(1,))
    driver(tmp_path, budget=Budget(trials=1)).run()
    with pytest.raises(GolfError, match="other shards") as fault:
        driver(tmp_path, planner=planner(tmp_path, sha256="e" * 64)).run()
    assert fault.value.code == Exit.REFUSED and len(stored(tmp_path)) == 1


def test_a_budget_of_trials_begins_no_more_and_a_larger_one_goes_on(tmp_path):
    make_fakes(tmp_path, 4, seeds=(1, 2))
    outcome = driver(tmp_path, budget=Budget(trials=1)).run()
    assert len(stored(tmp_path)) == 2 and len(outcome.not_started) == 6
    driver(tmp_path, budget=Budget(trials=3)).run()
    assert len(stored(tmp_path)) == 6


def test_a_budget_of_seconds_starts_nothing_that_does_not_fit_and_ends_what_overruns_it(tmp_path, monkeypatch):
    make_fakes(tmp_path, 6, seeds=(1,), steps=40)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.02")
    outcome = driver(tmp_path, budget=Budget(seconds=2.5)).run()
    done = len(stored(tmp_path, "finished"))
    assert outcome.not_started and done < 6
    before = time.monotonic()
    assert driver(tmp_path, budget=Budget(seconds=2.5)).run().not_started
    assert time.monotonic() - before < 2 and len(stored(tmp_path, "finished")) == done, "what was spent is remembered"
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.5")
    from golf.study.study import seconds_spent

    spent = seconds_spent(tmp_path, "fake")
    driver(tmp_path, budget=Budget(dollars=(spent + 3) / 3600, rate=1.0)).run()
    (stopped,) = stored(tmp_path, "stopped")
    assert "budget" in stopped.stop_reason


def test_dollars_without_a_price_are_refused():
    with pytest.raises(GolfError, match="price"):
        Budget(dollars=5.0)


def test_early_stopping_ends_the_worse_trials_and_no_finalist_lacks_a_seed(tmp_path, monkeypatch):
    make_fakes(tmp_path, 6, seeds=(1, 2), steps=18)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.03")
    driver(tmp_path, prune=True).run()
    found = standings(load(tmp_path, "fake"), tmp_path)
    states = {one.trial.name: one.state for one in found}
    assert states["fake-01"] == "finished" and states["fake-06"] == "pruned"
    for one in found:
        assert one.is_whole == (one.state == "finished")
        assert len(one.runs) in (0, 2), "the seeds of a finalist are all there, those of a stopped trial are not run"
    count = len(stored(tmp_path))
    driver(tmp_path, prune=True).run()
    assert len(stored(tmp_path)) == count, "what was stopped early is not run again"


def test_a_bound_ends_a_worse_trial_on_its_second_seed_and_the_study_is_whole(tmp_path, monkeypatch):
    """The first seed of a trial gives the curve that its second is stopped by; a third is not begun."""
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.03")
    make_fakes(tmp_path, 2, seeds=(1, 2, 3), steps=30)
    best = 0.5 * (1 + 6 * 0.9**30)  # of the first trial; the other ends 0.01 above it
    view = Heard()
    assert not driver(tmp_path, view=view, stop_if_worse=best + 0.005).run().failed
    found = {one.trial.name: one for one in standings(load(tmp_path, "fake"), tmp_path)}
    assert found["fake-01"].is_whole and found["fake-02"].state == "pruned"
    assert set(found["fake-02"].runs) == {1} and any(
        "fake-02 was stopped: pruned at step" in line for line in view.lines
    )
    view = Heard()
    driver(tmp_path, view=view, stop_if_worse=best + 0.005).run()
    assert not [line for line in view.lines if "seed" in line]


def test_the_front_and_what_an_axis_explains(tmp_path):
    from types import SimpleNamespace as N

    def one(name, bpb, size, **choices):
        from golf.stats import Sample

        return N(trial=N(name=name, choices=choices), is_whole=True, bpb=Sample.of([bpb]), total_bytes=size)

    found = [
        one("a", 1.0, 10, x="1", y="1"),
        one("b", 1.1, 9, x="1", y="2"),
        one("c", 1.2, 9, x="2", y="1"),
        one("d", 1.3, 11, x="2", y="2"),
    ]
    assert pareto(found) == {"a", "b"}
    shares = importance(found)
    assert shares["x"] == pytest.approx(0.8) and shares["y"] == pytest.approx(0.2)
