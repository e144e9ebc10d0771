"""Shuffled sequences: windows of a rank's own shards in random order (PR #1394, Kevin Clark).

Rank r reads shards r, r + world, …; its order is drawn from a generator seeded by the rank, so the run's seed changes nothing.
A rank without a shard of its own is an error.
"""

import numpy as np
import torch

from golf.parts.data import load_shard, shard_paths


class ShuffledSequences:
    def __init__(self, h, env):
        self.h = h
        self.env = env
        self.shards = [load_shard(path) for path in shard_paths(env, "train")[env.rank :: env.world_size]]
        assert self.shards, f"rank {env.rank} of {env.world_size} has no shard: this loader needs one a rank"
        self.rng = np.random.Generator(np.random.PCG64(env.rank))
        self.starts = [[] for _ in self.shards]
        for i in range(len(self.shards)):
            self.reset(i)

    def reset(self, i):
        """Draw the shard's phase and the order of its windows; they are taken from the end."""
        seq_len, tokens = self.h.train_seq_len, len(self.shards[i])
        last_phase = min(seq_len - 1, max(0, tokens - seq_len - 1))
        phase = int(self.rng.integers(last_phase + 1)) if last_phase else 0
        order = self.rng.permutation((tokens - 1 - phase) // seq_len)
        self.starts[i] = (phase + order * seq_len).tolist()

    def next_batch(self):
        """ids, targets: (sequences, T) of this rank's micro-batch."""
        assert self.h.train_batch_tokens % (8 * self.h.train_seq_len) == 0, (
            f"train_batch_tokens = {self.h.train_batch_tokens} are not 8 micro-batches of whole sequences of train_seq_len = {self.h.train_seq_len}"
        )
        assert self.h.micro_batches in (0, 8), (
            f"this loader makes 8 micro-batches a step and micro_batches is {self.h.micro_batches}: choose `MicroBatches`"
        )
        seq_len = self.h.train_seq_len
        rows = []
        for _ in range(self.h.train_batch_tokens // 8 // seq_len):
            left = np.array([len(starts) for starts in self.starts], dtype=np.float64)
            if not left.any():
                for i in range(len(self.shards)):
                    self.reset(i)
                left = np.array([len(starts) for starts in self.starts], dtype=np.float64)
            i = int(self.rng.choice(len(self.shards), p=left / left.sum()))
            start = self.starts[i].pop()
            rows.append(self.shards[i][start : start + seq_len + 1].astype(np.int64))
        windows = np.stack(rows)
        return torch.from_numpy(windows[:, :-1]), torch.from_numpy(windows[:, 1:])
