"""A data set from any documents: shards in the challenge's format, with CaseOps and its side-car where asked for.

The first documents are the validation split, the rest train, and no shard holds both. Documents are encoded by several processes and
written in order, so the files do not depend on how many; every one is decoded again before it counts. What is whole stays: a
making that was stopped goes on from its last whole shard.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from golf.data import caseops
from golf.data.shards import BOS, HEADER_BYTES, MAX_VOCABULARY, SHARD_TOKENS, write_shard
from golf.data.tokenizer import tokenizer_of, train_tokenizer
from golf.engine import local
from golf.errors import Exit, GolfError
from golf.files import Lock, json_text, parse_json, sha256_of_file, write_atomically

VAL_DOCUMENTS = 50_000  # of the challenge's validation split
TRANSFORMS = ("none", "caseops")
# (task, arguments, processes) -> results in the order of the arguments; an engine's
Mapper = Callable[[Callable[[Any], Any], Iterable[Any], int], Iterator[Any]]
BATCH_CHARACTERS = 1 << 18  # of the documents that a process takes at a time
LISTED = 1000  # numbers of documents that a manifest lists
TOKENIZER_TEXT = 20_000_000  # characters that a tokenizer is trained on


@dataclass(frozen=True)
class Settings:
    """What the files depend on. source: what tells the documents' source from another."""

    source: dict[str, Any]
    tokenizer_sha256: str
    transform: str
    val_documents: int = VAL_DOCUMENTS
    shard_tokens: int = SHARD_TOKENS
    most_documents: int | None = None  # of both splits


@dataclass
class Facts:
    """What was proven of a split's documents, all of whose tokens are written."""

    documents: int = 0
    tokens: int = 0
    text_bytes: int = 0
    counted_bytes: int = 0  # in the side-car
    uncounted_bytes: int = 0  # of blanks and the like that the normaliser drops
    not_as_normalised: int = 0  # documents whose tokens do not decode to the normalised text
    examples: list[int] = field(default_factory=list)  # numbers of the first of these

    def add(self, document: "Encoded") -> None:
        self.documents += 1
        self.tokens += len(document.ids)
        self.text_bytes += document.text_bytes
        self.counted_bytes += document.counted_bytes
        self.uncounted_bytes += document.text_bytes - document.counted_bytes
        if not document.as_normalised:
            self.not_as_normalised += 1
            if len(self.examples) < LISTED:
                self.examples.append(document.number)


@dataclass(frozen=True)
class Encoded:
    """A document as it is written: ids with BOS, and the bytes that each stands for (BOS none), counted_bytes in all."""

    number: int
    ids: npt.NDArray[np.uint16]
    sizes: npt.NDArray[np.uint16]
    text_bytes: int
    counted_bytes: int
    as_normalised: bool


def encode_document(sp: Any, number: int, text: str, transform: str) -> Encoded:
    """Encode a document and prove it: CaseOps undone is the text to the byte, and no byte is counted twice.

    as_normalised says whether the tokens, decoded, are the text as the tokenizer normalises it. GolfError names the document.
    """
    try:
        text_bytes = len(text.encode())
    except UnicodeEncodeError as fault:
        raise GolfError(f"document {number:,} is no text: it holds half a character (a lone surrogate at {fault.start:,})",
                        "mend that document, or leave it out") from None  # fmt: skip
    encoded = caseops.encode(text) if transform == "caseops" else text
    ids, sizes = caseops.tokenize(sp, encoded, marked=transform == "caseops")
    if transform == "caseops" and caseops.decode(encoded) != text:
        raise GolfError(f"document {number:,} does not come back from CaseOps", "report this as a fault of golf")
    counted = int(sizes.sum())
    if counted > text_bytes or (len(sizes) and int(sizes.max()) >= MAX_VOCABULARY):
        raise GolfError(f"document {number:,} of {text_bytes:,} bytes cannot be counted: its tokens stand for {counted:,}, "
                        f"one alone for {int(sizes.max()):,} (a side-car holds {MAX_VOCABULARY - 1:,})",
                        "a run of blanks that long is one token: shorten it, or leave the document out")  # fmt: skip
    return Encoded(
        number,
        np.asarray([BOS, *ids], dtype=np.uint16),
        np.concatenate(([0], sizes)).astype(np.uint16),
        text_bytes,
        counted,
        _decoded(sp, ids, transform) == sp.normalize(text).replace("▁", " "),
    )


def _decoded(sp: Any, ids: list[int], transform: str) -> str | None:
    text: str = sp.decode(ids)
    try:
        return caseops.decode(text) if transform == "caseops" else text
    except caseops.NotCaseOps:
        return None


def make_dataset(
    folder: Path,
    read: Callable[[int], Iterator[str]],
    tokenizer: Path,
    settings: Settings,
    *,
    processes: int = 1,
    mapper: Mapper = local.in_order,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Write the shards of `read` (document number -> documents from there on) into `folder`; what `manifest.json` says.

    Goes on where an earlier call with the same settings was stopped, and does nothing where it was done. GolfError: a document that
    cannot be encoded, another data set in the folder, no documents for a split, a full disk. mapper: the engine. tell: hears of every
    shard.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder / ".making.lock")
        if not lock.take():
            raise GolfError(f"another process makes a data set in {folder}", "wait for it", Exit.REFUSED)
        try:
            return _made(
                folder, read, tokenizer, settings, lambda task, batches: mapper(task, batches, processes), tell
            )
        finally:
            lock.path.unlink(missing_ok=True)
            lock.release()
    except OSError as fault:
        raise GolfError(f"{folder} cannot be written: {fault.strerror or fault}",
                        "free some disk or name another folder; call it again to go on", Exit.REFUSED) from fault  # fmt: skip


def _made(
    folder: Path,
    read: Callable[[int], Iterator[str]],
    tokenizer: Path,
    settings: Settings,
    mapper: Callable[[Any, Any], Iterator[Any]],
    tell: Callable[[str], None],
) -> dict[str, Any]:
    manifest = folder / "manifest.json"
    if manifest.is_file():
        return _same(parse_json(manifest.read_text()), settings, folder)
    writer = _Writer(folder, settings, tell)
    batches = _batches(read(writer.first), writer.first, settings.most_documents)
    try:
        for encoded in mapper(partial(_encode_batch, tokenizer.read_bytes(), settings), batches):
            for document in encoded:
                writer.add(document)
    except local.Died as fault:
        raise GolfError(f"a process that encodes for {folder} died", "call it again to go on") from fault
    return writer.finish()


class _Writer:
    """Writes shards in order and, after each, what is needed to go on from there (`making.json`)."""

    def __init__(self, folder: Path, settings: Settings, tell: Callable[[str], None]) -> None:
        self.folder, self.settings, self.tell = folder, settings, tell
        self.facts = {"val": Facts(), "train": Facts()}
        self.files: dict[str, dict[str, Any]] = {}
        self.first = 0  # the document whose tokens come next …
        self.offset = 0  # … and how many of them are taken
        self.split = "val"
        self.ids, self.sizes = bytearray(), bytearray()  # of the shard that fills, two bytes each
        self._go_on()
        self.begun = time.monotonic()
        self.bytes_before = sum(facts.text_bytes for facts in self.facts.values())

    def _go_on(self) -> None:
        path = self.folder / "making.json"
        if not path.is_file():
            strange = [one.name for one in self.folder.glob("fineweb_*.bin")]
            if strange:
                raise GolfError(f"{self.folder} already holds shards ({min(strange)})", "name another folder: `--out`")
            _write_json(path, self._state())  # from here on shards in the folder are ours
            return
        if not parse_json(path.read_text())["files"]:  # nothing was whole: other settings may take its place
            _write_json(path, self._state())
            return
        state = _same(parse_json(path.read_text()), self.settings, self.folder)
        self.files, self.first, self.offset, self.split = (
            state[key] for key in ("files", "first", "offset", "split")
        )  # fmt: skip
        self.facts = {split: Facts(**state["facts"][split]) for split in ("val", "train")}
        for name, entry in self.files.items():
            there = self.folder / name
            if not there.is_file() or there.stat().st_size != entry["bytes"]:
                raise GolfError(f"{there} is not as it was written", "empty the folder and make the data set anew")
        self.tell(f"going on after {len(self.files)} files, with document {self.first:,}")

    def add(self, document: Encoded) -> None:
        """Take the next document; the first train document ends the validation split."""
        if self.split == "val" and document.number >= self.settings.val_documents:
            self._flush()
            self.split = "train"
        while self.first <= document.number:
            end = min(len(document.ids), self.offset + self.settings.shard_tokens - len(self.ids) // 2)
            self.ids += document.ids[self.offset : end].tobytes()
            self.sizes += document.sizes[self.offset : end].tobytes()
            self.offset = end
            if end == len(document.ids):
                self.facts[self.split].add(document)
                self.first, self.offset = document.number + 1, 0
            if len(self.ids) // 2 == self.settings.shard_tokens:
                self._write()

    def _flush(self) -> None:
        if self.ids:
            self._write()

    def _write(self) -> None:
        """One shard of what was taken, and the state after it."""
        number = sum(name.startswith(f"fineweb_{self.split}_0") for name in self.files)
        names = [(f"fineweb_{self.split}_{number:06d}.bin", self.ids)]
        if self.sizes:
            names.append((f"fineweb_val_bytes_{number:06d}.bin", self.sizes))
        for name, content in names:
            path = write_shard(self.folder / name, np.frombuffer(content, dtype=np.uint16))
            self.files[name] = {"bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
        self.ids, self.sizes = bytearray(), bytearray()
        _write_json(self.folder / "making.json", self._state())
        tokens = (self.files[names[0][0]]["bytes"] - HEADER_BYTES) // 2
        seconds = max(time.monotonic() - self.begun, 1e-9)
        rate = (sum(facts.text_bytes for facts in self.facts.values()) - self.bytes_before) / seconds / 1e6
        self.tell(f"{names[0][0]}: {tokens:,} tokens, up to document {self.first:,}, {rate:.2f} MB/s of text")

    def _state(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "settings": asdict(self.settings),
            "split": self.split,
            "first": self.first,
            "offset": self.offset,
            "facts": {split: asdict(facts) for split, facts in self.facts.items()},
            "files": self.files,
        }

    def finish(self) -> dict[str, Any]:
        """Write what is left and the manifest."""
        self._flush()
        for split, facts in self.facts.items():
            if not facts.documents:
                raise GolfError(f"{self.folder} would have no {split} documents: the text has {self.first:,}, "
                                f"the first {self.settings.val_documents:,} are for validation",
                                "fewer for validation: `--val-docs`")  # fmt: skip
        manifest = {
            "schema": 1,
            "name": self.folder.name,
            "settings": asdict(self.settings),
            **{split: asdict(facts) for split, facts in self.facts.items()},
            "files": self.files,
        }
        _write_json(self.folder / "manifest.json", manifest)
        (self.folder / "making.json").unlink(missing_ok=True)
        return manifest


def _same(found: dict[str, Any], settings: Settings, folder: Path) -> dict[str, Any]:
    """What was written there, if it was made with these settings."""
    here = parse_json(json_text(asdict(settings)))
    if found.get("settings") != here:
        other = [key for key, value in here.items() if (found.get("settings") or {}).get(key) != value]
        raise GolfError(f"{folder} holds a data set of another making: other {', '.join(other)}",
                        "name another folder: `--out`, or empty this one")  # fmt: skip
    return found


def _batches(documents: Iterable[str], first: int, most: int | None) -> Iterator[list[tuple[int, str]]]:
    batch: list[tuple[int, str]] = []
    held = 0
    for number, text in enumerate(documents, first):
        if most is not None and number >= most:
            break
        batch.append((number, text))
        held += len(text)
        if held >= BATCH_CHARACTERS:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _encode_batch(model: bytes, settings: Settings, batch: list[tuple[int, str]]) -> list[Encoded]:
    """The documents; with the sizes of their tokens only where a side-car takes them up."""
    encoded = [encode_document(_loaded(model), number, text, settings.transform) for number, text in batch]
    in_side_car = settings.val_documents if settings.transform == "caseops" else 0
    return [one if one.number < in_side_car else replace(one, sizes=one.sizes[:0]) for one in encoded]


_loaded = lru_cache(1)(tokenizer_of)


def tokenizer_for(documents: Iterator[str], vocab_size: int, transform: str) -> bytes:
    """A tokenizer trained on the first documents (up to 20 million characters), after the transform."""
    return train_tokenizer(_lines(documents, transform), vocab_size, caseops.MARKERS if transform == "caseops" else "")


def _lines(documents: Iterator[str], transform: str) -> Iterator[str]:
    read = 0
    for text in documents:
        yield from (caseops.encode(text) if transform == "caseops" else text).splitlines()
        read += len(text)
        if read >= TOKENIZER_TEXT:
            return


def _write_json(path: Path, report: dict[str, Any]) -> None:
    write_atomically(path, (json_text(report, 1) + "\n").encode())
