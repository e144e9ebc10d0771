"""A language model of a few hundred weights as a source, and activations made of known directions."""

import numpy as np
import torch
from torch import nn

from golf.models.source import Source


def half_likely(likely: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Token ids of which half are what a model finds likely after the one before (`likely[id]`), so that its streams are worth something."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, len(likely), count)
    for at in np.flatnonzero(rng.random(count - 1) < 0.5) + 1:
        ids[at] = likely[ids[at - 1]]
    return ids


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


class Perceptron(nn.Module):
    """Up, ReLU, down, by the names that model code gives them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc, self.proj = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x):
        return self.proj(torch.relu(self.fc(x)))


class PlacedBlock(nn.Module):
    """A block with an `attn` (a running mean, answering with a tuple) and an `mlp`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn, self.mlp = Mean(width), Perceptron(width)

    def forward(self, x):
        x = x + self.attn(x)[0]
        return x + self.mlp(torch.nn.functional.rms_norm(x, x.shape[-1:]))


class Mean(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.Linear(width, width)

    def forward(self, x):
        return self.out(x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]), "cache"


def placed_source(vocab: int = 40, width: int = 8, layers: int = 2, runs: int = 1) -> Source:
    """A model whose blocks have every place; each block runs `runs` times. Half of its text is what it finds likely."""
    torch.manual_seed(6)
    model = nn.Module()
    model.embed, model.head = nn.Embedding(vocab, width), nn.Linear(width, vocab, bias=False)
    model.blocks = nn.ModuleList(PlacedBlock(width) for _ in range(layers))
    model.requires_grad_(False)

    def logits(ids):
        x = model.embed(ids)
        for _ in range(runs):
            for block in model.blocks:
                x = block(x)
        return model.head(x)

    likely = logits(torch.arange(vocab)[:, None])[:, 0].argmax(-1).numpy()

    def tokens(split, data=None, limit=None, without=None):
        return half_likely(likely, 4000, len(split))[:limit]

    return Source(
        model, model.blocks, logits, tokens, spec="placed", name="placed", vocab_size=vocab, seq_len=8,
        decode=lambda id: f"<{id}>", head=model.head.weight,
    )  # fmt: skip
