"""Packed signs, then LZMA at preset 9: codes −1, 0, 1 as five a byte or as two bit planes, whichever makes the smaller file (PR #640,
Ciprian-Florin Ifrim), codes −1, 1 as eight a byte (PR #641).
"""

import lzma
import math
import struct

import numpy as np
import torch

from golf.parts.artifact import check
from golf.parts.techniques.bitpack import PACKED_FILTERS
from golf.parts.techniques.byte_planes import from_planes, to_planes
from golf.parts.techniques.lzma_coder import unlzma

POWERS = 3 ** np.arange(5)


def to_base3(codes):
    """Five digits a byte, the first the least significant; a last byte is filled up with zeros. codes: int8, −1 to 1."""
    digits = np.zeros(-(-len(codes) // 5) * 5, np.int64)
    digits[: len(codes)] = codes.astype(np.int64) + 1
    return (digits.reshape(-1, 5) @ POWERS).astype(np.uint8).tobytes()


def from_base3(data, at, count):
    """`count` codes from data[at:], and where they end."""
    end = at + -(-count // 5)
    check(end <= len(data), "a packed tensor has another length")
    digits = np.frombuffer(data, np.uint8, end - at, at).astype(np.int64)[:, None] // POWERS % 3
    return (digits.reshape(-1)[:count] - 1).astype(np.int8), end


def to_bit_planes(codes):
    """A bit for every code that is not 0, most significant first; then a bit for the sign of each of those, 1 for plus."""
    return np.packbits(codes != 0).tobytes() + np.packbits(codes[codes != 0] > 0).tobytes()


def from_bit_planes(data, at, count):
    """`count` codes from data[at:], and where they end."""
    middle = at + -(-count // 8)
    check(middle <= len(data), "a packed tensor has another length")
    filled = np.unpackbits(np.frombuffer(data, np.uint8, middle - at, at))[:count].astype(bool)
    end = middle + -(-int(filled.sum()) // 8)
    check(end <= len(data), "a packed tensor has another length")
    signs = np.unpackbits(np.frombuffer(data, np.uint8, end - middle, middle))[: filled.sum()]
    codes = np.zeros(count, np.int8)
    codes[filled] = 2 * signs.astype(np.int8) - 1
    return codes, end


def to_bits(codes):
    """Eight codes a byte, least significant first, 1 for plus. codes: int8, −1 or 1."""
    return np.packbits(codes > 0, bitorder="little").tobytes()


def from_bits(data, at, count):
    """`count` codes from data[at:], and where they end."""
    end = at + -(-count // 8)
    check(end <= len(data), "a packed tensor has another length")
    signs = np.unpackbits(np.frombuffer(data, np.uint8, end - at, at), bitorder="little")[:count]
    return 2 * signs.astype(np.int8) - 1, end


READERS = (from_base3, from_bit_planes, from_bits)


class TernaryCoder:
    """Codes (int8, −1 to 1) packed in one of two ways, other types as byte planes."""

    name = "trits"

    @staticmethod
    def encode(tensors):
        return min((packed(tensors, to_base3, 0), packed(tensors, to_bit_planes, 1)), key=len)

    @staticmethod
    def decode(payload, specs, unpacked_bytes):
        return unpacked(payload, specs, unpacked_bytes)


class BinaryCoder:
    """Codes (int8, −1 or 1) as bits, other types as byte planes."""

    name = "bits"

    @staticmethod
    def encode(tensors):
        return packed(tensors, to_bits, 2)

    @staticmethod
    def decode(payload, specs, unpacked_bytes):
        return unpacked(payload, specs, unpacked_bytes)


def packed(tensors, write, kind):
    """The payload: how codes are packed (u8), bytes before LZMA (u64), and what LZMA makes of codes and planes."""
    codes = [write(t.detach().cpu().numpy().reshape(-1)) for t in tensors if t.dtype == torch.int8]
    text = b"".join(codes) + to_planes([t for t in tensors if t.dtype != torch.int8])
    return struct.pack("<BQ", kind, len(text)) + lzma.compress(text, lzma.FORMAT_RAW, filters=PACKED_FILTERS)


def unpacked(payload, specs, unpacked_bytes):
    """The tensors of a payload; ValueError where it is damaged."""
    check(len(payload) >= 9, "ends within its length")
    kind, text_bytes = struct.unpack_from("<BQ", payload)
    check(kind < len(READERS) and text_bytes <= unpacked_bytes + len(specs), "no payload of packed signs")
    text = unlzma(payload[9:], text_bytes, PACKED_FILTERS)
    at, tensors = 0, {}
    for name, dtype, shape in specs:
        if dtype == "int8":
            codes, at = READERS[kind](text, at, math.prod(shape))
            tensors[name] = torch.from_numpy(codes).reshape(shape)
    rest = [spec for spec in specs if spec[0] not in tensors]
    tensors.update(zip([spec[0] for spec in rest], from_planes(text[at:], rest)))
    return [tensors[name] for name, _, _ in specs]
