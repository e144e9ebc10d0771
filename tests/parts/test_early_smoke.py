"""The early and middle rows whole on FineWeb: tiny, trained, packed and scored from the artifact by the composed script."""

import json

import pytest
from worlds import ALL_CASES, execute, run_folder, tiny

from golf.compose import compose
from golf.data.shards import write_shard
from golf.parts.data import load_shard

# QAT, tables, smear, orthogonal start: the others wait for GOLF_EVERY_RECIPE=1
TRIED = ("pr65b",)
ROWS = (
    "lower_lr", "pr42", "pr39", "pr49", "pr52", "pr50", "pr77", "pr60", "pr65a", "pr65b", "pr63", "pr61", "pr86", "pr162", "pr180", "pr265",
    "pr287", "pr315", "pr640", "pr1060", "pr1120", "pr1204", "pr1218", "pr1285", "pr1334", "pr641", "pr1388", "pr542", "pr2058", "pr73",
)  # fmt: skip


@pytest.fixture(scope="module")
def fineweb(shared, tmp_path_factory):
    """The beginnings of two official shards and the official tokenizer of 1,024 pieces."""
    folder, source = tmp_path_factory.mktemp("fineweb"), shared / "shards" / "fineweb10B_sp1024"
    write_shard(folder / "fineweb_train_000000.bin", load_shard(str(source / "fineweb_train_000000.bin"))[:6000])
    write_shard(folder / "fineweb_train_000001.bin", load_shard(str(source / "fineweb_train_000000.bin"))[6000:10_000])
    write_shard(folder / "fineweb_val_000000.bin", load_shard(str(source / "fineweb_val_000000.bin"))[:2500])
    (folder / "tokenizer.model").symlink_to(shared / "tokenizers" / "fineweb_1024_bpe.model")
    return folder


@pytest.mark.parametrize("name", ROWS if ALL_CASES else TRIED)
def test_a_row_runs_whole_on_fineweb(tmp_path, monkeypatch, fineweb, name):
    with run_folder(tmp_path / "run", monkeypatch, fineweb, (), 1):
        script = execute(compose(tiny(name, vocab_size=1024)), tmp_path / "run" / "train_gpt.py")
        script.main()
    (tmp_path / "run" / "float.golf").unlink()  # what is scored again are the artifact's bytes
    with run_folder(tmp_path / "run", monkeypatch, fineweb, ("eval",), 1):
        script.main()
    logs = "\n".join(path.read_text() for path in (tmp_path / "run").rglob("*.txt"))
    lines = [line for line in logs.splitlines() if line.startswith("golf_result")]
    result, alone = (json.loads(line.partition("golf_result")[2]) for line in lines)
    assert 2 < result["val_bpb"] < 6  # three steps of training: between a trained model and a uniform one
    assert result["val_tokens"] <= 2499
    assert (alone["val_loss"], alone["val_bpb"]) == (result["val_loss"], result["val_bpb"])
