"""Micro-batches: the stream in as many pieces a step as fit the memory, for batches larger than the contest's (gradient accumulation)."""

import numpy as np
import torch

from golf.parts.data import SequentialStream


class MicroBatches(SequentialStream):
    """A slot for `loader`, with `micro_batches`."""

    def next_batch(self):
        """ids, targets: (sequences, T) of this rank's micro-batch. The span's last token is a target only."""
        assert self.h.micro_batches, "`MicroBatches` wants micro_batches: pieces of a step, over all ranks"
        assert self.h.train_batch_tokens % (max(self.h.micro_batches, 1) * self.h.train_seq_len) == 0, (
            f"train_batch_tokens = {self.h.train_batch_tokens} are not micro_batches = {self.h.micro_batches} of whole sequences of train_seq_len = {self.h.train_seq_len}"
        )
        span = self.h.train_batch_tokens // self.h.micro_batches + 1
        tokens = self.take(span * self.env.world_size)[self.env.rank * span :][:span].astype(np.int64)
        rows = (-1, self.h.train_seq_len)
        return torch.from_numpy(tokens[:-1].reshape(rows)), torch.from_numpy(tokens[1:].reshape(rows))
