"""Fetching FineWeb: planned without network, checked before it takes its place, resumed after a fault, quick to say no."""

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from golf.data import fetch
from golf.data.embedded import make_embedded
from golf.data.fetch import fetch_files, plan_files
from golf.data.shards import write_documents, write_shard
from golf.errors import Exit, GolfError

Download = Callable[[str, str, Path], Path]


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lies in the repository: two train shards, one validation shard and the tokenizer, of 512 pieces."""
    folder = tmp_path_factory.mktemp("remote")
    dataset = folder / "datasets" / "datasets" / "fineweb10B_sp512"
    write_documents(dataset, [[5, 6, 7], [300, 511]], "train", shard_tokens=4)
    write_documents(dataset, [[5, 6, 7]], "val")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        (folder / "datasets" / "tokenizers").mkdir()
        shutil.copy(make_embedded(512).tokenizer, folder / "datasets" / "tokenizers" / "fineweb_512_bpe.model")
    return folder


@pytest.fixture
def download(remote: Path) -> Download:
    def copy(repo: str, name: str, folder: Path) -> Path:
        assert repo == "user/name"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(remote / name, folder / name))

    return copy


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "SHARD_TOKENS", 4)


def test_the_plan_is_tokenizer_validation_and_the_first_train_shards(tmp_path: Path) -> None:
    items = plan_files(tmp_path, 1024, 2)
    assert [item.remote for item in items] == [
        "datasets/tokenizers/fineweb_1024_bpe.model",
        "datasets/datasets/fineweb10B_sp1024/fineweb_val_000000.bin",
        "datasets/datasets/fineweb10B_sp1024/fineweb_train_000000.bin",
        "datasets/datasets/fineweb10B_sp1024/fineweb_train_000001.bin",
    ]
    assert items[1].local == tmp_path / "data/datasets/fineweb10B_sp1024/fineweb_val_000000.bin"
    assert [item.expected_bytes for item in items] == [None, 1024 + 2 * 62_021_632, 1032, 1032]
    assert plan_files(tmp_path, 2048, 1)[1].expected_bytes is None
    assert plan_files(tmp_path, 1024, 1, prefix="")[0].remote == "tokenizers/fineweb_1024_bpe.model"
    with pytest.raises(GolfError, match="0 train shards"):
        plan_files(tmp_path, 1024, 0)


def test_fetched_files_lie_in_the_official_layout_and_are_not_fetched_twice(tmp_path: Path, download: Download) -> None:
    told: list[str] = []
    new = fetch_files(plan_files(tmp_path, 512, 2), 512, "user/name", download=download, tell=told.append)
    assert [path.relative_to(tmp_path / "data").as_posix() for path in new] == [
        "tokenizers/fineweb_512_bpe.model",
        "datasets/fineweb10B_sp512/fineweb_val_000000.bin",
        "datasets/fineweb10B_sp512/fineweb_train_000000.bin",
        "datasets/fineweb10B_sp512/fineweb_train_000001.bin",
    ]
    assert told[0] == "1/4 datasets/tokenizers/fineweb_512_bpe.model"
    assert not (tmp_path / "data" / ".download").exists()
    again = plan_files(tmp_path, 512, 2)
    assert all(item.present for item in again)
    assert fetch_files(again, 512, "user/name", download=lambda *_: pytest.fail("fetched twice")) == []


def test_after_a_fault_the_next_call_goes_on_and_mends_broken_files(tmp_path: Path, download: Download) -> None:
    def cut_off(repo: str, name: str, folder: Path) -> Path:
        if "000001" in name:
            raise ConnectionError("the line went dead\nlong story")
        return download(repo, name, folder)

    with pytest.raises(GolfError, match=r"000001\.bin did not arrive from user/name: the line went dead$"):
        fetch_files(plan_files(tmp_path, 512, 2), 512, "user/name", download=cut_off)
    broken = tmp_path / "data/datasets/fineweb10B_sp512/fineweb_train_000000.bin"
    broken.write_bytes(broken.read_bytes()[:-2])
    new = fetch_files(plan_files(tmp_path, 512, 2), 512, "user/name", download=download)
    assert [path.name for path in new] == ["fineweb_train_000000.bin", "fineweb_train_000001.bin"]


def test_a_file_that_arrives_broken_never_takes_its_place(tmp_path: Path, download: Download) -> None:
    def foreign(repo: str, name: str, folder: Path) -> Path:
        return (
            write_shard(folder / Path(name).name, [1, 600]) if name.endswith(".bin") else download(repo, name, folder)
        )

    with pytest.raises(GolfError, match="token id 600"):
        fetch_files(plan_files(tmp_path, 512, 2), 512, "user/name", download=foreign)
    assert not list((tmp_path / "data").glob("datasets/*/*.bin"))


def test_a_full_disk_is_refused_before_and_named_when_it_happens(tmp_path: Path) -> None:
    with pytest.raises(GolfError, match="free on the disk") as caught:
        fetch.check_room(tmp_path / "not" / "there", 1 << 62)
    assert caught.value.code == Exit.REFUSED

    def full(*_: object) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(GolfError, match="No space left"):
        fetch_files(plan_files(tmp_path, 512, 1), 512, "user/name", download=full)


def test_without_network_the_answer_is_one_sentence_and_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    begun = time.monotonic()
    with pytest.raises(GolfError, match=r"^no network to http://127\.0\.0\.1:1: ") as caught:
        fetch_files(plan_files(tmp_path, 512, 1), 512)
    assert time.monotonic() - begun < 5
    assert (caught.value.code, "golf data make" in (caught.value.hint or "")) == (Exit.REFUSED, True)
    assert not (tmp_path / "data").exists()


def test_offline_by_wish_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(fetch.urllib.request, "urlopen", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(GolfError, match="HF_HUB_OFFLINE"):
        fetch_files(plan_files(tmp_path, 512, 1), 512)
