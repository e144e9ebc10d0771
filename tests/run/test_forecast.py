"""The forecast of a final BPB from a part of a log, and the stop that leans on it."""

import json
import math
import random
import sys

import pytest
from places import ROOT
from run_fakes import make_project, plan_of, run_fake

from golf.errors import GolfError
from golf.run import outlook
from golf.run.api import Wishes, run_submission
from golf.run.forecast import Curve, Reference, Schedule, by_model, by_reference, constants, forecasts
from golf.run.lines import Progress
from golf.run.outlook import Outlook, schedule_of, stage_of, stop_if_worse
from golf.run.session import GivenUp, Session
from golf.run.store import open_store
from golf.run.view import Silent, describe

sys.path.insert(0, str(ROOT / "benchmarks"))


def curve(scale=1.0, batches=1, steps=100, bpb_per_nat=0.4, noise=0.03):
    """Losses that fall from 4 to 3 nats, times how hard each batch is (drawn by `batches`), times `scale`."""
    draw = random.Random(batches)
    return Curve(
        tuple((step, step / steps, scale * (3 + (1 - step / steps)) * math.exp(noise * draw.gauss(0, 1))) for step in range(1, steps + 1)),
        (), bpb_per_nat,
    )  # fmt: skip


def test_a_run_on_the_same_batches_is_foretold_by_the_ratio_of_its_losses():
    other = Reference("other", curve(), 1.10, is_same=False)
    found = by_reference(curve(1.01).until(0.5), other)
    assert found is not None and found.bpb == pytest.approx(1.10 * 1.01, rel=1e-9)
    assert found.sd == pytest.approx(1.10 * constants()["other"]["sd"]["0.5"]) and found.by == "other"
    # the batches of another order move the ratio up and down: no reference
    assert by_reference(curve(1.01, batches=2).until(0.5), other) is None
    # other bytes a token, another evaluation, hardly begun
    assert by_reference(curve(1.01, bpb_per_nat=0.6).until(0.5), other) is None
    assert by_reference(curve(1.01).until(0.5), other, stage="ttt") is None
    assert forecasts(curve(1.01).until(0.05), [other]) == []


def test_another_seed_is_surer_than_another_script_and_comes_first():
    seed, other = (Reference(str(same), curve(), 1.10, is_same=same) for same in (True, False))
    cut = curve(1.001).until(0.7)
    found = forecasts(cut, [other, seed], Schedule(0.75))
    assert [one.by for one in found] == ["another seed of its script", "False", "the public logs"]
    slope = constants()["same"]["slope"]["0.7"]
    assert found[0].bpb == pytest.approx(1.10 * 1.001**slope, rel=1e-9)
    # another script is never a reason to stop: too many good runs would go
    assert not found[1].is_worse_than(0.5) and found[0].is_worse_than(1.09) and not found[0].is_worse_than(1.10)


def test_another_schedule_is_made_up_for_by_the_model():
    """Half the run seen at the peak rate has more before it than one whose rate has fallen."""
    late, early = Schedule(0.1), Schedule(1.0)
    cut = curve().until(0.5)
    same = by_reference(cut, Reference("a", curve(), 1.1, False, early), early)
    more = by_reference(cut, Reference("a", curve(), 1.1, False, early), late)
    assert same is not None and more is not None and same.bpb == pytest.approx(1.1) and more.bpb < same.bpb
    lr = constants()["model"]["coefficients"][-1]
    shares = [step / 100 for step in range(25, 51)]
    gap = sum(lr * (late.at(s) - early.at(s)) for s in shares) / len(shares)
    assert more.bpb == pytest.approx(1.1 * math.exp(gap), rel=1e-9)


def test_the_model_is_its_constants():
    one = Curve(((10, 0.4, 3.0),), ((10, 0.4, 1.25),), 0.4)
    a, log_share, lr = (constants()["model"]["coefficients"][i] for i in (2, 3, 4))
    rest = a + log_share * math.log(0.4) + lr * 0.8
    weight = constants()["model"]["validation_weight"]
    wanted = math.exp((math.log(1.2) + weight * math.log(1.25)) / (1 + weight) + rest)
    found = by_model(one, Schedule(0.75), "ttt")
    assert found is not None and found.bpb == pytest.approx(wanted, rel=1e-9)
    assert by_model(Curve(one.train), Schedule(0.75), "ttt") is None  # no BPB of a nat


def test_the_constants_foretell_logs_that_they_were_not_fitted_on(shared):
    """Folders that were kept aside: a third and two thirds of the run over, against the last value seen."""
    import forecast as bench

    folders = ("2026-03-31_ParallelResiduals_MiniDepthRecurrence", "2026-04-29_SmearGateBOSFix_3Seed_1.06141")
    logs = [log for log in bench.logs_of(shared / "records", folders) if log.kept]
    assert len(logs) >= 5 and {log.folder for log in logs} == set(folders)
    for share in (0.35, 0.7):
        for log in logs:
            found = bench.ways(log, logs, share)
            errors = {name: abs(bpb - log.final_bpb) for name, bpb in found.items() if bpb is not None}
            assert errors["model"] < 0.05 < errors["last value"] + 0.02
            assert errors["another seed"] < 0.003 and errors["another seed"] < errors["model"]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"lr_at": "warmdown_by_iterations", "warmdown_iters": 1200}, Schedule(0.25)),
        ({"lr_at": "warmdown_frac.warmdown_by_fraction", "warmdown_frac": 0.72, "min_lr": 0.1}, Schedule(0.72, 0.1)),
        ({"lr_at": "linear_warmdown.linear_warmdown", "lr_warmdown_share": 0.5}, Schedule(0.5)),
        ({"lr_at": "user:mine.own"}, None),
        ({"lr_at": "warmdown_by_iterations"}, None),
        ({}, None),
    ],
)
def test_the_schedule_is_the_recipes(values, wanted):
    assert schedule_of(values, 4800) == wanted


def test_the_stage_is_the_last_evaluator():
    assert stage_of({"reports": ["plain"]}) == "quantized" == stage_of({})
    assert stage_of({"reports": ["plain", "sliding.sliding"]}) == "sliding"
    assert stage_of({"reports": ["plain", "sliding.sliding", "ttt_sgd.ttt_sgd"]}) == "ttt"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("FAKE", raising=False)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.001")
    return make_project(tmp_path / "project")


def session_of(folder, store, bound, view, **more):
    plan = plan_of(folder, "7", **more)
    return Session(
        plan, store, view, grace_seconds=2.0, condemns=True, judge_of=lambda run: stop_if_worse(Outlook(run, plan.root), bound, 20.0)
    )  # fmt: skip


class Seen(Silent):
    def __init__(self):
        self.lines = []

    def progress(self, progress):
        self.lines.append(describe(progress))


def test_a_run_that_would_end_worse_is_ended_and_says_what_that_saves(folder, monkeypatch):
    """The first seed gives the curve; the second is stopped where its final would be above the bound, and only there."""
    run_fake(folder, "1337")
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.1")
    seen = Seen()
    with open_store(folder.parents[1]) as store:
        with pytest.raises(GivenUp, match=r"pruned at step \d+ of 20: the forecast is 0\.86\d\d ± 0\.000\d") as ended:
            session_of(folder, store, 0.8, seen).run()
        assert "saves" in ended.value.message and "$0.0" in ended.value.message and ended.value.concerns_every_seed
        stopped = store.runs(seed=7)[-1]
        assert stopped.state == "stopped" and stopped.stop_reason.startswith(outlook.PRUNED)
        assert any("forecast 0.86" in line and "another seed" in line for line in seen.lines)
        monkeypatch.setenv("FAKE_STEP_SECONDS", "0.001")
        (finished,) = session_of(folder, store, 0.9, Silent(), again=True).run()
        assert finished.state == "finished"


def test_without_a_curve_to_lean_on_a_small_twin_is_never_stopped(folder):
    with open_store(folder.parents[1]) as store:
        (finished,) = session_of(folder, store, 0.1, Silent()).run()
        assert finished.state == "finished"
        assert Outlook(finished, folder.parents[1]).read(Progress()) == []


def test_watch_says_the_forecast_of_a_run_under_way(folder, monkeypatch, golf):
    run_fake(folder, "1337")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FAKE", "kill:export")
    with pytest.raises(GolfError):
        run_fake(folder, "7")
    # as it stood in training: its last lines are not there yet
    with open_store(folder.parents[1]) as store:
        log = store.runs(seed=7)[-1].log
    lines = [line for line in log.read_text().splitlines(keepends=True) if line.startswith("step:")][:12]
    log.write_text("golf_phase train\n" + "".join(lines))
    monkeypatch.setattr("golf.run.status.Standing.is_live", True)
    code, out, _ = golf("watch --once")
    assert code == 0 and "forecast 0.86" in out
    code, out, _ = golf("watch --json")
    found = json.loads(out)["forecast"]
    assert (
        found["bpb"] == pytest.approx(0.8651, abs=0.003)
        and found["by"] == "another seed of its script"
        and found["share"] == 0.6
    )


def test_a_bound_that_is_none_is_refused(golf, folder, monkeypatch):
    monkeypatch.chdir(folder)
    code, _, err = golf("run --smoke --stop-if-worse -1")
    assert code == 2 and "is not a number above 0" in err
    with pytest.raises(GolfError, match="would stop every run"):
        run_submission("mine", Wishes(smoke=True), stop_if_worse=float("inf"))
