"""A run's own files, damaged: whatever is read says in one sentence which file and where, or is as whole as it looks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sae_runs import WINDOW, tiny_source, write_run
from typer.testing import CliRunner

from golf.cli.sae import app
from golf.errors import GolfError
from golf.sae.api import read_config
from golf.sae.evaluate import run_config
from golf.sae.plots import figures
from golf.sae.report import gather
from golf.sae.settings import Settings
from golf.sae.shape import NUMBER, Maybe, misfit
from golf.sae.student_floors import floor_rows, read_students
from golf.sae.tables import sections
from golf.sae.train import train

NONSENSE = (None, "x", [{}], {"a": []}, True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A measured run with students."""
    folder = write_run(tmp_path_factory.mktemp("damage") / "mine", snapshots=(1000, 4000))
    with pytest.MonkeyPatch.context() as patch:
        for module in ("evaluate", "student_floors"):
            patch.setattr(f"golf.sae.{module}.open_source", lambda spec, **_: tiny_source())
        for words in (("eval", folder, "--tokens", "640", "--features", "0"),
                      ("floor", folder, "--train-students", "--tokens", "1K", "--batch-tokens", "256", "--widths", "2")):  # fmt: skip
            assert CliRunner().invoke(app, [str(word) for word in words]).exit_code == 0
    return folder


def damaged(said: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The same with one entry gone or turned into something else, and what is no such file at all."""
    for key in said:
        yield f"no {key}", {name: value for name, value in said.items() if name != key}
        for value in NONSENSE:
            yield f"{key} = {value!r}", {**said, key: value}
    yield from (("list", []), ("number", 3), ("nothing", {}))


def shown(folder: Path) -> None:
    """All that a report makes of a run, without drawing it."""
    report = gather(folder)
    figures(report.measured, report.stats, report.students)
    list(sections(report))
    floor_rows(report.measured, read_students(folder))


def copied(run: Path, into: Path, *but: str) -> Path:
    into.mkdir()
    for path in run.glob("*.json"):
        if path.name not in but:
            (into / path.name).write_bytes(path.read_bytes())
    return into


@pytest.mark.parametrize("name", ["measurements_layer00.json", "students.json"])
def test_a_report_of_a_damaged_file_is_whole_or_one_sentence_with_its_name(
    run: Path, tmp_path: Path, name: str
) -> None:
    said = json.loads((run / name).read_text())
    folder, told = copied(run, tmp_path / "one"), 0
    shown(folder)
    for what, other in damaged(said):
        (folder / name).write_text(json.dumps(other))
        try:
            shown(folder)
        except GolfError as fault:
            told += name in fault.message or "other text" in fault.message
        except Exception as fault:
            pytest.fail(f"{what}: {fault!r}")
    assert told >= 3 * len(said) // 2


def test_a_row_of_statistics_or_of_a_snapshot_that_is_none_is_named(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path / "one")
    (folder / "stats_layer00.json").write_text('[{"tokens": 8, "mse": "x"}]')
    with pytest.raises(GolfError, match=r"stats_layer00\.json is no list of statistics: \[0\]\.mse"):
        gather(folder)
    folder = copied(run, tmp_path / "two")
    path = folder / "measurements_layer01.json"
    said = json.loads(path.read_text())
    said["snapshots"][0]["l0"] = None
    path.write_text(json.dumps(said))
    with pytest.raises(GolfError, match=r"measurements_layer01\.json .*snapshots\[0\]\.l0"):
        gather(folder)


def test_a_stopped_run_with_a_damaged_config_is_not_gone_on_with(tmp_path: Path) -> None:
    settings = Settings(
        tokens=2000, batch_tokens=128, expansion=2, k=4, arch="topk", seq_len=WINDOW, buffer_tokens=512, snapshots="1"
    )
    source = tiny_source()
    train(source, source.tokens("train"), tmp_path, settings, stop=lambda tokens: tokens >= 512)
    path = tmp_path / "config.json"
    said = json.loads(path.read_text())
    assert read_config(tmp_path) == said == run_config(tmp_path)
    for key in ("source", "data", "layers", "settings"):
        path.write_text(json.dumps({**said, key: None}))
        with pytest.raises(GolfError, match=f"config.json is no run's of this golf: {key}"):
            read_config(tmp_path)
    for key in ("source", "data", "settings"):
        path.write_text(json.dumps({**said, key: None}))
        with pytest.raises(GolfError, match=f"config.json is no run's: {key}"):
            run_config(tmp_path)
    path.write_text(json.dumps({**said, "settings": {**said["settings"], "tomorrow": 3}}))
    with pytest.raises(GolfError, match="no run's of this golf: tomorrow"):
        read_config(tmp_path)
    path.write_text(json.dumps(said))
    (tmp_path / "timing.json").write_text("[{")  # the seconds of a session are not worth a training
    assert train(source, source.tokens("train"), tmp_path, settings, resume=True).finished
    assert len(json.loads((tmp_path / "timing.json").read_text())) == 1


@pytest.mark.parametrize(
    ("value", "shape", "where"),
    [
        (3, int, None), (True, int, "it"), (True, (int, bool), None), (2, NUMBER, None), ("2", NUMBER, "it"), (None, Maybe(int), None),
        ("x", Maybe(int), "it"), ({"a": 1}, {"a": int}, None), ({}, {"a": int}, "a"), ({}, {"a?": int}, None), ({"a": None}, {"a?": int}, "a"),
        ({"a": [1, {"b": 2}]}, {"a": [int]}, "a[1]"), ([{"a": 1}, {"a": "x"}], [{"a": int}], "[1].a"), ({"x": 1, "y": None}, {"*": int}, "y"),
        ({"x": 1, "y": None}, {"x": int}, None), ([], {"a?": int}, "it"), ({}, [int], "it"),
    ],
)  # fmt: skip
def test_the_first_place_that_does_not_fit_is_named(value: Any, shape: Any, where: str | None) -> None:
    assert misfit(value, shape) == where
