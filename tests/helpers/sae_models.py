"""A language model of a few hundred weights as a source, and activations made of known directions."""

import numpy as np
import torch
from torch import nn

from golf.models.source import Source


class Block(nn.Module):
    """Adds a nonlinear map; answers with a tuple, as many models' blocks do, where `pair`."""

    def __init__(self, width: int, pair: bool) -> None:
        super().__init__()
        self.map, self.pair = nn.Linear(width, width), pair

    def forward(self, x):
        x = x + torch.tanh(self.map(x))
        return (x, "cache") if self.pair else x


class Tiny(nn.Module):
    def __init__(self, vocab: int, width: int, layers: int) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(vocab, width), nn.Linear(width, vocab)
        self.blocks = nn.ModuleList(Block(width, layer % 2 == 0) for layer in range(layers))

    def forward(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)[0] if block.pair else block(x)
        return self.head(x)


def tiny_source(vocab: int = 40, width: int = 16, layers: int = 3) -> Source:
    """Random weights, the same every time; its text is random too."""
    torch.manual_seed(5)
    model = Tiny(vocab, width, layers).requires_grad_(False)

    def tokens(split, data=None, limit=None):
        return np.random.default_rng(len(split)).integers(0, vocab, 4000)[:limit]

    return Source(model, model.blocks, model, tokens, spec="tiny", name="tiny", vocab_size=vocab, seq_len=8)


def planted(width: int, atoms: int, share: float, tokens: int, seed: int):
    """(directions (atoms, width) of norm 1, activations (tokens, width)): each atom is there with probability `share`, at 1 ± 0.1."""
    rng = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(atoms, width, generator=rng), dim=-1)
    there = (torch.rand(tokens, atoms, generator=rng) < share).float()
    return directions, (there * (1 + 0.1 * torch.randn(tokens, atoms, generator=rng))) @ directions
