"""The one forward.

It has everything that folding meets.
"""

import torch
import torch.nn.functional as F
from torch import nn

from toy_parts.attention import Attention
from toy_parts.knobs import Chain, Slot
from toy_parts.layers import Linear, norm


class Knobs:
    vocab_size: "1 <= int <= 65536" = 13  # tokens
    model_dim: "1 <= int <= 4096" = 8  # residual width
    num_layers: "1 <= int <= 64" = 2
    loop: "0 <= int <= 64" = 0  # how often the blocks run again
    softcap: "0 <= float <= 1e4" = 0.0  # bound of the logits | 0 for none
    block: Slot = "Block"
    embed: Chain = ()  # (h, x) -> x, functions


class Smoke:
    vocab_size = 7
    model_dim = 4


class MLP(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.fc = Linear(h.model_dim, 2 * h.model_dim)
        self.proj = Linear(2 * h.model_dim, h.model_dim)

    def forward(self, u):
        return self.proj(F.relu(self.fc(u)).square())


class Block(nn.Module):
    """Attention, then MLP."""

    def __init__(self, h, layer):
        super().__init__()
        self.attn = Attention(h, layer)
        self.mlp = MLP(h)

    def forward(self, x):
        x = x + self.attn(norm(x))
        return x + self.mlp(norm(x))


class GPT(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.h = h
        self.wte = nn.Embedding(h.vocab_size, h.model_dim)
        self.blocks = nn.ModuleList(h.block(h, layer) for layer in range(h.num_layers))

    def forward(self, ids, targets):
        x = self.wte(ids)
        for f in self.h.embed:
            x = f(self.h, x)
        # once, and again
        for _ in range(self.h.loop + 1):
            for block in self.blocks:
                x = block(x)
        logits = F.linear(norm(x), self.wte.weight)
        if self.h.softcap > 0:
            logits = self.h.softcap * torch.tanh(logits / self.h.softcap)
        elif self.h.loop and self.h.softcap < 0:
            raise ValueError("a negative softcap")
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())
