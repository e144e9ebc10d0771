"""`golf sae eval`, `report`, `tasks` and `scaling`: what they print, and what they refuse."""

import json
from pathlib import Path

import pytest
from sae_runs import tiny_source, write_run
from task_files import HELLASWAG_ROWS, LAMBADA_ROWS, write
from typer.testing import CliRunner, Result

from golf.cli.sae import app
from golf.downstream.api import SourceModel
from golf.errors import GolfError

FAMILY = """parameters,tokens,loss
44.7e6,0.5e9,4.244
44.7e6,1e9,3.890
44.7e6,2e9,3.702
63.5e6,1e9,3.759
63.5e6,2e9,3.558
354e6,0.5e9,3.573
354e6,1e9,3.284
354e6,2e9,3.090
354e6,4e9,2.958
"""


@pytest.fixture(autouse=True)
def tiny_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("golf.sae.evaluate.open_source", lambda spec, **_: tiny_source())
    monkeypatch.setattr("golf.sae.model_tasks.open_source", lambda spec: tiny_source())
    monkeypatch.setattr("golf.figures.png.find_spec", lambda name: None)


def golf_sae(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: object) -> GolfError:
    fault = golf_sae(*arguments).exception
    assert isinstance(fault, GolfError)
    return fault


def test_eval_then_report_print_tables_and_name_their_files(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    lines = golf_sae("eval", run, "--tokens", "960", "--ce-tokens", "320").stdout.splitlines()
    assert lines[0].split() == "layer snapshot tokens EV MSE L0 dead CE recovered ΔCE nats KL nats d*".split()
    assert [line.split()[:3] for line in lines[1:]] == [["0", "final", "4,000"], ["1", "final", "4,000"]]
    printed = golf_sae("report", run).stdout
    assert "Loss floors of narrower students" in printed
    assert printed.rstrip().endswith(f"{run / 'report.md'}\n{run / 'report.html'}")


def test_both_speak_json(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", snapshots=(1000,))
    found = json.loads(golf_sae("eval", run, "--tokens", "320", "--ce-tokens", "0", "--layers", "1", "--json").stdout)
    assert (found["schema"], found["run"]) == (1, str(run))
    assert [layer["layer"] for layer in found["layers"]] == [1] and "sorted_importance" not in found["layers"][0]
    found = json.loads(golf_sae("report", run, "--json").stdout)
    assert str(run / "report.html") in found["written"]
    assert found["tables"]["Last snapshot of each layer"]["rows"][0][:3] == ["1", "final", "1,000"]


def test_eval_in_markdown_goes_into_a_pull_request(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", snapshots=(1000,))
    assert golf_sae("eval", run, "--tokens", "320", "--ce-tokens", "0", "--md").stdout.startswith(
        "| layer | snapshot |"
    )


def test_what_is_not_there_is_refused_in_one_sentence(tmp_path: Path) -> None:
    assert "holds no `sae_layer" in refused("eval", tmp_path).message
    assert "has no measurements" in refused("report", tmp_path).message
    fault = refused("tasks", "tiny", "--tasks", "lambada", "--data-dir", tmp_path)
    assert fault.message == f"lambada: no `lambada_test.jsonl` or `lambada_test_en.jsonl` in {tmp_path}"
    assert fault.hint is not None and "https://huggingface.co/datasets/EleutherAI/lambada_openai" in fault.hint


def test_tasks_print_their_metrics_with_errors(tmp_path: Path) -> None:
    write(tmp_path / "hellaswag_val.jsonl", HELLASWAG_ROWS)
    write(tmp_path / "lambada_test.jsonl", LAMBADA_ROWS)
    write(tmp_path / "pile.jsonl", LAMBADA_ROWS)
    found = json.loads(golf_sae("tasks", "tiny", "--data-dir", tmp_path, "--json").stdout)["tasks"]
    assert list(found) == ["hellaswag", "lambada", "text_ppl"]
    lines = golf_sae(
        "tasks", "tiny", "--data-dir", tmp_path, "--tasks", "hellaswag", "--limit", "4"
    ).stdout.splitlines()
    rows = [line.split() for line in lines[2:]]
    assert [row[:2] for row in rows] == [["hellaswag", "rows"], ["hellaswag", "acc"], ["hellaswag", "acc_norm"]]
    assert rows[0][2] == "4" and rows[1][3] == "±"


def test_tasks_read_through_the_models_own_tokenizer_and_prefix() -> None:
    source = tiny_source()
    model = SourceModel(source)
    assert (model.prefix, model.context_tokens, model.encode("ab")) == ((1,), source.seq_len, [1, 2])
    source.encode = None
    with pytest.raises(GolfError, match="has no tokenizer"):
        SourceModel(source)


def test_scaling_prints_the_law_and_what_it_foretells(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(FAMILY)
    printed = golf_sae("scaling", path, "--parameters", "1.311e9", "--tokens", "2.93e9").stdout
    assert "rmse 0.0121 over 9 points" in printed and "predicted 2.8102 nats" in printed
    found = json.loads(golf_sae("scaling", path, "--json").stdout)
    assert found["predicted"] is None and found["points"] == 9
    path.write_text("".join(FAMILY.splitlines(keepends=True)[:4]))
    assert "has 3 points, the law has 5 free values" in refused("scaling", path).message
    path.write_text("parameters,tokens,loss\n1e6,1e9,much\n")
    assert "line 2: no numbers" in refused("scaling", path).message
    path.write_text("parameters,tokens,loss\n1e6,0,3\n")
    assert "line 2: all three must be above 0" in refused("scaling", path).message
    assert "cannot be read" in refused("scaling", tmp_path / "none.csv").message
