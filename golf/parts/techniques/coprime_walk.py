"""Coprime walk: every micro-batch is of one shard, shards and their windows are walked by strides coprime to their number (PR #1120,
@newjordan).

A rank stays on a shard for `walk_hold` micro-batches. The order depends on the run's seed alone.
"""

import math

import numpy as np
import torch

from golf.parts.data import load_shard, shard_paths


class Knobs:
    walk_hold: "1 <= int <= 1000000" = 64  # micro-batches of one shard


class Smoke:
    walk_hold = 4


def coprime_from(count, start):
    """The first number from `start` on, modulo `count`, that shares no factor with `count`; after count − 1 comes 1."""
    stride = abs(start) % count or 1
    while math.gcd(stride, count) != 1:
        stride = stride + 1 if stride + 1 < count else 1
    return stride


class CoprimeWalk:
    """A slot for `loader`."""

    def __init__(self, h, env):
        self.h = h
        self.env = env
        self.shards = []  # (tokens, blocks, offset, stride)
        for i, path in enumerate(shard_paths(env, "train")):
            tokens = load_shard(path)
            blocks = (len(tokens) - 1) // h.train_seq_len
            if blocks > 0:
                offset = (131 * env.seed + 17 * i) % blocks
                self.shards.append((tokens, blocks, offset, coprime_from(blocks, 29 * env.seed + 7 * i + 1)))
        assert self.shards, f"no training shard holds a window of train_seq_len = {h.train_seq_len} + 1 tokens"
        self.stride = coprime_from(len(self.shards), 41 * env.seed + 3)
        self.visits = [0] * len(self.shards)
        self.built = 0

    def windows(self, count):
        """(shard, first tokens) of this rank's next `count` windows."""
        turn = self.built // self.h.walk_hold * self.env.world_size + self.env.rank
        at = turn * self.stride % len(self.shards)
        _, blocks, offset, stride = self.shards[at]
        starts = [(offset + (self.visits[at] + j) * stride) % blocks * self.h.train_seq_len for j in range(count)]
        self.visits[at] += count
        self.built += 1
        return at, starts

    def next_batch(self):
        """ids, targets: (sequences, T) of this rank's micro-batch."""
        assert self.h.train_batch_tokens % (8 * self.h.train_seq_len) == 0, (
            f"train_batch_tokens = {self.h.train_batch_tokens} are not 8 micro-batches of whole sequences of train_seq_len = {self.h.train_seq_len}"
        )
        assert self.h.micro_batches in (0, 8), (
            f"this loader makes 8 micro-batches a step and micro_batches is {self.h.micro_batches}: choose `MicroBatches`"
        )
        seq_len = self.h.train_seq_len
        at, starts = self.windows(self.h.train_batch_tokens // 8 // seq_len)
        rows = np.stack([self.shards[at][0][start : start + seq_len + 1].astype(np.int64) for start in starts])
        return torch.from_numpy(rows[:, :-1]), torch.from_numpy(rows[:, 1:])
