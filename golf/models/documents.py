"""The documents of a text, and which of them are held out: told by content, so that no copy of a trained document is "held out".

A document is held out when the sha256 of its text falls on one in HELD_OUT_EVERY; where a file has two or more documents and none
falls there, the one with the smallest hash is. A file that is one document is cut: its last part is held out.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from golf.errors import Exit, GolfError
from golf.files import parse_json

Keys = npt.NDArray[np.uint64]  # sorted, one of each document

LEAST_CHARACTERS = 50  # shorter documents are skipped, as the published dictionaries do
HELD_OUT_EVERY = 20
TEXT = (".txt", ".jsonl", ".json")
TABLES = (".parquet", ".gz", ".zst")  # read by the `datasets` library, a part at a time
HUB = "hub:"  # a data set of the Hugging Face hub, streamed
SPLITS = ("train", "val", "all")


def key_of(text: str) -> int:
    """What tells a document: the first eight bytes of the sha256 of its text, white space at its ends aside."""
    return int.from_bytes(sha256(text.strip().encode("utf-8", "surrogatepass")).digest()[:8], "big")


def is_text(data: Path | None) -> bool:
    """Whether `data` is text that is told apart by documents (not shards of token ids)."""
    return data is not None and (is_hub(data) or not data.is_dir())


def is_hub(data: Path) -> bool:
    """Whether `data` names a data set of the hub: `hub:owner/name`."""
    return str(data).startswith(HUB)


def documents(split: str, data: Path | None, without: Keys | None = None) -> Iterator[str]:
    """The documents of "train", "val" or "all" of the embedded corpus, or of a text; without: keys that are left out.

    A .txt is one document, a .jsonl has one `text` a line. GolfError: not a text, a line without `text`.
    """
    assert split in SPLITS
    skipped = frozenset(without.tolist()) if without is not None else frozenset()
    for text in _embedded(split) if data is None else _split(split, data):
        if not skipped or key_of(text) not in skipped:
            yield text


def keys_of(split: str, data: Path | None) -> Keys:
    """The keys of a split's documents, sorted."""
    return np.unique(np.fromiter((key_of(text) for text in documents(split, data)), np.uint64))


def _embedded(split: str) -> Iterator[str]:
    from golf.data import factbook

    parts = factbook.split_corpus(factbook.load_documents())
    for name, part in (("train", parts.train), ("val", parts.val)):
        if split in (name, "all"):
            yield from (document.text for document in part)


def _split(split: str, data: Path) -> Iterator[str]:
    if split == "all":
        yield from _read(data)
        return
    mark = None if is_hub(data) else data.stat().st_mtime_ns if data.is_file() else None
    least, count = (0, 2) if is_hub(data) else _least_key(data, mark)  # a stream is read once
    for text in _read(data):
        if count == 1:
            yield _part(split, text)
            return
        key = key_of(text)
        if (key % HELD_OUT_EVERY == 0 or key == least) == (split == "val"):
            yield text


@lru_cache(maxsize=8)
def _least_key(data: Path, mark: int | None) -> tuple[int | None, int]:
    """(the smallest key where no document is held out by its hash, else None; documents, at most 2)."""
    least, count = None, 0
    for text in _read(data):
        key, count = key_of(text), min(count + 1, 2)
        if key % HELD_OUT_EVERY == 0 and count > 1:
            return None, 2
        least = key if least is None or key < least else least
    return least, count


def _part(split: str, text: str) -> str:
    """The head or the tail of a single document, cut at white space."""
    at = len(text) - len(text) // HELD_OUT_EVERY
    cut = max(text.rfind(" ", 0, at), text.rfind("\n", 0, at)) + 1 or at
    return text[:cut] if split == "train" else text[cut:]


def _read(data: Path) -> Iterator[str]:
    """Every document that is long enough, in the order of the file."""
    if is_hub(data) or data.suffix in TABLES:
        rows: Iterator[str] = _table(data)
    elif data.is_file() and data.suffix in TEXT:
        rows = _lines(data) if data.suffix != ".txt" else iter([data.read_text(encoding="utf-8", errors="replace")])
    else:
        raise GolfError(f"{data} is no text file",
                        "name a .txt, a .jsonl whose lines have a `text`, a .parquet, or `hub:owner/name`; "
                        "shards only fit golf's own models")  # fmt: skip
    for text in rows:
        if len(text.strip()) >= LEAST_CHARACTERS:
            yield text


def _lines(data: Path) -> Iterator[str]:
    with data.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _text_of(line, data, number)


def _text_of(line: str, path: Path, number: int) -> str:
    try:
        text = parse_json(line)["text"]
    except (ValueError, KeyError, TypeError) as fault:
        raise GolfError(
            f"{path}, line {number}: no JSON object with a `text`", 'one object a line: {"text": "…"}'
        ) from fault
    return str(text)


def _table(data: Path) -> Iterator[str]:
    """The `text` column of a data set that the `datasets` library streams: never more than a part of it in memory."""
    load = _loader()
    try:
        if is_hub(data):
            rows = load(str(data).removeprefix(HUB), split="train", streaming=True)
        else:
            kind = "parquet" if data.suffix == ".parquet" else "json"
            rows = load(kind, data_files=str(data.resolve(strict=True)), split="train", streaming=True)
        for row in rows:
            yield str(row["text"])
    except KeyError:
        raise GolfError(f"{data} has no column `text`", "name a data set that has one") from None
    except Exception as fault:  # the library raises what its readers and the network raise
        said = str(fault).strip().splitlines()[0][:160] if str(fault).strip() else type(fault).__name__
        raise GolfError(f"{data} cannot be read: {said}",
                        "name a local .jsonl or .parquet, or a data set that the hub has", Exit.REFUSED) from fault  # fmt: skip


def _loader() -> Callable[..., Any]:
    try:
        from datasets import load_dataset  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise GolfError("streaming a data set needs the `datasets` library",
                        "install it: `pip install 'parameter-golf[sae]'`, or name a .jsonl", Exit.REFUSED) from None  # fmt: skip
    found: Callable[..., Any] = load_dataset
    return found
