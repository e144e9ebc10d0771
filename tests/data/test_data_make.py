"""`golf data make` from text: any process count gives the same files, a stop costs nothing, and no wrong document is written."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from golf.cli.data import app
from golf.data import caseops
from golf.data.documents import TextSource, text_source
from golf.data.factbook import load_documents
from golf.data.make import Settings, encode_document, make_dataset
from golf.data.shards import read_shard, read_split, shard_files, split_documents
from golf.data.side_car import check_side_car, read_side_car
from golf.data.source import check_source, resolve_data
from golf.data.tokenizer import load_tokenizer, train_tokenizer
from golf.errors import Exit, GolfError
from golf.files import Lock, sha256_of_file

TEXTS = [line for document in load_documents()[:14] for line in document.lines][:400]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizers") / f"mine_384_bpe_{caseops.NAME}.model"
    path.write_bytes(train_tokenizer(map(caseops.encode, TEXTS), 384, caseops.MARKERS))
    return path


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "docs.jsonl"
    path.write_text("".join(json.dumps({"text": one, "n": n}) + "\n" for n, one in enumerate(TEXTS)))
    return path


@pytest.fixture(scope="module")
def made(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "datasets" / "mine_sp384"
    make_dataset(folder, lambda start: iter(TEXTS[start:]), tokenizer, settings(tokenizer))
    return folder


def settings(tokenizer: Path, **other: object) -> Settings:
    return Settings({"name": "texts"}, sha256_of_file(tokenizer), "caseops", 60, 5000, **other)  # type: ignore[arg-type]


def data(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_the_shards_hold_every_document_once_and_the_side_car_its_bytes(made: Path, tokenizer: Path) -> None:
    sp = load_tokenizer(tokenizer, 384)
    manifest = json.loads((made / "manifest.json").read_text())
    found = [split_documents(read_split(made, split)) for split in ("val", "train")]
    assert [len(one) for one in found] == [60, 340] == [manifest[split]["documents"] for split in ("val", "train")]
    texts = [caseops.decode(sp.decode(ids.astype(int).tolist())) for one in found for ids in one]
    assert texts == [" ".join(sp.normalize(one).replace("▁", " ").split()) for one in TEXTS]
    sizes, ids = read_side_car(made), read_split(made, "val")
    assert len(sizes) == len(ids) and not sizes[ids == 1].any()
    raw = sum(len(one.encode()) for one in TEXTS[:60])
    facts = manifest["val"]
    assert facts["text_bytes"] == raw and facts["counted_bytes"] == int(sizes.sum()) == raw - facts["uncounted_bytes"]
    assert all(len(read_shard(path)) == 5000 for path in shard_files(made, "train")[:-1])
    assert manifest["files"].keys() == {path.name for path in made.glob("*.bin")}
    assert all(sha256_of_file(made / name) == entry["sha256"] for name, entry in manifest["files"].items())


def test_two_processes_write_the_same_files_and_a_second_call_nothing(
    made: Path, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("golf.data.make.BATCH_CHARACTERS", 4000)
    told: list[str] = []
    read = lambda start: iter(TEXTS[start:])  # noqa: E731
    again = make_dataset(tmp_path / "two", read, tokenizer, settings(tokenizer), processes=2, tell=told.append)
    assert again["files"] == json.loads((made / "manifest.json").read_text())["files"]
    assert len(told) == len([name for name in again["files"] if "bytes" not in name])
    told.clear()
    assert make_dataset(tmp_path / "two", read, tokenizer, settings(tokenizer), tell=told.append) == again and not told
    with pytest.raises(GolfError, match="holds a data set of another making: other most_documents"):
        make_dataset(tmp_path / "two", read, tokenizer, settings(tokenizer, most_documents=300))


def test_a_making_that_is_stopped_goes_on_to_the_same_files(
    made: Path, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("golf.data.make.BATCH_CHARACTERS", 1)
    whole = json.loads((made / "manifest.json").read_text())
    starts = []
    for stop in (10, 61, 150, 151, 290, 400):

        def read(start: int, stop: int = stop):  # type: ignore[no-untyped-def]
            starts.append(start)
            for number, one in enumerate(TEXTS[start:], start):
                if number == stop:
                    raise KeyboardInterrupt
                yield one

        if stop < len(TEXTS):
            with pytest.raises(KeyboardInterrupt):
                make_dataset(tmp_path / "cut", read, tokenizer, settings(tokenizer))
        else:
            assert make_dataset(tmp_path / "cut", read, tokenizer, settings(tokenizer)) == whole | {"name": "cut"}
    assert starts == sorted(starts) and starts[-1] > 150  # what was whole is not encoded again
    assert not (tmp_path / "cut" / "making.json").exists()


def test_a_shard_that_changed_in_between_and_strange_shards_are_refused(
    tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("golf.data.make.BATCH_CHARACTERS", 1)

    def read(start: int):  # type: ignore[no-untyped-def]
        yield from TEXTS[start:200]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_dataset(tmp_path, read, tokenizer, settings(tokenizer))
    path = tmp_path / "fineweb_val_000000.bin"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(GolfError, match="is not as it was written"):
        make_dataset(tmp_path, read, tokenizer, settings(tokenizer))
    (tmp_path / "making.json").unlink()
    with pytest.raises(GolfError, match="already holds shards"):
        make_dataset(tmp_path, read, tokenizer, settings(tokenizer))


def test_a_shard_that_was_written_and_not_yet_noted_is_written_again(
    made: Path, tokenizer: Path, tmp_path: Path
) -> None:
    def read(start: int):  # type: ignore[no-untyped-def]
        yield TEXTS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_dataset(tmp_path, read, tokenizer, settings(tokenizer, most_documents=7))
    (tmp_path / "fineweb_val_000000.bin").write_bytes(b"half")
    again = make_dataset(tmp_path, lambda start: iter(TEXTS[start:]), tokenizer, settings(tokenizer))
    assert again["files"] == json.loads((made / "manifest.json").read_text())["files"]


def test_two_at_once_in_one_folder_are_refused(tokenizer: Path, tmp_path: Path) -> None:
    with Lock(tmp_path / ".making.lock"), pytest.raises(GolfError, match="another process makes a data set") as fault:
        make_dataset(tmp_path, lambda start: iter(TEXTS[start:]), tokenizer, settings(tokenizer))
    assert fault.value.code == Exit.REFUSED


def test_a_document_that_is_no_text_is_named_and_so_is_a_split_without_documents(
    tokenizer: Path, tmp_path: Path
) -> None:
    with pytest.raises(GolfError, match=r"document 1 is no text: .* lone surrogate at 2"):
        make_dataset(tmp_path / "a", lambda _: iter(["Good", "a \ud800"]), tokenizer, settings(tokenizer))
    with pytest.raises(GolfError, match="no train documents: the text has 3, the first 60 are for validation"):
        make_dataset(tmp_path / "b", lambda start: iter(["A", "B", "C"][start:]), tokenizer, settings(tokenizer))
    sp = load_tokenizer(tokenizer)
    assert encode_document(sp, 0, "x" + " " * 60_000 + "y", "caseops").counted_bytes == 60_002
    with pytest.raises(GolfError, match=r"document 7 .* one alone for 70,000"):
        encode_document(sp, 7, "x" + " " * 70_000 + "y", "caseops")


def test_what_the_normaliser_folds_is_counted_as_it_stood_and_said(tokenizer: Path) -> None:
    sp = load_tokenizer(tokenizer)
    folded = encode_document(sp, 0, "ﬁne \u200bday ", "caseops")
    assert (folded.text_bytes, folded.counted_bytes, folded.as_normalised) == (13, 12, True)
    # a letter of full width becomes ASCII, and a marker then stands inside a word
    assert not encode_document(sp, 0, "ＡBC", "caseops").as_normalised
    assert encode_document(sp, 0, "ＡBC", "none").as_normalised


def test_the_data_set_is_read_as_any_other_and_its_lock_covers_the_side_car(made: Path, tokenizer: Path) -> None:
    source = check_source(384, made, tokenizer)
    assert source.side_car and source.track == "local" and source.train_shards == len(shard_files(made, "train"))
    assert "fineweb_val_bytes_000000.bin" in source.sha256s
    assert resolve_data(384, made, tokenizer, side_car=True) == source
    assert check_side_car(load_tokenizer(tokenizer), made) == int(read_side_car(made).sum())


def test_the_command_streams_files_and_trains_a_tokenizer_where_none_is_named(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    arguments = ("make", "--text", text, "--out", out, "--val-docs", 60, "--shard-tokens", 20_000, "--processes", 1)
    done = data(*arguments, "--vocab", 384, "--transform", "caseops")
    assert done.exit_code == 0, done.output
    assert "every document came back from CaseOps to the byte" in done.stdout
    assert f"export DATA_PATH={out}" in done.stdout
    tokenizer = out / "tokenizers" / f"mine_384_bpe_{caseops.NAME}.model"
    assert check_source(384, out, tokenizer).side_car
    report = json.loads(data(*arguments, "--vocab", 384, "--transform", "caseops", "--json").stdout)
    assert report["manifest"]["train"]["documents"] == 340 and report["tokenizer"] == str(tokenizer)
    plain = data(
        "make",
        "--text",
        text,
        "--out",
        tmp_path / "plain",
        "--val-docs",
        60,
        "--vocab",
        384,
        "--most-docs",
        70,
        "--processes",
        1,
    )
    assert plain.exit_code == 0 and not list((tmp_path / "plain").glob("*bytes*"))
    refused = data("make", "--text", text, "--out", tmp_path / "x", "--tokenizer-path", tokenizer)
    assert isinstance(refused.exception, GolfError) and "was made for text after CaseOps" in refused.exception.message


def test_documents_of_every_format_and_of_several_files_in_order(tmp_path: Path) -> None:
    import lzma

    import pandas as pd

    (tmp_path / "a.jsonl.xz").write_bytes(lzma.compress(b'{"text": "one", "id": 1}\n{"text": "two", "id": 2}\n'))
    pd.DataFrame({"text": ["three", "four"]}).to_parquet(tmp_path / "b.parquet")
    (tmp_path / "c.txt").write_text("five\nsix\n")
    (tmp_path / "readme.md").write_text("no text")
    source = text_source([str(tmp_path)])
    assert list(source.read()) == ["one", "two", "three", "four", "five", "six"]
    assert list(source.read(3)) == ["four", "five", "six"]
    (tmp_path / "b.parquet").unlink()
    for wrong, said in (
        (["nowhere.jsonl"], "no text nowhere.jsonl"),
        ([str(tmp_path / "readme.md")], "is no text that golf reads"),
        ([], "no text"),
    ):
        with pytest.raises(GolfError, match=said):
            text_source(wrong)
    with pytest.raises(GolfError, match=r"document 0 of .* has no text in `body`: the fields are text, id"):
        next(text_source([str(tmp_path / "a.jsonl.xz")], column="body").read())
    (tmp_path / "d.jsonl").write_text('{"text": "good"}\n{"text": 7}\n')
    with pytest.raises(GolfError, match=r"of d\.jsonl"):
        list(text_source([str(tmp_path / "d.jsonl")]).read())


def test_a_data_set_of_the_hub_is_named_and_refused_at_once_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    assert text_source(["user/name:config"]) == TextSource(hub="user/name", config="config")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(GolfError, match="forbids downloads") as fault:
        next(text_source(["user/name"], split="validation").read())
    assert fault.value.code == Exit.REFUSED


def test_a_hub_data_set_streams_as_local_files_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked = []

    def load(name, config, *, split, streaming):  # type: ignore[no-untyped-def]
        asked.append((name, config, split, streaming))
        return iter([{"body": "one"}, {"body": "two"}])

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr("golf.data.fetch.check_reach", lambda: None)
    assert list(text_source(["user/name"], column="body", split="val").read(1)) == ["two"]
    assert asked == [("user/name", None, "val", True)]


def test_golf_starts_without_the_datasets_library() -> None:
    code = "import sys, golf.cli.data, golf.data.api, golf.data.make; sys.exit('datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_first_documents_counts_are_bytes_of_whole_characters(tokenizer: Path) -> None:
    sp = load_tokenizer(tokenizer)
    ids, sizes = caseops.tokenize(sp, caseops.encode("日本"))
    assert [int(one) for one in sizes if one] == [3, 3] and int(np.sum(sizes)) == 6
    assert sp.is_byte(ids[-1])
