"""Which data a run reads: arguments, environment, FineWeb in the official layout, the embedded corpus; all checked."""

import os
import shutil
from pathlib import Path

import pytest

from golf.data import hashes, source
from golf.data.embedded import Embedded, make_embedded
from golf.data.factbook import load_documents
from golf.data.hashes import digest_of, remembered_sha256
from golf.data.shards import count_tokens, write_documents, write_shard
from golf.data.source import resolve_data, vocabulary_of_data
from golf.data.tokenizer import load_tokenizer, train_tokenizer
from golf.errors import GolfError


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_world(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("DATA_PATH", raising=False)
    monkeypatch.delenv("TOKENIZER_PATH", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def corpus() -> Embedded:
    return make_embedded(512)


def encoded(corpus: Embedded, *texts: str) -> list[list[int]]:
    return load_tokenizer(corpus.tokenizer).encode(list(texts))


@pytest.fixture
def layout(corpus: Embedded, tmp_path: Path) -> Path:
    """A project with a small data set in the official layout; its `data` folder."""
    dataset = tmp_path / "data" / "datasets" / "fineweb10B_sp512"
    for split in ("train", "val"):
        write_documents(dataset, encoded(corpus, "The land is flat.", "The sea is deep."), split)
    (tmp_path / "data" / "tokenizers").mkdir()
    shutil.copy(corpus.tokenizer, tmp_path / "data" / "tokenizers" / "fineweb_512_bpe.model")
    return tmp_path / "data"


def test_without_anything_the_embedded_corpus_is_used_and_is_local(corpus: Embedded) -> None:
    found = resolve_data(512)
    assert (found.data_path, found.tokenizer_path) == (corpus.dataset.resolve(), corpus.tokenizer.resolve())
    assert (found.track, found.name, found.vocab_size) == ("local", "golf_factbook_sp512", 512)
    assert found.train_tokens == corpus.manifest["train"]["tokens"]
    assert found.val_tokens == corpus.manifest["val"]["tokens"]
    assert found.environment == {"DATA_PATH": str(found.data_path), "TOKENIZER_PATH": str(found.tokenizer_path)}


def test_shards_in_the_official_layout_come_before_the_embedded_corpus(layout: Path, tmp_path: Path) -> None:
    found = resolve_data(512, root=tmp_path)
    assert found.data_path == layout / "datasets" / "fineweb10B_sp512"
    assert found.tokenizer_path == layout / "tokenizers" / "fineweb_512_bpe.model"
    assert found.track == "local"
    assert found.train_tokens == found.val_tokens == count_tokens(found.data_path / "fineweb_val_000000.bin")
    assert resolve_data(512, root=tmp_path / "elsewhere").name == "golf_factbook_sp512"


def test_arguments_come_before_the_environment_and_that_before_the_layout(
    corpus: Embedded, layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        shutil.copytree(layout / "datasets" / "fineweb10B_sp512", tmp_path / "sets" / name)
        shutil.copy(corpus.tokenizer, tmp_path / f"{name}.model")
    monkeypatch.setenv("DATA_PATH", str(tmp_path / "sets" / "one"))
    assert resolve_data(512, root=tmp_path).name == "one"
    monkeypatch.setenv("TOKENIZER_PATH", str(tmp_path / "one.model"))
    assert resolve_data(512, root=tmp_path).tokenizer_path.name == "one.model"
    found = resolve_data(512, tmp_path / "sets" / "two", tmp_path / "two.model", root=tmp_path)
    assert (found.name, found.tokenizer_path.name) == ("two", "two.model")


def test_the_tokenizer_is_found_beside_named_shards(layout: Path, tmp_path: Path) -> None:
    found = resolve_data(512, layout / "datasets" / "fineweb10B_sp512", root=tmp_path / "elsewhere")
    assert found.tokenizer_path == layout / "tokenizers" / "fineweb_512_bpe.model"


def test_of_two_tokenizers_none_is_guessed(layout: Path, tmp_path: Path) -> None:
    shutil.copy(layout / "tokenizers" / "fineweb_512_bpe.model", layout / "tokenizers" / "mine_512_bpe.model")
    with pytest.raises(GolfError, match=r"fineweb_512_bpe\.model, mine_512_bpe\.model"):
        resolve_data(512, root=tmp_path)


def test_shards_without_a_tokenizer_say_where_it_was_looked_for(layout: Path, tmp_path: Path) -> None:
    (layout / "tokenizers" / "fineweb_512_bpe.model").unlink()
    with pytest.raises(GolfError, match="no tokenizer of 512 pieces") as caught:
        resolve_data(512, root=tmp_path)
    assert "TOKENIZER_PATH" in (caught.value.hint or "")


def test_a_tokenizer_without_shards_is_refused(corpus: Embedded, tmp_path: Path) -> None:
    with pytest.raises(GolfError, match="no shards"):
        resolve_data(512, tokenizer_path=corpus.tokenizer, root=tmp_path)


def test_a_tokenizer_of_another_vocabulary_is_refused_with_both_numbers(corpus: Embedded) -> None:
    with pytest.raises(GolfError, match="has 512 pieces, the recipe's vocab_size is 1,024") as caught:
        resolve_data(1024, corpus.dataset, corpus.tokenizer)
    assert "vocab_size=512" in (caught.value.hint or "")


@pytest.mark.parametrize("content", [b"", b"no model", b"\x0a\x05"])
def test_a_file_that_is_no_tokenizer_is_named(corpus: Embedded, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.model"
    path.write_bytes(content)
    with pytest.raises(GolfError, match=r"broken\.model is no SentencePiece model"):
        resolve_data(512, corpus.dataset, path)
    with pytest.raises(GolfError, match=r"no tokenizer .*gone\.model"):
        resolve_data(512, corpus.dataset, tmp_path / "gone.model")


@pytest.mark.parametrize("split", ["train", "val"])
def test_ids_beyond_the_vocabulary_are_refused(layout: Path, tmp_path: Path, split: str) -> None:
    write_shard(layout / "datasets" / "fineweb10B_sp512" / f"fineweb_{split}_000001.bin", [1, 512])
    with pytest.raises(GolfError, match="holds token id 512 at position 1"):
        resolve_data(512, root=tmp_path)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_missing_split_and_a_broken_shard_are_refused(layout: Path, tmp_path: Path, split: str) -> None:
    path = layout / "datasets" / "fineweb10B_sp512" / f"fineweb_{split}_000000.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(GolfError, match="odd-sized"):
        resolve_data(512, root=tmp_path)
    path.unlink()
    with pytest.raises(GolfError, match=rf"has no fineweb_{split}_\*\.bin"):
        resolve_data(512, root=tmp_path)


def test_a_folder_that_does_not_exist_is_refused(corpus: Embedded, tmp_path: Path) -> None:
    with pytest.raises(GolfError, match="is no folder"):
        resolve_data(512, tmp_path / "nowhere", corpus.tokenizer)


def test_sha256s_name_the_tokenizer_and_every_shard(corpus: Embedded, layout: Path, tmp_path: Path) -> None:
    found = resolve_data(512, root=tmp_path)
    assert sorted(found.sha256s) == ["fineweb_512_bpe.model", "fineweb_train_000000.bin", "fineweb_val_000000.bin"]
    assert found.tokenizer_sha256 == remembered_sha256(found.tokenizer_path)
    assert found.data_sha256 == digest_of(
        {
            name: remembered_sha256(found.data_path / name)
            for name in ("fineweb_train_000000.bin", "fineweb_val_000000.bin")
        }
    )
    before = found.data_sha256
    write_documents(
        layout / "datasets" / "fineweb10B_sp512", encoded(corpus, "The land is high.", "The sea is deep."), "val"
    )
    assert resolve_data(512, root=tmp_path).data_sha256 != before


def test_a_big_file_is_hashed_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "REMEMBER_BYTES", 4)
    path = tmp_path / "big.bin"
    path.write_bytes(b"12345")
    first = remembered_sha256(path)
    with monkeypatch.context() as patch:
        patch.setattr(hashes, "sha256_of_file", lambda _: pytest.fail("hashed again"))
        assert remembered_sha256(path) == first
    path.write_bytes(b"54321")
    os.utime(path, ns=(0, 1))
    assert remembered_sha256(path) != first


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_damaged_or_unwritable_memory_of_hashes_costs_only_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(hashes, "REMEMBER_BYTES", 0)
    path = tmp_path / "x"
    path.write_bytes(b"x")
    memory = tmp_path / "cache" / "golf" / "data" / "sha256.json"
    memory.parent.mkdir(parents=True)
    memory.write_text(content)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert remembered_sha256(path) == hashes.sha256_of_file(path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(path))
    assert remembered_sha256(path) == hashes.sha256_of_file(path)


def test_only_the_whole_official_validation_split_is_not_local(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, tokenizer = shared / "shards" / "fineweb10B_sp1024", shared / "tokenizers" / "fineweb_1024_bpe.model"
    val_tokens = count_tokens(shards / "fineweb_val_000000.bin")
    assert resolve_data(1024, shards, tokenizer).track == "local"  # its first 902 documents only
    for canonical, track in ((val_tokens - 1, "10min_16mb"), (val_tokens - 8192, "local"), (val_tokens + 1, "local")):
        monkeypatch.setattr(source, "CANONICAL_VAL_TOKENS", {1024: canonical})
        assert resolve_data(1024, shards, tokenizer).track == track
    monkeypatch.setattr(source, "CANONICAL_VAL_TOKENS", {})
    for span, track in (((2_504_867, 2_504_867), "10min_16mb"), ((2_504_868, 9_999_999), "local")):
        monkeypatch.setattr(source, "CANONICAL_VAL_BYTES", span)
        assert resolve_data(1024, shards, tokenizer).track == track


def test_the_official_tokenizer_is_found_for_the_official_shards(shared: Path) -> None:
    for vocab_size in (1024, 4096, 8192):
        found = resolve_data(vocab_size, shared / "shards" / f"fineweb10B_sp{vocab_size}")
        assert found.tokenizer_path == (shared / "tokenizers" / f"fineweb_{vocab_size}_bpe.model").resolve()


def test_shards_that_another_tokenizer_of_the_same_vocabulary_made_are_refused(
    corpus: Embedded, tmp_path: Path
) -> None:
    path = tmp_path / "other.model"
    lines = [line.upper() for document in load_documents()[:12] for line in document.lines]
    path.write_bytes(train_tokenizer(lines, 512))
    with pytest.raises(
        GolfError, match=r"was not made with .*other\.model: of 16 documents, decoded and encoded again, [0-7] are"
    ) as caught:
        resolve_data(512, corpus.dataset, path)
    assert "TOKENIZER_PATH" in (caught.value.hint or "")


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_of_one_token_is_refused(layout: Path, tmp_path: Path, split: str) -> None:
    write_shard(layout / "datasets" / "fineweb10B_sp512" / f"fineweb_{split}_000000.bin", [1])
    with pytest.raises(GolfError, match=rf"the {split} shards of .* hold 1 token: nothing can be predicted"):
        resolve_data(512, root=tmp_path)


def test_a_stream_without_documents_pairs_by_its_beginning(corpus: Embedded, layout: Path, tmp_path: Path) -> None:
    folder = layout / "datasets" / "fineweb10B_sp512"
    (ids,) = encoded(corpus, " ".join(f"The land of {n} rivers is flat." for n in range(60)))
    for split in ("train", "val"):
        write_shard(folder / f"fineweb_{split}_000000.bin", ids[:-1])
    assert resolve_data(512, root=tmp_path).val_tokens == len(ids) - 1
    write_shard(folder / "fineweb_val_000000.bin", ids[::-1])
    with pytest.raises(GolfError, match="was not made with"):
        resolve_data(512, root=tmp_path)


@pytest.mark.parametrize(
    "tokenizer", ["fineweb_8192_bpe_alt_pr2081", "fineweb_8192_bpe_lossless_caps_caseops_v1_reserved"]
)
def test_of_three_official_tokenizers_of_8192_pieces_one_pairs(shared: Path, tokenizer: str) -> None:
    shards = shared / "shards" / "fineweb10B_sp8192"
    assert resolve_data(8192, shards, shared / "tokenizers" / "fineweb_8192_bpe.model").vocab_size == 8192
    with pytest.raises(GolfError, match="was not made with"):
        resolve_data(8192, shards, shared / "tokenizers" / f"{tokenizer}.model")


def test_the_vocabulary_of_the_data_that_a_small_twin_would_run_on(tmp_path, monkeypatch, shared):
    for name in ("DATA_PATH", "TOKENIZER_PATH"):
        monkeypatch.delenv(name, raising=False)
    shards = {size: tmp_path / f"s{size}" for size in (1024, 4096)}
    for size, folder in shards.items():
        folder.mkdir()
        write_shard(folder / "fineweb_val_000000.bin", [1, 5, size - 1, 7])
    tokenizer = shared / "tokenizers" / "fineweb_8192_bpe.model"
    either = (1024, 4096)
    assert vocabulary_of_data(either, shards[1024], root=tmp_path) == 1024
    assert vocabulary_of_data(either, shards[4096], root=tmp_path) == 4096
    assert vocabulary_of_data(either, shards[4096], tokenizer, tmp_path) == 8192  # what is named is what is read
    assert vocabulary_of_data(either, root=tmp_path) == 1024  # the embedded corpus
    assert (
        vocabulary_of_data(either, tmp_path / "nowhere", root=tmp_path) == 1024
    )  # which is refused later, with a reason
    there = tmp_path / "data" / "datasets" / "fineweb10B_sp4096"
    there.parent.mkdir(parents=True)
    shards[4096].rename(there)
    assert vocabulary_of_data(either, root=tmp_path) == 4096
    assert vocabulary_of_data(either, root=tmp_path, side_car=True) == 1024  # CaseOps has a folder of its own
