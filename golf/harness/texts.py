"""Texts of a known law: ids drawn independently and uniformly, so that the best code of `n` of them is n · ln K nats, whoever codes."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from golf.data.shards import BOS, write_shard
from golf.data.side_car import SPLIT
from golf.harness.vocabulary import Vocabulary

Ids = npt.NDArray[np.int64]
REPEATED, PERIOD = 0.85, 41  # share of ids that repeat in a text with a period, and that


@dataclass(frozen=True)
class Text:
    """Token ids (n + 1,), the first one BOS; the targets are ids[1:]. law_nats: what the targets' law takes to code them;
    target_bytes (n,): UTF-8 bytes of every target after its predecessor; bytes_without_starts: of all targets in the stream without its BOS."""

    ids: Ids
    law_nats: float
    target_bytes: Ids
    bytes_without_starts: int

    @property
    def text_bytes(self) -> int:
        """Bytes of all targets."""
        return int(self.target_bytes.sum())

    @property
    def targets(self) -> int:
        """How many tokens are scored."""
        return len(self.ids) - 1


def uniform_text(vocabulary: Vocabulary, targets: int, seed: int) -> Text:
    """BOS and `targets` ids drawn from `vocabulary.ids`. BOS is one of them where all ids are drawn: then documents have mean length V."""
    drawn = np.random.default_rng(seed).choice(vocabulary.ids, targets)
    return text_of(vocabulary, np.concatenate([[BOS], drawn]))


def text_of(vocabulary: Vocabulary, ids: Ids) -> Text:
    """`ids` as a text, with the uniform law over `vocabulary.ids`."""
    nats = (len(ids) - 1) * math.log(len(vocabulary.ids))
    without = int(_target_bytes(vocabulary, ids[ids != BOS]).sum())
    return Text(np.asarray(ids, dtype=np.int64), nats, _target_bytes(vocabulary, ids), without)


def _target_bytes(vocabulary: Vocabulary, ids: Ids) -> Ids:
    """UTF-8 bytes of ids[1:], each after its predecessor."""
    tables, before, target = vocabulary.tables, ids[:-1], ids[1:]
    spaces = tables.has_space[target] & ~tables.is_boundary[before]
    found: Ids = tables.base_bytes[target].astype(np.int64) + spaces
    return found


def periodic_ids(vocabulary: Vocabulary, targets: int, seed: int, period: int = PERIOD) -> Ids:
    """BOS and ids of which most repeat those `period` before: contexts come again, so that caches and hints act.

    Controls are left out, so that it is one document.
    """
    rng = np.random.default_rng(seed)
    plain = vocabulary.ids[vocabulary.ids > BOS + 2]
    ids = rng.choice(plain, targets + 1)
    repeats = rng.random(targets + 1) < REPEATED
    for at in range(period, targets + 1):
        if repeats[at]:
            ids[at] = ids[at - period]
    ids[0] = BOS
    return ids


def lay_data(folder: Path, vocabulary: Vocabulary, train: Ids, val: Ids, *, side_car: bool = False) -> dict[str, str]:
    """Write shards and tokenizer in the challenge's layout below `folder`; DATA_PATH, TOKENIZER_PATH and their kin for the script.

    side_car: with the bytes of every validation token beside them, for scripts that score transformed text by these.
    """
    data = folder / "datasets" / f"fineweb10B_sp{vocabulary.size}"
    model = folder / "tokenizers" / f"fineweb_{vocabulary.size}_bpe.model"
    data.mkdir(parents=True, exist_ok=True)
    model.parent.mkdir(parents=True, exist_ok=True)
    write_shard(data / "fineweb_train_000000.bin", train)
    write_shard(data / "fineweb_val_000000.bin", val)
    counts = data / f"fineweb_{SPLIT}_000000.bin"
    if side_car:
        write_shard(counts, np.where(val == BOS, 0, np.append(0, text_of(vocabulary, val).target_bytes)))
    else:
        counts.unlink(missing_ok=True)  # of a script that was played here before
    model.write_bytes(vocabulary.model)
    return {
        "DATA_PATH": str(data),
        "TOKENIZER_PATH": str(model),
        "DATA_DIR": str(folder),
        "VOCAB_SIZE": str(vocabulary.size),
    }
