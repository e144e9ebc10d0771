"""How many bytes of text a token stands for: the challenge's tables, an independent oracle, and the unigram floor.

Bits per byte divide by the bytes of the scored targets. The tables give them without decoding; the oracle decodes. Both are
here so that each can prove the other (rule R20).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sentencepiece import SentencePieceProcessor

from golf.data.caseops import char_bytes, is_caseops
from golf.data.shards import BOS, split_documents

CHUNK_TOKENS = 1 << 22
META_SPACE = "\u2581"


@dataclass(frozen=True)
class ByteTables:
    """Per id: UTF-8 bytes without the leading space, whether it has one, whether the next token's space goes uncounted."""

    base_bytes: npt.NDArray[np.int16]
    has_space: npt.NDArray[np.bool_]
    is_boundary: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Unigram:
    """What a model that knows only the frequencies of these tokens scores on them: the first floor to beat."""

    nats_per_token: float
    bpb: float
    tokens: int
    text_bytes: int


def byte_tables(sp: SentencePieceProcessor, vocab_size: int | None = None) -> ByteTables:
    """The look-up tables of the challenge (`build_sentencepiece_luts` of its train_gpt.py), for max(pieces of `sp`, `vocab_size`) ids."""
    pieces = sp.vocab_size()
    size = max(pieces, vocab_size or 0)
    base_bytes = np.zeros(size, dtype=np.int16)
    has_space = np.zeros(size, dtype=np.bool_)
    is_boundary = np.ones(size, dtype=np.bool_)  # ids beyond the tokenizer stay boundaries
    for token in range(pieces):
        if sp.is_control(token) or sp.is_unknown(token) or sp.is_unused(token):
            continue
        is_boundary[token] = False
        if sp.is_byte(token):
            base_bytes[token] = 1
            continue
        piece = sp.id_to_piece(token)
        if piece.startswith(META_SPACE):
            has_space[token] = True
            piece = piece[1:]
        base_bytes[token] = len(piece.encode("utf-8"))
    return ByteTables(base_bytes, has_space, is_boundary)


def count_bytes(tables: ByteTables, ids: npt.NDArray[np.integer]) -> int:
    """Bytes of the targets `ids[1:]`, each after its predecessor, by the tables; `ids[0]` is context and never counted."""
    total = 0
    for start in range(0, len(ids) - 1, CHUNK_TOKENS):
        chunk = ids[start : start + CHUNK_TOKENS + 1]
        before, target = chunk[:-1], chunk[1:]
        spaces = tables.has_space[target] & ~tables.is_boundary[before]
        total += int(tables.base_bytes[target].sum(dtype=np.int64)) + int(np.count_nonzero(spaces))
    return total


def decode_bytes(sp: SentencePieceProcessor, ids: npt.NDArray[np.integer], bos: int = BOS) -> int:
    """The oracle: decode each document (BOS to BOS) and count its UTF-8 bytes; knows nothing of the tables.

    Of text after CaseOps the bytes of the text before it.
    """
    texts = sp.decode([document.astype(int).tolist() for document in split_documents(ids, bos)])
    if is_caseops(sp):
        return sum(int(char_bytes(text).sum()) for text in texts)
    return sum(len(text.encode("utf-8")) for text in texts)


def unigram(tables: ByteTables, ids: npt.NDArray[np.integer]) -> Unigram:
    """The unigram model of the targets `ids[1:]` on themselves: entropy in nats per token, and in bits per byte."""
    targets = np.asarray(ids[1:])
    counts = np.bincount(targets)
    share = counts[counts > 0] / len(targets)
    nats_per_token = float(-(share * np.log(share)).sum())
    text_bytes = count_bytes(tables, ids)
    return Unigram(nats_per_token, nats_per_token * len(targets) / (math.log(2) * text_bytes), len(targets), text_bytes)
