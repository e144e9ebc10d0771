"""The commands around a run, over the fake script: what they print, their exit codes, and that no mistake ends in a traceback."""

import json
import shutil
import sys
from types import SimpleNamespace

import pytest
from run_fakes import data_of, make_project

from golf.cli import main
from golf.errors import GolfError
from golf.run.machine import Machine
from golf.run.store import open_store


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in the current folder, whose recipe and data are stand-ins."""
    monkeypatch.delenv("FAKE", raising=False)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.001")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "project"
    folder = make_project(root)
    monkeypatch.chdir(folder)
    recipe = SimpleNamespace(name="fake", seeds=(1337, 42), ruling=("R38",), track="10min_16mb", values={})
    monkeypatch.setattr("golf.run.source.load", lambda folder: recipe)
    monkeypatch.setattr("golf.run.source.check_drift", lambda folder, smoke=False: None)
    monkeypatch.setattr("golf.run.source.small_twin", lambda recipe, script: script)
    for module in ("golf.run.api", "golf.artifact.api"):
        monkeypatch.setattr(f"{module}.find_data", lambda vocab_size, wishes, root, side_car=None: data_of(root))
        monkeypatch.setattr(f"{module}.this_machine", lambda: Machine((), 2))
    return root


@pytest.fixture
def golf(monkeypatch, capsys):
    """Runs a command line; (exit code, stdout, stderr)."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["golf", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err, err
        return ended.value.code or 0, out, err

    return call


RUN = ("run", "--smoke", "--nproc", "1", "--allow", "R38")  # the fake knows of no ranks


def test_run_without_a_name_runs_the_submission_of_the_folder(project, golf):
    code, out, err = golf(*RUN)
    assert code == 0
    table = out.splitlines()
    assert [line.split()[0] for line in table] == ["seed", "1337", "42", "mean", "sd"]
    assert "not a challenge result" in err and "headroom" in err


def test_mean_and_sample_sd_are_those_of_the_seeds(project, golf):
    _, out, _ = golf(*RUN, "--seeds", "1,2,3", "--json")
    report = json.loads(out)
    values = [seed["result"]["val_bpb"] for seed in report["seeds"]]
    mean = sum(values) / 3
    assert report["schema"] == 1 and report["val_bpb"]["n"] == 3
    assert report["val_bpb"]["mean"] == pytest.approx(mean, abs=1e-15)
    assert report["val_bpb"]["sd"] == pytest.approx((sum((v - mean) ** 2 for v in values) / 2) ** 0.5, rel=1e-12)
    assert report["track"] == "local" and report["challenge_result"] is False
    assert {verdict["state"] for verdict in report["seeds"][0]["clocks"]["verdicts"]} == {"N/A"}


def test_the_exit_code_of_a_set_over_the_cap_is_3(project, golf, monkeypatch):
    monkeypatch.setenv("FAKE", "over_bytes")
    code, _, err = golf(*RUN, "--seeds", "1")
    assert code == 3 and "over the cap" in err
    code, _, err = golf("package", "mine")
    assert code == 3 and "over the cap" in err and "not evaluated, not written" in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("run", "nobody"), 2, "no submission `nobody`"),
        (("run", "--smoke"), 10, "ruled out by R38"),
        (("run", "--allow", "R38"), 10, "add `--smoke`"),
        ((*RUN, "--seeds", "x"), 2, "seeds are whole numbers"),
        ((*RUN, "--seeds", "7,7"), 2, "asked for 2 times"),
        ((*RUN, "--nproc", "3"), 10, "do not divide"),
        ((*RUN, "--dry-run", "--rate", "-1"), 2, "is not a number above 0"),
        (("package",), 10, "no finished run"),
        (("package", "one", "two"), 2, "one submission at a time"),
        (("watch",), 2, "no run in"),
        (("eval", "."), 10, "no model.golf"),
        (("eval", "nowhere"), 2, "no folder nowhere"),
        (("eval", ".", "--mode", "ttt"), 10, "no model.golf"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_way_out_and_exit_code(project, golf, words, code, said):
    found, out, err = golf(*words)
    assert found == code and said in err and out == ""
    assert ("error: " in err and "hint:  " in err) or "Try 'golf run -h' for help." in err


def test_a_submission_without_a_script_is_refused(project, golf):
    (project / "submissions" / "mine" / "train_gpt.py").unlink()
    code, _, err = golf(*RUN)
    assert code == 10 and "golf compose mine" in err


def test_a_failed_seed_is_told_with_its_log_and_exit_code_6(project, golf, monkeypatch):
    monkeypatch.setenv("FAKE", "crash:export")
    code, _, err = golf(*RUN, "--seeds", "5")
    assert code == 6 and "told to crash in export" in err and "--resume" in err and "train_seed5.log" in err
    monkeypatch.delenv("FAKE")
    _, out, _ = golf("status")
    assert "failed" in out and "golf run mine --smoke --resume" in out
    code, _, err = golf(*RUN, "--seeds", "5", "--resume")
    assert code == 0 and "goes on with export and eval" in err


def test_a_dry_run_starts_nothing_and_counts_the_dollars(project, golf):
    code, out, _ = golf("run", "--allow", "R38", "--iterations", "9", "--dry-run", "--rate", "36", "--json")
    plan = json.loads(out)
    assert code == 0 and [row["what"] for row in plan["seeds"]] == ["fresh", "fresh"]
    assert plan["dollars"] == pytest.approx(sum(row["seconds"] for row in plan["seeds"]) * 36 / 3600)
    assert not (project / "submissions" / "mine" / "runs").exists() and not (project / ".golf").exists()


def test_status_of_a_fresh_project_makes_no_store(project, golf):
    code, out, err = golf("status")
    assert code == 0 and out == "" and "nothing was run here yet" in err
    assert not (project / ".golf").exists()


def test_status_shows_a_run_whose_processes_are_gone_as_killed(project, golf):
    golf(*RUN, "--seeds", "1")
    with open_store(project) as store:
        (run,) = store.runs()
        store.start(folder=run.folder.with_name("seed_2"), seed=2, submission="mine", set_id=run.set_id,
                    script_sha256="x", track="local", smoke=True)  # fmt: skip
    _, out, _ = golf("status", "--json")
    first, second = json.loads(out)["runs"]
    assert first["state"] == "finished" and first["result"]["seed"] == 1
    assert second["state"] == "killed" and second["stored_state"] == "started"
    assert "golf run mine --smoke --resume" in second["note"]


def test_watch_once_shows_the_latest_run(project, golf):
    golf(*RUN, "--seeds", "1")
    code, out, _ = golf("watch", "--once")
    assert code == 0 and out.startswith("mine seed 1  finished") and "final bpb" in out
    _, out, _ = golf("watch", "--json")
    assert json.loads(out)["step"] == 20


def test_package_and_eval_agree_with_the_log(project, golf):
    golf(*RUN, "--seeds", "1")
    code, out, _ = golf("package", "--json")
    package = json.loads(out)
    assert code == 0 and package["smoke"] is True and package["alone"][0]["difference_bpb"] == 0
    (folder,) = (project / "submissions" / "mine" / "runs").glob("*/package")
    code, out, _ = golf("eval", str(folder.parent / "seed_1"), "--json")
    assert code == 0 and json.loads(out)["val_bpb"] == package["alone"][0]["val_bpb"]


def test_seeds_that_ran_with_other_options_are_not_packaged_together(project, golf):
    golf(*RUN, "--seeds", "1")
    golf(*RUN, "--seeds", "2", "--iterations", "5")
    code, _, err = golf("package")
    assert code == 10 and "ran differently" in err


def test_clean_keeps_every_finished_log_unless_told(project, golf):
    golf(*RUN, "--seeds", "1")
    golf(*RUN, "--seeds", "1", "--again")
    set_folder = next((project / "submissions" / "mine" / "runs").iterdir())
    code, _, _ = golf("clean", "--dry-run", "--runs", "--cache", "--checkpoints")
    assert code == 0 and (set_folder / "seed_1.1" / "float.golf").exists()
    code, out, _ = golf("clean", "--json")
    assert code == 0 and {kind["kind"]: kind["goes"] for kind in json.loads(out)["kinds"]}["leftovers"] is True
    assert not (set_folder / "seed_1.1" / "float.golf").exists()
    assert (set_folder / "seed_1.1" / "train_seed1.log").exists() and (set_folder / "seed_1" / "float.golf").exists()
    golf("clean", "--checkpoints")
    assert not (set_folder / "seed_1" / "float.golf").exists() and (set_folder / "seed_1" / "model.golf").exists()
    golf("clean", "--runs")
    assert not set_folder.exists()
    with open_store(project) as store:
        assert store.runs() == []


def test_a_run_whose_folder_was_removed_by_hand_is_told_and_forgotten(project, golf):
    golf(*RUN)
    with open_store(project) as store:
        first, second = store.runs()
    shutil.rmtree(first.folder)
    lines = golf("status")[1].splitlines()
    assert [("its folder is gone; `golf clean` forgets it" in line) for line in lines[1:]] == [True, False]
    assert golf("clean")[0] == 0
    with open_store(project) as store:
        assert store.runs() == [second]


def test_a_damaged_store_is_told_by_every_command(project, golf):
    golf(*RUN, "--seeds", "1")
    (project / ".golf" / "golf.db").write_bytes(b"garbage" * 1000)
    for words in ((*RUN, "--seeds", "1"), ("status",), ("watch",), ("package",), ("clean",)):
        code, _, err = golf(*words)
        assert code == 10 and "is damaged" in err, words


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(project, golf, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("golf.run.api.Session", lambda *args, **more: SimpleNamespace(run=interrupted))
    code, _, err = golf(*RUN)
    assert code == 130 and "golf run --smoke --resume" in err


def test_help_of_every_command_here_has_an_example_and_help_for_every_option(golf):
    for verb in ("run", "status", "watch", "package", "eval", "clean"):
        code, out, _ = golf(verb, "--help")
        assert code == 0 and f"$ golf {verb}" in out
        with pytest.raises(GolfError):
            raise GolfError("the error class is the only one that users see")
