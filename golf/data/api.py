"""`golf data make` as a library call: documents to shards, with the tokenizer that is named or one trained on them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.data import caseops
from golf.data.documents import text_source
from golf.data.make import VAL_DOCUMENTS, Mapper, Settings, make_dataset, tokenizer_for
from golf.data.shards import SHARD_TOKENS
from golf.data.tokenizer import load_tokenizer
from golf.engine import local
from golf.errors import GolfError
from golf.files import sha256_of_file, write_atomically


@dataclass(frozen=True)
class Made:
    """A data set made from text: its shards, its tokenizer, and what `manifest.json` says."""

    folder: Path
    tokenizer: Path
    manifest: dict[str, Any]


def make_from_text(
    names: Sequence[str],
    folder: Path | None,
    vocab_size: int,
    transform: str,
    tokenizer: Path | None = None,
    *,
    column: str = "text",
    split: str = "train",
    val_documents: int = VAL_DOCUMENTS,
    most_documents: int | None = None,
    shard_tokens: int = SHARD_TOKENS,
    processes: int | None = None,
    mapper: Mapper = local.in_order,
    tell: Callable[[str], None] = lambda _: None,
) -> Made:
    """Make the shards of the documents that `names` mean (`golf.data.documents.text_source`) in `folder`.

    Without a tokenizer one of `vocab_size` pieces is trained on the train documents and kept in the folder. GolfError: no folder, what
    `make_dataset` and `text_source` raise, a tokenizer without the markers of CaseOps.
    """
    source = text_source(names, column=column, split=split)
    if folder is None:
        raise GolfError("no folder to make the data set in", "name one: `--out data/datasets/NAME`")
    folder = folder.expanduser().resolve()
    if tokenizer is None:
        suffix = f"_{caseops.NAME}" if transform == "caseops" else ""
        tokenizer = folder / "tokenizers" / f"{folder.name}_{vocab_size}_bpe{suffix}.model"
        if not tokenizer.is_file():
            tell(f"training a tokenizer of {vocab_size:,} pieces")
            model = tokenizer_for(source.read(val_documents), vocab_size, transform)
            tokenizer.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(tokenizer, model)
    tokenizer = tokenizer.expanduser().resolve()
    if caseops.is_caseops(load_tokenizer(tokenizer)) != (transform == "caseops"):
        if transform == "caseops":
            raise GolfError(f"{tokenizer} knows no markers of CaseOps: capitals would be four bytes each",
                            "name a tokenizer made for CaseOps, or none: one is trained")  # fmt: skip
        raise GolfError(f"{tokenizer} was made for text after CaseOps", "add `--transform caseops`")
    settings = Settings(
        source.identity, sha256_of_file(tokenizer), transform, val_documents, shard_tokens, most_documents
    )
    workers = processes or os.cpu_count() or 1
    return Made(
        folder,
        tokenizer,
        make_dataset(folder, source.read, tokenizer, settings, processes=workers, mapper=mapper, tell=tell),
    )
