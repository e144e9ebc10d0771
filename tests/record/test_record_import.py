"""`golf import` adopts anyone's record, and results only of the script that is here."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from project_of_runs import SCRIPT, log_of, make_project

from golf.board.local import local_rows
from golf.board.sides import side_of
from golf.compose.pack import pack
from golf.errors import Exit, GolfError
from golf.recipe import load_recipe
from golf.record.adopt import adopt_folder
from golf.record.elsewhere import adopt_results
from golf.run.store import open_store

SOURCE = '"""Somebody\'s script."""\nimport os\n\nSEED = int(os.environ.get("SEED", "1337"))\nprint(SEED)\n'


@pytest.fixture
def record(tmp_path: Path) -> Path:
    folder = tmp_path / "track_10min_16mb" / "2026-04-09_Some_Record"
    folder.mkdir(parents=True)
    (folder / "train_gpt.py").write_bytes(pack(SOURCE))
    for seed, bpb in ((42, 1.081), (314, 1.082)):
        (folder / f"train_seed{seed}.log").write_text(
            f"Hyperparameters:\n  seed: {seed}\n  matrix_lr: 0.022\n  vocab_size: 8192\n  world_size: 8\ntrain_shards: 80\nmodel_params:35944536\n"
            f"10/10 val_loss: 2.9 val_bpb: 1.1\nstopping_early: wallclock_cap train_time: 588119ms step: 10/20000\n"
            f"Serialized model quantized+brotli: 15976325 bytes\nTotal submission size quantized+brotli: 15992919 bytes\n"
            f"quantized_ttt val_loss:{bpb * 2.583:.8f} val_bpb:{bpb:.8f} eval_time:368074ms\n"
        )
    claims = {"author": "S. Body", "name": "Some record", "val_bpb": 1.0815, "track": "10min_16mb",
              "seed_results": {"42": {"val_bpb": 1.081}, "314": {"val_bpb": 1.082}}}  # fmt: skip
    (folder / "submission.json").write_text(json.dumps(claims))
    return folder


def test_a_record_becomes_a_submission_with_its_results(record: Path, tmp_path: Path) -> None:
    adopted = adopt_folder(record, root=tmp_path)
    assert adopted.folder == tmp_path / "submissions" / "Some_Record" and adopted.seeds == (314, 42)
    assert (adopted.folder / "train_gpt.py").read_text() == SOURCE or "SEED" in (
        adopted.folder / "train_gpt.py"
    ).read_text()
    assert (adopted.folder / "original/train_gpt.py").read_bytes() == (record / "train_gpt.py").read_bytes()
    recipe = load_recipe(adopted.folder)
    assert (recipe.title, recipe.track, recipe.authors) == ("Some record", "10min_16mb", ("S. Body",))
    assert recipe.values["vocab_size"] == 8192  # which data it reads
    assert "# matrix_lr = 0.022" in (adopted.folder / "recipe.toml").read_text()
    with open_store(tmp_path) as store:
        runs = {run.seed: run for run in store.runs("Some_Record", state="finished")}
    assert {seed: run.result["val_bpb"] for seed, run in runs.items() if run.result} == {42: 1.081, 314: 1.082}
    assert runs[42].log.read_bytes() == (record / "train_seed42.log").read_bytes()


def test_board_and_comparison_work_on_what_was_adopted(
    record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt_folder(record, "theirs", root=tmp_path)
    monkeypatch.chdir(tmp_path)
    (row,) = local_rows(tmp_path)
    assert row.score == "1.0815" and row.key.startswith("theirs/")
    side = side_of("theirs")
    assert side.config["matrix_lr"] == "0.022"  # of its log, not of the recipe
    assert set(side.seeds) == {"42", "314"} and side.script is not None and "SEED" in side.script


def test_the_adopted_script_is_bound_to_its_bytes_and_not_called_drift(record: Path, tmp_path: Path) -> None:
    from golf.compose.submission import check_submission

    folder = adopt_folder(record, "theirs", root=tmp_path).folder
    assert check_submission(folder).ok
    assert tomllib.loads((folder / "golf.lock").read_text())["golf"] == "none (adopted)"
    (folder / "train_gpt.py").write_text(SOURCE + "# changed\n")
    assert not check_submission(folder).ok


def test_a_taken_name_a_missing_script_and_a_missing_folder_are_refused(record: Path, tmp_path: Path) -> None:
    adopt_folder(record, "theirs", root=tmp_path)
    with pytest.raises(GolfError, match="is there already"):
        adopt_folder(record, "theirs", root=tmp_path)
    (record / "train_gpt.py").unlink()
    with pytest.raises(GolfError, match="no training script"):
        adopt_folder(record, "other", root=tmp_path)
    with pytest.raises(GolfError, match="no folder"):
        adopt_folder(tmp_path / "nowhere", "other", root=tmp_path)
    assert {path.name for path in (tmp_path / "submissions").iterdir()} == {"theirs"}


def test_of_two_logs_of_a_seed_the_one_that_backs_the_claim_counts(record: Path, tmp_path: Path) -> None:
    text = (record / "train_seed42.log").read_text()
    (record / "train_seed42_rerun.log").write_text(text.replace("1.08100000", "1.07000000"))
    adopted = adopt_folder(record, root=tmp_path)
    assert any("seed 42 has several runs; train_seed42.log counts" in note for note in adopted.notes)


def elsewhere(tmp_path: Path, seed: int, **changes: object) -> Path:
    folder = tmp_path / "rented" / f"seed_{seed}"
    folder.mkdir(parents=True)
    (folder / "train_gpt.py").write_bytes(SCRIPT)
    (folder / f"train_seed{seed}.log").write_text(log_of(seed, 1.1, **changes))
    (folder / "model.golf").write_bytes(b"x" * 4000)
    return folder


def test_results_of_the_same_script_are_adopted_with_their_artifacts(tmp_path: Path) -> None:
    submission = make_project(tmp_path, {})
    folder = elsewhere(tmp_path, 5, device="NVIDIA H100 80GB HBM3", world_size=8)
    adopted = adopt_results(submission, [folder / "train_seed5.log"], [folder / "model.golf"], None)
    assert adopted.seeds == (5,)
    with open_store(tmp_path) as store:
        (run,) = store.runs("mine", state="finished")
    assert (run.track, run.world_size, run.seed) == ("10min_16mb", 8, 5)
    assert (run.folder / "model.golf").stat().st_size == 4000
    with pytest.raises(GolfError, match="has a run already"):
        adopt_results(submission, [folder / "train_seed5.log"], [], None)


def test_results_of_another_script_are_refused(tmp_path: Path) -> None:
    submission = make_project(tmp_path, {})
    folder = elsewhere(tmp_path, 5)
    (folder / "train_gpt.py").write_bytes(SCRIPT + b"# other\n")
    with pytest.raises(GolfError, match=r"is not `mine`'s train_gpt\.py"):
        adopt_results(submission, [folder / "train_seed5.log"], [], None)
    (folder / "train_gpt.py").unlink()
    with pytest.raises(GolfError, match="no script to compare"):
        adopt_results(submission, [folder / "train_seed5.log"], [], None)
    assert not any(submission.glob("runs/*/seed_5"))


def test_an_artifact_of_another_size_or_of_no_seed_is_refused(tmp_path: Path) -> None:
    submission = make_project(tmp_path, {})
    folder = elsewhere(tmp_path, 5)
    (folder / "model.golf").write_bytes(b"x" * 3999)
    with pytest.raises(GolfError, match="the log of seed 5 prints 4,000"):
        adopt_results(submission, [folder / "train_seed5.log"], [folder / "model.golf"], None)
    stray = tmp_path / "model.golf"
    stray.write_bytes(b"x")
    with pytest.raises(GolfError, match="belongs to no seed"):
        adopt_results(submission, [folder / "train_seed5.log"], [stray], None)


def test_unfinished_logs_and_a_seed_twice_are_refused(tmp_path: Path) -> None:
    submission = make_project(tmp_path, {})
    folder = elsewhere(tmp_path, 5)
    shutil.copy(folder / "train_seed5.log", folder / "again.log")
    with pytest.raises(GolfError, match="is seed 5, as is"):
        adopt_results(submission, [folder / "train_seed5.log", folder / "again.log"], [], None)
    (folder / "cut.log").write_text(log_of(6, 1.1)[:400])
    with pytest.raises(GolfError, match="no finished run"):
        adopt_results(submission, [folder / "cut.log"], [], None)


def test_an_imported_script_is_never_composed_over(tmp_path, monkeypatch):
    from golf.cli.pages.compose import targets
    from golf.compose.submission import compose_submission
    from golf.record.adopt import lock_text

    folder = tmp_path / "submissions" / "theirs"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text('name = "theirs"\n')
    (folder / "train_gpt.py").write_text("print('theirs')\n")
    (folder / "golf.lock").write_text(lock_text("theirs", b"print('theirs')\n"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GolfError, match="was imported") as refused:
        compose_submission(folder)
    assert refused.value.code == Exit.REFUSED
    assert (folder / "train_gpt.py").read_text() == "print('theirs')\n"
    assert targets(None, every=True) == []
