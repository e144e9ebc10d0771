"""A record row's tiny twin on real text: trained until it knows more than token frequencies, packed, and scored again from its bytes alone."""

import itertools
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from worlds import ALL_CASES, execute, run_folder, tiny

from golf.compose import compose
from golf.data.accounting import byte_tables, unigram
from golf.data.api import make_from_text
from golf.data.bounded import first_documents
from golf.data.shards import read_shard, shard_files, write_shard
from golf.data.source import DataSource, check_source, resolve_data
from golf.data.tokenizer import load_tokenizer

CORPORA = ("fineweb", "embedded")
# rates for forty steps instead of five thousand; a step of more tokens costs little more
LEARNS_SOON = {
    "iterations": 40,
    "train_batch_tokens": 2048,
    "tied_embed_lr": 0.1,
    "matrix_lr": 0.06,
    "scalar_lr": 0.06,
    "ema_decay": 0.85,
}
SCORED_TOKENS, OF_ONE_DOCUMENT = (4000, 300) if ALL_CASES else (600, 100)


@cache
def composed(name: str) -> str:
    """The script of a row's tiny twin; both corpora run the same."""
    small = tiny(name, vocab_size=1024, **(LEARNS_SOON if ALL_CASES else {"iterations": 2, "warmup_steps": 0}))
    return compose(replace(small, own=frozenset()))  # a rate that a row has no use for is no fault here


def sources_of(shared: Path, folder: Path) -> dict[tuple[str, bool], DataSource]:
    """(corpus, whether after CaseOps) → checked data of 1,024 pieces."""
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


def beginning(source: DataSource, folder: Path) -> float:
    """The source's first tokens as shards in `folder`; the unigram entropy in nats of its validation split."""
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


def results(folder: Path) -> list[dict[str, Any]]:
    lines = "\n".join(path.read_text() for path in (folder / "run").rglob("*.txt")).splitlines()
    return [json.loads(line.partition("golf_result ")[2]) for line in lines if line.startswith("golf_result ")]


def trained_and_scored_alone(
    tmp_path: Path, monkeypatch: Any, sources: dict[tuple[str, bool], DataSource], name: str, corpus: str
) -> dict[str, Any]:
    """The result of a row's twin, after its artifact alone has given the same scores; nats `entropy` of token frequencies beside it."""
    side_car = "side_car" in tiny(name).values["target_bytes"]
    entropy = beginning(sources[corpus, side_car], tmp_path / "data")
    with run_folder(tmp_path / "run", monkeypatch, tmp_path / "data", (), 1):
        script = execute(composed(name), tmp_path / "run" / "train_gpt.py")
        script.main()
    trained = (tmp_path / "run" / "float.golf").read_bytes()
    (tmp_path / "run" / "float.golf").unlink()  # what is scored again are the artifact's bytes
    with run_folder(tmp_path / "run", monkeypatch, tmp_path / "data", ("eval",), 1):
        script.main()
    assert trained and not (tmp_path / "run" / "float.golf").exists()
    whole, alone = results(tmp_path)
    scores = [
        [(report["name"], report["val_loss"], report["val_bpb"]) for report in r["reports"]] for r in (whole, alone)
    ]
    assert scores[0] == scores[1]
    packed = whole["model_bytes"]
    assert packed == (tmp_path / "run" / "model.golf").stat().st_size < len(trained)
    print(
        f"{name:8} {corpus:9} unigram {entropy:.4f} nats, float {whole['pre_quant_val_loss']:.4f}, {scores[1]}, {packed:,} bytes"
    )
    return {**whole, "entropy": entropy, "losses": [loss for _, loss, _ in scores[1]], "float_bytes": len(trained)}
