"""Trellis-coded quantization inside GPTQ: half the step, and a code of 8 states that lets every level use only half the grid.

A level n costs no more to code than on a grid of twice the step, because its parity follows from the levels above it; the best
path down a column's rows is Viterbi's (Marcellin and Fischer, 1990; trellis of Ungerboeck, 1982: parity polynomials 13, 04
octal). GPTQ couples columns only, so it feeds the path's errors on as ever. Stored is k = n >> 1, as uint8 k + 128.
"""

import numpy as np
import torch

from golf.parts.techniques.gptq import gptq
from golf.parts.techniques.sdclip import sdclip_scale

PIECE_ROWS = 32  # the search runs in pieces of so many rows side by side, from every state at once


def trellis_tables():
    """(next state [state, z1]; the two states before each state; coset n mod 4 of each of these steps). z1 is bit 1 of n."""
    after = np.zeros((8, 2), dtype=np.int64)
    before, coset = np.zeros((2, 8), dtype=np.int64), np.zeros((2, 8), dtype=np.int64)
    ways = [0] * 8
    for state in range(8):
        w1, w2, w3 = state & 1, state >> 1 & 1, state >> 2
        for z1 in (0, 1):
            to = w3 | (w1 ^ w3) << 1 | (w2 ^ z1) << 2
            after[state, z1] = to
            before[ways[to], to], coset[ways[to], to] = state, w3 | z1 << 1
            ways[to] += 1
    return after, before, coset


def nearest_path(values):
    """The levels, along one permitted path from state 0, nearest to values (rows,) in steps. Exact: all pieces' ways are joined."""
    _, before, coset = trellis_tables()
    pieces = -(-len(values) // PIECE_ROWS)
    v = np.zeros(pieces * PIECE_ROWS, dtype=np.float32)
    v[: len(values)] = values
    offsets = np.arange(4, dtype=np.float32)[:, None]
    levels = np.round((v - offsets) / 4) * 4 + offsets
    costs = np.square(v - levels) * (np.arange(len(v)) < len(values))  # what fills the last piece is free
    costs = costs.astype(np.float32).reshape(4, pieces, PIECE_ROWS).transpose(2, 0, 1)[:, :, None]
    total = np.where(np.eye(8, dtype=bool)[:, :, None], np.float32(0), np.float32(np.inf)).repeat(pieces, axis=2)
    second = np.empty((PIECE_ROWS, 8, 8, pieces), dtype=bool)  # (row, state after, state at the piece's start, piece)
    for row in range(PIECE_ROWS):
        ways = total[before] + costs[row][coset]
        np.less(ways[1], ways[0], out=second[row])
        total = np.minimum(ways[0], ways[1])
    starts, ends = joined(total)
    best, state, each = np.empty((pieces, PIECE_ROWS), dtype=np.float32), ends, np.arange(pieces)
    levels = levels.reshape(4, pieces, PIECE_ROWS)
    for row in reversed(range(PIECE_ROWS)):
        way = second[row, state, starts, each].astype(np.intp)
        best[:, row] = levels[coset[way, state], each, row]
        state = before[way, state]
    return best.reshape(-1)[: len(values)]


def joined(total):
    """(state at the start, state at the end) of every piece on the cheapest way from state 0. total: (end, start, piece)."""
    reach, came = np.where(np.arange(8) == 0, np.float32(0), np.float32(np.inf)), []
    for piece in range(total.shape[2]):
        ways = reach + total[:, :, piece]
        came.append(ways.argmin(axis=1))
        reach = ways.min(axis=1)
    ends = [int(reach.argmin())]
    for choice in reversed(came):
        ends.append(int(choice[ends[-1]]))
    return np.array(ends[:0:-1]), np.array(ends[-2::-1])


def trellis_levels(codes):
    """Codes (rows, columns) uint8 to levels: the decoder's half. A slot for `levels`."""
    after, _, _ = trellis_tables()
    k = codes.numpy().astype(np.int16) - 128
    state, levels = np.zeros(k.shape[1], dtype=np.intp), np.empty_like(k)
    for row in range(len(k)):
        levels[row] = 2 * k[row] + (state >> 2)
        state = after[state, k[row] & 1]
    return torch.from_numpy(levels)


def gptq_trellis(h, w, hessian, bits, role):
    """At the bytes of GPTQ with SDClip, with the same bits and clip: half its step, codes uint8. Needs levels = "trellis_levels"."""
    assert h.levels, "`gptq_trellis` stores indices: set `levels` to `trellis_levels`"
    if hessian is None:  # of a table, whose rows meet no other's inputs
        assert h.calibrate, (
            '`gptq_trellis` needs Hessians, and nothing collects them: set calibrate, as in "calibrate.from_training_text"'
        )
        hessian = torch.eye(w.size(1))
    bound = int(2**bits) - 3  # the nearest level of any coset is at most 2 away
    scale = sdclip_scale(h, w, hessian, bits, role) / 2

    def nearest(column, at):
        return torch.from_numpy(nearest_path(column.clamp(-bound, bound).numpy()))

    levels = gptq(h, w, hessian, scale, nearest)
    return (levels.to(torch.int16) // 2 + 128).to(torch.uint8), scale
