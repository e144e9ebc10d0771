"""A two-layer causal transformer in float64 with the signature of the one forward: what executed checks score with."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

WIDTH = 16
HEADS = 2


class Block(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.up = nn.Linear(WIDTH, 2 * WIDTH, bias=False)
        self.down = nn.Linear(2 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Any, mask: Any) -> Any:
        """x: (B, T, C); mask: (B or 1, 1, T, T) of what may be seen."""
        B, T, _ = x.shape
        q, k, v = self.qkv(F.layer_norm(x, (WIDTH,))).view(B, T, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(~mask, float("-inf")).softmax(-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(B, T, WIDTH))
        return x + self.down(F.gelu(self.up(F.layer_norm(x, (WIDTH,)))))


class StubGPT(nn.Module):  # type: ignore[misc]
    """forward(ids, targets=None, docs=None, loop=True, lora=None, head_at=None): nats (B, T), or logits (B, T, V) without targets; of
    the columns (B, S) only where they are given."""

    def __init__(self, vocab_size: int, seed: int = 0) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.embed = nn.Embedding(vocab_size, WIDTH)
        self.place = nn.Embedding(4096, WIDTH)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(WIDTH, vocab_size)
        self.double()
        source = torch.Generator().manual_seed(seed)
        for param in self.parameters():
            param.data = 0.5 * torch.randn(param.shape, generator=source, dtype=torch.float64)

    def hidden(self, ids: Any, docs: Any = None) -> Any:
        """(B, T, C); positions count from the window's start, attention stays inside `docs` when given.

        docs: ids of documents (B, T), or the bounds of the documents of the flattened batch (the `varlen` evaluator's).
        """
        T = ids.shape[1]
        mask = torch.ones(T, T, dtype=torch.bool).tril()[None, None]
        if torch.is_tensor(docs) and docs.dim() == 1:
            docs = torch.searchsorted(docs, torch.arange(ids.numel(), dtype=docs.dtype), right=True).view(ids.shape)
        if torch.is_tensor(docs) and docs.shape == ids.shape:
            mask = mask & (docs[:, None, :, None] == docs[:, None, None, :])
        x = self.embed(ids) + 0.3 * self.place(torch.arange(T) % 4096)
        for block in self.blocks:
            x = block(x, mask)
        return F.layer_norm(x, (WIDTH,))

    def forward(
        self, ids: Any, targets: Any = None, docs: Any = None, loop: bool = True, lora: Any = None, head_at: Any = None
    ) -> Any:
        x = self.hidden(ids.long(), docs)
        if head_at is not None:
            x = x.take_along_dim(head_at[:, :, None], dim=1)
        logits = self.head(x)
        if lora is not None:
            logits = logits + lora("head", -1, x, logits)
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten().long(), reduction="none").view(targets.shape)
