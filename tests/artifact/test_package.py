"""`golf package` and `golf eval` over the fake script: bytes from disk, the score alone, what is refused."""

import json
import shutil

import pytest
from packages import package_of
from run_fakes import data_of, make_project, plan_of, run_fake

from golf.artifact import ledger as ledger_module
from golf.artifact import manifest as manifest_module
from golf.artifact.alone import evaluate_alone
from golf.artifact.api import evaluate_folder
from golf.artifact.ledger import weigh
from golf.artifact.package import finished_runs
from golf.challenge import CAP_BYTES
from golf.errors import Exit, GolfError
from golf.files import sha256_of_file
from golf.reading.container import fault_of, read_meta
from golf.run.launch import torchrun
from golf.run.plan import Wishes
from golf.run.store import open_store


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("FAKE", raising=False)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.001")
    return make_project(tmp_path)


def test_a_package_weighs_from_disk_and_scores_alone_what_the_log_says(folder):
    run_fake(folder, "1337,42")
    made = package_of(folder)
    assert made.exit_code == Exit.OK and made.folder is not None
    for seed, one in zip(made.ledger.seeds, made.comparisons, strict=True):
        run = next(run for run in made.runs if run.seed == seed.seed)
        assert seed.model == (run.folder / "model.golf").stat().st_size
        assert seed.shipped_total == seed.model + (folder / "train_gpt.py").stat().st_size == seed.claimed_total
        assert one.alone.val_bpb == one.logged_bpb == run.result["val_bpb"] and one.agrees
    assert made.ledger.headroom == CAP_BYTES - max(seed.shipped_total for seed in made.ledger.seeds)


def test_the_manifest_names_every_file_with_its_true_bytes_and_hash(folder):
    run_fake(folder, "1337,42")
    made = package_of(folder)
    manifest = json.loads((made.folder / "manifest.json").read_text())
    names = {path.relative_to(made.folder).as_posix() for path in made.folder.rglob("*") if path.is_file()}
    assert {file["name"] for file in manifest["files"]} == names - {"manifest.json"}
    for file in manifest["files"]:
        path = made.folder / file["name"]
        assert (file["bytes"], file["sha256"]) == (path.stat().st_size, sha256_of_file(path))
    assert manifest["schema"] == 1 and manifest["challenge_result"] is False and manifest["fits"] is True


def test_the_artifact_is_scored_where_only_script_and_model_lie(folder, tmp_path):
    (run,) = run_fake(folder)
    spy = b"import os\nprint('golf_saw ' + ','.join(sorted(os.listdir('.'))) + ' ' + str('PYTHONPATH' in os.environ), flush=True)\n"
    seen = []
    plan = plan_of(folder)
    evaluate_alone(
        spy + (folder / "train_gpt.py").read_bytes(), run.folder / "model.golf", plan.inputs, seed=1, nproc=1,
        machine=plan.machine, on_progress=lambda progress: seen.append(list(progress.last)),
    )  # fmt: skip
    assert "golf_saw model.golf,train_gpt.py False" in seen[-1]


def test_a_score_that_is_not_the_artifacts_is_found(folder, monkeypatch):
    monkeypatch.setenv("FAKE", "score_drift")  # depends on the folder that it runs in
    run_fake(folder)
    made = package_of(folder)
    assert not made.comparisons[0].agrees and made.exit_code == Exit.RULE_BROKEN


def test_an_artifact_over_the_cap_is_neither_evaluated_nor_written(folder, monkeypatch):
    monkeypatch.setenv("FAKE", "over_bytes")
    run_fake(folder)
    made = package_of(folder)
    assert made.exit_code == Exit.OVER_BYTES and made.comparisons == () and made.folder is None
    assert made.ledger.headroom < -1_000_000


def test_the_largest_seed_decides(tmp_path):
    models = {}
    for seed, size in ((1, 100), (2, 15_999_990), (3, 5)):
        models[seed] = tmp_path / str(seed)
        models[seed].write_bytes(bytes(size))
    made = weigh(b"x" * 11, b"x" * 11, [], models, {})
    assert made.worst.seed == 2 and made.headroom == -1
    assert weigh(b"x" * 10, b"x" * 10, [], models, {}).headroom == 0


def test_every_local_file_that_the_script_reads_is_counted(folder):
    script = folder / "train_gpt.py"
    script.write_text("import helper_module\n" + script.read_text())
    plan = plan_of(folder)
    plan.set_folder.mkdir(parents=True)
    shutil.copy(script, plan.set_folder / "train_gpt.py")
    (plan.set_folder / "helper_module.py").write_text("# " + "x" * 998)
    run_fake(folder)
    made = package_of(folder)
    assert made.ledger.files == (("helper_module.py", 1000),)
    assert made.ledger.worst.shipped_total == made.ledger.worst.claimed_total + 1000


def test_code_is_packed_where_only_that_fits(folder, monkeypatch):
    (run,) = run_fake(folder)
    readable = (folder / "train_gpt.py").stat().st_size
    model = (run.folder / "model.golf").stat().st_size
    monkeypatch.setattr(ledger_module, "CAP_BYTES", model + readable - 1)
    monkeypatch.setattr(manifest_module, "CAP_BYTES", model + readable - 1)
    made = package_of(folder)
    assert made.ledger.is_packed and made.ledger.headroom >= 0 and made.exit_code == Exit.OK
    assert made.ledger.worst.raw_total == model + readable
    assert (made.folder / "train_gpt.py").stat().st_size == made.ledger.shipped_code < readable
    assert made.comparisons[0].alone.total_bytes is None and made.comparisons[0].difference_bpb == 0


def test_weighing_alone_writes_and_runs_nothing(folder):
    run_fake(folder)
    made = package_of(folder, write=False)
    assert made.folder is None and made.comparisons == ()
    assert not (plan_of(folder).set_folder / "package").exists()


@pytest.mark.parametrize("damage", ["truncate", "flip", "magic", "empty", "missing"])
def test_a_damaged_artifact_is_one_clear_error(folder, damage):
    (run,) = run_fake(folder)
    path = run.folder / "model.golf"
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        content = content[:-7]
    elif damage == "flip":
        content[len(content) // 2] ^= 0x40
    elif damage == "magic":
        content[:4] = b"PK\x03\x04"
    elif damage == "empty":
        content = bytearray()
    path.write_bytes(content) if damage != "missing" else path.unlink()
    with pytest.raises(GolfError, match=r"model\.golf") as caught:
        package_of(folder)
    assert caught.value.code == Exit.REFUSED and caught.value.hint


def test_every_flipped_bit_of_a_container_is_noticed(folder):
    (run,) = run_fake(folder)
    path = run.folder / "model.golf"
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert fault_of(path) is not None, f"byte {at}"
    for length in range(0, len(whole), 11):
        path.write_bytes(whole[:length])
        assert fault_of(path) is not None and isinstance(read_meta(path), dict)


def test_a_submission_without_finished_runs_is_refused(folder):
    plan = plan_of(folder)
    with open_store(plan.root) as store, pytest.raises(GolfError, match="no finished run") as caught:
        finished_runs(store, folder, smoke=True)
    assert caught.value.code == Exit.REFUSED


def test_a_script_that_cannot_evaluate_alone_says_why(folder, monkeypatch):
    run_fake(folder)
    monkeypatch.setenv("FAKE", "crash:eval")
    with pytest.raises(GolfError, match="could not be evaluated alone: its script ended with exit code 1") as caught:
        package_of(folder)
    assert caught.value.code == Exit.UNKNOWN and "told to crash in eval" in caught.value.message


@pytest.mark.parametrize(("asked", "by"), [(None, 1), (2, 2)])
def test_it_is_scored_by_as_many_processes_as_ran_it_unless_others_are_asked_for(folder, monkeypatch, asked, by):
    """A twin's default is two processes: what one process ran would be summed in another order."""
    (run,) = run_fake(folder)
    seen = []

    def launcher(script, nproc, cuda, phases):
        seen.append(nproc)
        return torchrun(script, 1, cuda, phases)

    monkeypatch.setattr("golf.artifact.api.find_data", lambda *_: data_of(folder.parents[1]))
    evaluate_folder(run.folder, Wishes(smoke=True, nproc=asked), launcher=launcher)
    assert seen == [by]


def no_launch(script, nproc, cuda, phases):
    raise AssertionError("nothing is to be evaluated")


def test_the_same_bytes_are_not_scored_alone_twice(folder):
    run_fake(folder, "1337,42")
    first = package_of(folder)
    second = package_of(folder, launcher=no_launch)
    assert second.kept and not first.kept and second.folder == first.folder
    assert [one.alone.val_bpb for one in second.comparisons] == [one.alone.val_bpb for one in first.comparisons]
    assert not package_of(folder, again=True).kept


@pytest.mark.parametrize("change", ["model", "shipped", "manifest", "seed", "score"])
def test_anything_that_changed_is_scored_again(folder, change):
    first, _ = run_fake(folder, "1337,42")
    place = package_of(folder).folder
    if change == "model":  # another artifact behind the package's back, whole in itself
        shutil.copy(place / "seed_42" / "model.golf", first.folder / "copy")
        (first.folder / "copy").replace(first.folder / "model.golf")
    elif change == "shipped":
        (place / "train_gpt.py").write_text("pass")
    elif change == "manifest":
        (place / "manifest.json").write_text("[]")
    elif change == "seed":
        run_fake(folder, "7")
    else:
        manifest = json.loads((place / "manifest.json").read_text())
        del manifest["alone"][0]
        (place / "manifest.json").write_text(json.dumps(manifest))
    made = package_of(folder)
    assert not made.kept and made.folder is not None
    assert made.comparisons[0].agrees == (change != "model")  # the log's score is no longer this artifact's
