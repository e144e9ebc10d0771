"""Vocabularies of any size made by hand, as SentencePiece model files: pieces of which every property is known.

The file is a protobuf message (sentencepiece_model.proto): pieces = 1 {piece = 1, score = 2, type = 3}, trainer_spec = 2
{model_type = 3, vocab_size = 4, byte_fallback = 35}, normalizer_spec = 3 {name = 1, add_dummy_prefix = 3}.
"""

import struct
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import numpy.typing as npt
from sentencepiece import SentencePieceProcessor

from golf.data.accounting import META_SPACE, ByteTables, byte_tables

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
SPECIALS = (("<pad>", CONTROL), ("<s>", CONTROL), ("</s>", CONTROL), ("<unk>", UNKNOWN))  # the official order: BOS is 1
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORD_LETTERS = 7
WIDER = "éßøñжλ中日€≤"  # letters of two and three bytes


@dataclass(frozen=True)
class Vocabulary:
    """A SentencePiece model with its byte tables. ids: those that texts draw from (V,)."""

    name: str
    size: int
    model: bytes
    ids: npt.NDArray[np.int64]

    @property
    def tables(self) -> ByteTables:
        """Bytes of every id."""
        return tables_of(self.model, self.size)


@cache
def tables_of(model: bytes, size: int) -> ByteTables:
    """The challenge's byte tables of a SentencePiece model."""
    return byte_tables(SentencePieceProcessor(model_proto=model), size)


@cache
def mixed(size: int) -> Vocabulary:
    """`size` ids of every kind: controls, all 256 byte pieces where they find room, words with and without a leading space, wide letters."""
    pieces = list(SPECIALS)
    with_bytes = size >= 400
    if with_bytes:
        pieces += [(f"<0x{value:02X}>", BYTE) for value in range(256)]
    pieces += [(piece, NORMAL) for piece in _words(size - len(pieces))]
    return Vocabulary(f"mixed{size}", size, model_file(pieces, byte_fallback=with_bytes), np.arange(size))


@cache
def words(size: int) -> Vocabulary:
    """`size` ids: four controls, else "▁" and seven letters each, so that bytes spell tokens in one way only; texts draw from these.

    The first word shares no letter with the others: what comes after it comes in a context of bytes that was never seen.
    """
    rng = np.random.default_rng(0)
    spelled: dict[str, None] = {f"{META_SPACE}QXZQXZJ": None}  # no letter of it stands in another word
    while len(spelled) < size - len(SPECIALS):
        spelled[META_SPACE + "".join(rng.choice(list(LETTERS), WORD_LETTERS))] = None
    pieces = [*SPECIALS, *((piece, NORMAL) for piece in spelled)]
    return Vocabulary(f"words{size}", size, model_file(pieces, byte_fallback=False), np.arange(len(SPECIALS), size))


def of_model(model: bytes, size: int, name: str = "official") -> Vocabulary:
    """A given SentencePiece model as a vocabulary whose texts draw from all ids."""
    return Vocabulary(name, size, model, np.arange(size))


def _words(count: int) -> list[str]:
    """Distinct pieces: the bare space and letters first, so that every text can be spelled, then words of 2 and 3 letters, wide ones."""
    found = [META_SPACE, *LETTERS[: max(min(26, count // 3), 1)]]
    for width in (1, 2, 3):
        for letters in product(LETTERS[:14], repeat=width):
            word = "".join(letters)
            found += [META_SPACE + word, *([word] if width > 1 else ())]
            if width == 2 and len(found) % 7 == 0:
                wide = WIDER[len(found) % len(WIDER)]
                found += [wide + word, META_SPACE + wide + word]
            if len(found) >= 2 * count:
                break
    return list(dict.fromkeys(found))[:count]


def model_file(pieces: list[tuple[str, int]], *, byte_fallback: bool) -> bytes:
    """A unigram SentencePiece model with these pieces and types, in order."""
    body = b""
    for rank, (piece, kind) in enumerate(pieces):
        text = piece.encode()
        inner = _field(1, text) + b"\x15" + struct.pack("<f", -float(rank) / 100.0) + b"\x18" + _number(kind)
        body += _field(1, inner)
    trainer = b"\x18\x01" + b"\x20" + _number(len(pieces))
    if byte_fallback:
        trainer += _number(35 << 3) + b"\x01"
    trainer += (
        _number(40 << 3)
        + _number(3)
        + _number(41 << 3)
        + _number(1)
        + _number(42 << 3)
        + _number(2)
        + _number(43 << 3)
        + _number(0)
    )
    return body + _field(2, trainer) + _field(3, _field(1, b"identity"))


def _field(number: int, content: bytes) -> bytes:
    return _number(number << 3 | 2) + _number(len(content)) + content


def _number(value: int) -> bytes:
    """A protobuf varint."""
    out = b""
    while value > 127:
        out += bytes((value & 127 | 128,))
        value >>= 7
    return out + bytes((value,))
