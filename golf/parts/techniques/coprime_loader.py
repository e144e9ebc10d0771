"""Coprime multi-shard loader: a batch mixes windows of many shards, and every shard is walked by a stride coprime to its windows
(PR #1060, @dexhunter; in #1204, #1218, #1285 and #1334).

Every rank draws the same global list of windows and takes its own share. The generator is seeded by the names of the shards' files,
so by DATA_PATH and not by the run's seed. From 8 shards a batch it grows to 32 over the first 1,800 micro-batches, and shards with more left
are taken more often, less strongly with time. A window that ends a shard's walk is followed by a new phase and stride.
"""

import math

import numpy as np
import torch

from golf.parts.data import load_shard, shard_paths

MIXING_BATCHES = 1800  # micro-batches until the mix is as wide as it gets


def seed_of_paths(paths):
    """64 bits from the bytes of the paths, by FNV's multiplication."""
    seed = 0
    for path in paths:
        for byte in path.encode():
            seed = (seed ^ byte) * 1099511628211 % 2**64
    return seed


class CoprimeShards:
    """A slot for `loader`."""

    def __init__(self, h, env):
        self.h = h
        self.env = env
        paths = shard_paths(env, "train")
        self.rng = np.random.Generator(np.random.PCG64(seed_of_paths(paths)))
        self.shards = [load_shard(path) for path in paths]
        self.usable = [i for i, tokens in enumerate(self.shards) if (len(tokens) - 1) // h.train_seq_len > 0]
        assert self.usable, f"no training shard holds a window of train_seq_len = {h.train_seq_len} + 1 tokens"
        self.walks = {}  # shard → [phase, blocks, start, stride, used]
        self.built = 0

    def begin(self, i):
        """Draw the shard's phase, and where and by which stride its windows are walked."""
        seq_len, tokens = self.h.train_seq_len, len(self.shards[i])
        last_phase = min(seq_len - 1, max(0, tokens - seq_len - 1))
        phase = int(self.rng.integers(last_phase + 1)) if last_phase else 0
        blocks = (tokens - 1 - phase) // seq_len
        start = int(self.rng.integers(blocks)) if blocks > 1 else 0
        stride = 1
        if blocks > 1:
            stride = int(self.rng.integers(1, blocks))
            while math.gcd(stride, blocks) != 1:
                stride = int(self.rng.integers(1, blocks))
        self.walks[i] = [phase, blocks, start, stride, 0]

    def take(self, i, count):
        """The first tokens of the shard's next `count` windows."""
        found = []
        for _ in range(count):
            if i not in self.walks or self.walks[i][4] >= self.walks[i][1]:
                self.begin(i)
            phase, blocks, start, stride, used = self.walks[i]
            found.append(phase + (start + used * stride) % blocks * self.h.train_seq_len)
            self.walks[i][4] += 1
        return found

    def left(self, i):
        """Windows of a shard that were not yet taken; of one that was never touched, as many as it has without a phase."""
        if i in self.walks:
            return max(self.walks[i][1] - self.walks[i][4], 1)
        return (len(self.shards[i]) - 1) // self.h.train_seq_len

    def windows(self, total):
        """(shard, first token) of the next `total` windows, of all ranks."""
        world, usable = self.env.world_size, len(self.usable)
        share = min(self.built / MIXING_BATCHES, 1.0)
        left = np.array([self.left(i) for i in self.usable], dtype=np.float64)
        odds = left ** (0.90 - 0.40 * share)
        odds /= odds.sum()
        low, high = min(max(8, world), usable, total), min(max(32, 8 * world), usable, total)
        mix = max(1, round(low + share * (high - low)))
        chosen = self.rng.choice(usable, size=mix, replace=False, p=odds)
        counts = np.ones(mix, dtype=np.int64)
        if total > mix:
            counts += self.rng.multinomial(total - mix, odds[chosen] / odds[chosen].sum())
        buckets = []
        for at in self.rng.permutation(mix):
            i = self.usable[int(chosen[at])]
            taken = self.take(i, int(counts[at]))
            buckets.append([(i, taken[j]) for j in self.rng.permutation(len(taken))])
        found = []
        while buckets:
            buckets = [buckets[at] for at in self.rng.permutation(len(buckets))]
            found += [bucket.pop() for bucket in buckets]
            buckets = [bucket for bucket in buckets if bucket]
        self.built += 1
        return found

    def next_batch(self):
        """ids, targets: (sequences, T) of this rank's micro-batch."""
        assert self.h.train_batch_tokens % (8 * self.h.train_seq_len) == 0, (
            f"train_batch_tokens = {self.h.train_batch_tokens} are not 8 micro-batches of whole sequences of train_seq_len = {self.h.train_seq_len}"
        )
        assert self.h.micro_batches in (0, 8), (
            f"this loader makes 8 micro-batches a step and micro_batches is {self.h.micro_batches}: choose `MicroBatches`"
        )
        seq_len = self.h.train_seq_len
        sequences = self.h.train_batch_tokens // 8 // seq_len
        mine = self.windows(sequences * self.env.world_size)[self.env.rank :: self.env.world_size]
        rows = np.stack([self.shards[i][start : start + seq_len + 1].astype(np.int64) for i, start in mine])
        return torch.from_numpy(rows[:, :-1]), torch.from_numpy(rows[:, 1:])
