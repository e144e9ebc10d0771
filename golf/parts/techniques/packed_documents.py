"""Packed documents: a micro-batch is one row of text as it comes, document after document (PR #1530, @samacqua).

Every rank reads the same shards in order, from a shard's first BOS on, and takes its own span; what is left of a shard that is
too short for all ranks' next spans is dropped. Attention keeps the documents apart by `documents`; every token is a target, the
next document's BOS too. The seed changes nothing.
"""

import numpy as np
import torch

from golf.parts.data import load_shard, shard_paths


class PackedDocuments:
    """A slot for `loader`."""

    def __init__(self, h, env):
        self.h = h
        self.env = env
        assert h.documents, "`PackedDocuments` wants `documents`: attention would run across all documents of a row"
        self.paths = shard_paths(env, "train")
        self.shard, self.at, self.tokens = -1, 0, ()

    def next_batch(self):
        """ids, targets: (1, tokens) of this rank's micro-batch. The span's last token is a target only."""
        assert self.h.micro_batches in (0, 8), (
            f"this loader makes 8 micro-batches a step and micro_batches is {self.h.micro_batches}: choose `MicroBatches`"
        )
        span = self.h.train_batch_tokens // 8 + 1
        for _ in self.paths:
            if self.at + span * self.env.world_size <= len(self.tokens):
                break
            self.shard = (self.shard + 1) % len(self.paths)
            self.tokens = load_shard(self.paths[self.shard])
            starts = np.flatnonzero(self.tokens == self.h.bos_id)
            self.at = int(starts[0]) if len(starts) else len(self.tokens)
        if self.at + span * self.env.world_size > len(self.tokens):
            raise ValueError(
                f"no training shard holds {span * self.env.world_size} tokens after its first document's start"
            )
        tokens = self.tokens[self.at + self.env.rank * span :][:span].astype(np.int64)
        self.at += span * self.env.world_size
        return torch.from_numpy(tokens[None, :-1]), torch.from_numpy(tokens[None, 1:])
