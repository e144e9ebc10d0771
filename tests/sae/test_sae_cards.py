"""What is told of a finished run to others: students beside the floors, upload folders and cards, CE-Bench among the tasks."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from sae_runs import VOCABULARY, WIDTH, WINDOW, tiny_source, write_run
from task_files import HELLASWAG_ROWS, LAMBADA_ROWS, write
from typer.testing import CliRunner, Result

from golf.cli.sae import app
from golf.errors import Exit, GolfError
from golf.sae.ce_bench import bound
from golf.sae.files import load_dictionary
from golf.sae.floors import calibrate
from golf.sae.report import gather
from golf.sae.streams import held_out
from golf.sae.student import Distillation, Student, distance, train_student
from golf.sae.upload import without_paths

PAIRS = [
    {"story1": f"{a} swims in a lake", "story2": f"{a} flies over a hill", "subject_title": s}
    for a, s in (("a cat", "cats"), ("the cat", "cats"), ("a dog", "dogs"), ("my dog", "dogs"))
]


@pytest.fixture(autouse=True)
def tiny_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("evaluate", "model_tasks", "model_card", "student_floors"):
        monkeypatch.setattr(f"golf.sae.{module}.open_source", lambda spec, **_: tiny_source())
    monkeypatch.setattr("golf.figures.png.find_spec", lambda name: None)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A measured run with a report."""
    folder = write_run(tmp_path_factory.mktemp("cards") / "mine", snapshots=(1000, 4000))
    config = json.loads((folder / "config.json").read_text())
    config["source"]["spec"] = "golf:/home/somebody/submissions/big/float.golf"
    config["data"] = {"name": "/home/somebody/web.jsonl"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("golf.sae.evaluate.open_source", lambda spec, **_: tiny_source())
        patch.setattr("golf.figures.png.find_spec", lambda name: None)
        assert golf_sae("eval", folder, "--tokens", "960", "--features", "0").exit_code == 0
        assert golf_sae("report", folder).exit_code == 0
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def golf_sae(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def fault_of(*arguments: object) -> GolfError:
    fault = golf_sae(*arguments).exception
    assert isinstance(fault, GolfError)
    return fault


# ---- students --------------------------------------------------------------------------------------------------------------


def test_a_student_learns_its_teacher_and_a_wider_one_learns_more() -> None:
    source = tiny_source()
    text = held_out(source, 640)
    choices = Distillation(tokens=60_000, batch_tokens=512, lr=2e-2)
    narrow, wide = (train_student(source, source.tokens("train"), width, text, choices) for width in (1, WIDTH))
    begin = distance(source, Student(VOCABULARY, WIDTH, 2, WINDOW), text)
    assert wide["nats"] < 0.25 * narrow["nats"] < 0.25 * begin
    last = [nats for _, nats in wide["evaluations"]][-(len(wide["evaluations"]) // 10) :]
    assert (
        wide["nats"] == pytest.approx(sum(last) / len(last)) and len(wide["evaluations"]) == 59
    )  # every second of 117, and the last
    half = next(nats for step, nats in wide["evaluations"] if step >= 59)
    assert wide["fell"] == pytest.approx(1 - wide["evaluations"][-1][1] / half)


def test_distance_is_the_divergence_of_the_predictions() -> None:
    source, student = tiny_source(), Student(VOCABULARY, 4, 2, WINDOW)
    text = held_out(source, 320)
    with torch.no_grad():
        p, q = (one(text.ids[:, :-1]).double().log_softmax(-1) for one in (source.logits, student))
    assert distance(source, student, text) == pytest.approx(float((p.exp() * (p - q)).sum(-1).mean()), rel=1e-5)


def test_floors_stand_beside_students_that_were_trained(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in run.glob("*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "config.json").write_text(json.dumps({"source": {"spec": "tiny"}, "settings": {"seq_len": WINDOW}}))
    before = json.loads(golf_sae("floor", folder, "--json").stdout)
    assert before["students"] is None and all(row["student_nats"] is None for row in before["floors"])
    made = golf_sae("floor", folder, "--train-students", "--tokens", "4K", "--batch-tokens", "256", "--json")
    found = json.loads(made.stdout)
    assert [row["d_S"] for row in found["students"]["students"]] == [1, 2, 3, 4, 6, 8] and found["students"][
        "steps"
    ] == 15
    nats = {row["d_S"]: row["nats"] for row in found["students"]["students"]}
    for row in found["floors"]:
        assert row["student_nats"] == nats[row["d_S"]] and row["student_fell"] < 1
    layer = [row for row in found["floors"] if row["layer"] == 0]
    fit = calibrate([row["predicted_floor"] for row in layer], [row["student_nats"] for row in layer])
    assert fit is not None and found["fits"]["0"]["slope"] == fit.slope
    assert gather(folder).students == {0: nats, 1: nats}  # the report shows them without being told
    (folder / "students.json").write_text('{"format": "golf-sae-students/1"}')
    assert fault_of("floor", folder).code == Exit.REFUSED
    assert "add `--train-students`" in str(fault_of("floor", run, "--widths", "4").hint)
    assert fault_of("floor", run, "--train-students", "--widths", "four").message == "`four` names no widths"


def test_students_whose_training_was_killed_go_on_with_the_next_width(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    dies_at: int | None = 3

    def train(source: object, tokens: object, width: int, *rest: object) -> dict[str, Any]:
        if width == dies_at:
            raise KeyboardInterrupt
        trained.append(width)
        row: dict[str, Any] = train_student(source, tokens, width, *rest)  # type: ignore[arg-type]
        return row

    def floor(folder: Path, *more: str) -> Result:
        wishes = ("--train-students", "--tokens", "2K", "--batch-tokens", "256", "--widths", "1,2,3,4", *more)
        return golf_sae("floor", folder, *wishes)

    monkeypatch.setattr("golf.sae.student.train_student", train)
    folders = tmp_path / "killed", tmp_path / "whole"
    for folder in folders:
        folder.mkdir()
        for path in run.glob("*.json"):
            (folder / path.name).write_bytes(path.read_bytes())
        (folder / "config.json").write_text(json.dumps({"source": {"spec": "tiny"}, "settings": {"seq_len": WINDOW}}))
    killed, whole = folders
    assert floor(killed).exit_code != 0 and trained == [1, 2]
    assert not (killed / "students.json").exists()  # nothing that looks whole
    assert json.loads(golf_sae("floor", killed, "--json").stdout)["students"] is None
    dies_at, held = None, (killed / "students_unfinished.json").read_bytes()
    assert "width 2: " in floor(killed).output and trained == [1, 2, 3, 4]
    assert floor(whole).exit_code == 0 and trained[4:] == [1, 2, 3, 4]
    assert (killed / "students.json").read_bytes() == (whole / "students.json").read_bytes()
    assert not (killed / "students_unfinished.json").exists()
    (killed / "students_unfinished.json").write_bytes(held)  # of other choices: not taken over
    assert floor(killed, "--seed", "7").exit_code == 0 and trained[8:] == [1, 2, 3, 4]
    (killed / "students_unfinished.json").write_text("{")
    assert floor(killed).exception.code == Exit.REFUSED  # type: ignore[union-attr]


# ---- CE-Bench among the tasks ----------------------------------------------------------------------------------------------


def test_ce_bench_is_a_task_and_gives_what_eval_gives(run: Path, tmp_path: Path) -> None:
    stories = write(tmp_path / "contrastive_stories.jsonl", PAIRS)
    folder = tmp_path / "run"
    write_run(folder, snapshots=(4000,))
    (by_eval,) = [
        row["ce_bench"]
        for row in json.loads(
            golf_sae("eval", folder, "--tokens", "320", "--ce-tokens", "0", "--layers", "1", "--ce-bench", stories, "--json").stdout
        )["layers"]
    ]  # fmt: skip
    asked = ("tasks", "tiny", "--tasks", "ce_bench", "--data-dir", tmp_path, "--dictionaries", folder)
    found = json.loads(golf_sae(*asked, "--json").stdout)["tasks"]["ce_bench"]
    assert found["interpretability_layer_1"] == by_eval["interpretability_score_mean"]
    assert found["interpretability"] == pytest.approx(
        (found["interpretability_layer_0"] + found["interpretability_layer_1"]) / 2
    )
    assert (found["pairs"], found["subjects"], found["features"], found["bound"]) == (4, 2, 24, bound(24))
    assert json.loads(golf_sae(*asked, "--limit", "3", "--json").stdout)["tasks"]["ce_bench"]["pairs"] == 3
    zero = json.loads(golf_sae(*asked, "--baseline", "official-v1", "--json").stdout)["tasks"]["ce_bench"]
    assert zero["contrastive"] == found["contrastive"] and zero["independent"] != found["independent"]
    assert "no baseline `mean`" in fault_of(*asked, "--baseline", "mean").message
    alone = fault_of("tasks", "tiny", "--tasks", "ce_bench", "--data-dir", tmp_path)
    assert alone.code == Exit.REFUSED and "has none of its own" in alone.message
    stories.unlink()
    assert fault_of(*asked).message.startswith("ce_bench: no `contrastive_stories.jsonl`")


# ---- cards -----------------------------------------------------------------------------------------------------------------


def test_an_upload_folder_has_a_card_and_no_path_of_this_machine(run: Path) -> None:
    printed = golf_sae("card", run)
    home = run / "upload"
    assert printed.exit_code == 0 and printed.stdout.strip() == str(home)
    card = (home / "README.md").read_text()
    head, _, body = card.removeprefix("---\n").partition("---\n")
    assert head.splitlines()[0] == 'library_name: "golf"' and '- "sparse-autoencoder"' in head and "license" not in head
    assert "`golf:float.golf`" not in body and "(`tiny`)" in body  # what was measured names the model
    assert "trained on: web.jsonl" in body and "| 1 | final | 4,000 |" in body
    names = {path.name for path in home.iterdir()}
    assert {
        "sae_layer00_1K.pt",
        "sae_layer01_final.pt",
        "config.json",
        "metrics.csv",
        "plots",
        "measurements_layer01.json",
    } <= names
    for path in home.rglob("*"):
        assert path.is_dir() or b"/home/somebody" not in path.read_bytes(), path
    for link in (line[2:].strip("`") for line in card.splitlines() if line.startswith("- `sae_")):
        mine, theirs = load_dictionary(run / link), load_dictionary(home / link)
        assert all(torch.equal(one, theirs.state_dict()[name]) for name, one in mine.state_dict().items())
    assert fault_of("card", run).code == Exit.REFUSED  # never over what is there
    assert "are of a model" in fault_of("card", run, "--vs", "tiny").message


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("golf:/home/me/big/float.golf", "golf:float.golf"), ("hf:/data/models/pythia/", "hf:pythia"), ("/a/b.jsonl", "b.jsonl"),
        ("hf:EleutherAI/pythia-410m", "hf:EleutherAI/pythia-410m"), ("~/x/y.pt", "y.pt"), ("C:\\me\\web.txt", "web.txt"),
        ("held out of /home/me/web.jsonl", "held out of web.jsonl"), ("topk", "topk"), ({"a": ["/x/y"], "b": 3}, {"a": ["y"], "b": 3}),
    ],
)  # fmt: skip
def test_paths_lose_their_folders_and_names_of_the_hub_stay(value: object, wanted: object) -> None:
    assert without_paths(value) == wanted


def test_a_model_card_holds_the_table_of_several_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, rows in (
        ("hellaswag_val", HELLASWAG_ROWS),
        ("lambada_test", LAMBADA_ROWS),
        ("pile", LAMBADA_ROWS),
        ("contrastive_stories", PAIRS),
    ):
        write(tmp_path / f"{name}.jsonl", rows)
    folder = write_run(tmp_path / "run", snapshots=(4000,))
    printed = golf_sae("card", "tiny", "--vs", "other", "--data-dir", tmp_path, "--dictionaries", folder, "--json")
    found = json.loads(printed.stdout)
    tasks = json.loads(golf_sae("tasks", "tiny", "--data-dir", tmp_path, "--dictionaries", folder, "--json").stdout)[
        "tasks"
    ]
    assert found["columns"][0] == "model" and len(found["rows"]) == 2
    row = dict(zip(found["columns"], found["rows"][0], strict=True))
    parameters = sum(weight.numel() for weight in tiny_source().model.parameters())
    assert row["parameters"] == f"{parameters:,}" and row["tokens"] == row["val, nats"] == "–"  # nothing says them
    assert (
        row["pile ppl"] == f"{tasks['text_ppl']['token_ppl']:.2f}"
        and row["LAMBADA"] == f"{tasks['lambada']['acc']:.3f}"
    )
    assert row["CE-Bench"] == f"{tasks['ce_bench']['interpretability']:.2f}" and found["rows"][1][-1] == "–"
    card = (tmp_path / "cards/tiny/README.md").read_text()
    index = json.loads(
        next(line for line in card.splitlines() if line.startswith("model-index: ")).removeprefix("model-index: ")
    )
    values = {
        (one["dataset"]["type"], one["metrics"][0]["type"]): one["metrics"][0]["value"] for one in index[0]["results"]
    }
    assert (
        values["hellaswag", "acc"] == tasks["hellaswag"]["acc"] and ("ce_bench", "ce_bench_interpretability") in values
    )
    assert card.count("\n| tiny |") == 2 and math.isclose(
        values["text_ppl", "perplexity"], tasks["text_ppl"]["token_ppl"]
    )
    assert json.loads((tmp_path / "cards/tiny/comparison.json").read_text())["rows"] == found["rows"]
    assert fault_of("card", "tiny", "--data-dir", tmp_path).code == Exit.REFUSED  # the folder is there


def test_the_published_scripts_word_for_training_is_known() -> None:
    fault = fault_of("train", "--phase", "measure", "--glassllm")
    assert "has no phase `measure`" in fault.message and "golf sae eval" in str(fault.hint)
