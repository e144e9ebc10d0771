"""`golf import` adopts anyone's record, and results only of the script that is here."""

import json
import shutil
import time
import tomllib
from pathlib import Path

import pytest
from project_of_runs import SCRIPT, log_of, make_project

from golf.board.local import local_rows
from golf.board.sides import side_of
from golf.compose.pack import pack
from golf.errors import Exit, GolfError
from golf.reading.needs import needs_of
from golf.recipe import load_recipe
from golf.record.adopt import adopt_folder
from golf.record.claims import hardware, why_local
from golf.record.elsewhere import Stated, adopt_results, hardware_of, seeds_given
from golf.record.write import Wishes, plan_record, write_record
from golf.run.store import Store, open_store

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
    (folder / f"train_seed{seed}.log").write_text(
        log_of(seed, 1.1, **{"params": 17_059_912, **changes})
    )  # of the baseline
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


PACKED_NEEDS = """import torch
import sentencepiece
from flash_attn_interface import flash_attn_func
try:
    import triton
except ImportError:
    triton = None


def main():
    if not torch.cuda.is_available():
        raise RuntimeError("CUDA is required")


main()
"""


def test_what_golf_says_of_an_import_is_its_own_script_and_results(
    record: Path, tmp_path: Path, monkeypatch, golf
) -> None:
    """size, show and compose speak of the script and the results that came, or say unknown; nothing of the empty recipe."""
    (record / "train_gpt.py").write_bytes(pack(PACKED_NEEDS))
    folder = adopt_folder(record, "theirs", root=tmp_path).folder
    monkeypatch.chdir(tmp_path)
    code, out, _ = golf("size theirs --json")
    said = json.loads(out)
    assert code == 0 and said["size"]["shipped_bytes"] == (record / "train_gpt.py").stat().st_size
    assert said["size"]["readable_bytes"] == (folder / "train_gpt.py").stat().st_size
    assert said["artifact"]["total_bytes_max"] == 15992919
    assert [one["seed"] for one in said["results"]] == [42, 314]
    code, out, _ = golf("show theirs --json")
    shown = json.loads(out)
    assert shown["techniques"] is None and shown["author"] == "S. Body" and shown["date"] == "2026-04-09"
    assert shown["needs"] == ["CUDA", "FlashAttention 3"]
    for line in (
        "size theirs --memory",
        "show theirs --params",
        "compose theirs",
        "compose theirs num_layers=3",
        "size baseline --vs theirs --no-artifact",
    ):
        code, _, err = golf(line)
        assert code == Exit.REFUSED and "was imported" in err, line
    code, _, err = golf("compose --check theirs")
    assert code == 0 and "as it came" in err and "golf compose theirs" not in err
    code, out, _ = golf("leaderboard --status local --json")
    (row,) = json.loads(out)["rows"]
    assert (row["author"], row["date"], row["source"]) == ("S. Body", "2026-04-09", "imported results")


def test_a_log_of_another_script_is_refused_by_what_it_states(tmp_path: Path) -> None:
    """Code bytes, vocabulary, hyper-parameters and parameters of the log, whatever --script says."""
    submission = make_project(tmp_path, {})
    for changes, message in (
        ({"code_bytes": 157_868}, "157,868 bytes of code"),
        ({"vocab_size": 8192}, "vocabulary is 8,192"),
        ({"params": 35_945_671, "code_bytes": None}, "35,945,671 parameters, the recipe's model has 17,059,912"),
    ):
        folder = elsewhere(tmp_path / str(len(message)), 5, **changes)
        with pytest.raises(GolfError, match=message):
            adopt_results(submission, [folder / "train_seed5.log"], [], None)
    folder = elsewhere(tmp_path / "hyper", 5)
    log = folder / "train_seed5.log"
    log.write_text("Hyperparameters:\n  num_layers: 11\n  qk_gain_init: 1.5\nmodel_params:123456\n" + log.read_text())
    with pytest.raises(GolfError, match=r"num_layers=11 \(here 9\)"):
        adopt_results(submission, [log], [], None)
    assert not any(submission.glob("runs/*/seed_5"))


def test_hardware_and_seeds_are_stated_where_no_log_names_them(record: Path, tmp_path: Path) -> None:
    stated = Stated(hardware_of("8x NVIDIA H100 80GB HBM3"))
    adopted = adopt_folder(record, root=tmp_path, stated=stated)
    with open_store(tmp_path) as store:
        runs = store.runs(adopted.folder.name, state="finished")
    assert {(run.device, run.world_size) for run in runs} == {("NVIDIA H100 80GB HBM3", 8)}
    assert all("hardware stated by hand" in run.result["remarks"][0] for run in runs if run.result)
    plan = plan_record(adopted.folder, Wishes(author=("A", "a"), date="2026-04-09"))
    assert plan.evidence.track == "10min_16mb" and "H100" in hardware(plan.evidence)
    with pytest.raises(GolfError, match="8 ranks ran, not 4"):
        adopt_folder(record, "again", root=tmp_path, stated=Stated(hardware_of("4x NVIDIA H100 80GB HBM3")))
    for text in ("H100", "0x H100", "8x "):
        with pytest.raises(GolfError, match="names no machine"):
            hardware_of(text)
    assert seeds_given("1337, 42") == (1337, 42)
    for text in ("", "a", "1,1", "1,"):
        with pytest.raises(GolfError, match="no list of different seeds"):
            seeds_given(text)


def test_hardware_that_nobody_names_is_unknown_and_not_another(record: Path, tmp_path: Path) -> None:
    """The record is local until somebody states it, and says so; `not on 8xH100` would be a lie."""
    adopted = adopt_folder(record, root=tmp_path)
    assert any("names its hardware" in note for note in adopted.notes)
    evidence = plan_record(adopted.folder, Wishes(author=("A", "a"))).evidence
    assert (
        evidence.track == "local"
        and "no log of seed" in why_local(evidence)
        and "not on 8xH100" not in why_local(evidence)
    )
    stated = plan_record(adopted.folder, Wishes(author=("A", "a"), hardware=(8, "NVIDIA H100 80GB HBM3"))).evidence
    assert stated.track == "10min_16mb"


def test_a_log_without_a_seed_and_one_with_three_are_adopted(record: Path, tmp_path: Path) -> None:
    """Each run of a file is stored with its own lines; the one without a seed under the one given by hand."""
    texts = [(record / f"train_seed{seed}.log").read_text() for seed in (42, 314)]
    for path in record.glob("*.log"):
        path.unlink()
    (record / "all.log").write_text("".join(texts))
    (record / "more.log").write_text(texts[0].replace("  seed: 42\n", "").replace("1.08100000", "1.08300000"))
    (record / "submission.json").write_text(json.dumps({"author": "S. Body", "val_bpb": 1.082}))
    adopted = adopt_folder(record, root=tmp_path, stated=Stated(seeds=(7,)))
    with open_store(tmp_path) as store:
        runs = {run.seed: run for run in store.runs(adopted.folder.name, state="finished")}
    assert {seed: run.result["val_bpb"] for seed, run in runs.items() if run.result} == {
        42: 1.081,
        314: 1.082,
        7: 1.083,
    }
    assert runs[42].log.read_text() == texts[0] and runs[314].log.read_text() == texts[1]


def test_the_static_look_takes_a_tenth_of_a_second(tmp_path: Path) -> None:
    """Of a script as large as the largest public ones; what a `try` catches is no need."""
    script = tmp_path / "train_gpt.py"
    body = "".join(
        f"def f{n}(x):\n    return [x + {n} * y for y in range({n}) if y % 3 == {n % 3}]\n\n\n" for n in range(2200)
    )
    script.write_text(body + PACKED_NEEDS)
    begun = time.process_time()
    needs = needs_of(script)
    taken = time.process_time() - begun
    assert needs.text == "needs CUDA and FlashAttention 3" and needs.cuda and "triton" not in (needs.imports or ())
    assert needs.lacking(has_cuda=False)[0] == "CUDA" and "FlashAttention 3" in needs.lacking(has_cuda=True)
    assert len(script.read_bytes()) > 150_000 and taken < 2.0  # 0.1 s where nothing else runs


def test_an_import_that_cannot_start_here_is_refused_before_it_does(
    record: Path, tmp_path: Path, monkeypatch, golf, tiny_data: Path
) -> None:
    (record / "train_gpt.py").write_text(PACKED_NEEDS)
    for path in record.glob("*.log"):
        path.write_text(path.read_text().replace("vocab_size: 8192", "vocab_size: 384"))
    adopt_folder(record, "theirs", root=tmp_path)
    monkeypatch.chdir(tmp_path)
    code, _, err = golf(
        f"run theirs --iterations 3 --data-path {tiny_data} --tokenizer-path {next(tiny_data.glob('*.model'))}"
    )
    assert code == Exit.REFUSED and "cannot start here: needs CUDA" in err, err


def test_a_record_of_an_import_is_its_authors_and_of_its_own_day(record: Path, tmp_path: Path) -> None:
    """So it is held against the record of the days before it, not against today's."""
    adopted = adopt_folder(record, root=tmp_path)
    plan = plan_record(adopted.folder, Wishes())
    assert plan.date == "2026-04-09" and plan.author == ("S. Body", "S. Body")
    assert plan.folder.name == "2026-04-09_Some_Record"
    assert plan_record(adopted.folder, Wishes(date="2026-04-20", author=("A", "a"))).author == ("A", "a")


def test_what_was_removed_by_hand_can_be_imported_again(record: Path, tmp_path: Path) -> None:
    """The store still had its runs: the second import said that the store was damaged, and left one seed of two."""
    for _ in range(2):
        adopted = adopt_folder(record, root=tmp_path)
        with open_store(tmp_path) as store:
            runs = store.runs("Some_Record")
        assert [(run.seed, run.state) for run in runs] == [(314, "finished"), (42, "finished")]
        shutil.rmtree(adopted.folder)


def test_an_import_that_fails_leaves_no_half(record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that fills up at its second run."""
    start, started = Store.start, []

    def full(self: Store, **columns: object) -> object:
        started.append(columns)
        if len(started) == 2:
            raise GolfError("the run store cannot be used: disk full")
        return start(self, **columns)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "start", full)
    with pytest.raises(GolfError, match="disk full"):
        adopt_folder(record, root=tmp_path)
    assert not list((tmp_path / "submissions").iterdir())
    monkeypatch.undo()
    assert adopt_folder(record, root=tmp_path).seeds == (314, 42)


def test_hardware_that_only_the_claim_names_is_quoted(record: Path, tmp_path: Path) -> None:
    claims = json.loads((record / "submission.json").read_text())
    (record / "submission.json").write_text(json.dumps({**claims, "hardware": "8xH100 80GB SXM"}))
    assert any("(submission.json says '8xH100 80GB SXM')" in note for note in adopt_folder(record, root=tmp_path).notes)


def test_the_torch_that_only_the_claim_names_is_quoted_as_a_claim(record: Path, tmp_path: Path) -> None:
    """The table of the environment left it out, and requirements.txt pinned this machine's."""
    claims = json.loads((record / "submission.json").read_text())
    (record / "submission.json").write_text(json.dumps({**claims, "pytorch_version": "2.9.1+cu128"}))
    (record / "train_gpt.py").write_bytes(
        pack(SOURCE.replace("import os", "import os\nimport torch") + "print(torch)\n")
    )
    folder = write_record(adopt_folder(record, root=tmp_path).folder, Wishes(verify=False))
    assert (
        "| torch | 2.9.1+cu128 (its authors' submission.json; no log names one) |" in (folder / "README.md").read_text()
    )
    assert (folder / "requirements.txt").read_text() == "torch==2.9.1\n"
    assert json.loads((folder / "submission.json").read_text())["pytorch_version"] == "2.9.1+cu128"


def test_a_record_is_verified_under_the_name_that_it_gets(record: Path, tmp_path: Path) -> None:
    """R09 was told of the folder that it was written in: `.2026-04-09_Some_Record.15020.tmp`."""
    stated = Wishes(hardware=(8, "NVIDIA H100 80GB HBM3"))
    folder = write_record(adopt_folder(record, root=tmp_path).folder, stated)
    text = (folder / "README.md").read_text()
    assert f"| PASS | records/track_10min_16mb/{folder.name} |" in text and f".{folder.name}." not in text
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
