"""The run store as tables."""

import math

import pandas
import pytest

from golf.errors import Exit, GolfError
from golf.run.frame import curves, frame, write_table
from golf.run.store import open_store

ROW = {"submission": "mine", "set_id": "abc", "script_sha256": "a" * 64, "track": "local"}


@pytest.fixture
def project(tmp_path):
    """Two runs: one finished on a machine that only its result names, one that failed before it said anything."""
    with open_store(tmp_path) as store:
        first = store.start(folder=tmp_path / "runs" / "seed_1", seed=1, derived={"coder": "lzma"}, **ROW)
        result = {
            "schema": 1,
            "seed": 99,
            "device": "cpu",
            "val_bpb": 1.25,
            "steps": 200,
            "reports": [{"name": "sliding"}],
        }
        store.move(first.id, "finished", result=result)
        store.record(first.id, [(1, "train_loss", 3.0), (2, "train_loss", 2.5), (2, "val_bpb", math.nan)])
        second = store.start(
            folder=tmp_path / "runs" / "seed_2", seed=2, world_size=8, **{**ROW, "submission": "other"}
        )
        store.move(second.id, "failed")
    return tmp_path


def test_a_run_is_a_row_with_the_fields_of_its_result(project):
    table = frame(project)
    assert list(table["id"]) == [1, 2] and list(table["seed"]) == [1, 2], "the store's seed, not the result's"
    assert table["val_bpb"][0] == 1.25 and table["steps"][0] == 200 and table["device"][0] == "cpu"
    assert table["val_bpb"].isna()[1] and table["device"].isna()[1] and table["world_size"].isna()[0]
    assert str(table["steps"].dtype) == "Int64", "integers stay integers beside missing ones"
    assert str(table["started_at"].dt.tz) == "UTC"
    assert table["derived"][0] == '{"coder": "lzma"}' and table["reports"][0] == '[{"name": "sliding"}]'
    assert "result" not in table and "schema" not in table
    assert list(frame(project, "other")["id"]) == [2]


def test_a_project_without_runs_is_an_empty_table(tmp_path):
    assert frame(tmp_path).empty and curves(tmp_path).empty
    assert not (tmp_path / ".golf").exists(), "reading makes no store"


def test_curves_have_a_row_for_every_step(project):
    table = curves(project)
    assert list(table["step"]) == [1, 2] and list(table["train_loss"]) == [3.0, 2.5]
    assert table["val_bpb"].isna().all()


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_table_is_written_whole_and_read_back(project, tmp_path, ending):
    path = tmp_path / f"runs.{ending}"
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    write_table(frame(project), path)
    read = {
        "csv": pandas.read_csv,
        "parquet": pandas.read_parquet,
        "jsonl": lambda file: pandas.read_json(file, lines=True),
    }
    again = read[ending](path)
    assert again["val_bpb"].iloc[0] == 1.25 and len(again) == 2 and pandas.isna(again["val_bpb"][1])
    assert [path.name for path in tmp_path.glob("*.tmp")] == []


def test_other_formats_are_refused_by_name(project, tmp_path):
    with pytest.raises(GolfError, match="xlsx") as fault:
        write_table(frame(project), tmp_path / "runs.xlsx")
    assert ".parquet" in fault.value.hint


def test_without_pandas_the_sentence_says_so(project, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(GolfError, match="pandas") as fault:
        frame(project)
    assert fault.value.code == Exit.REFUSED
