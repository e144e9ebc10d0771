"""rANS with contexts: each code's table is chosen by how large the codes of its row and of its column have been so far.

Columns of `mlp.proj` and rows of the embedding differ in scale, which the frequencies of a whole tensor cannot know. Matrices
are walked along diagonals, so that a turn never reads two codes of one row or column; a group of matrices of one shape shares
its tables and takes whichever of row and column pays, or neither.

It goes into the slot `coder`.
"""

import math
import struct

import numpy as np
import torch

from golf.parts.artifact import DTYPES, check
from golf.parts.techniques.byte_planes import from_planes
from golf.parts.techniques.rans import (
    TABLE_BITS,
    StateReader,
    frequencies,
    is_coded,
    lanes_for,
    read_payload,
    read_static,
    read_table,
    starts_of,
    static_steps,
    symbols_of,
    write_payload,
    write_table,
)

MOST_CONTEXTS = 16
PRIOR_CODES = 24  # a row or column counts as having had so many codes of mean size before its first
ALONG, ACROSS = (
    1,
    2,
)  # contexts from the lane (a row of a wide matrix, a column of a tall one), from the other direction


class Walk:
    """The way through matrices (count, lanes, steps): at turn t, lane j is at (t + j) mod steps. Sums of magnitudes so far."""

    def __init__(self, count, lanes, steps, mean, mode):
        self.mean, self.mode, self.steps = mean, mode, steps
        self.lane = self.place = np.arange(lanes)
        self.along = np.full((count, lanes), PRIOR_CODES * mean)
        self.across = np.full((count, steps), PRIOR_CODES * mean)
        self.seen = np.full(steps, float(PRIOR_CODES))

    def expected(self, turn):
        """Expected magnitude of each of this turn's codes: (count, lanes). Only + × ÷: the same bits on every machine."""
        self.place = (turn + self.lane) % self.steps
        if self.mode == ALONG:
            return self.along / (PRIOR_CODES + turn)
        size = self.across[:, self.place] / self.seen[self.place]
        return size if self.mode == ACROSS else size * self.along / (self.mean * (PRIOR_CODES + turn))

    def learn(self, magnitudes):
        """The codes of the turn that was expected last."""
        self.along += magnitudes
        self.across[:, self.place] += magnitudes
        self.seen[self.place] += 1


def groups_of(specs):
    """{(dtype, shape): [positions]} of the coded tensors; under None those that are no matrices of more than 16 lines."""
    groups = {}
    for i, (_, dtype, shape) in enumerate(specs):
        matrix = len(shape) == 2 and min(shape) > 16
        groups.setdefault((dtype, tuple(shape)) if matrix else None, []).append(i)
    return groups


def lanes_of(specs):
    """Enough states for the shorter side of every matrix."""
    return max(
        [lanes_for(sum(math.prod(spec[2]) for spec in specs)), *(min(spec[2]) for spec in specs if len(spec[2]) == 2)]
    )


def contexts_for(codes):
    """Tables that a group of so many codes pays for."""
    return MOST_CONTEXTS if codes >= 1 << 21 else 6


def batches_of(members, shape, lanes):
    """Matrices walked at once: as many as there are states for."""
    together = max(lanes // min(shape), 1)
    return [members[i : i + together] for i in range(0, len(members), together)]


def diagonals(lanes, steps):
    """(steps, lanes): where lane j is at turn t."""
    return (np.arange(steps)[:, None] + np.arange(lanes)) % steps


def walked(matrices):
    """Codes (count, lanes, steps) in the order of the walk: (turn, count, lane)."""
    lanes, steps = matrices.shape[1:]
    return matrices[:, np.arange(lanes), diagonals(lanes, steps)].transpose(1, 0, 2)


def short_side_first(matrix):
    return matrix.T if matrix.shape[0] > matrix.shape[1] else matrix


class Group:
    """Matrices of one shape, as the encoder sees them: batches of codes in the order of the walk."""

    def __init__(self, tensors, shape, lanes):
        matrices = [short_side_first(t.detach().cpu().numpy().astype(np.int16)) for t in tensors]
        self.lowest = min(int(m.min()) for m in matrices)
        self.symbols = max(int(m.max()) for m in matrices) - self.lowest + 1
        self.batches = [walked(np.stack(batch) - self.lowest) for batch in batches_of(matrices, shape, lanes)]
        self.tables = contexts_for(sum(m.size for m in matrices))
        self.mean = float(np.float32(max(np.mean([np.abs(m).mean() for m in matrices]), 1e-3)))

    def expected(self, codes, mode):
        """What the walk through a batch expects of each turn's codes, turn after turn."""
        turns, count, lanes = codes.shape
        walk = Walk(count, lanes, turns, self.mean, mode)
        for turn in range(turns):
            yield walk.expected(turn)
            walk.learn(np.abs(codes[turn] + self.lowest))

    def contexts(self, mode):
        """(thresholds, the context of every code of each batch). Walks twice: expectations of 36 million codes are not kept."""
        sample = []
        for codes in self.batches:
            for turn, seen in enumerate(self.expected(codes, mode)):
                sample.append(seen.ravel()[-turn * seen.size % 97 :: 97])
        thresholds = np.quantile(np.concatenate(sample), np.arange(1, self.tables) / self.tables).astype("<f4")
        exact, contexts = thresholds.astype(np.float64), []
        for codes in self.batches:
            found = np.empty(codes.shape, dtype=np.uint8)
            for turn, seen in enumerate(self.expected(codes, mode)):
                found[turn] = np.searchsorted(exact, seen)
            contexts.append(found)
        return thresholds, contexts

    def coded(self, mode):
        """(bytes that it takes, head, steps)."""
        thresholds, contexts = self.contexts(mode)
        counts = np.zeros(self.tables * self.symbols, dtype=np.int64)
        for codes, context in zip(self.batches, contexts):
            counts += np.bincount((context * np.int32(self.symbols) + codes).ravel(), minlength=len(counts))
        freq = frequencies(counts.reshape(self.tables, self.symbols))
        starts, first = starts_of(freq)
        head = struct.pack("<f", self.mean) + thresholds.tobytes() + write_table(self.lowest, freq)
        steps = [
            (starts[context[turn], codes[turn]].ravel(), first[context[turn], codes[turn]].ravel())
            for codes, context in zip(self.batches, contexts)
            for turn in range(len(codes))
        ]
        return cost_bytes(counts.reshape(freq.shape), freq) + len(head) / 2, head, steps


def cost_bytes(counts, freq):
    """Bytes of codes counted so, under tables of such frequencies."""
    return float((counts * (TABLE_BITS - np.log2(np.maximum(freq, 1)))).sum()) / 8


def static_group(tensors, lanes):
    """(bytes that it takes, head, steps) with one table a tensor."""
    total, head, steps = 0.0, b"", []
    for tensor in tensors:
        codes, lowest, counts = symbols_of(tensor)
        freq = frequencies(counts[None])
        table = write_table(lowest, freq)
        total, head = total + cost_bytes(counts[None], freq) + len(table) / 2, head + table
        steps += static_steps(codes, freq[0], lanes)
    return total, head, steps


def best_way(members, key, lanes):
    """(bytes that it takes, head, steps, mode) of the cheapest way to code a group; key None: no contexts."""
    ways = [(*static_group(members, lanes), 0)]
    if key is not None:
        group = Group(members, key[1], lanes)
        ways += [(*group.coded(mode), mode) for mode in (ALONG, ACROSS, ALONG | ACROSS)]
    return min(
        ways, key=lambda way: way[0] * (1.001 if way[3] else 1)
    )  # contexts are slower to read: a trifle is not enough


class ContextRansCoder:
    name = "ransctx"

    @staticmethod
    def encode(tensors):
        specs = [("", str(t.dtype).removeprefix("torch."), list(t.shape)) for t in tensors]
        coded = [t for t, spec in zip(tensors, specs) if is_coded(spec)]
        rest = [t for t, spec in zip(tensors, specs) if not is_coded(spec)]
        coded_specs = [spec for spec in specs if is_coded(spec)]
        lanes, groups = lanes_of(coded_specs), groups_of(coded_specs)
        ways = [best_way([coded[i] for i in positions], key, lanes) for key, positions in groups.items()]
        if not any(mode for _, _, _, mode in ways):  # without contexts there need not be a state for every row
            lanes = lanes_for(sum(t.numel() for t in coded))
            ways = [best_way([coded[i] for i in positions], None, lanes) for positions in groups.values()]
        head = struct.pack("<H", lanes) + b"".join(struct.pack("<B", mode) + text for _, text, _, mode in ways)
        return write_payload(head, rest, [step for _, _, steps, _ in ways for step in steps], lanes)

    @staticmethod
    def decode(payload, specs, unpacked_bytes):
        coded = [spec for spec in specs if is_coded(spec)]
        text, states = read_payload(payload, unpacked_bytes + (len(coded) + 1) * (MOST_CONTEXTS + 1) * 520)
        check(len(text) >= 2, "ends within its tables")
        lanes = struct.unpack_from("<H", text)[0]
        check(lanes in (lanes_of(coded), lanes_for(sum(math.prod(spec[2]) for spec in coded))), f"says {lanes} lanes")
        reader, at, tensors = StateReader(states, lanes), 2, {}
        for key, positions in groups_of(coded).items():
            check(at < len(text) and text[at] <= ALONG | ACROSS, "has an unknown way to read a group")
            mode, at = text[at], at + 1
            check(not mode or (key is not None and lanes == lanes_of(coded)), "has contexts that it cannot have")
            if mode:
                matrices, at = read_group(text, at, reader, [coded[i] for i in positions], mode)
                tensors.update(matrices)
            else:
                for name, dtype, shape in (coded[i] for i in positions):
                    table, at = read_table(text, at, 1, DTYPES[dtype])
                    tensors[name] = torch.from_numpy(read_static(reader, table, math.prod(shape))).reshape(shape)
        reader.finish()
        rest = [spec for spec in specs if not is_coded(spec)]
        tensors.update(zip([spec[0] for spec in rest], from_planes(text[at:], rest)))
        return [tensors[name] for name, _, _ in specs]


def read_group(text, at, reader, specs, mode):
    """({name: tensor}, where the next group starts) of matrices of one shape."""
    contexts = contexts_for(sum(math.prod(spec[2]) for spec in specs))
    check(len(text) >= at + 4 * contexts, "ends within its contexts")
    mean, *thresholds = struct.unpack_from(f"<{contexts}f", text, at)
    check(all(0 < number < 1e6 for number in (mean, *thresholds)), "has contexts out of range")
    thresholds = np.array(thresholds, dtype=np.float64)
    _, dtype, shape = specs[0]
    table, at = read_table(text, at + 4 * contexts, contexts, DTYPES[dtype])
    lanes, steps = min(shape), max(shape)
    tensors = {}
    for batch in batches_of(specs, shape, len(reader.states)):
        walk = Walk(len(batch), lanes, steps, mean, mode)
        codes = np.empty((steps, len(batch), lanes), dtype=table.symbol.dtype)
        for turn in range(steps):
            context = np.searchsorted(thresholds, walk.expected(turn).ravel())
            codes[turn] = reader.take(table, len(context), context << TABLE_BITS).reshape(len(batch), lanes)
            walk.learn(np.abs(codes[turn].astype(np.int64)))
        matrices = np.empty((len(batch), lanes, steps), dtype=codes.dtype)
        matrices[:, np.arange(lanes), diagonals(lanes, steps)] = codes.transpose(1, 0, 2)
        for (name, _, _), matrix in zip(batch, matrices):
            tensors[name] = torch.from_numpy(matrix.T.copy() if shape[0] > shape[1] else matrix)
    return tensors, at
