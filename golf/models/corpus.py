"""Token ids for a source, and the windows that are cut from them in a seeded order that any position can be resumed at."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from golf.errors import Exit, GolfError
from golf.files import sha256_of, whole_file
from golf.models.documents import LEAST_CHARACTERS, Keys, documents, is_hub
from golf.models.source import Ids, Tokens

if TYPE_CHECKING:
    from golf.data.source import DataSource

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

    def tokens(split: str, data: Path | None = None, limit: int | None = None, without: Keys | None = None) -> Ids:
        from golf.data.shards import BOS, read_split

        if data is None or data.is_dir():
            ids: Ids = read_split(_data_of(vocab_size, data, trained_with).data_path, split)
            return ids[:limit]
        encode = golf_encode(vocab_size, trained_with)
        texts = documents(split, data, without)
        return np.concatenate(list(_encoded(texts, lambda texts: [[BOS, *ids] for ids in encode(texts)], limit)))[
            :limit
        ]

    return tokens


def golf_encode(vocab_size: int, trained_with: str | None = None) -> Encode:
    """Texts to ids, without BOS, by the tokenizer that belongs to the data; it is loaded when first asked."""

    def encode(texts: list[str]) -> list[list[int]]:
        from golf.data.tokenizer import load_tokenizer

        path = _data_of(vocab_size, None, trained_with).tokenizer_path
        ids: list[list[int]] = load_tokenizer(path, vocab_size).encode(texts)
        return ids

    return encode


def golf_decode(vocab_size: int, trained_with: str | None = None) -> Callable[[int], str]:
    """An id to its piece, with a space where the piece starts a word; the tokenizer is loaded when first asked."""
    loaded: list[Any] = []

    def decode(id: int) -> str:
        from golf.data.tokenizer import load_tokenizer

        if not loaded:
            loaded.append(load_tokenizer(_data_of(vocab_size, None, trained_with).tokenizer_path, vocab_size))
        return str(loaded[0].id_to_piece(id)).replace("▁", " ")

    return decode


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


def text_tokens(tokenizer: str, encode: Encode) -> Tokens:
    """Ids for a model with a tokenizer of its own: the embedded corpus, or a text; documents one after another, kept in the cache.

    tokenizer: its sha256. The cache is keyed by it and by the content of the text, never by names; what is kept is mapped, not read.
    """

    def tokens(split: str, data: Path | None = None, limit: int | None = None, without: Keys | None = None) -> Ids:
        from golf.project import cache_dir

        key = _key(tokenizer, split, data, limit, without)
        kept = cache_dir() / "sae" / f"tokens-{key}.i32" if key else None
        if kept is None:  # a stream has no content to be told by before it was read
            return np.concatenate(list(_encoded(documents(split, data, without), encode, limit)))[:limit]
        if not kept.is_file():
            with whole_file(kept) as file:
                for ids in _encoded(documents(split, data, without), encode, limit):
                    file.write(np.asarray(ids, dtype="<i4").tobytes())
        mapped: Ids = np.memmap(kept, dtype="<i4", mode="r")
        return mapped[:limit]

    return tokens


def _key(tokenizer: str, split: str, data: Path | None, limit: int | None, without: Keys | None) -> str | None:
    """The name of what is kept: of the tokenizer, the text's content, the part of it; None for a stream."""
    if data is None:
        from golf.data.factbook import PACKAGE, package_version

        what = [PACKAGE, package_version()]
    elif is_hub(data) or not data.is_file():
        return None
    else:
        from golf.data.hashes import remembered_sha256

        what = [remembered_sha256(data), data.suffix]
    left_out = sha256_of(without.tobytes()) if without is not None else None
    return sha256_of(json.dumps([2, tokenizer, what, split, limit, left_out]).encode())[:24]


def _encoded(texts: Iterator[str], encode: Encode, limit: int | None) -> Iterator[Ids]:
    """Ids of a batch of documents after the other, until there are `limit`; GolfError where there are none at all."""
    count, batch = 0, list[str]()

    def ids_of(batch: list[str]) -> Ids:
        found = [np.asarray(ids, dtype=np.int32) for ids in encode(batch)]
        return np.concatenate(found) if found else np.zeros(0, np.int32)

    for text in texts:
        batch.append(text)
        if len(batch) == BATCH_DOCUMENTS:
            ids = ids_of(batch)
            batch.clear()
            count += len(ids)
            yield ids
            if limit is not None and count >= limit:
                return
    rest = ids_of(batch)
    if count + len(rest) == 0:
        raise GolfError(
            f"the text holds no document of {LEAST_CHARACTERS} characters or more", "name a longer text with `--data`"
        )
    yield rest
