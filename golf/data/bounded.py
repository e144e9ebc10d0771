"""The same data with a short validation split: what a small twin scores, so that `--smoke` ends soon on any shards.

A view in the user's cache, laid out like every data set: the train shards and the tokenizer are links, the validation split is one
new shard with the beginnings of the first documents: of enough documents for batches of them, and of none so much that all others wait
for it. A single train shard becomes two, for loaders that read a shard of their own in each of two
processes. The script reads it as it reads any other; nothing in it knows of the bound.
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from golf.data.shards import BOS, Tokens, count_tokens, read_shard, shard_files, write_shard
from golf.data.side_car import SPLIT as SIDE_CAR
from golf.data.source import DataSource
from golf.errors import Exit, GolfError
from golf.files import sha256_of
from golf.project import cache_dir

LAYOUT = 3  # raised when the same source is laid out otherwise
TWIN_VAL_TOKENS = 8192  # 64 windows of a twin: the smoke of the heaviest recipe ends within 90 s on two quiet cores
TWIN_DOCUMENT_TOKENS = 1024  # of one document: eight windows of a twin
LOOKED_THROUGH = 8  # times as many tokens are looked through for documents
TWIN_TRAIN_TOKENS = 4_000_000  # of a single shard, which is written anew: twenty times what a twin trains on


def bounded(source: DataSource, val_tokens: int = TWIN_VAL_TOKENS) -> DataSource:
    """`source` with at most `val_tokens` validation tokens: the first documents, each up to `TWIN_DOCUMENT_TOKENS`.

    The same object where it has no more than that, and two train shards. GolfError when the cache cannot be written.
    """
    if source.val_tokens <= val_tokens and source.train_shards > 1:
        return source
    shards = shard_files(source.data_path, "val")
    states = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in shards]
    if source.side_car:
        counts = shard_files(source.data_path, SIDE_CAR)
        states += [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in counts]
    states += [(str(path.resolve()), 0, 0) for path in shard_files(source.data_path, "train")]
    key = sha256_of(repr((LAYOUT, states, str(source.tokenizer_path), val_tokens)).encode())[:16]
    folder = cache_dir() / "data" / f"first-{key}"
    dataset = folder / "datasets" / source.data_path.name
    tokenizer = folder / "tokenizers" / source.tokenizer_path.name
    try:
        if not dataset.is_dir():
            _build(source, val_tokens, folder)
        tokens = sum(count_tokens(path) for path in shard_files(dataset, "val"))
        train_shards = len(shard_files(dataset, "train"))
    except OSError as fault:
        raise GolfError(
            f"the small twin's data cannot be written to {folder}: {fault.strerror}",
            "XDG_CACHE_HOME names another place for the cache",
            Exit.REFUSED,
        ) from fault
    return replace(
        source, data_path=dataset, tokenizer_path=tokenizer, track="local", val_tokens=tokens, train_shards=train_shards
    )


def _build(source: DataSource, val_tokens: int, folder: Path) -> None:
    """Build beside `folder` and rename, so that it is there whole or not at all; of two that build it, one is kept."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        dataset = work / "datasets" / source.data_path.name
        dataset.mkdir(parents=True)
        train = shard_files(source.data_path, "train")
        for path in train if len(train) > 1 else ():
            (dataset / path.name).symlink_to(path.resolve())
        if len(train) == 1:
            for number, half in enumerate(np.array_split(_head(train, TWIN_TRAIN_TOKENS), 2)):
                write_shard(dataset / f"fineweb_train_{number:06}.bin", half)
        shards = shard_files(source.data_path, "val")
        head = _head(shards, LOOKED_THROUGH * val_tokens)
        kept = first_documents(head, val_tokens)
        write_shard(dataset / shards[0].name, head[kept])
        if source.side_car:
            counts = shard_files(source.data_path, SIDE_CAR)
            write_shard(dataset / counts[0].name, _head(counts, len(head))[kept])
        (work / "tokenizers").mkdir()
        (work / "tokenizers" / source.tokenizer_path.name).symlink_to(source.tokenizer_path.resolve())
        if not folder.exists():
            work.rename(folder)
    except FileExistsError:
        pass
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _head(shards: Sequence[Path], count: int) -> Tokens:
    pieces: list[Tokens] = []
    for path in shards:
        pieces.append(read_shard(path)[: count - sum(map(len, pieces))])
    return np.concatenate(pieces)


def first_documents(
    tokens: Tokens, count: int, longest: int = TWIN_DOCUMENT_TOKENS
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The places of at most `count` tokens: the first documents as a whole, each up to `longest`; of the first one a piece where not
    even that fits."""
    at = np.arange(len(tokens))
    begun = np.maximum.accumulate(np.where(tokens == BOS, at, 0))
    kept = at[at - begun < longest]
    if len(kept) <= count:
        return kept
    starts = np.flatnonzero(tokens[kept[: count + 1]] == BOS)
    return kept[: int(starts[-1]) if len(starts) and starts[-1] else count]
