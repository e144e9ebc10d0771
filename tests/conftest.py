"""Fixtures that every test may use."""

import os
import sys
from pathlib import Path

import hypothesis
import pytest
from places import SHARED_DATA

os.environ.setdefault("OMP_NUM_THREADS", "1")
# a busy machine is no fault of the code under test
hypothesis.settings.register_profile(
    "golf", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("golf")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of official data beside the checkout; tests that want it skip without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the official data in ../shared/data")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with real English: two training shards, one validation shard, a tokenizer of 384 pieces."""
    from golf.data.factbook import load_documents
    from golf.data.shards import write_shard
    from golf.data.tokenizer import load_tokenizer, train_tokenizer

    folder = tmp_path_factory.mktemp("data")
    lines = [line for document in load_documents()[:12] for line in document.lines]
    (folder / "tokenizer.model").write_bytes(train_tokenizer(lines, 384))
    sp = load_tokenizer(folder / "tokenizer.model", 384)
    ids = [[1, *sp.encode(line)] for line in lines]
    tokens = [token for document in ids for token in document]
    write_shard(folder / "fineweb_train_000000.bin", tokens[:3000])
    write_shard(folder / "fineweb_train_000001.bin", tokens[3000:5000])
    write_shard(folder / "fineweb_val_000000.bin", tokens[5000:7000])
    return folder


@pytest.fixture
def golf(tmp_path, monkeypatch, capsysbinary):
    """golf("new mine") → (exit code, stdout, stderr), in an empty project."""
    (tmp_path / "submissions").mkdir()
    monkeypatch.chdir(tmp_path)

    from golf.cli import main

    def call(line: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["golf", *line.split()])
        capsysbinary.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsysbinary.readouterr()
        return code, out.decode(), err.decode()

    call.root = tmp_path
    return call
