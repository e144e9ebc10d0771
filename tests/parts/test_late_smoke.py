"""The late rows whole on real text: a tiny twin trained until it knows more than token frequencies, packed, and scored again alone.

On the beginning of FineWeb's validation split and on the embedded corpus; rows that count bytes by a side-car on the same text after
CaseOps. One row goes a few steps; GOLF_EVERY_RECIPE=1 takes all rows on both, and asks of each to be below the unigram entropy.
"""

import itertools
import json
from functools import cache

import numpy as np
import pytest
from worlds import ALL_CASES, execute, run_folder, tiny

from golf.compose import compose
from golf.data.accounting import byte_tables, unigram
from golf.data.api import make_from_text
from golf.data.bounded import first_documents
from golf.data.shards import read_shard, shard_files, write_shard
from golf.data.source import check_source, resolve_data
from golf.data.tokenizer import load_tokenizer

ROWS = (
    "pr1412", "pr1413", "pr1477", "pr1514", "pr1529", "pr1530", "pr1610", "pr1626", "pr1667", "pr1729", "pr1736", "pr1769", "pr1787",
    "pr1851", "pr1868", "pr1855", "pr1945", "pr1953", "pr2014", "pr2130", "pr2135",
)  # fmt: skip
CASES = tuple(itertools.product(ROWS, ("fineweb", "embedded"))) if ALL_CASES else (("pr2014", "fineweb"),)
# rates for thirty steps instead of five thousand; a step of more tokens costs little more
LEARNS_SOON = {
    "iterations": 28,
    "train_batch_tokens": 2048,
    "tied_embed_lr": 0.1,
    "matrix_lr": 0.06,
    "scalar_lr": 0.06,
    "ema_decay": 0.85,
}
SCORED_TOKENS, OF_ONE_DOCUMENT = (4000, 300) if ALL_CASES else (600, 100)


@cache
def composed(name):
    """The script of a row's tiny twin; both corpora run the same."""
    return compose(tiny(name, vocab_size=1024, **(LEARNS_SOON if ALL_CASES else {"iterations": 2, "warmup_steps": 0})))


@pytest.fixture(scope="module")
def sources(shared, tmp_path_factory):
    """(corpus, whether after CaseOps) → checked data of 1,024 pieces."""
    folder = tmp_path_factory.mktemp("caseops")
    text = folder / "docs.jsonl"
    heads = [
        (shared / "text" / name).read_text().splitlines()[:count]
        for name, count in (("fineweb_val_docs_prefix902.jsonl", 24), ("fineweb_docs_200.jsonl", 40))
    ]
    text.write_text("\n".join(itertools.chain(*heads)) + "\n")
    made = make_from_text([str(text)], folder / "shards", 1024, "caseops", val_documents=24, processes=1)
    found = {("fineweb", True): check_source(1024, made.folder, made.tokenizer)}
    official = shared / "shards" / "fineweb10B_sp1024"
    found["fineweb", False] = check_source(1024, official, shared / "tokenizers" / "fineweb_1024_bpe.model")
    for side_car in (True, False) if ALL_CASES else ():
        found["embedded", side_car] = resolve_data(1024, side_car=side_car)
    return found


def beginning(source, folder):
    """The source's first tokens as shards in `folder`, and the unigram entropy in nats of its validation split."""
    folder.mkdir(parents=True)
    train = np.concatenate([read_shard(path) for path in shard_files(source.data_path, "train")])[:60_000]
    for number, half in enumerate(np.array_split(train, 2)):
        write_shard(folder / f"fineweb_train_{number:06}.bin", half)
    whole = read_shard(shard_files(source.data_path, "val")[0])[:200_000]
    kept = first_documents(whole, SCORED_TOKENS, OF_ONE_DOCUMENT)
    write_shard(folder / "fineweb_val_000000.bin", whole[kept])
    if source.side_car:
        sizes = read_shard(shard_files(source.data_path, "val_bytes")[0])
        write_shard(folder / "fineweb_val_bytes_000000.bin", sizes[:200_000][kept])
    (folder / "tokenizer.model").symlink_to(source.tokenizer_path)
    return unigram(byte_tables(load_tokenizer(source.tokenizer_path, 1024), 1024), whole).nats_per_token


def results(folder):
    lines = "\n".join(path.read_text() for path in (folder / "run").rglob("*.txt")).splitlines()
    return [json.loads(line.partition("golf_result ")[2]) for line in lines if line.startswith("golf_result ")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "corpus"), CASES, ids=map("-".join, CASES))
def test_a_row_learns_from_real_text_and_scores_from_its_bytes_alone(tmp_path, monkeypatch, sources, name, corpus):
    side_car = "side_car" in tiny(name).values["target_bytes"]
    entropy = beginning(sources[corpus, side_car], tmp_path / "data")
    with run_folder(tmp_path / "run", monkeypatch, tmp_path / "data", (), 1):
        script = execute(composed(name), tmp_path / "run" / "train_gpt.py")
        script.main()
    trained = (tmp_path / "run" / "float.golf").read_bytes()
    (tmp_path / "run" / "float.golf").unlink()
    with run_folder(tmp_path / "run", monkeypatch, tmp_path / "data", ("eval",), 1):
        script.main()
    assert trained and not (tmp_path / "run" / "float.golf").exists()
    whole, alone = results(tmp_path)
    scores = [
        [(report["name"], report["val_loss"], report["val_bpb"]) for report in r["reports"]] for r in (whole, alone)
    ]
    assert scores[0] == scores[1]
    packed = whole["model_bytes"]
    assert packed == (tmp_path / "run" / "model.golf").stat().st_size < len(trained) / 3
    print(
        f"{name:8} {corpus:9} unigram {entropy:.4f} nats, float {whole['pre_quant_val_loss']:.4f}, {scores[1]}, {packed:,} bytes"
    )
    if ALL_CASES:
        assert max(loss for _, loss, _ in scores[1]) < entropy
