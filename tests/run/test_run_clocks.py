"""Clocks and their two readings, the log as it grows, processes and their trees."""

import subprocess
import sys
import time

import pytest
from run_fakes import is_running

from golf.files import Lock, is_locked
from golf.parts.log import RESULT_FIELDS
from golf.run.clocks import Clocks, Limits, clocks_of, is_overrun, judge, limits_for, readings_differ
from golf.run.lines import Follower, Progress, merge_results, read_log
from golf.run.machine import Machine, this_machine
from golf.run.processes import end, tree
from golf.run.view import describe, part_done


def states(clocks, track="10min_16mb"):
    return {(verdict.clock, verdict.reading): verdict.state for verdict in judge(clocks, track)}


def clocks(training, calibration=None, evaluation=100.0, eval_wall=120.0):
    return Clocks(1.0, training, calibration, 2.0, 20.0, evaluation, eval_wall)


# official records (rules.md R05, R06): seconds of training and calibration; strict and as merged
@pytest.mark.parametrize(
    ("training", "calibration", "strict", "merged"),
    [
        (590.0, None, "PASS", "PASS"),
        (600.0, 0.0, "PASS", "PASS"),
        (600.137, None, "FAIL", "PASS"),  # the longest merged one
        (599.56, 3.5, "FAIL", "PASS"),  # #1787
        (588.0, 12.7, "FAIL", "PASS"),  # #1493
        (592.05, 3.5, "PASS", "PASS"),  # #1868's rerun
        (602.048, None, "FAIL", "FAIL"),  # #1945 v1, rerun on demand
        (None, None, "UNKNOWN", "UNKNOWN"),
    ],
)
def test_training_is_judged_by_both_readings(training, calibration, strict, merged):
    found = states(clocks(training, calibration))
    assert (found["training", "strict"], found["training", "as merged"]) == (strict, merged)


@pytest.mark.parametrize(
    ("evaluation", "wall", "strict", "merged"),
    [(508.8, 646.4, "FAIL", "PASS"), (610.0, 640.0, "FAIL", "FAIL"), (500.0, 590.0, "PASS", "PASS"), (500.0, None, "UNKNOWN", "PASS")],
)  # fmt: skip
def test_evaluation_is_judged_by_both_readings(evaluation, wall, strict, merged):
    found = states(clocks(590.0, 0.0, evaluation, wall))
    assert (found["evaluation", "strict"], found["evaluation", "as merged"]) == (strict, merged)


def test_a_verdict_that_depends_on_the_reading_is_named():
    assert readings_differ(judge(clocks(599.56, 3.5), "10min_16mb")) == ["training"]
    assert readings_differ(judge(clocks(590.0), "10min_16mb")) == []


def test_only_what_no_reading_saves_is_an_overrun():
    assert is_overrun(judge(clocks(700.0), "10min_16mb"))
    assert not is_overrun(judge(clocks(599.56, 3.5), "10min_16mb"))


@pytest.mark.parametrize("track", ["local", "non_record_16mb"])
def test_clocks_decide_nothing_off_the_ten_minute_track(track):
    assert set(states(clocks(7000.0), track).values()) == {"N/A"}


def test_six_clocks_come_from_the_result():
    result = {"setup_seconds": 1, "train_seconds": 2, "calibration_seconds": 3, "serialization_seconds": 4,
              "compile_seconds": 5, "eval_seconds": 6}  # fmt: skip
    assert clocks_of(result, 7.0) == Clocks(1, 2, 3, 4, 5, 6, 7.0)


def test_limits_name_what_ran_out():
    limits = Limits(train_seconds=630, eval_seconds=900, stall_seconds=60)
    assert limits.overrun(630.0, 900.0, 60.0) is None
    assert "training clock" in limits.overrun(630.1, None, 0.0)
    assert "evaluation has taken" in limits.overrun(None, 900.5, 0.0)
    assert "printed nothing" in limits.overrun(None, None, 60.5)


def test_evaluation_is_limited_on_the_contests_machine_only():
    assert limits_for(contest=True, cap_seconds=None, stall_seconds=9).eval_seconds == 900
    assert limits_for(contest=False, cap_seconds=None, stall_seconds=9).eval_seconds is None
    assert limits_for(contest=False, cap_seconds=0.0, stall_seconds=9).train_seconds is None


def test_eight_h100_sxm_are_the_contests_machine():
    eight = Machine(("NVIDIA H100 80GB HBM3",) * 8, 64)
    assert eight.is_contest(8) and not eight.is_contest(4)
    assert not Machine(("NVIDIA H100 PCIe",) * 8, 64).is_contest(8)
    assert not Machine(("NVIDIA A100",) * 8, 64).is_contest(8)
    assert not Machine((), 8).is_contest(8)


def test_hidden_gpus_are_no_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert this_machine().gpus == () and this_machine().device == "cpu"


LOG = """model_params:17059912
world_size:8 grad_accum_steps:1
train_batch_tokens:524288 train_seq_len:1024 iterations:20000 warmup_steps:20 max_wallclock_seconds:600.000
seed:1337
golf_phase train
warmup_step:20/20
step:0/20000 val_loss:6.9357 val_bpb:4.1077 train_time:0ms step_avg:0.01ms
step:200/20000 train_loss:2.9370 train_time:8724ms step_avg:43.62ms
step:13764/20000 val_loss:2.0567 val_bpb:1.2172 train_time:600061ms step_avg:43.60ms
stopping_early: wallclock_cap train_time:600061ms step:13764/20000
peak memory allocated: 10184 MiB reserved: 10624 MiB
golf_phase export
Total submission size int8+zlib: 15872848 bytes
golf_phase eval
final_int8_zlib_roundtrip val_loss:2.0741 val_bpb:1.2284 eval_time:5599ms
final_int8_zlib_roundtrip_exact val_loss:2.07405347 val_bpb:1.22837129
"""


def test_the_challenges_own_lines_are_understood(tmp_path):
    path = tmp_path / "log"
    path.write_text(LOG)
    found = read_log(path)
    assert (found.phase, found.seed, found.world_size, found.params) == ("eval", 1337, 8, 17059912)
    assert (found.cap_seconds, found.iterations, found.step) == (600.0, 20000, 13764)
    assert (found.train_seconds, found.step_ms, found.train_loss) == (600.061, 43.62, 2.937)
    assert (found.val_bpb, found.score_bpb, found.score_loss) == (1.2172, 1.22837129, 2.07405347)
    assert (found.stop_reason, found.peak_memory_mib, found.total_bytes) == ("wallclock_cap", 10184, 15872848)
    assert found.result() is None  # no golf_result line: nothing is finished
    assert part_done(found) == 1.0 and "final bpb 1.2284" in describe(found)


@pytest.mark.parametrize("cut", range(0, len(LOG), 37))
def test_a_log_cut_anywhere_is_read_without_a_fault(tmp_path, cut):
    path = tmp_path / "log"
    path.write_bytes(LOG.encode()[:cut] + b"\xff\x00golf_result {")
    found = read_log(path)
    assert found.results == [] and describe(found)


def test_a_line_is_read_once_and_only_when_it_is_whole(tmp_path):
    path = tmp_path / "log"
    follower = Follower(path)
    assert follower.lines() == []
    path.write_bytes(b"seed:1")
    assert follower.lines() == []
    with path.open("ab") as file:
        file.write("337\r\nμ".encode())
    assert follower.lines() == ["seed:1337"]
    assert follower.lines(to_end=True) == ["μ"]


def test_results_of_several_processes_become_one():
    first = {"phases": ["train"], "steps": 5, "val_bpb": None, "setup_seconds": 1.0, "model_bytes": 7}
    second = {"phases": ["export", "eval"], "steps": None, "val_bpb": 1.2, "setup_seconds": 9.0, "model_bytes": 8}
    merged = merge_results([first, second])
    assert merged.keys() >= RESULT_FIELDS.keys()
    assert {name: value for name, value in merged.items() if value is not None} == {
        "phases": ["train", "export", "eval"],
        "steps": 5,
        "val_bpb": 1.2,
        "setup_seconds": 1.0,
        "model_bytes": 8,
    }


def test_a_nan_loss_is_read_as_one():
    progress = Progress()
    progress.read("step:3/9 train_loss:nan train_time:5ms step_avg:1.67ms")
    assert progress.step == 3 and progress.train_loss != progress.train_loss


def test_a_lock_is_held_by_whoever_inherits_it(tmp_path):
    lock = Lock(tmp_path / "lock")
    assert lock.take() and is_locked(lock.path) and not Lock(lock.path).take()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=(lock.handle,))
    lock.release()
    assert is_locked(lock.path)
    child.kill()
    child.wait()
    assert not is_locked(lock.path) and not is_locked(tmp_path / "none")
    assert not (tmp_path / "none").exists()


NESTED = """
import os, signal, subprocess, sys, time
if len(sys.argv) > 1:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    depth = int(sys.argv[1])
    if depth:
        subprocess.Popen([sys.executable, __file__, str(depth - 1)], start_new_session=True)
    print(os.getpid(), flush=True)
    time.sleep(600)
"""


def test_a_whole_tree_ends_though_each_has_its_own_session_and_ignores_sigterm(tmp_path):
    script = tmp_path / "nested.py"
    script.write_text(NESTED)
    process = subprocess.Popen([sys.executable, str(script), "2"], stdout=subprocess.PIPE, text=True)
    pids = [int(process.stdout.readline()) for _ in range(3)]
    assert set(pids) == set(tree(process.pid))
    end(process, grace_seconds=0.3)
    deadline = time.monotonic() + 5
    while any(is_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(pid) for pid in pids)
    process.stdout.close()
