"""`golf run` over the fake script: what it keeps, what it refuses, what it says."""

import os
import signal
import sys
import threading
from dataclasses import replace

import pytest
from run_fakes import data_of, is_running, make_project, plan_of, run_fake, source_of

from golf.cli.pages.live import LiveView, PlainView
from golf.errors import Exit, GolfError
from golf.run.advice import advice_for, concerns_every_seed, last_words, reason_of, tail
from golf.run.launch import ELASTIC, PHASES, environment, torchrun
from golf.run.lines import Progress
from golf.run.machine import Machine, slots_of
from golf.run.plan import Wishes, for_the_data, make_plan, parse_seeds
from golf.run.processes import tree
from golf.run.report import make_report, remarks_of
from golf.run.session import Session
from golf.run.store import open_store
from golf.run.view import describe


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("FAKE", raising=False)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.001")
    return make_project(tmp_path)


def runs(folder):
    with open_store(folder.parents[1]) as store:
        return store.runs("mine")


def test_every_seed_leaves_log_artifact_and_a_finished_row(folder):
    finished = run_fake(folder, "1337,42,7")
    assert [run.seed for run in finished] == [1337, 42, 7]
    for run in finished:
        assert run.state == "finished" and run.exit_code == 0
        assert run.folder.name == f"seed_{run.seed}"
        assert (run.folder / "model.golf").is_file() and (run.folder / "float.golf").is_file()
        assert f"seed:{run.seed}\n" in run.log.read_text()
        assert run.result["seed"] == run.seed and run.result["steps"] == 20
    assert (finished[0].folder.parent / "train_gpt.py").read_bytes() == (folder / "train_gpt.py").read_bytes()
    assert finished[0].set_id.endswith("-smoke") and finished[0].set_id[:12] == finished[0].script_sha256[:12]


def test_metrics_of_every_step_are_kept(folder):
    (run,) = run_fake(folder)
    with open_store(folder.parents[1]) as store:
        assert [step for step, _ in store.metrics(run.id, "train_loss")] == list(range(1, 21))


def test_a_finished_seed_is_kept_and_not_run_again(folder):
    (first,) = run_fake(folder)
    (second,) = run_fake(folder)
    assert second.id == first.id and len(runs(folder)) == 1


def test_again_runs_it_once_more_and_keeps_the_former_run(folder):
    (first,) = run_fake(folder)
    (second,) = run_fake(folder, again=True)
    former, latest = runs(folder)
    assert latest.id == second.id != first.id
    assert former.folder.name == "seed_1337.1" and former.log.is_file() and former.result == first.result


def test_other_iterations_are_another_run(folder):
    run_fake(folder)
    (second,) = run_fake(folder, iterations=5)
    assert second.result["steps"] == 5


def test_a_script_that_prints_another_seed_fails_the_run(folder, monkeypatch):
    monkeypatch.setenv("FAKE", "wrong_seed")
    with pytest.raises(GolfError, match="asked for seed 42, the script printed seed 1337") as caught:
        run_fake(folder, "42")
    assert caught.value.code == Exit.RULE_BROKEN
    assert runs(folder)[0].state == "failed"


def test_a_script_that_ignores_its_seed_is_found_out_by_equal_losses(folder, monkeypatch):
    monkeypatch.setenv("FAKE", "ignore_seed")
    with pytest.raises(GolfError, match="seeds 1337 and 42 of mine end with the same losses") as caught:
        run_fake(folder, "1337,42")
    assert caught.value.code == Exit.RULE_BROKEN


@pytest.mark.parametrize(("phase", "state"), [("train", "started"), ("export", "trained"), ("eval", "exported")])
def test_a_crash_is_told_with_its_last_lines_and_resumed_where_it_was(folder, monkeypatch, capsys, phase, state):
    monkeypatch.setenv("FAKE", f"crash:{phase}")
    with pytest.raises(GolfError, match="exit code 1") as caught:
        run_fake(folder, "42")
    assert caught.value.code == Exit.UNKNOWN
    assert ("--resume" in caught.value.hint) == (state != "started")
    assert f"told to crash in {phase}" in capsys.readouterr().err
    monkeypatch.delenv("FAKE")
    (run,) = run_fake(folder, "42", resume=True)
    assert run.result["val_bpb"] is not None and run.result["steps"] == 20
    marks = [line for line in run.log.read_text().splitlines() if line.startswith("golf_phase")]
    assert marks.count("golf_phase train") == 1


def test_an_abort_after_the_result_is_a_remark_and_not_the_end_of_the_run(folder, monkeypatch, capsys):
    monkeypatch.setenv("FAKE", "abort")
    first, second = run_fake(folder, "1337,42")
    assert first.state == second.state == "finished" and first.exit_code == -signal.SIGABRT
    assert first.result["remarks"] == ["its result was complete, then its script was ended by signal 6 (SIGABRT)"]
    assert "then its script was ended by signal 6" in capsys.readouterr().err
    with open_store(folder.parents[1]) as store:
        assert "seed 42: its result was complete, then" in " ".join(remarks_of(make_report(store, [first, second])))


@pytest.mark.parametrize("lacking", ["no_result", "torn_artifact"])
def test_an_abort_without_a_whole_result_is_the_end_of_the_run(folder, monkeypatch, lacking):
    monkeypatch.setenv("FAKE", f"abort,{lacking}")
    with pytest.raises(GolfError, match="signal 6"):
        run_fake(folder)
    assert runs(folder)[0].state == "failed"


@pytest.mark.slow
def test_a_rank_that_aborts_after_the_result_is_a_remark(folder, monkeypatch):
    monkeypatch.setenv("FAKE", "abort")
    (run,) = run_fake(folder, nproc=2)
    assert run.state == "finished" and run.exit_code == 1
    assert run.result["remarks"] == [
        "its result was complete, then a worker of its script was ended by signal 6 (SIGABRT)"
    ]
    assert not list(run.folder.glob(f"{ELASTIC}*"))


def test_a_script_that_does_not_end_after_its_result_is_ended_and_finished(folder, monkeypatch):
    monkeypatch.setenv("FAKE", "linger")
    monkeypatch.setattr("golf.run.watch.LINGER_SECONDS", 0.5)
    (run,) = run_fake(folder)
    assert run.state == "finished" and "was ended" in run.result["remarks"][0]
    assert not is_running(run.pid)


def test_a_seed_that_was_killed_does_not_keep_the_next_ones_from_running(folder, monkeypatch, capsys):
    monkeypatch.setenv("FAKE", "kill:eval")
    monkeypatch.setenv("FAKE_SEED", "42")
    with pytest.raises(GolfError, match="seed 42 of mine has no result: its script was ended by signal 9") as caught:
        run_fake(folder, "1337,42,7")
    assert caught.value.code == Exit.UNKNOWN
    assert "going on with 7" in capsys.readouterr().err
    assert {run.seed: run.state for run in runs(folder)} == {1337: "finished", 42: "failed", 7: "finished"}


@pytest.mark.parametrize("fault", ["crash:eval", "kill:train"])
def test_what_every_seed_would_meet_starts_no_other_and_says_so(folder, monkeypatch, capsys, fault):
    """An exception of the script's own, or a death before the first step."""
    monkeypatch.setenv("FAKE", fault)
    with pytest.raises(GolfError, match="seed 1337 of mine has no result"):
        run_fake(folder, "1337,42,7")
    assert "not started: 42, 7; these seeds would meet the same" in capsys.readouterr().err
    assert [run.seed for run in runs(folder)] == [1337]


def test_the_result_of_a_resumed_run_knows_what_the_dead_process_measured(folder, monkeypatch):
    monkeypatch.setenv("FAKE", "crash:eval")
    with pytest.raises(GolfError):
        run_fake(folder)
    monkeypatch.delenv("FAKE")
    (run,) = run_fake(folder, resume=True)
    assert run.result["phases"] == ["eval"]
    assert run.result["steps"] == 20 and run.result["train_seconds"] > 0 and run.result["train_loss"] > 0


def test_a_trained_checkpoint_is_not_given_up_unasked(folder, monkeypatch):
    monkeypatch.setenv("FAKE", "crash:eval")
    with pytest.raises(GolfError):
        run_fake(folder)
    monkeypatch.delenv("FAKE")
    with pytest.raises(GolfError, match="was trained, then") as caught:
        run_fake(folder)
    assert caught.value.code == Exit.REFUSED and "--resume" in caught.value.hint


def test_a_damaged_checkpoint_is_not_resumed_from(folder, monkeypatch):
    monkeypatch.setenv("FAKE", "crash:eval")
    with pytest.raises(GolfError):
        run_fake(folder)
    monkeypatch.delenv("FAKE")
    checkpoint = runs(folder)[0].folder / "float.golf"
    content = bytearray(checkpoint.read_bytes())
    content[-9] ^= 1
    checkpoint.write_bytes(content)
    (run,) = run_fake(folder, resume=True)
    assert run.result["phases"] == ["train", "export", "eval"]


def test_silence_ends_a_run_as_over_time(folder, monkeypatch):
    monkeypatch.setenv("FAKE", "hang:eval")
    with pytest.raises(GolfError, match="printed nothing for") as caught:
        run_fake(folder, stall_seconds=0.5)
    assert caught.value.code == Exit.OVER_TIME


def test_a_training_clock_beyond_its_cap_ends_the_run(folder, monkeypatch):
    monkeypatch.setenv("FAKE", "slow_clock")
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.1")
    with pytest.raises(GolfError, match="training clock reads") as caught:
        run_fake(folder, max_wallclock_seconds=60)
    assert caught.value.code == Exit.OVER_TIME


def test_a_run_without_a_result_line_is_not_finished(folder, monkeypatch):
    monkeypatch.setenv("FAKE", "no_result")
    with pytest.raises(GolfError, match="without its `golf_result` line"):
        run_fake(folder)


def test_a_torn_artifact_is_not_a_finished_run(folder, monkeypatch):
    monkeypatch.setenv("FAKE", "torn_artifact")
    with pytest.raises(GolfError, match=r"model\.golf has .* bytes where its header says"):
        run_fake(folder)


def test_ctrl_c_ends_the_script_and_leaves_the_run_stopped(folder, monkeypatch):
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.2")
    pids = []

    def interrupt_when_noted(point):
        if point == "noted":
            with open_store(folder.parents[1]) as store:
                pids.append(store.runs("mine")[0].pid)
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        run_fake(folder, at=interrupt_when_noted)
    (run,) = runs(folder)
    assert run.state == "stopped" and run.stop_reason == "stopped by you"
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_a_second_golf_is_refused_while_the_first_runs(folder, monkeypatch):
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    seen = []

    def try_again(point):
        if point == "noted":
            with pytest.raises(GolfError, match="being run by another golf") as caught:
                run_fake(folder)
            seen.append(caught.value.code)

    run_fake(folder, at=try_again)
    assert seen == [Exit.REFUSED]


@pytest.mark.parametrize("text", ["", "a", "1,,2", "1;2", "1.5", "-1", str(1 << 32), "7,7", "42, 42"])
def test_seed_lists_that_are_none_are_refused(text):
    with pytest.raises(GolfError) as caught:
        parse_seeds(text)
    assert caught.value.code == Exit.USAGE and "--seeds" in caught.value.hint


def plan_with(folder, machine, **wishes):
    changes = wishes.pop("source", {})
    source = source_of(folder, smoke=wishes.get("smoke", False), **changes)

    def no_data():
        raise AssertionError("the refusal comes before the data is looked at")

    return make_plan(folder.parents[1], source, Wishes(**wishes), machine, no_data)


def test_a_full_size_run_on_a_cpu_is_refused_with_the_way_out(folder):
    with pytest.raises(GolfError, match="full-size run of mine on cpu") as caught:
        plan_with(folder, Machine((), 2))
    assert caught.value.code == Exit.REFUSED and "--smoke" in caught.value.hint


@pytest.mark.parametrize(("nproc", "gpus"), [(3, 0), (16, 0), (5, 8), (4, 2)])
def test_a_world_size_that_cannot_be_is_refused(folder, nproc, gpus):
    with pytest.raises(GolfError) as caught:
        plan_with(folder, Machine(("NVIDIA H100 80GB HBM3",) * gpus, 8), nproc=nproc, smoke=True)
    assert caught.value.code == Exit.REFUSED and "--nproc" in caught.value.hint


@pytest.mark.parametrize(
    ("gpus", "cores", "wishes", "nproc"),
    [
        (0, 2, {"smoke": True}, 2),
        (0, 64, {"smoke": True}, 2),
        (0, 1, {"smoke": True}, 1),
        (0, 2, {"smoke": True, "nproc": 1}, 1),
        (0, 2, {"smoke": True, "parallel": 2}, 1),
        (0, 2, {"iterations": 5}, 1),
        (1, 2, {"smoke": True}, 1),
        (8, 2, {"smoke": True}, 8),
    ],
)
def test_a_twin_on_a_cpu_is_shared_by_two_processes(folder, gpus, cores, wishes, nproc):
    machine = Machine(("NVIDIA H100 80GB HBM3",) * gpus, cores)
    data = data_of(folder.parents[1])
    plan = make_plan(folder.parents[1], source_of(folder), Wishes(**wishes), machine, lambda: data)
    assert plan.nproc == nproc


def test_what_a_rule_forbids_runs_only_when_allowed_by_name(folder):
    ruled_out = {"ruling": ("R01", "R38")}
    with pytest.raises(GolfError, match="ruled out by R38") as caught:
        plan_with(folder, Machine((), 2), smoke=True, source=ruled_out)
    assert caught.value.code == Exit.REFUSED and "--allow R38" in caught.value.hint
    with pytest.raises(AssertionError, match="before the data"):
        plan_with(folder, Machine((), 2), smoke=True, source=ruled_out, allow=("R38",))


def test_a_full_disk_is_refused_before_start(folder, monkeypatch):
    monkeypatch.setattr("golf.run.plan.free_bytes", lambda path: 1000)
    with pytest.raises(GolfError, match="on disk; 0 MB are free") as caught:
        run_fake(folder)
    assert caught.value.code == Exit.REFUSED and runs(folder) == []


def test_the_script_sees_our_seed_and_no_stale_names(folder):
    plan = plan_of(folder)
    stale = {"SEED": "5", "ITERATIONS": "3", "RANK": "1", "WORLD_SIZE": "8", "PATH": "/bin", "MASTER_PORT": "1"}
    env = environment(plan.inputs, 42, "id", plan.machine, 1, stale)
    assert env["SEED"] == "42" and env["PATH"] == "/bin" and env["MAX_WALLCLOCK_SECONDS"] == "0"
    assert {"ITERATIONS", "RANK", "WORLD_SIZE", "MASTER_PORT"} & set(env) == set()
    assert env["OMP_NUM_THREADS"] == "1"  # a CPU runs small twins: one thread a process


def test_torchrun_is_used_for_gpus_and_for_several_processes(tmp_path):
    assert "torch.distributed.run" in torchrun(tmp_path / "s.py", 1, True, PHASES)
    assert "--nproc_per_node=2" in torchrun(tmp_path / "s.py", 2, False, PHASES)
    assert torchrun(tmp_path / "s.py", 1, False, ("export", "eval"))[1:] == [str(tmp_path / "s.py"), "export", "eval"]


TORCHRUN_DEATH = """step:1/20 train_loss:1.0 train_time:1ms step_avg:1.00ms
[rank1]: Traceback (most recent call last):
[rank1]:   File "train_gpt.py", line 9, in <module>
[rank1]:     main()
[rank1]:   File "train_gpt.py", line 3, in main
[rank1]:     assert fits, "the tokenizer has 1024 pieces, not 8192"
[rank1]: AssertionError: the tokenizer has 1024 pieces, not 8192
E1122 torch/distributed/elastic/multiprocessing/api.py:874] failed (exitcode: 1) local_rank: 1 (pid: 5) of binary: python
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
""".splitlines()


def test_of_a_torchrun_death_the_first_cause_is_told():
    assert last_words(TORCHRUN_DEATH) == "AssertionError: the tokenizer has 1024 pieces, not 8192"
    shown = tail(TORCHRUN_DEATH)
    assert shown[0].startswith("step:1/20") and shown[-1].startswith("AssertionError") and len(shown) == 4
    assert "Traceback" not in "".join(shown)


def test_seeds_run_side_by_side_and_are_kept_as_if_one_by_one(folder, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    finished = run_fake(folder, "1337,42,7", parallel=2)
    assert [run.seed for run in finished] == [1337, 42, 7] and {run.state for run in finished} == {"finished"}
    first, second, third = finished
    assert second.started_at < first.finished_at and third.started_at >= min(first.finished_at, second.finished_at)
    assert "2 seeds at a time" in capsys.readouterr().err
    assert {run.result["val_loss"] for run in run_fake(folder, "1337,42,7", again=True)} == {
        run.result["val_loss"] for run in finished
    }


def test_side_by_side_a_crash_starts_no_further_seed_and_lets_the_living_end(folder, monkeypatch, capsys):
    monkeypatch.setenv("FAKE", "crash:eval")
    monkeypatch.setenv("FAKE_SEED", "1337")
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    with pytest.raises(GolfError, match="seed 1337 of mine has no result"):
        run_fake(folder, "1337,42,7,8", parallel=2)
    states = {run.seed: run.state for run in runs(folder)}
    assert states[1337] == "failed" and states[42] == "finished" and 8 not in states
    assert "these seeds would meet the same" in capsys.readouterr().err


def test_side_by_side_every_seed_sees_gpus_of_its_own(monkeypatch, folder):
    four = Machine(gpus=("NVIDIA H100",) * 4, cores=8)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert slots_of(four, 2, 2) == [("0", "1"), ("2", "3")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6,7")
    assert slots_of(four, 3, 1) == [("3",), ("5",), ("6",)]
    plan = plan_of(folder)
    assert environment(plan.inputs, 1, "id", four, 1, {}, ("5",))["CUDA_VISIBLE_DEVICES"] == "5"
    assert environment(plan.inputs, 1, "id", four, 1, {"CUDA_VISIBLE_DEVICES": "3"})["CUDA_VISIBLE_DEVICES"] == "3"
    with pytest.raises(GolfError, match="3 seeds of 2 processes at a time on 4 GPUs") as caught:
        make_plan(folder, source_of(folder), Wishes(smoke=True, parallel=3, nproc=2), four, lambda: None)
    assert caught.value.code == Exit.REFUSED and "--parallel 2" in caught.value.hint


SIGABRT_OF_A_WORKER = """E1122 failed (exitcode: -6) local_rank: 1 (pid: 5) of binary: python
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
Failures:
[1]:
  traceback : Signal 15 (SIGTERM) received by PID 4
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  traceback : Signal 6 (SIGABRT) received by PID 5
""".splitlines()


def progress_of(lines):
    progress = Progress()
    for line in lines:
        progress.read(line)
    return progress


def test_a_worker_that_a_signal_ended_is_told_by_its_signal_and_concerns_no_other_seed():
    progress = progress_of(["step:1/20 train_loss:1.0 train_time:1ms step_avg:1.00ms", *SIGABRT_OF_A_WORKER])
    assert reason_of(1, progress) == "a worker of its script was ended by signal 6 (SIGABRT)"
    assert last_words(progress.last) is None and not concerns_every_seed(progress)
    assert concerns_every_seed(progress_of(TORCHRUN_DEATH))


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("FileNotFoundError: no shards ./data/fineweb_train_*.bin", "golf data prove"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "memory is full"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("torch.distributed.DistBackendError: NCCL error\nncclUnhandledCudaError: Call failed", "talk to each other"),
        ("IndexError: index 9 is out of bounds", None),
    ],
)
def test_the_cause_is_read_from_the_exception_and_from_no_other_line(folder, words, hint):
    """Every log names the validation shards and may name anything else; only the exception says what ended the script."""
    (run,) = run_fake(folder)
    talk = [
        "val_loader:shards pattern=x/fineweb_val_*.bin tokens:9",
        "note: No space left on device, CUDA out of memory",
    ]
    trace = ["Traceback (most recent call last):", '  File "train_gpt.py", line 9, in evaluate']
    given = advice_for(run, progress_of([*talk, *trace, *words.splitlines()]), trained=False)
    assert (hint in given) if hint else given == f"the whole log: {run.log}"
    assert advice_for(run, progress_of([*talk, *SIGABRT_OF_A_WORKER]), trained=False) == f"the whole log: {run.log}"


def test_without_a_traceback_the_last_lines_are_shown():
    assert tail([f"line {i}" for i in range(50)]) == [f"line {i}" for i in range(38, 50)] and last_words(["a"]) is None


LAUNCHER = """
import subprocess, sys
sys.exit(subprocess.Popen([sys.executable, *sys.argv[1:]], start_new_session=True).wait())
"""


def test_workers_that_outlive_their_launcher_are_ended(folder, monkeypatch):
    monkeypatch.setenv("FAKE", "hang:export")
    launcher = folder / "launcher.py"
    launcher.write_text(LAUNCHER)
    workers = []

    def kill_launcher_when_trained(point):
        if point == "trained":
            with open_store(folder.parents[1]) as store:
                pid = store.runs("mine")[0].pid
            workers.extend(set(tree(pid)) - {pid})
            os.kill(pid, signal.SIGKILL)

    plan = plan_of(folder)
    launch = lambda script, nproc, cuda, phases: [sys.executable, str(launcher), str(script), *phases]  # noqa: E731
    with open_store(plan.root) as store, pytest.raises(GolfError, match="ended by signal 9"):
        Session(plan, store, PlainView(), launch, kill_launcher_when_trained, grace_seconds=1.0).run()
    assert len(workers) == 1 and not is_running(workers[0])


def test_the_live_line_shows_phase_step_and_score(folder, capsys):
    view = LiveView()
    shown = []
    plain_progress = view.progress
    view.progress = lambda progress: (shown.append(describe(progress)), plain_progress(progress))
    plan = plan_of(folder)
    with open_store(plan.root) as store:
        Session(plan, store, view).run()
    assert "step 20/20" in shown[-1] and shown[-1].startswith("eval") and "final bpb" in shown[-1]
    assert "seed 1337 (1 of 1) of mine on cpu" in capsys.readouterr().err


def test_a_small_twin_takes_the_vocabulary_of_its_data(folder, monkeypatch):
    """Never a larger one than its recipe's, and no full size follows."""
    source = replace(source_of(folder), script=b"class h:\n    vocab_size = 1024\n", full_vocab_size=4096)
    for found, taken in ((1024, 1024), (4096, 4096), (2048, 2048), (8192, 1024)):
        monkeypatch.setattr("golf.data.source.vocabulary_of_data", lambda *_, found=found: found)
        twin = for_the_data(source, Wishes(smoke=True), folder)
        assert twin.vocab_size == taken and twin.script == f"class h:\n    vocab_size = {taken}\n".encode()
    assert for_the_data(source, Wishes(), folder) is source
