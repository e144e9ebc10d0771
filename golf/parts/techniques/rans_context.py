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
    TABLE_BITS,
    StateReader,
    frequencies,
    is_coded,
    lanes_for,
    read_payload,
    read_static_group,
    read_table,
    starts_of,
    static_group,
    to_coarse,
    write_payload,
    write_table,
)

SIZES, DRIFTS = 16, 8  # contexts by size and by mean: at most so many
MOST_TRUST = 20
GROUP_HEAD = struct.Struct(
    "<6B2f"
)  # contexts by size and by mean; trust in lines along and across, of both; how far both spread


class Walk:
    """The way through matrices (count, lanes, steps): at turn t, lane j is at (t + j) mod steps. Sums of magnitudes and of codes so far.

    means (count, 1): mean magnitude of each matrix; unit: of all matrices that share the tables. trust: log2 of how many average codes a line counts as having had before its first:
    along a lane and across, of magnitudes and of codes. sizes, drifts: thresholds between contexts.
    """

    def __init__(self, means, unit, lanes, steps, trust, sizes, drifts):
        self.means, self.unit, self.sizes, self.drifts = means, unit, sizes, drifts
        along, across = np.ldexp(1.0, [trust[::2], trust[1::2]])[..., None, None] + 0 * means
        # sums of magnitudes and of codes, and how many of each; the lines across turn with the walk
        self.along = np.stack([along[0] * means, 0 * means, *along]) + np.zeros(lanes)
        self.across = np.stack([across[0] * means, 0 * means, *across]) + np.zeros(steps)

    def contexts(self):
        """The context of each of this turn's codes: (count, lanes). Only + × ÷: the same bits on every machine."""
        now = self.across[..., : self.along.shape[2]]
        size, drift = self.along[:2] / self.along[2:]
        across_size, across_drift = now[:2] / now[2:]
        sizes = np.searchsorted(self.sizes, size * across_size / (self.means * self.unit))
        return sizes * (len(self.drifts) + 1) + np.searchsorted(self.drifts, (drift + across_drift) / self.unit)

    def learn(self, codes):
        """This turn's codes, and on to the next."""
        codes = codes * 1.0
        one = np.ones(codes.shape)
        seen = np.stack([np.abs(codes), codes, one, one])
        self.along += seen
        self.across[..., : codes.shape[1]] += seen
        self.across = np.roll(self.across, -1, 2)


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


def edges(sizes, drifts, *spreads):
    """Thresholds between contexts: to two deviations around the mean size 1, and around the mean 0."""
    return [
        middle + (np.arange(1, contexts) * 4 / contexts - 2) * float(spread)
        for middle, contexts, spread in zip((1, 0), (sizes, drifts), spreads)
    ]


def differences(matrices, means, axis):
    """(how much the means of lines differ, log2 of the codes that a line's mean is worth): a variance over matrices' mean magnitudes."""
    within = between = 0.0
    for matrix, mean in zip(matrices, means):
        spread = matrix.var(axis).mean() / mean**2
        within += spread / len(means)
        between += (matrix.mean(axis).var() / mean**2 - spread / matrix.shape[axis]) / len(means)
    between = max(between, within / (1 << MOST_TRUST), 1e-12)  # equal codes differ in nothing
    return between, round(math.log2(max(within / between, 1)))


def context_group(tensors, lanes):
    """(head, turns) of matrices of one shape."""
    matrices = [t.detach().cpu().numpy() for t in tensors]
    matrices = [m.T if m.shape[0] > m.shape[1] else m for m in matrices]  # a lane for each line of the short side
    lowest = min(int(m.min()) for m in matrices)
    signed = [m.astype(np.float32) for m in matrices]
    means = np.array([max(np.abs(m).mean(), 1e-3) for m in signed], "<f4")
    exact = means.astype(np.float64)
    trust, spreads = [], []
    for of in ([np.abs(m) for m in signed], signed):
        between, known = zip(*(differences(of, exact, axis) for axis in (1, 0)))
        trust += known
        apart = exact.var() / exact.mean() ** 2 if of is not signed else 0  # a step of its own for each matrix
        spreads.append(np.float32((sum(between) + apart) ** 0.5))
    walks = []
    for batch in batches_of(np.arange(len(matrices)), matrices[0].shape, lanes):
        codes = walked(np.stack([matrices[i] for i in batch]))
        walk = Walk(
            exact[batch, None], exact.mean(), codes.shape[2], len(codes), trust, *edges(SIZES, DRIFTS, *spreads)
        )
        found = []
        for turn in codes:
            found.append(walk.contexts().astype(np.uint8))
            walk.learn(turn)
        walks.append(((codes.astype(np.int16) - lowest).astype(np.uint8), np.stack(found)))
    symbols = max(int(codes.max()) for codes, _ in walks) + 1
    counts = sum(
        np.bincount((found * np.int32(symbols) + codes).ravel(), minlength=SIZES * DRIFTS * symbols)
        for codes, found in walks
    ).reshape(SIZES, DRIFTS, symbols)
    ways = [merged(counts, sizes, drifts) for sizes in (16, 8, 4, 2, 1) for drifts in (8, 4, 2, 1)]
    _, sizes, drifts, coarse = min(ways, key=lambda way: way[0])
    head = GROUP_HEAD.pack(sizes, drifts, *trust, *spreads) + means.tobytes()
    context = np.add.outer(np.arange(SIZES) * sizes // SIZES * drifts, np.arange(DRIFTS) * drifts // DRIFTS).ravel()
    starts = [table[context] for table in starts_of(frequencies(coarse))]
    turns = [(starts, at.ravel(), turn.ravel()) for codes, found in walks for turn, at in zip(codes, found)]
    return head + write_table(lowest, coarse), turns


def merged(counts, sizes, drifts):
    """(bytes of codes and tables, contexts by size, by mean, coarse frequencies) with so many contexts of those that were counted."""
    counts = counts.reshape(sizes, SIZES // sizes, drifts, DRIFTS // drifts, -1).sum((1, 3)).reshape(sizes * drifts, -1)
    coarse = to_coarse(counts)
    return cost_bytes(counts, coarse), sizes, drifts, coarse


def cost_bytes(counts, coarse):
    """Bytes of codes counted so, and of their tables: LZMA makes those of about three quarters of what occurs."""
    bits = (counts * (TABLE_BITS - np.log2(np.maximum(frequencies(coarse), 1)))).sum()
    return float(bits) / 8 + 0.75 * float((coarse > 0).sum())


class ContextRansCoder:
    name = "ransctx"

    @staticmethod
    def encode(tensors):
        specs = [("", str(t.dtype).removeprefix("torch."), list(t.shape)) for t in tensors]
        coded = [t for t, spec in zip(tensors, specs) if is_coded(spec)]
        rest = [t for t, spec in zip(tensors, specs) if not is_coded(spec)]
        coded_specs = [spec for spec in specs if is_coded(spec)]
        lanes, head, turns = lanes_of(coded_specs), b"", []
        for key, positions in groups_of(coded_specs).items():
            group = context_group if key else static_group
            text, more = group([coded[i] for i in positions], lanes)
            head, turns = head + text, turns + more
        return write_payload(head, rest, turns, lanes)

    @staticmethod
    def decode(payload, specs, unpacked_bytes):
        coded = [spec for spec in specs if is_coded(spec)]
        text, states = read_payload(payload, unpacked_bytes + (len(coded) + 1) * (SIZES * DRIFTS + 1) * 260)
        reader, at, tensors = StateReader(states, lanes_of(coded)), 0, {}
        for key, positions in groups_of(coded).items():
            read = read_group if key else read_static_group
            more, at = read(text, at, reader, [coded[i] for i in positions])
            tensors.update(more)
        reader.finish()
        rest = [spec for spec in specs if not is_coded(spec)]
        tensors.update(zip([spec[0] for spec in rest], from_planes(text[at:], rest)))
        return [tensors[name] for name, _, _ in specs]


def read_group(text, at, reader, specs):
    """({name: tensor}, where the next group starts) of matrices of one shape."""
    check(len(text) >= at + GROUP_HEAD.size, "ends early")
    sizes, drifts, *trust, size_spread, drift_spread = GROUP_HEAD.unpack_from(text, at)
    at += GROUP_HEAD.size
    means = np.frombuffer(text, "<f4", len(specs), at).astype(np.float64)
    known = 0 < sizes <= SIZES and 0 < drifts <= DRIFTS and max(trust) <= MOST_TRUST
    numbers = np.array([*means, size_spread, drift_spread])
    check(known and bool(((0 < numbers) & (numbers < 1e6)).all()), "has numbers out of range")
    _, dtype, shape = specs[0]
    table, at = read_table(text, at + 4 * len(specs), sizes * drifts, DTYPES[dtype])
    lanes, steps = min(shape), max(shape)
    tensors = {}
    for batch in batches_of(np.arange(len(specs)), shape, len(reader.states)):
        walk = Walk(
            means[list(batch), None],
            means.mean(),
            lanes,
            steps,
            trust,
            *edges(sizes, drifts, size_spread, drift_spread),
        )
        codes = np.empty((steps, len(batch), lanes), dtype=table.symbol.dtype)
        for turn in codes:
            context = walk.contexts().ravel()
            turn[:] = reader.take(table, len(context), context << TABLE_BITS).reshape(turn.shape)
            walk.learn(turn)
        matrices = np.empty((len(batch), lanes, steps), dtype=codes.dtype)
        matrices[:, np.arange(lanes), diagonals(lanes, steps)] = codes.transpose(1, 0, 2)
        for i, matrix in zip(batch, matrices):
            tensors[specs[i][0]] = torch.from_numpy(matrix.T.copy() if shape[0] > shape[1] else matrix)
    return tensors, at
