"""rANS: an entropy coder for integer codes, within 0.1 % of the entropy of each tensor's code frequencies (Duda, arXiv:1311.2540).

Up to 512 states of 32 bits take turns, one code each, so that numpy does the work: the public records' brotli stays 1.4 %
above the entropy. Frequencies are 14 bits, one table a tensor, stored in a byte each (four bits of mantissa: 0.003 % of the codes);
whatever is no matrix of one-byte codes goes through LZMA.

It goes into the slot `coder`.
"""

import lzma
import math
import struct

import numpy as np
import torch

from golf.parts.artifact import DTYPES, check
from golf.parts.techniques.byte_planes import from_planes, to_planes
from golf.parts.techniques.lzma_coder import LZMA_FILTERS, unlzma

TABLE_BITS = 14
LOWEST_STATE = 1 << 16  # states live in [2¹⁶, 2³²) and move 16 bits at a time
# 0, then 1 to 2¹⁴, sixteen an octave where there are so many
COARSE = np.append(0, (16 + np.arange(225) % 16 << np.arange(225) // 16) >> 4)
MIN_CODES = 2048  # a smaller tensor does not pay for its table
REST_FILTERS = [{**LZMA_FILTERS[0], "dict_size": 1 << 22}]  # as small a text needs no 700 MB to compress
RANS_HEADER = struct.Struct("<II")  # bytes of the head, the same packed


def to_coarse(counts):
    """Counts (tables, symbols) as a byte each: which of COARSE is nearest to its share of 2¹⁴; 0 for what does not occur."""
    share = counts * (1 << TABLE_BITS) / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.where(counts > 0, np.searchsorted((COARSE[1:-1] + COARSE[2:]) / 2, share) + 1, 0).astype(np.uint8)


def frequencies(coarse):
    """Frequencies (tables, symbols) that add up to 2¹⁴, of what `to_coarse` made: what occurs has at least 1."""
    found = COARSE[coarse]
    freq = found * (1 << TABLE_BITS) // np.maximum(found.sum(axis=1, keepdims=True), 1)
    freq = np.maximum(freq, coarse > 0)
    freq[np.arange(len(freq)), freq.argmax(axis=1)] += (1 << TABLE_BITS) - freq.sum(axis=1)
    return freq


def starts_of(freq):
    """(frequencies, first slots) (tables, symbols) as an encoder looks them up for every code: two bytes each."""
    return freq.astype(np.uint16), (np.cumsum(freq, axis=-1) - freq).astype(np.uint16)


class SlotTable:
    """For each of the 2¹⁴ slots of each table: its symbol, the symbol's frequency, the slot's place among the symbol's own."""

    def __init__(self, freq, lowest, dtype):
        first = np.cumsum(freq, axis=1) - freq
        symbols = np.repeat(np.tile(np.arange(freq.shape[1]), len(freq)), freq.ravel())
        table = np.repeat(np.arange(len(freq)), freq.sum(axis=1))
        self.symbol = (symbols + lowest).astype(dtype)
        self.freq = freq[table, symbols].astype(np.uint64)
        self.place = np.tile(np.arange(1 << TABLE_BITS), len(freq)).astype(np.uint64) - first[table, symbols].astype(
            np.uint64
        )


class StateReader:
    """The decoder's states; every call of `take` gives the next code of each of the first `lanes`."""

    def __init__(self, data, lanes):
        """data: `lanes` states of 4 bytes, then words of 2."""
        check(len(data) >= 4 * lanes and len(data) % 2 == 0, "ends early")
        self.states = np.frombuffer(data, "<u4", lanes).astype(np.uint64)
        self.words = np.frombuffer(data, "<u2", -1, 4 * lanes).astype(np.uint64)
        self.at = 0
        check(bool((self.states >= LOWEST_STATE).all()), "has numbers out of range")

    def take(self, table, lanes, start=0):
        """start: the first slot of every lane's table, where a table holds several."""
        states = self.states[:lanes]
        slot = (states & ((1 << TABLE_BITS) - 1)).astype(np.intp) + start
        states = table.freq[slot] * (states >> TABLE_BITS) + table.place[slot]
        low = np.flatnonzero(states < LOWEST_STATE)
        check(self.at + len(low) <= len(self.words), "ends early")
        states[low] = states[low] << 16 | self.words[self.at : self.at + len(low)]
        self.at += len(low)
        self.states[:lanes] = states
        return table.symbol[slot]

    def finish(self):
        done = self.at == len(self.words) and bool((self.states == LOWEST_STATE).all())
        check(done, "has numbers out of range")


def write_states(turns, lanes):
    """(states, words) of the turns [((frequencies, first slots), tables, codes)] of up to `lanes` codes each, in the reader's order."""
    states, words = np.full(lanes, LOWEST_STATE, dtype=np.uint64), []
    for starts, tables, codes in reversed(turns):
        freq, first = (of_all[tables, codes].astype(np.uint64) for of_all in starts)
        x = states[: len(freq)]
        full = x >= freq << (32 - TABLE_BITS)
        words.append((x[full] & 0xFFFF).astype("<u2"))
        x = np.where(full, x >> 16, x)
        states[: len(freq)] = (x // freq << TABLE_BITS) + x % freq + first
    return states.astype("<u4"), np.concatenate([np.empty(0, "<u2"), *reversed(words)])


def lanes_for(codes):
    """States for so many codes: each costs 2 bytes, each turn costs time."""
    return min(max(codes // 32768, 8), 512)


def is_coded(spec):
    return DTYPES[spec[1]].itemsize == 1 and math.prod(spec[2]) >= MIN_CODES


def symbols_of(tensor):
    """(codes from the lowest on, lowest code, their counts), flat."""
    codes = tensor.detach().cpu().numpy().reshape(-1)
    lowest = int(codes.min())
    codes = (codes.astype(np.int16) - lowest).astype(np.uint8)
    return codes, lowest, np.bincount(codes)


def write_payload(head, rest, turns, lanes):
    states, words = write_states(turns, lanes)
    text = head + to_planes(rest)
    packed = lzma.compress(text, lzma.FORMAT_RAW, filters=REST_FILTERS)
    return RANS_HEADER.pack(len(text), len(packed)) + packed + states.tobytes() + words.tobytes()


def read_payload(payload, most_bytes):
    """(head and rest, states and words) of a payload whose head and rest are at most `most_bytes`."""
    check(len(payload) >= RANS_HEADER.size, "ends early")
    text_bytes, packed_bytes = RANS_HEADER.unpack_from(payload)
    check(text_bytes <= most_bytes, "has numbers out of range")
    states_at = RANS_HEADER.size + packed_bytes
    return unlzma(payload[RANS_HEADER.size : states_at], text_bytes, REST_FILTERS), payload[states_at:]


def write_table(lowest, coarse):
    """A table for the head: lowest symbol, symbols, then the frequencies (tables, symbols), a byte each."""
    return struct.pack("<hH", lowest, coarse.shape[1]) + coarse.tobytes()


def read_table(text, at, tables, dtype):
    """(SlotTable, where the next one starts)."""
    check(len(text) >= at + 4, "ends early")
    lowest, symbols = struct.unpack_from("<hH", text, at)
    end = at + 4 + tables * symbols
    check(0 < symbols <= 256 and len(text) >= end, "ends early")
    check(
        torch.iinfo(dtype).min <= lowest and lowest + symbols - 1 <= torch.iinfo(dtype).max, "has numbers out of range"
    )
    coarse = np.frombuffer(text, np.uint8, tables * symbols, at + 4).reshape(tables, symbols)
    check(int(coarse.max()) < len(COARSE), "has numbers out of range")
    freq = frequencies(coarse)
    check(bool((freq >= 0).all()), "has numbers out of range")
    return SlotTable(freq, lowest, str(dtype).removeprefix("torch.")), end


class RansCoder:
    name = "rans"

    @staticmethod
    def encode(tensors):
        coded = [t for t in tensors if t.element_size() == 1 and t.numel() >= MIN_CODES]
        rest = [t for t in tensors if not (t.element_size() == 1 and t.numel() >= MIN_CODES)]
        lanes = lanes_for(sum(t.numel() for t in coded))
        head, turns = static_group(coded, lanes)
        return write_payload(head, rest, turns, lanes)

    @staticmethod
    def decode(payload, specs, unpacked_bytes):
        coded = [spec for spec in specs if is_coded(spec)]
        text, states = read_payload(payload, unpacked_bytes + len(coded) * (4 + 256))
        reader = StateReader(states, lanes_for(sum(math.prod(spec[2]) for spec in coded)))
        tensors, at = read_static_group(text, 0, reader, coded)
        reader.finish()
        rest = [spec for spec in specs if not is_coded(spec)]
        tensors.update(zip([spec[0] for spec in rest], from_planes(text[at:], rest)))
        return [tensors[name] for name, _, _ in specs]


def static_group(tensors, lanes):
    """(head, turns) of tensors with one table each."""
    head, turns = b"", []
    for tensor in tensors:
        codes, lowest, counts = symbols_of(tensor)
        coarse = to_coarse(counts[None])
        head += write_table(lowest, coarse)
        starts = starts_of(frequencies(coarse))
        turns += [(starts, 0, codes[i : i + lanes]) for i in range(0, len(codes), lanes)]
    return head, turns


def read_static_group(text, at, reader, specs):
    """({name: tensor}, where the next group starts) of such tensors."""
    tensors, lanes = {}, len(reader.states)
    for name, dtype, shape in specs:
        table, at = read_table(text, at, 1, DTYPES[dtype])
        codes = np.empty(math.prod(shape), table.symbol.dtype)
        for i in range(0, len(codes), lanes):
            codes[i : i + lanes] = reader.take(table, min(lanes, len(codes) - i))
        tensors[name] = torch.from_numpy(codes).reshape(shape)
    return tensors, at
