"""The embedded corpus as a data set: tokenizer, shards, proof and manifest in the user's cache, built once.

The folder is `<cache>/data/<key>/`, laid out like the challenge's (`datasets/…`, `tokenizers/…`); the key hashes everything
that the content depends on. It is built beside its place and renamed into it, so it is there whole or not at all.
"""

import errno
import json
import shutil
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from golf.data import caseops, factbook
from golf.data.accounting import byte_tables, count_bytes
from golf.data.shards import SHARD_TOKENS, write_documents, write_shard
from golf.errors import Exit, GolfError
from golf.files import Lock, json_text, parse_json, sha256_of, sha256_of_file
from golf.project import cache_dir

LAYOUT = 1  # raise it when the way of building changes
DEFAULT_VOCABULARY = 1024
CASEOPS_GRAM_WORDS = 10
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Embedded:
    """A built corpus: where it lies and what `manifest.json` and `proof.json` say."""

    folder: Path
    dataset: Path
    tokenizer: Path
    manifest: dict[str, Any]
    proof: dict[str, Any]


def make_embedded(vocab_size: int = DEFAULT_VOCABULARY, transform: str = "none") -> Embedded:
    """The embedded corpus with a tokenizer of `vocab_size` pieces: from the cache when its hashes hold, else built.

    transform: "caseops" for the text after CaseOps, with a side-car.

    Two processes may ask at once: one builds, the other waits. GolfError on a full or read-only disk; nothing half-built stays.
    """
    settings = recipe_of(vocab_size, transform)
    folder = cache_dir() / "data" / key_of(settings)
    found = open_embedded(folder, settings)
    if found is not None:
        return found
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with Lock(folder.with_name(f"{folder.name}.lock")):
            found = open_embedded(folder, settings)
            if found is None:
                _build_into(folder, settings)
                found = open_embedded(folder, settings)
    except OSError as fault:
        raise _disk_fault(fault, folder) from fault
    if found is None:
        raise GolfError(f"{folder} was built and does not hash to its own manifest", "check this disk: `golf doctor`")
    return found


def recipe_of(vocab_size: int, transform: str = "none") -> dict[str, Any]:
    """Everything that the content depends on."""
    from golf.data.tokenizer import OPTIONS

    return {
        "layout": LAYOUT,
        "corpus": f"{factbook.PACKAGE} {factbook.package_version()}",
        "sentencepiece": metadata.version("sentencepiece"),
        "vocab_size": vocab_size,
        "options": OPTIONS,
        **({} if transform == "none" else {"transform": transform}),
    }


def key_of(settings: dict[str, Any]) -> str:
    """The folder's name: the first 16 hex digits of the sha256 of the settings."""
    return sha256_of(json.dumps(settings, sort_keys=True).encode())[:16]


def open_embedded(folder: Path, settings: dict[str, Any]) -> Embedded | None:
    """The corpus in `folder` if every file has the size and sha256 that the manifest says; None when absent or damaged."""
    try:
        manifest = parse_json((folder / "manifest.json").read_text())
        files = manifest["files"]
        if manifest["settings"] != settings or any(
            sha256_of_file(folder / name) != entry["sha256"] for name, entry in files.items()
        ):
            return None
        dataset, tokenizer = folder / manifest["dataset"], folder / manifest["tokenizer"]
        return Embedded(folder, dataset, tokenizer, manifest, parse_json((folder / "proof.json").read_text()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _build_into(folder: Path, settings: dict[str, Any]) -> None:
    """Build beside `folder` and rename; leftovers of killed builds go first. The caller holds the lock."""
    for stale in folder.parent.glob(f".{folder.name}.*"):
        if stale.is_dir():
            shutil.rmtree(stale, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        build(work / "new", settings)
        if folder.exists():
            folder.replace(work / "damaged")
        (work / "new").replace(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def build(folder: Path, settings: dict[str, Any]) -> None:
    """Write tokenizer, shards, proof and manifest into the new folder `folder`."""
    from golf.data.make import encode_document
    from golf.data.tokenizer import load_tokenizer, train_tokenizer

    vocab_size, transform = settings["vocab_size"], settings.get("transform", "none")
    changed, suffix = transform != "none", f"_{caseops.NAME}" if transform != "none" else ""
    # markers make 64 tokens fewer words: what the splits may share is shorter then
    apart = CASEOPS_GRAM_WORDS if changed else factbook.GRAM_WORDS
    split = factbook.split_corpus(factbook.load_documents(), apart)
    tokenizer = folder / "tokenizers" / f"golf_factbook_{vocab_size}_bpe{suffix}.model"
    dataset = folder / "datasets" / f"golf_factbook_sp{vocab_size}{suffix}"
    tokenizer.parent.mkdir(parents=True)
    lines = (line for document in split.train for line in document.lines)
    tokenizer.write_bytes(
        train_tokenizer(map(caseops.encode, lines), vocab_size, caseops.MARKERS)
        if changed
        else train_tokenizer(lines, vocab_size)
    )
    sp = load_tokenizer(tokenizer, vocab_size)
    parts = {"train": split.train, "val": split.val}
    if changed:
        encoded = {
            part: [encode_document(sp, n, one.text, transform) for n, one in enumerate(parts[part])] for part in parts
        }
        ids = {part: [one.ids[1:].tolist() for one in encoded[part]] for part in parts}
        sizes = {part: np.concatenate([one.sizes for one in encoded[part]]) for part in parts}
        dataset.mkdir(parents=True)
        write_shard(dataset / "fineweb_val_bytes_000000.bin", sizes["val"])
    else:
        ids = {part: sp.encode([document.text for document in documents]) for part, documents in parts.items()}
        tables = byte_tables(sp)
        sizes = {part: np.asarray([count_bytes(tables, _stream(ids[part]))]) for part in parts}
    for part in parts:
        write_documents(dataset, ids[part], part, shard_tokens=SHARD_TOKENS)
    proof = prove_split(split, {part: _stream(ids[part]) for part in parts}, apart)
    _write_json(folder / "proof.json", proof)
    manifest = {
        "schema": 1,
        "name": dataset.name,
        "settings": settings,
        "dataset": dataset.relative_to(folder).as_posix(),
        "tokenizer": tokenizer.relative_to(folder).as_posix(),
        **{part: _describe(parts[part], _stream(ids[part]), int(sizes[part].sum())) for part in parts},
        "files": {
            path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }
    _write_json(folder / "manifest.json", manifest)


def prove_split(split: factbook.Split, ids: dict[str, Any], gram_words: int = factbook.GRAM_WORDS) -> dict[str, Any]:
    """Count what train and validation share, in text and in tokens; GolfError unless all of it is nothing."""
    from golf.data.overlap import SHINGLE_TOKENS, compare_streams

    train_lines = [line for document in split.train for line in document.lines]
    val_lines = [line for document in split.val for line in document.lines]
    overlap = compare_streams([ids["train"]], [ids["val"]])
    known = set().union(*(factbook.grams(line, gram_words) for line in train_lines))
    shared = {
        "documents": len({document.name for document in split.train} & {document.name for document in split.val}),
        "document_token_sequences": overlap.shared_documents,
        "lines": len(set(train_lines) & set(val_lines)),
        f"{gram_words}_word_runs_within_a_line": len(
            known & set().union(*(factbook.grams(line, gram_words) for line in val_lines))
        ),
        f"{SHINGLE_TOKENS}_token_runs": overlap.shared_shingles,
    }
    if any(shared.values()):
        raise GolfError(f"the embedded corpus is not disjoint: train and validation share {shared}",
                        "take another vocabulary, and report this as a fault of golf")  # fmt: skip
    return {
        "schema": 1,
        "criterion": "split by document; every kind of overlap below is counted exactly and must be 0",
        "shared": shared,
        "compared": {
            "train_lines": len(train_lines),
            "val_lines": len(val_lines),
            "train_word_runs": len(known),
            "train_tokens": overlap.train_tokens,
            "val_tokens": overlap.val_tokens,
        },
        "left_out": {
            "train_repeated_lines": split.train_repeats,
            "val_lines_found_in_train_or_repeated": split.val_repeats,
            f"val_lines_sharing_{gram_words}_words_with_train": split.val_near_repeats,
        },
    }


def _describe(documents: list[factbook.Document], stream: Any, text_bytes: int) -> dict[str, int]:
    return {
        "documents": len(documents),
        "lines": sum(len(document.lines) for document in documents),
        "tokens": len(stream),
        "text_bytes": text_bytes,
    }


def _stream(documents: list[list[int]]) -> Any:
    return np.asarray([token for document in documents for token in (1, *document)], dtype=np.uint16)


def _write_json(path: Path, report: dict[str, Any]) -> None:
    path.write_text(json_text(report, 1) + "\n")


def _disk_fault(fault: OSError, folder: Path) -> GolfError:
    if fault.errno in FULL_DISK:
        return GolfError(f"no disk space for the embedded corpus in {folder.parent}: it takes about 10 MB while building",
                         "free some, or point XDG_CACHE_HOME to a larger disk", Exit.REFUSED)  # fmt: skip
    return GolfError(f"the embedded corpus cannot be written to {folder.parent}: {fault.strerror}",
                     "make that folder writable, or point XDG_CACHE_HOME elsewhere", Exit.REFUSED)  # fmt: skip
