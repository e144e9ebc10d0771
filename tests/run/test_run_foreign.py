"""`golf import`, then run, verify, compare and the board, on scripts that golf did not compose: one per dialect of log."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from run_fakes import CPU, data_of

from golf.artifact.api import package_submission
from golf.board.compare import compare
from golf.board.local import local_rows
from golf.board.sides import side_of
from golf.cli.pages.live import PlainView
from golf.compose.pack import pack
from golf.errors import Exit, GolfError
from golf.record import Wishes as RecordWishes
from golf.record import write_record
from golf.record.adopt import adopt_folder
from golf.record.check import check_folder
from golf.rules import verify_folder
from golf.run.api import Wishes, run_submission
from golf.run.report import remarks_of
from golf.run.status import standings
from golf.run.store import open_store

# no phases, no golf_result; a helper that it imports, a table that it opens where it is started
HEAD = '''"""Somebody's script."""
import os
import sys
import time
from pathlib import Path

from losses import loss_at

SEED = int(os.environ.get("SEED", "1337"))
ITERATIONS = int(os.environ.get("ITERATIONS", "20"))
FAULT = os.environ.get("FOREIGN", "")
SCALE = float(Path("tables/scale.csv.in").read_text())
CODE = len(Path(__file__).read_bytes())
assert not sys.argv[1:], sys.argv
if "data" in FAULT:
    print("data:", os.environ["DATA_DIR"], Path(os.environ["DATA_DIR"], "datasets/fineweb10B_sp1024").resolve())
shown = 1337 if FAULT == "other_seed" else SEED
used = 5 if FAULT == "same" else SEED
'''
V1 = """
if FAULT != "no_seed":
    print(f"seed:{shown}")
print("model_params:17059912")
print(f"train_batch_tokens:1024 train_seq_len:128 iterations:{ITERATIONS} warmup_steps:0 max_wallclock_seconds:600.000")
for step in range(1, ITERATIONS + 1):
    loss = loss_at(step, used) * SCALE
    print(f"step:{step}/{ITERATIONS} train_loss:{loss:.4f} train_time:{step * 20}ms step_avg:20.00ms", flush=True)
    time.sleep(3600 if FAULT == "hang" else 0)
print(f"step:{ITERATIONS}/{ITERATIONS} val_loss:{loss:.4f} val_bpb:{loss / 2:.4f} train_time:{ITERATIONS * 20}ms step_avg:20.00ms")
if FAULT == "crash":
    raise RuntimeError("told to crash")
print("Serialized model: 67224983 bytes")
print(f"Code size: {CODE} bytes")
print("Serialized model int8+zlib: 15000000 bytes (payload:1 raw_torch:1 payload_ratio:3.91x)")
print(f"Total submission size int8+zlib: {15000000 + CODE} bytes")
if FAULT != "no_score":
    print(f"final_int8_zlib_roundtrip val_loss:{loss + 0.01:.4f} val_bpb:{(loss + 0.01) / 2:.4f} eval_time:99ms")
    print(f"final_int8_zlib_roundtrip_exact val_loss:{loss + 0.01:.8f} val_bpb:{(loss + 0.01) / 2:.8f}")
"""
V2 = """
print("Hyperparameters:")
if FAULT != "no_seed":
    print(f"  seed: {shown}")
print(f"  iterations: {ITERATIONS}\\n  matrix_lr: 0.022\\n  vocab_size: 1024\\n  world_size: 1")
print("train_shards: 80\\nmodel_params:35944536")
for step in range(1, ITERATIONS + 1):
    loss = loss_at(step, used) * SCALE
    print(f"{step}/{ITERATIONS} train_loss: {loss:.4f} train_time: 0.1m tok/s: 8000000", flush=True)
    time.sleep(3600 if FAULT == "hang" else 0)
print(f"{ITERATIONS}/{ITERATIONS} val_loss: {loss:.4f} val_bpb: {loss / 2:.4f}")
if FAULT == "crash":
    raise RuntimeError("told to crash")
print(f"Code size: {CODE} bytes")
print("Serialized model quantized+brotli: 15000000 bytes")
print(f"Total submission size quantized+brotli: {15000000 + CODE} bytes")
if FAULT != "no_score":
    print(f"quantized val_loss:{loss + 0.02:.8f} val_bpb:{(loss + 0.02) / 2:.8f} eval_time:99ms")
    print(f"quantized_sliding_window val_loss:{loss + 0.01:.8f} val_bpb:{(loss + 0.01) / 2:.8f} eval_time:99ms")
"""
HELPER = "def loss_at(step, seed):\n    return 1 + 6 * 0.9**step + (seed % 97) * 1e-4\n"
SCRIPTS = {"v1": (HEAD + V1).encode(), "v2": pack(HEAD + V2)}


@pytest.fixture(params=["v1", "v2"])
def record(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record folder with two seeds' logs, in a project without GPUs; v2 is packed."""
    for name in ("FOREIGN", "SEED", "ITERATIONS"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "track_10min_16mb" / "2026-04-09_Theirs"
    (folder / "tables").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (folder / "train_gpt.py").write_bytes(SCRIPTS[request.param])
    (folder / "losses.py").write_text(HELPER)
    (folder / "tables" / "scale.csv.in").write_text("1.0\n")
    (folder / "README.md").write_text("# Theirs\n")
    for seed in (42, 314):
        env = {**os.environ, "SEED": str(seed)}
        ran = subprocess.run(
            [sys.executable, "-B", "train_gpt.py"], cwd=folder, env=env, capture_output=True, text=True, check=True
        )
        (folder / f"train_seed{seed}.log").write_text(ran.stdout)
        (folder / f"console_{seed}.txt").write_text(
            ran.stdout
        )  # a log by another name is no file that the script reads
    claims = {"author": "S. Body", "name": "Theirs", "val_bpb": 1.0, "track": "10min_16mb"}
    (folder / "submission.json").write_text(json.dumps(claims))
    monkeypatch.setattr("golf.run.api.find_data", lambda vocab_size, wishes, root, side_car=None: data_of(root))
    monkeypatch.setattr("golf.run.api.this_machine", lambda: CPU)
    adopt_folder(folder, "theirs", root=tmp_path)
    monkeypatch.chdir(tmp_path)
    return folder


def run_theirs(seeds="42,7", **wishes):
    return run_submission("theirs", Wishes(seeds=seeds, **{"iterations": 20, **wishes}), view=PlainView())


def stored(state=None):
    with open_store(Path.cwd()) as store:
        return [run for run in store.runs("theirs", state) if run.set_id.endswith("-here")]


def test_an_imported_script_runs_as_it_came_and_its_log_gives_the_result(record):
    report = run_theirs()
    assert [run.seed for run in report.runs] == [42, 7]
    for run in report.runs:
        loss = 1 + 6 * 0.9**20 + run.seed % 97 * 1e-4 + 0.01
        assert run.state == "finished" and run.exit_code == 0 and run.track == "local"
        assert (run.folder.parent / "train_gpt.py").read_bytes() == (record / "train_gpt.py").read_bytes()
        result = run.result
        assert (result["val_bpb"], result["seed"], result["steps"]) == (pytest.approx(loss / 2, abs=1e-8), run.seed, 20)
        assert (result["device"], result["world_size"]) == ("cpu", 1)
        # the helper is code that counts, whatever the script's own line says
        assert result["code_bytes"] == len((record / "train_gpt.py").read_bytes()) + len(HELPER)
        assert result["total_bytes"] == 15_000_000 + len((record / "train_gpt.py").read_bytes())
        assert any("the score is that of line" in remark for remark in result["remarks"])
        assert any("bytes of code" in remark for remark in result["remarks"])
    assert any(remark.startswith("seed 42: the score is that of line") for remark in remarks_of(report))


def test_what_ships_lies_beside_the_script_and_evidence_does_not(record):
    (run, _) = run_theirs().runs
    for folder in (run.folder, run.folder.parent):
        assert (folder / "losses.py").read_text() == HELPER and (folder / "tables/scale.csv.in").is_file()
    names = {path.name for path in run.folder.iterdir()} - {"__pycache__"}
    assert names == {"train_gpt.py", "losses.py", "tables", "data", "train_seed42.log"}
    assert {path.name for path in Path("submissions/theirs").iterdir()} == {
        *("train_gpt.py", "losses.py", "tables", "original", "recipe.toml", "golf.lock", "runs")
    }


def test_scripts_that_read_data_dir_find_the_data_too(record, monkeypatch):
    monkeypatch.setenv("FOREIGN", "data")
    monkeypatch.setenv("DATA_DIR", "/elsewhere")
    (run,) = run_theirs("7").runs
    assert f"data: ./data/ {Path('data').resolve()}\n" in run.log.read_text()


def test_what_was_measured_here_is_not_one_sample_with_what_was_imported(record):
    run_theirs()
    with open_store(Path.cwd()) as store:
        imported = [run for run in store.runs("theirs", "finished") if not run.set_id.endswith("-here")]
    assert {run.seed: run.folder.name for run in imported} == {42: "seed_42", 314: "seed_314"}
    here, came = sorted(local_rows(Path.cwd()), key=lambda row: not row.key.endswith("-here"))
    assert set(here.seeds) == {"42", "7"} and set(came.seeds) == {"42", "314"}
    assert (here.track, came.track) == ("local", "10min_16mb")


def test_verify_and_compare_read_what_ran(record):
    run_theirs()
    verdict = verify_folder(Path("submissions/theirs"), only=["static", "log"], quick=True)
    assert verdict.findings and not [one for one in verdict.findings if "failed:" in one.message]
    mine, theirs = side_of("theirs"), side_of(str(record))
    assert set(mine.seeds) == {"42", "7"} and set(theirs.seeds) == {"42", "314"}
    assert mine.seeds["42"] == theirs.seeds["42"]  # the same script and seed: the same numbers
    assert mine.script == theirs.script and "loss_at" in (mine.script or "")
    comparison = compare(mine, theirs)
    assert comparison.a.label.startswith("theirs")


def test_a_finished_seed_is_kept(record):
    (first,) = run_theirs("7").runs
    (second,) = run_theirs("7").runs
    assert first.id == second.id
    (third,) = run_theirs("7", again=True).runs
    assert third.id != first.id and len(stored("finished")) == 2


@pytest.mark.parametrize(
    ("fault", "said", "code"),
    [
        ("crash", "exit code 1: RuntimeError: told to crash", Exit.UNKNOWN),
        ("no_score", "its log has no final score", Exit.UNKNOWN),
        ("other_seed", "asked for seed 7, the script printed seed 1337", Exit.RULE_BROKEN),
    ],
)
def test_a_run_without_a_final_score_of_its_own_seed_has_no_result(record, monkeypatch, fault, said, code):
    monkeypatch.setenv("FOREIGN", fault)
    with pytest.raises(GolfError, match=said) as caught:
        run_theirs("7")
    assert caught.value.code == code
    (run,) = stored()
    assert run.state == "failed" and run.result is None
    monkeypatch.delenv("FOREIGN")
    (again,) = run_theirs("7", resume=True).runs  # nothing to go on from: it starts again
    assert again.state == "finished" and {one.folder.name for one in stored()} == {"seed_7", "seed_7.1"}


def test_a_seed_that_is_not_printed_is_unknown_and_one_that_does_nothing_is_found_out(record, monkeypatch):
    monkeypatch.setenv("FOREIGN", "no_seed")
    (run,) = run_theirs("7").runs
    assert run.result["seed"] is None and any("prints no seed" in remark for remark in run.result["remarks"])
    monkeypatch.setenv("FOREIGN", "same")
    with pytest.raises(GolfError, match="end with the same losses"):
        run_theirs("8,9")


def test_a_foreign_run_that_nobody_saw_end_is_stopped_not_finished(record):
    from golf.run.resume import settle

    (run,) = run_theirs("7").runs
    with open_store(Path.cwd()) as store:
        store.forget([run.id])
        orphan = store.start(folder=run.folder, submission="theirs", set_id=run.set_id, seed=7,
                             script_sha256=run.script_sha256, track="local")  # fmt: skip
        assert [(one.id, one.state) for one in settle(store, "theirs")] == [(orphan.id, "stopped")]


def test_ctrl_c_stops_it_and_the_next_run_starts_again(record, monkeypatch):
    import signal

    monkeypatch.setenv("FOREIGN", "hang")
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run_theirs("7")
    timer.join()
    assert [run.state for run in stored()] == ["stopped"]
    (standing,) = (one for one in standings(Path.cwd(), "theirs") if one.run.set_id.endswith("-here"))
    assert "start it again with `golf run theirs`" in standing.note and "--resume" not in standing.note
    monkeypatch.delenv("FOREIGN")
    assert run_theirs("7", resume=True).runs[0].result["steps"] == 20


def test_small_twins_unbounded_runs_on_a_cpu_and_edited_scripts_are_refused(record):
    for wishes, said in (
        ({"smoke": True}, "was imported: golf knows no sizes"),
        ({"iterations": None}, "full-size run"),
    ):
        with pytest.raises(GolfError, match=said) as caught:
            run_theirs("7", **wishes)
        assert caught.value.code == Exit.REFUSED and "`--iterations N` or" in (caught.value.hint or "")
    script = Path("submissions/theirs/train_gpt.py")
    script.write_text(script.read_text() + "# changed\n")
    with pytest.raises(GolfError, match="was edited since it was imported") as caught:
        run_theirs("7")
    assert caught.value.code == Exit.REFUSED and stored() == []


def test_package_says_that_an_import_has_nothing_to_export(record):
    run_theirs("7")
    with pytest.raises(GolfError, match="was imported") as caught:
        package_submission("theirs", Wishes(), view=PlainView())
    assert caught.value.code == Exit.REFUSED and "`golf record theirs`" in (caught.value.hint or "")


def test_its_record_ships_what_its_authors_put_beside_it(record):
    (record / "prepare.py").write_text("print('makes the data')\n")
    adopt_folder(record, "again", root=Path.cwd())
    for name in ("theirs", "again"):
        run_submission(name, Wishes(seeds="42,7,314", iterations=20), view=PlainView())
    folder = write_record(Path("submissions/theirs"), RecordWishes(author=("A", "a"), date="2026-04-20", verify=False))
    assert (folder / "losses.py").read_text() == HELPER and (folder / "tables" / "scale.csv.in").is_file()
    readme, claims = (folder / "README.md").read_text(), json.loads((folder / "submission.json").read_text())
    assert "as its authors wrote it" in readme and "`losses.py`: read by the script" in readme
    assert claims["bytes_code"] == len((folder / "train_gpt.py").read_bytes()) + len(HELPER)
    assert "losses" not in (folder / "requirements.txt").read_text()
    assert [one for one in check_folder(folder).findings if one.severity in ("high", "medium")] == []
    env = {**os.environ, "SEED": "1"}
    subprocess.run([sys.executable, "-B", "train_gpt.py"], cwd=folder, capture_output=True, env=env, check=True)
    folder = write_record(Path("submissions/again"), RecordWishes(author=("A", "a"), date="2026-04-20", verify=False))
    assert "`prepare.py`: its authors' own" in (folder / "README.md").read_text()
