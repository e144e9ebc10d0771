"""Fixtures that every test may use."""

import os
from pathlib import Path

import hypothesis
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
# a busy machine is no fault of the code under test
hypothesis.settings.register_profile(
    "golf", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("golf")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


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
