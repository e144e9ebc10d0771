"""Token ids for a source, and the windows that are cut from them in a seeded order that any position can be resumed at."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from golf.errors import Exit, GolfError
from golf.files import parse_json, sha256_of, whole_file
from golf.models.source import Ids, Tokens

if TYPE_CHECKING:
    from golf.data.source import DataSource

LEAST_CHARACTERS = 50  # shorter documents are skipped, as the published dictionaries do
TEXT = (".txt", ".jsonl", ".json")
BATCH_DOCUMENTS = 256
Encode = Callable[[list[str]], list[list[int]]]


class Windows:
    """Rows of `seq_len` ids of a stream. Every epoch is another order, drawn from (seed, epoch); `at` counts the rows drawn."""

    def __init__(self, tokens: Ids, seq_len: int, seed: int, at: int = 0) -> None:
        self.tokens, self.seq_len, self.seed, self.at = tokens, seq_len, seed, at
        self.rows = len(tokens) // seq_len
        self._epoch, self._order = -1, np.zeros(0, np.int64)
        if self.rows == 0:
            raise GolfError(
                f"the text has {len(tokens):,} tokens, a window takes {seq_len:,}",
                "take a lower `--seq-len`, or more text",
            )

    def next(self, count: int) -> Ids:
        """The next `count` rows, (count, seq_len) int64."""
        picked = [self._row(self.at + i) for i in range(count)]
        self.at += count
        return np.stack([self.tokens[row * self.seq_len : (row + 1) * self.seq_len] for row in picked]).astype(np.int64)

    def _row(self, number: int) -> int:
        epoch, place = divmod(number, self.rows)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.rows)
        return int(self._order[place])


def golf_tokens(vocab_size: int, trained_with: str | None = None) -> Tokens:
    """Ids for a golf model: shards of its vocabulary (DATA_PATH, FineWeb, else embedded), or text through its tokenizer.

    trained_with: sha256 of the tokenizer that the model was trained with, where that is known; a GolfError (10) for data of another.
    """

    def tokens(split: str, data: Path | None = None, limit: int | None = None) -> Ids:
        from golf.data.shards import BOS, read_split

        if data is None or data.is_dir():
            ids: Ids = read_split(_data_of(vocab_size, data, trained_with).data_path, split)
            return ids[:limit]
        encode = golf_encode(vocab_size, trained_with)
        return _encoded(_documents(split, data), lambda texts: [[BOS, *ids] for ids in encode(texts)], limit)

    return tokens


def golf_encode(vocab_size: int, trained_with: str | None = None) -> Encode:
    """Texts to ids, without BOS, by the tokenizer that belongs to the data; it is loaded when first asked."""

    def encode(texts: list[str]) -> list[list[int]]:
        from golf.data.tokenizer import load_tokenizer

        path = _data_of(vocab_size, None, trained_with).tokenizer_path
        ids: list[list[int]] = load_tokenizer(path, vocab_size).encode(texts)
        return ids

    return encode


def _data_of(vocab_size: int, data: Path | None, trained_with: str | None) -> "DataSource":
    """The data that is at hand, when its tokenizer is the model's: ids of another of equal size mean other words."""
    from golf.data.hashes import remembered_sha256
    from golf.data.source import resolve_data

    found = resolve_data(vocab_size, data)
    here = remembered_sha256(found.tokenizer_path)
    if trained_with is not None and here != trained_with:
        raise GolfError(f"{found.tokenizer_path} is another tokenizer ({here[:12]}) than the model was trained with ({trained_with[:12]})",
                        "name the model's own data with DATA_PATH and TOKENIZER_PATH", Exit.REFUSED)  # fmt: skip
    return found


def text_tokens(name: str, encode: Encode) -> Tokens:
    """Ids for a model with a tokenizer of its own: the embedded corpus, or a text file; documents one after another, kept in the cache."""

    def tokens(split: str, data: Path | None = None, limit: int | None = None) -> Ids:
        from golf.project import cache_dir

        kept = cache_dir() / "sae" / f"tokens-{_key(name, split, data, limit)}.npy"
        if not kept.is_file():
            ids = _encoded(_documents(split, data), encode, limit)
            with whole_file(kept) as file:
                np.save(file, ids)
        mapped: Ids = np.load(kept, mmap_mode="r")
        return mapped

    return tokens


def _key(name: str, split: str, data: Path | None, limit: int | None) -> str:
    if data is None:
        from golf.data.factbook import PACKAGE, package_version

        what = [PACKAGE, package_version(), split]
    else:
        stat = data.stat() if data.is_file() else None
        what = [str(data.resolve()), *([str(stat.st_size), str(stat.st_mtime_ns)] if stat else [])]
    return sha256_of(json.dumps([1, name, what, limit]).encode())[:16]


def _encoded(documents: Iterator[str], encode: Encode, limit: int | None) -> Ids:
    pieces: list[Ids] = []
    count, batch = 0, list[str]()

    def flush() -> int:
        new = [np.asarray(ids, dtype=np.int32) for ids in encode(batch)] if batch else []
        pieces.extend(new)
        batch.clear()
        return sum(len(ids) for ids in new)

    for text in documents:
        batch.append(text)
        if len(batch) == BATCH_DOCUMENTS:
            count += flush()
            if limit is not None and count >= limit:
                break
    flush()
    if not pieces:
        raise GolfError(
            f"the text holds no document of {LEAST_CHARACTERS} characters or more", "name a longer text with `--data`"
        )
    return np.concatenate(pieces)[:limit]


def _documents(split: str, data: Path | None) -> Iterator[str]:
    """The documents of the embedded corpus' split, or of a file: a .txt is one, a .jsonl has one `text` a line."""
    if data is None:
        from golf.data import factbook

        parts = factbook.split_corpus(factbook.load_documents())
        yield from (document.text for document in (parts.train if split == "train" else parts.val))
        return
    if not data.is_file() or data.suffix not in TEXT:
        raise GolfError(
            f"{data} is no text file",
            "name a .txt, or a .jsonl whose lines have a `text`; shards only fit golf's own models",
        )
    with data.open(encoding="utf-8", errors="replace") as file:
        if data.suffix == ".txt":
            yield file.read()
            return
        for number, line in enumerate(file, 1):
            if line.strip():
                text = _text_of(line, data, number)
                if len(text) >= LEAST_CHARACTERS:
                    yield text


def _text_of(line: str, path: Path, number: int) -> str:
    try:
        text = parse_json(line)["text"]
    except (ValueError, KeyError, TypeError) as fault:
        raise GolfError(
            f"{path}, line {number}: no JSON object with a `text`", 'one object a line: {"text": "…"}'
        ) from fault
    return str(text)
