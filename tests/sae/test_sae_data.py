"""Data that cannot leak and numbers that are checked: what a run is told by, what is held out of it, and what is refused."""

import errno
import json
import os
import pickle
import random
from pathlib import Path

import pytest
import torch
from sae_models import Tiny, tiny_source

from golf.errors import Exit, GolfError
from golf.models.corpus import text_tokens
from golf.models.documents import HELD_OUT_EVERY, documents, key_of, keys_of
from golf.models.hugging_face import open_hf
from golf.models.source import Source
from golf.sae import evaluate as evaluate_module
from golf.sae.api import line_of, run_training
from golf.sae.evaluate import Wishes, evaluate
from golf.sae.files import file_name, load_dictionary
from golf.sae.metrics import Losses, Quality
from golf.sae.report import gather
from golf.sae.text import read_keys
from golf.sae.train import Progress

CHOICES = {
    "tokens": 1024,
    "expansion": 2,
    "arch": "topk",
    "k": 4,
    "batch_tokens": 64,
    "buffer_tokens": 256,
    "snapshots": "1",
}
WISHES = Wishes(tokens=64, ce_tokens=0)


def letters(text: str) -> list[int]:
    return [ord(letter) % 40 for letter in text]


def document(number: int) -> str:
    """200 letters, another text for every number."""
    return "".join(random.Random(number).choices("abcdefghijklmnopqrstuvwxyz ", k=200)).strip("\n") + "."


def write(path: Path, numbers: range) -> Path:
    path.write_text("".join(json.dumps({"text": document(number)}) + "\n" for number in numbers))
    return path


def reader(weights_sha256: str = "w", tokenizer: str = "letters") -> Source:
    """The tiny model with a tokenizer, reading texts as real sources do."""
    source = tiny_source()
    source.encode = lambda texts: [letters(text) for text in texts]
    source.tokens = text_tokens(tokenizer, source.encode)
    source.facts = {"weights_sha256": weights_sha256, "tokenizer_sha256": tokenizer}
    return source


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    opened = [reader()]
    monkeypatch.setattr("golf.sae.api.open_source", lambda spec, device, **_: opened[0])
    monkeypatch.setattr(evaluate_module, "open_source", lambda spec, **_: opened[0])
    return opened


def train(data: Path | None = None, layers: str = "0,1", **choices):
    return run_training("tiny", "run", CHOICES | choices, layers=layers, data=data, out=Path("run").absolute())


def measured(data: Path | None = None, said: list[str] | None = None):
    tell = (lambda line: None) if said is None else said.append
    return dict(evaluate(Path("run"), Wishes(tokens=10**6, ce_tokens=0, data=data), tell))[0]["held_out"]


# ---- told by content, not by name ------------------------------------------------------------------------------------


def test_two_tokenizers_of_one_name_and_two_texts_of_one_size_and_time_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write(tmp_path / "text.jsonl", range(2))
    before, stat = text_tokens("one", lambda texts: [letters(text) for text in texts])("all", path), path.stat()
    other = text_tokens("two", lambda texts: [[id_ + 1 for id_ in letters(text)] for text in texts])("all", path)
    assert (other == before + 1).all()
    path.write_text(path.read_text().replace("a", "b"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    assert (text_tokens("one", lambda texts: [letters(text) for text in texts])("all", path) != before).any()


def test_a_run_says_the_sha256_of_everything_that_went_into_it(project, tmp_path):
    data = write(tmp_path / "text.jsonl", range(40))
    train(data)
    said = json.loads(Path("run/config.json").read_text())
    assert said["source"]["weights_sha256"] == "w" and said["source"]["tokenizer_sha256"] == "letters"
    assert len(said["data"]["sha256"]) == len(said["data"]["tokens_sha256"]) == 64
    assert (read_keys(Path("run")) == keys_of("train", data)).all()


@pytest.mark.parametrize(("change", "what"), [({"weights_sha256": "x"}, "weights"), ({"tokenizer": "x"}, "tokenizer")])
def test_another_model_is_neither_measured_nor_gone_on_with(project, tmp_path, change, what):
    run_training(
        "tiny", "run", CHOICES, layers="0", data=write(tmp_path / "t.jsonl", range(40)), out=Path("run").absolute()
    )
    project[0] = reader(**change)
    with pytest.raises(GolfError, match=f"its {what} differ") as caught:
        list(evaluate(Path("run"), WISHES))
    assert caught.value.code == Exit.REFUSED
    with pytest.raises(GolfError, match="holds another run: its source has"):
        run_training(
            "tiny", "run", CHOICES, layers="0", data=tmp_path / "t.jsonl", out=Path("run").absolute(), resume=True
        )
    assert dict(evaluate(Path("run"), Wishes(tokens=64, ce_tokens=0, other_model=True)))


# ---- what is held out --------------------------------------------------------------------------------------------------


def test_documents_are_held_out_by_content_wherever_they_stand(tmp_path):
    data = write(tmp_path / "text.jsonl", range(200))
    train_part, val = set(documents("train", data)), set(documents("val", data))
    assert train_part | val == {document(number) for number in range(200)} and not train_part & val
    assert all(key_of(text) % HELD_OUT_EVERY == 0 for text in val) and 2 <= len(val) <= 25
    backwards = tmp_path / "backwards.jsonl"
    backwards.write_text("".join(reversed(data.read_text().splitlines(keepends=True))) * 2)  # and every document twice
    assert set(documents("val", backwards)) == val


def test_a_single_document_is_cut_and_never_read_on_both_sides(tmp_path):
    data = tmp_path / "book.txt"
    data.write_text(" ".join(f"word{number}" for number in range(1000)))
    (head,), (tail,) = documents("train", data), documents("val", data)
    assert head + tail == data.read_text() and 0.03 < len(tail) / len(head + tail) < 0.07


def test_eval_measures_what_the_run_held_out_of_its_own_text(project, tmp_path):
    data = write(tmp_path / "text.jsonl", range(100))
    train(data)
    held_out = [id_ for text in documents("val", data) for id_ in letters(text)]
    wanted = (len(held_out) - 1) // 8 * 8
    assert measured()["tokens"] == wanted and str(data) in measured()["origin"]
    assert measured(data)["sha256"] == measured()["sha256"], "the trained text by name is not held out"
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(data.read_bytes())
    assert measured(copy)["sha256"] == measured()["sha256"], "nor is its copy"


def test_trained_documents_are_left_out_of_any_other_text(project, tmp_path):
    train(write(tmp_path / "text.jsonl", range(100)))
    trained = {int(key) for key in read_keys(Path("run"))}
    fresh = [number for number in range(90, 110) if key_of(document(number)) not in trained]
    found = measured(write(tmp_path / "more.jsonl", range(90, 110)))
    assert found["tokens"] == (len([id_ for number in fresh for id_ in letters(document(number))]) - 1) // 8 * 8
    subset = tmp_path / "subset.jsonl"
    subset.write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in documents("train", tmp_path / "text.jsonl"))
    )
    with pytest.raises(GolfError, match="no document"):
        measured(subset)


def test_a_text_that_is_gone_or_changed_is_not_measured_by_name(project, tmp_path):
    data = write(tmp_path / "text.jsonl", range(100))
    train(data)
    write(data, range(1, 101))
    with pytest.raises(GolfError, match="has changed since these dictionaries were trained on it"):
        measured()
    data.unlink()
    with pytest.raises(GolfError, match=r"text.jsonl, which these dictionaries were trained on, is gone"):
        measured()


def test_an_older_run_is_measured_with_a_word_of_what_is_not_known(project, tmp_path):
    train(write(tmp_path / "text.jsonl", range(100)))
    Path("run/trained_documents.npy").unlink()
    said: list[str] = []
    assert measured(write(tmp_path / "more.jsonl", range(200, 220)), said)["tokens"]
    assert any("does not say which documents it was trained on" in line for line in said)


def test_layers_measured_on_different_text_are_not_put_into_one_table(project, tmp_path):
    train(write(tmp_path / "text.jsonl", range(100)))
    list(evaluate(Path("run"), Wishes(tokens=400, ce_tokens=0)))
    assert gather(Path("run")).measured
    list(evaluate(Path("run"), Wishes(tokens=64, ce_tokens=0, layers=(1,))))
    with pytest.raises(GolfError, match="layer 1 of run was measured on 64 tokens") as caught:
        gather(Path("run"))
    assert caught.value.code == Exit.REFUSED


def test_tables_are_streamed_by_the_datasets_library(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "text.parquet"
    datasets.Dataset.from_dict({"text": [document(number) for number in range(40)]}).to_parquet(path)
    assert list(documents("all", path)) == [document(number) for number in range(40)]
    asked = []

    def load_dataset(*names, **options):
        asked.append((names, options))
        return iter([{"text": document(number)} for number in range(40)])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    hub = Path("hub:owner/name")
    assert set(documents("train", hub)) | set(documents("val", hub)) == {document(number) for number in range(40)}
    assert asked[0] == (("owner/name",), {"split": "train", "streaming": True})


# ---- numbers are checked ---------------------------------------------------------------------------------------------


def spoiled(change):
    source = reader()
    with torch.no_grad():
        change(source.model)
    return source


def nan_bias(model: Tiny) -> None:
    model.blocks[1].map.bias[3] = float("nan")


def huge(model: Tiny) -> None:
    model.embed.weight[:, 0] = 1e30


def constant(model: Tiny) -> None:
    model.embed.weight.fill_(0.5)


@pytest.mark.parametrize(
    ("change", "says"),
    [(nan_bias, "activations of layer 1 are not finite"), (huge, "activations of layer 0 are as large as 1e.30"),
     (constant, "activations of layer 0 are the same for every token")],
)  # fmt: skip
def test_activations_without_a_meaning_stop_a_run_before_anything_is_written(project, tmp_path, change, says):
    project[0] = spoiled(change)
    with pytest.raises(GolfError, match=says) as caught:
        train(write(tmp_path / "text.jsonl", range(40)))
    assert caught.value.code == Exit.REFUSED and not any(Path("run").glob("*"))


def test_the_layers_before_the_fault_are_named_and_train(project, tmp_path):
    project[0], data = spoiled(nan_bias), write(tmp_path / "text.jsonl", range(40))
    with pytest.raises(GolfError) as caught:
        train(data)
    assert "`--layers 0`" in (caught.value.hint or "")
    assert train(data, layers="0").finished


def test_eval_of_a_model_that_has_become_nan_says_so(project, tmp_path):
    train(write(tmp_path / "text.jsonl", range(40)))
    project[0] = spoiled(nan_bias)
    with pytest.raises(GolfError, match="activations of layer 1 are not finite"):
        list(evaluate(Path("run"), WISHES))


def test_a_diverging_dictionary_stops_its_run(project, tmp_path):
    with pytest.raises(GolfError, match="dictionary of layer 0 diverged"):
        train(write(tmp_path / "text.jsonl", range(40)), lr=1e30, norm="none")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [("empty.txt", "", "no document of 50"), ("blank.txt", " \n" * 100, "no document of 50"), ("empty.jsonl", "", "no document of 50"),
     ("same.txt", "a" * 4000, "one token again and again"), ("text.csv", "a,b", "no text file")],
)  # fmt: skip
def test_text_without_content_is_one_sentence(project, tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    with pytest.raises(GolfError, match=says):
        train(tmp_path / name)
    assert not Path("run").exists()


def test_a_full_disk_is_one_sentence_and_leaves_no_file_that_looks_whole(project, tmp_path, monkeypatch):
    def save(content, file):
        file.write(b"PK")
        raise RuntimeError("[enforce fail at inline_container.cc] . unexpected pos 2624 vs 2576")

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(GolfError, match=f"cannot be written: {os.strerror(errno.ENOSPC)}"):
        train(write(tmp_path / "text.jsonl", range(40)))
    assert not list(Path("run").glob("*.pt")) and not list(Path("run").glob(".*"))


def test_a_changed_bit_in_a_dictionary_is_seen(project, tmp_path):
    train(write(tmp_path / "text.jsonl", range(40)))
    path = Path("run") / file_name(0, "final")
    content, weight = bytearray(path.read_bytes()), load_dictionary(path).encoder.weight.detach().numpy()
    content[bytes(content).index(weight.tobytes()) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(GolfError, match="damaged"):
        load_dictionary(path)


def test_ratios_without_a_meaning_are_none():
    still = torch.full((64, 4), 3.0)
    quality = Quality(8, 4)
    quality.add(still, torch.zeros(64, 8), still + 1e-3)
    assert quality.report()["explained_variance"] is None and quality.report()["fvu"] is None
    losses = Losses()
    losses.add(torch.full((8,), 2.0), torch.full((8,), 3.0), torch.full((8,), 2.0 + 1e-6))
    assert losses.report()["ce_recovered"] is None
    varied = Quality(8, 4)
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)) + 1e3
    varied.add(x, torch.zeros(64, 8), x.mean(0).expand(64, 4))
    assert varied.report()["explained_variance"] == pytest.approx(0, abs=1e-6), "a large mean is not a constant"


def test_progress_says_of_how_many_layers_its_mean_is():
    rows = {("", 0): {"fvu": 0.25, "l0": 4.0, "dead": 0}, ("", 1): {"fvu": None, "l0": 4.0, "dead": 0}}
    assert "FVU 0.250 (of 1 of 2 layers)" in line_of(Progress(1, 2, 1.0, 1.0, rows))


@pytest.mark.parametrize("kind", ["pickle", "code", "garbage"])
def test_a_hostile_hugging_face_folder_is_one_sentence_and_asks_nothing(tmp_path, monkeypatch, kind):
    pytest.importorskip("transformers")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))
    config = {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_layer": 1,
        "n_head": 1,
        "n_embd": 8,
        "vocab_size": 9,
    }
    if kind == "pickle":

        class Payload:
            def __reduce__(self):
                return (Path.touch, (tmp_path / "PWNED",))

        (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Payload()}))
    elif kind == "code":
        config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}
        (tmp_path / "own.py").write_text("from pathlib import Path\nPath(__file__).with_name('PWNED').touch()\n")
    else:
        (tmp_path / "model.safetensors").write_bytes(b"\xff" * 64)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(GolfError) as caught:
        open_hf(str(tmp_path), "cpu")
    assert caught.value.code == Exit.REFUSED and not (tmp_path / "PWNED").exists()
    assert ("--trust-remote-code" in (caught.value.hint or "")) == (kind == "code")
