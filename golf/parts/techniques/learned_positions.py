"""Learned positions: a vector per place in the sequence is added to the embedding (GPT-2), instead of rotary positions."""

import torch
from torch import nn

from golf.parts.layers import Embedding
from golf.parts.model import tied_normal


class LearnedPositions(nn.Module):
    """Belongs into the chain `embed_pre`, with rotary = false."""

    def __init__(self, h):
        super().__init__()
        assert h.eval_seq_len <= h.train_seq_len, (
            f"positions are learned up to train_seq_len = {h.train_seq_len}: eval_seq_len = {h.eval_seq_len} has no vectors"
        )
        self.table = Embedding(h.train_seq_len, h.model_dim, role="embed", init=tied_normal)

    def forward(self, x, ids):
        # x: (B, T, C)
        return x + self.table(torch.arange(ids.size(1), device=ids.device))
