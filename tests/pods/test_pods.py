"""Pods: the task, the handshake, and a run against a stand-in cloud that loses the connection, dies and overspends: taken down every time."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from places import HELPERS, ROOT
from run_fakes import data_of, make_project, source_of
from stand_in_cloud import NAME, StandIn

from golf.cli.pod import order_of
from golf.errors import Exit, GolfError
from golf.pods import check, guard
from golf.pods.run import fetching, run_on_pod
from golf.pods.task import CLOUDS, Order, fetch_lines, refuse_budget, task_text, validated
from golf.run.machine import Machine
from golf.run.plan import Wishes, make_plan
from golf.run.store import open_store
from golf.run.view import Silent

ORDER = Order("runpod", rate=20.0, budget=100.0)


@pytest.mark.parametrize("count", [1, 2, 3, 80, 1499])
def test_what_a_pod_fetches_is_a_few_lines_and_every_file(count):
    files = [
        ("a/b", "data/tokenizers/one.model", "tokenizer.model"),
        ("a/b", "data/fineweb_val_000000.bin", "shards/fineweb_val_000000.bin"),
        *(("a/b", f"data/fineweb_train_{n:06d}.bin", f"shards/fineweb_train_{n:06d}.bin") for n in range(count)),
        ("a/b", "odd/{n}_000007.bin", "odd_000009.bin"),
    ]
    lines = fetch_lines(files)
    there = {}
    exec("\n".join(lines[lines.index("files = []") : lines.index("for repo, file, place in files:")]), there)
    assert there["files"] == files and len(lines) < 20


@pytest.fixture
def pod(tmp_path, monkeypatch):
    """A project whose script is the fake, and a cloud of folders."""
    folder = make_project(tmp_path / "project")
    root = folder.parents[1]
    (root / "data" / "fineweb_train_000000.bin").write_bytes(b"x" * 100)
    (root / "data" / "tok.model").write_bytes(b"t")
    monkeypatch.delenv("FAKE", raising=False)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.002")
    monkeypatch.setenv("STAND_IN_CLOUD", str(tmp_path / "cloud"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(HELPERS)]))
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setattr("golf.pods.run.check_before", lambda plan, say: None)
    (tmp_path / "cloud").mkdir()
    return folder


def plan_for(folder, seeds="7"):
    root = folder.parents[1]
    return make_plan(
        root, source_of(folder), Wishes(seeds=seeds, smoke=True, nproc=1), Machine((), 2), lambda: data_of(root)
    )


class Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, sentence):
        self.lines.append(sentence)


def run(folder, order=ORDER, seeds="7", view=None, **more):
    return run_on_pod(plan_for(folder, seeds), order, view=view or Said(), cloud=NAME, poll_seconds=0.05, grace_seconds=0.2, **{"patience_seconds": 2.0, **more})  # fmt: skip


def clusters(folder):
    return [path.name for path in StandIn().top.iterdir() if path.is_dir()]


def pods_left(folder):
    return list((folder.parents[1] / guard.FOLDER).glob("*.json"))


def gone_within(folder, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not clusters(folder) and not pods_left(folder):
            return True
        time.sleep(0.05)
    return False


def test_seeds_run_on_the_pod_and_their_logs_and_artifacts_are_in_the_store(pod):
    view = Said()
    found = run(pod, seeds="7,8", view=view)
    assert found.exit_code == Exit.OK and [one.seed for one in found.runs] == [7, 8]
    with open_store(pod.parents[1]) as store:
        for one in store.runs():
            assert one.state == "finished" and (one.folder / "model.golf").stat().st_size > 100
            assert "golf_result" in one.log.read_text() and len(store.metrics(one.id, "train_loss")) == 20
    assert not clusters(pod) and not pods_left(pod)
    assert any("was taken down after" in line and "$0.0" in line for line in view.lines)


def test_a_connection_that_comes_back_costs_nothing(pod, monkeypatch):
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.03")
    lose = StandIn().top / "lose"

    class Cut(Said):
        def progress(self, progress):
            if progress.step and progress.step > 5 and not lose.exists() and not hasattr(self, "cut"):
                self.cut = True
                lose.write_text("1")
                subprocess.Popen(["bash", "-c", f"sleep 0.7; rm {lose}"])

    view = Cut()
    found = run(pod, view=view, patience_seconds=20.0)
    assert view.cut and found.exit_code == Exit.OK and not clusters(pod)


def test_a_connection_that_stays_lost_ends_the_run_and_the_machine_is_taken_down(pod, monkeypatch):
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    (StandIn().top / "lose_after").write_text("12")
    with pytest.raises(GolfError, match="no result"):
        run(pod, patience_seconds=0.5)
    assert not clusters(pod) and not pods_left(pod)
    with open_store(pod.parents[1]) as store:
        (one,) = store.runs()
        assert one.state == "failed" and "connection to the pod" in one.log.read_text()


def test_a_script_that_dies_and_a_cloud_that_refuses_leave_no_machine(pod, monkeypatch):
    monkeypatch.setenv("FAKE", "crash:export")
    with pytest.raises(GolfError, match="told to crash"):
        run(pod)
    assert not clusters(pod) and not pods_left(pod)
    (StandIn().top / "refuse").write_text("1")
    with pytest.raises(GolfError, match="quota"):
        run(pod)
    assert not clusters(pod) and not pods_left(pod)


def test_a_budget_that_is_spent_ends_the_run(pod, monkeypatch):
    monkeypatch.setenv("FAKE_STEP_SECONDS", "1")
    monkeypatch.setattr("golf.pods.run.refuse_budget", lambda *words: None)
    with pytest.raises(GolfError, match=r"the budget of \$0.02 is spent"):
        run(pod, Order("runpod", rate=20.0, budget=0.02), patience_seconds=0.2)  # 3.6 s
    assert not clusters(pod) and not pods_left(pod)


def test_a_budget_that_would_not_pay_or_is_not_named_starts_nothing(pod):
    with pytest.raises(GolfError, match=r"may take \$\d+\.\d\d .* the budget is \$1") as fault:
        run(pod, Order("runpod", rate=20.0, budget=1.0), seeds="1,2,3")
    assert fault.value.code == Exit.REFUSED
    with pytest.raises(GolfError, match="as long as it is up"):
        run(pod, Order("runpod"))
    assert not clusters(pod) and not (pod.parents[1] / guard.FOLDER).exists()


def test_a_machine_that_does_not_go_down_at_once_is_left_to_the_guard_and_goes(pod, monkeypatch):
    (StandIn().top / "stubborn").write_text("1")
    view = Said()
    with pytest.raises(OSError, match="does not answer"):
        run(pod, view=view)
    assert any("COULD NOT be taken down" in line for line in view.lines)
    assert gone_within(pod, 15)


def test_other_data_on_the_pod_are_refused(pod, monkeypatch):
    def up(self, cluster, task):
        honest(self, cluster, task)
        (self.top / cluster / "golf-data" / "shards" / "fineweb_train_000000.bin").write_bytes(b"y" * 100)

    honest = StandIn.up
    monkeypatch.setattr(StandIn, "up", up)
    with pytest.raises(GolfError, match="holds other shards"):
        run(pod)
    assert not clusters(pod)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_golf_that_is_killed_or_interrupted_leaves_no_machine(pod, how):
    code = f"""
import sys; sys.path[:0] = [{str(HELPERS)!r}, {str(ROOT / "tests" / "pods")!r}]
from pathlib import Path
import golf.pods.run as room; room.check_before = lambda plan, say: None
from test_pods import run
try:
    run(Path({str(pod)!r}))
except KeyboardInterrupt:
    raise SystemExit(130)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "FAKE_STEP_SECONDS": "0.5"}, stderr=subprocess.PIPE
    )
    until = time.monotonic() + 30
    while not list(StandIn().top.glob("*/golf-work/*/train_seed7.log")) and time.monotonic() < until:
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        time.sleep(0.05)
    process.send_signal(how)
    assert process.wait(30) == (-9 if how == signal.SIGKILL else 130)
    assert gone_within(pod, 15), "the guard takes it down"


def test_a_second_golf_on_the_same_pod_is_refused(pod):
    with guard.Guarded(pod.parents[1], "golf-mine", NAME, None, 0.05), pytest.raises(GolfError, match="another golf"):
        guard.Guarded(pod.parents[1], "golf-mine", NAME, None, 0.05).__enter__()


def test_the_money_ends_a_machine_whose_golf_hangs(pod, monkeypatch):
    """The deadline is the guard's own: it needs nobody to be alive."""
    with guard.Guarded(pod.parents[1], "golf-mine", NAME, time.time() + 0.3, 0.05):
        StandIn().up("golf-mine", "")
        until = time.monotonic() + 15
        while StandIn().is_up("golf-mine") and time.monotonic() < until:
            time.sleep(0.05)
        assert not StandIn().is_up("golf-mine")


def text_of(folder, order):
    return task_text(order, plan_for(folder, "7,8"), (7, 8), script=folder / "train_gpt.py")


def test_the_task_holds_the_machine_the_data_the_seeds_and_two_ends(pod):
    text = text_of(pod, ORDER)
    assert 'accelerators: "H100:8"' in text and "autostop: " in text and 'infra: "runpod"' in text
    assert "DEADLINE=$(($(date +%s) + 18000))" in text and text.count("timeout --kill-after=30") == 2
    assert "SEED=7 " in text and "SEED=8 " in text and "--nproc_per_node=8 ../train_gpt.py" in text
    assert str(pod / "train_gpt.py") in text and "golf-data/shards" in text
    bare = text_of(pod, Order("ssh/mine"))
    assert "nobody stops it at a cost" in bare and 'infra: "ssh/mine"' in bare and "autostop" not in bare


def test_the_contests_gpu_is_ordered_by_the_name_that_it_has_there():
    assert [order_of(cloud, None, None, None, None).gpus for cloud in CLOUDS] == ["H100-SXM", *["H100"] * 5]
    chosen = order_of("runpod", "H100:4", None, None, None)
    assert (chosen.gpus, chosen.count) == ("H100", 4), "who names one gets it"


@pytest.mark.parametrize(
    ("bad", "said"), [({"cloud": "moon"}, "no cloud"), ({"rate": -1.0}, "is none"), ({"rate": None}, "needs the price")]
)
def test_an_order_that_is_none_is_refused(bad, said):
    with pytest.raises(GolfError, match=said):
        replace(ORDER, **bad)


def test_a_pod_may_fetch_the_data_itself_and_then_nothing_is_sent(pod):
    text = text_of(pod, fetching(ORDER, 8192, 2, "caseops", pod.parents[1]))
    assert "fineweb_train_000001.bin" in text and "romeerp/parameter-golf-caseops-v1" in text
    assert "fineweb_val_bytes" in text
    mounts = text.split("file_mounts:")[1].split("setup:")[0]
    assert "golf-data" not in mounts and "train_gpt.py" in mounts
    code = text.split("python3 - <<'EOF'\n")[1].split("  EOF")[0]
    compile("\n".join(line[2:] for line in code.splitlines()), "fetch", "exec")


@pytest.mark.slow
def test_skypilots_own_parser_takes_the_task_of_every_cloud(pod):
    pytest.importorskip("sky", reason="needs SkyPilot")
    for cloud in CLOUDS:
        assert validated(text_of(pod, replace(ORDER, cloud=cloud))) is None, cloud
    assert validated("resources: {accelerators: [[1]]}") is not None


def test_refused_budgets_name_what_would_pay(pod):
    plan = plan_for(pod)
    with pytest.raises(GolfError) as fault:
        refuse_budget(Order("runpod", rate=20.0, budget=2.0), plan, plan.seeds)
    refuse_budget(
        Order("runpod", rate=20.0, budget=float(str(fault.value.hint).split("`--budget ")[1].rstrip("`")) + 1),
        plan,
        plan.seeds,
    )


SMI = "550.54, 81559, 1980, 345, 34, 700.00\n" * 8
SLOW = "550.54, 81559, 1755, 345, 34, 500.00\n" * 8
LINKS = "\tLink 0: 26.562 GB/s\n" * 18 * 8


@pytest.mark.parametrize(
    ("told", "links", "states"),
    [(SMI, LINKS, ["OK"] * 4), (SLOW, LINKS[: len(LINKS) // 2], ["OK", "OK", "WARN", "WARN"])],
)
def test_clocks_power_and_links_are_those_of_an_h100(told, links, states):
    assert [one.state for one in check._smi_lines(lambda *words: links if words[0] == "nvlink" else told)] == states


def test_the_pace_is_held_against_the_record_and_a_slow_pod_is_refused():
    record = {"step_ms": 120.0, "val_bpb": 1.08}
    same, slow = check.pace_of(120.0, record), check.pace_of(132.0, record)
    assert not same.is_slow and same.cost_bpb == pytest.approx(0.0) and same.steps == 5000
    assert slow.is_slow and slow.slower == pytest.approx(0.1) and 0.002 < slow.cost_bpb < 0.01
    assert check.pace_of(100.0, {"steps": 5000}).record_step_ms == pytest.approx(120.0)
    assert check.pace_of(100.0, {}).slower is None and not check.pace_of(100.0, {}).is_slow
    assert check.measured_step_ms([(1, 9.0), (10, 10.0), (20, 11.0), (50, 14.0)]) == pytest.approx(100.0)
    with pytest.raises(GolfError, match="too few"):
        check.measured_step_ms([(1, 1.0)])


def test_the_handshake_measures_this_machine(tmp_path):
    rate = check.gemm(False, 128)
    assert rate.state == "N/A" and rate.value > 0
    free, written = check.disk(tmp_path, 8 << 20)
    assert free.value > 0 and written.value > 0
    assert {one.name: one.state for one in check.wheels()}["torch"] == "OK"
    assert check.disk(tmp_path / "none")[1].state == "FAIL"
