"""rANS with contexts: each code's table is chosen by how large, and how far from zero, the codes of its row and column have been so far.

Columns of `mlp.proj` and rows of the embedding differ in scale, and many lines have a mean, which the frequencies of a whole tensor
cannot know. Matrices are walked along diagonals, so that a turn never reads two codes of one row or column. A group of matrices of one
shape shares its tables. How far a line is trusted is taken from how much lines really differ (empirical Bayes), and of tables
there are as many as pay for themselves.

It goes into the slot `coder`.
"""

import math
import struct

import numpy as np
import torch

from golf.parts.artifact import DTYPES, check
from golf.parts.techniques.byte_planes import from_planes
from golf.parts.techniques.rans import (
    NEVER,
    TABLE_BITS,
    StateReader,
    frequencies,
    is_coded,
    lanes_for,
    read_payload,
    read_static,
    read_table,
    starts_of,
    static_turns,
    symbols_of,
    to_coarse,
    write_payload,
    write_table,
)

SIZES, DRIFTS = 16, 8  # contexts by size and by mean: at most so many
MOST_TRUST = 20
GROUP_HEAD = struct.Struct("<6B")  # contexts by size and by mean; log2 of the codes that each line is worth before its first


class Walk:
    """The way through matrices (count, lanes, steps): at turn t, lane j is at (t + j) mod steps. Sums of codes and magnitudes so far.

    trust: [size along a lane, size across, mean along, mean across]: a line counts as having had so many average codes before its first.
    """

    def __init__(self, means, lanes, steps, trust):
        self.means, self.steps, self.trust = means, steps, trust
        self.lane = self.place = np.arange(lanes)
        self.seen = np.zeros(steps)
        self.size_along = np.zeros((len(means), lanes)) + trust[0] * means
        self.size_across = np.zeros((len(means), steps)) + trust[1] * means
        self.sum_along = np.zeros((len(means), lanes))
        self.sum_across = np.zeros((len(means), steps))

    def expected(self, turn):
        """Expected (magnitude, mean) of each of this turn's codes: (count, lanes). Only + × ÷: the same bits on every machine."""
        at = self.place = (turn + self.lane) % self.steps
        size = self.size_along * self.size_across[:, at] / (self.means * (self.trust[1] + self.seen[at]))
        drift = self.sum_across[:, at] / (self.trust[3] + self.seen[at]) + self.sum_along / (self.trust[2] + turn)
        return size / (self.means * (self.trust[0] + turn)), drift / self.means

    def learn(self, codes):
        """The codes of the turn that was expected last."""
        magnitudes = np.abs(codes)
        self.size_along += magnitudes
        self.size_across[:, self.place] += magnitudes
        self.sum_along += codes
        self.sum_across[:, self.place] += codes
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


def line_means(matrix, axis, trust):
    """Means of the lines as the walk knows them half way."""
    half = matrix.shape[axis] / 2
    overall = matrix.mean(dtype=np.float64)
    return overall + (matrix.mean(axis=axis, dtype=np.float64) - overall) * half / (half + 2.0**trust)


def trust_in(matrices, axis, means):
    """log2 of the codes that a line's own mean is worth: how much codes differ within lines over how much lines' means differ."""
    within = between = 0.0
    for matrix, mean in zip(matrices, means):
        spread = matrix.var(axis=axis, dtype=np.float64).mean()
        within += spread / mean**2
        between += (matrix.mean(axis=axis, dtype=np.float64).var() - spread / matrix.shape[axis]) / mean**2
    return MOST_TRUST if between <= 0 else min(round(math.log2(max(within / between, 1))), MOST_TRUST)


def thresholds_of(sample, contexts):
    return np.quantile(sample, np.arange(1, contexts) / contexts).astype("<f4")


class Group:
    """Matrices of one shape, as the encoder sees them."""

    def __init__(self, tensors, shape, lanes):
        self.matrices = [short_side_first(t.detach().cpu().numpy()) for t in tensors]
        self.lowest = min(int(m.min()) for m in self.matrices)
        self.symbols = max(int(m.max()) for m in self.matrices) - self.lowest + 1
        magnitudes = [np.abs(m.astype(np.int16)) for m in self.matrices]
        self.means = np.array([[max(m.mean(), 1e-3)] for m in magnitudes], dtype="<f4")
        means = self.means[:, 0].astype(np.float64)
        self.trust = [
            trust_in(matrices, axis, means) for matrices in (magnitudes, self.matrices) for axis in (1, 0)
        ]  # along a lane is over the last axis
        self.sizes, self.drifts = (
            thresholds_of(np.concatenate(sample), contexts) for sample, contexts in (
                ([self.sample(m, 0, mean, np.multiply) for m, mean in zip(magnitudes, means)], SIZES),
                ([self.sample(m, 2, mean, np.add) for m, mean in zip(self.matrices, means)], DRIFTS),
            )
        )  # fmt: skip
        self.batches = batches_of(range(len(self.matrices)), shape, lanes)

    def sample(self, matrix, first, mean, combine):
        """Expectations as they will be half way, of one in a few rows and columns."""
        along, across = (line_means(matrix, axis, self.trust[first + i]) / mean for i, axis in enumerate((1, 0)))
        return combine.outer(along[:: len(along) // 64 + 1], across[:: len(across) // 64 + 1]).ravel()

    def walk(self):
        """(codes, contexts) of each batch, both (turn, matrix, lane), one byte each."""
        sizes, drifts = self.sizes.astype(np.float64), self.drifts.astype(np.float64)
        trust = [2.0**bits for bits in self.trust]
        for batch in self.batches:
            codes = walked(np.stack([self.matrices[i] for i in batch]))
            found = np.empty(codes.shape, dtype=np.uint8)
            walk = Walk(self.means[list(batch)].astype(np.float64), codes.shape[2], len(codes), trust)
            for turn in range(len(codes)):
                size, drift = walk.expected(turn)
                found[turn] = np.searchsorted(sizes, size) * DRIFTS + np.searchsorted(drifts, drift)
                walk.learn(codes[turn].astype(np.int64))
            yield (codes.astype(np.int16) - self.lowest).astype(np.uint8), found

    def coded(self):
        """(bytes that it takes, head, turns)."""
        batches = list(self.walk())
        counts = np.zeros((SIZES * DRIFTS, self.symbols), dtype=np.int64)
        for codes, contexts in batches:
            counts += np.bincount(
                (contexts * np.int32(self.symbols) + codes).ravel(), minlength=counts.size
            ).reshape(counts.shape)  # fmt: skip
        by_context = counts.reshape(SIZES, DRIFTS, -1)
        ways = [self.merged(by_context, sizes, drifts) for sizes in (16, 8, 4, 2, 1) for drifts in (8, 4, 2, 1)]
        cost, sizes, drifts, coarse = min(ways, key=lambda way: way[0])
        context = np.add.outer(np.arange(SIZES) * sizes // SIZES * drifts, np.arange(DRIFTS) * drifts // DRIFTS).ravel()
        head = GROUP_HEAD.pack(sizes, drifts, *self.trust) + self.means.tobytes()
        for thresholds, used, most in ((self.sizes, sizes, SIZES), (self.drifts, drifts, DRIFTS)):
            head += thresholds[most // used - 1 :: most // used].tobytes()
        starts = [table[context] for table in starts_of(frequencies(coarse))]
        turns = [
            (starts, contexts[turn].ravel(), codes[turn].ravel())
            for codes, contexts in batches
            for turn in range(len(codes))
        ]
        return cost + len(head), head + write_table(self.lowest, coarse), turns

    @staticmethod
    def merged(counts, sizes, drifts):
        """(bytes of codes and tables, contexts by size, by mean, coarse frequencies) with so many contexts."""
        shape = (sizes, SIZES // sizes, drifts, DRIFTS // drifts, counts.shape[2])
        counts = counts.reshape(shape).sum(axis=(1, 3)).reshape(sizes * drifts, -1)
        coarse = to_coarse(counts)
        return cost_bytes(counts, coarse), sizes, drifts, coarse


def cost_bytes(counts, coarse):
    """Bytes of codes counted so, and of their tables: LZMA makes those of about three quarters of what is not NEVER."""
    bits = (counts * (TABLE_BITS - np.log2(np.maximum(frequencies(coarse), 1)))).sum()
    return float(bits) / 8 + 0.75 * float((coarse < NEVER).sum())


def static_group(tensors, lanes):
    """(bytes that it takes, head, turns) with one table a tensor."""
    total, head, turns = 0.0, b"", []
    for tensor in tensors:
        codes, lowest, counts = symbols_of(tensor)
        coarse = to_coarse(counts[None])
        total, head = total + cost_bytes(counts[None], coarse), head + write_table(lowest, coarse)
        turns += static_turns(codes, coarse, lanes)
    return total, head, turns


def best_way(members, key, lanes):
    """(bytes that it takes, head, turns, whether with contexts) of the cheapest way to code a group; key None: no contexts."""
    ways = [(*static_group(members, lanes), False)]
    if key is not None:
        ways.append((*Group(members, key[1], lanes).coded(), True))
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
        if not any(way[3] for way in ways):  # without contexts there need not be a state for every row
            lanes = lanes_for(sum(t.numel() for t in coded))
            ways = [best_way([coded[i] for i in positions], None, lanes) for positions in groups.values()]
        head = struct.pack("<H", lanes) + b"".join(struct.pack("<B", way[3]) + way[1] for way in ways)
        return write_payload(head, rest, [turn for way in ways for turn in way[2]], lanes)

    @staticmethod
    def decode(payload, specs, unpacked_bytes):
        coded = [spec for spec in specs if is_coded(spec)]
        text, states = read_payload(payload, unpacked_bytes + (len(coded) + 1) * (SIZES * DRIFTS + 1) * 260)
        check(len(text) >= 2, "ends within its tables")
        lanes = struct.unpack_from("<H", text)[0]
        check(lanes in (lanes_of(coded), lanes_for(sum(math.prod(spec[2]) for spec in coded))), f"says {lanes} lanes")
        reader, at, tensors = StateReader(states, lanes), 2, {}
        for key, positions in groups_of(coded).items():
            check(at < len(text) and text[at] <= 1, "has an unknown way to read a group")
            contexts, at = text[at], at + 1
            check(not contexts or (key is not None and lanes == lanes_of(coded)), "has contexts that it cannot have")
            if contexts:
                matrices, at = read_group(text, at, reader, [coded[i] for i in positions])
                tensors.update(matrices)
            else:
                for name, dtype, shape in (coded[i] for i in positions):
                    table, at = read_table(text, at, 1, DTYPES[dtype])
                    tensors[name] = torch.from_numpy(read_static(reader, table, math.prod(shape))).reshape(shape)
        reader.finish()
        rest = [spec for spec in specs if not is_coded(spec)]
        tensors.update(zip([spec[0] for spec in rest], from_planes(text[at:], rest)))
        return [tensors[name] for name, _, _ in specs]


def read_group(text, at, reader, specs):
    """({name: tensor}, where the next group starts) of matrices of one shape."""
    check(len(text) >= at + GROUP_HEAD.size, "ends within its contexts")
    by_size, by_mean, *trust = GROUP_HEAD.unpack_from(text, at)
    check(0 < by_size <= SIZES and 0 < by_mean <= DRIFTS and max(trust) <= MOST_TRUST, "has contexts out of range")
    at += GROUP_HEAD.size
    numbers = len(specs) + by_size + by_mean - 2
    check(len(text) >= at + 4 * numbers, "ends within its contexts")
    numbers = np.frombuffer(text, "<f4", numbers, at).astype(np.float64)
    means, sizes, drifts = np.split(numbers, [len(specs), len(specs) + by_size - 1])
    check(bool((np.abs(numbers) < 1e6).all() and (means > 0).all()), "has contexts out of range")
    _, dtype, shape = specs[0]
    table, at = read_table(text, at + 4 * len(numbers), by_size * by_mean, DTYPES[dtype])
    lanes, steps = min(shape), max(shape)
    tensors = {}
    for batch in batches_of(range(len(specs)), shape, len(reader.states)):
        walk = Walk(means[list(batch), None], lanes, steps, [2.0**bits for bits in trust])
        codes = np.empty((steps, len(batch), lanes), dtype=table.symbol.dtype)
        for turn in range(steps):
            size, drift = walk.expected(turn)
            context = (np.searchsorted(sizes, size) * by_mean + np.searchsorted(drifts, drift)).ravel()
            codes[turn] = reader.take(table, len(context), context << TABLE_BITS).reshape(len(batch), lanes)
            walk.learn(codes[turn].astype(np.int64))
        matrices = np.empty((len(batch), lanes, steps), dtype=codes.dtype)
        matrices[:, np.arange(lanes), diagonals(lanes, steps)] = codes.transpose(1, 0, 2)
        for i, matrix in zip(batch, matrices):
            tensors[specs[i][0]] = torch.from_numpy(matrix.T.copy() if shape[0] > shape[1] else matrix)
    return tensors, at
