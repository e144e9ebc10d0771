"""The small English (or Portuguese) model that the `glassllm` package carries, with a forward of our own over its weights.

Architecture as the package documents it: pre-norm decoder, RMSNorm with a gain, RoPE on neighbouring pairs, grouped-query attention,
SwiGLU, tied head; weights are stored as (inputs, outputs). MIT; 852,608 parameters, 4 layers of 128, vocabulary 1,024, context 128.
"""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from golf.errors import Exit, GolfError
from golf.files import sha256_of_file
from golf.models.corpus import text_tokens
from golf.models.source import Source


class Product(nn.Module):  # type: ignore[misc]
    """x W of a weight stored as (inputs, outputs)."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, inputs) -> (…, outputs)."""
        return x @ self.weight


class GlassAttention(nn.Module):  # type: ignore[misc]
    """Grouped-query attention on the normed stream."""

    def __init__(self, config: Any, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.head_dim = config.d_model // config.n_heads
        self.q, self.k, self.v, self.out = (Product(weights[f"attn:W_{name}"]) for name in "QKVO")

    def forward(self, u: torch.Tensor, rope: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """u: (B, T, d)."""
        B, T, _ = u.shape
        q, k, v = (one(u).view(B, T, -1, self.head_dim).transpose(1, 2) for one in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(rotate(q, rope), rotate(k, rope), v, is_causal=True, enable_gqa=True)
        return self.out(y.transpose(1, 2).reshape(B, T, -1))


class GlassMLP(nn.Module):  # type: ignore[misc]
    """SwiGLU on the normed stream."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.gate, self.up, self.down = (Product(weights[f"ffn:{name}"]) for name in ("W1", "W3", "W2"))

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """u: (B, T, d)."""
        return self.down(F.silu(self.gate(u)) * self.up(u))


class GlassBlock(nn.Module):  # type: ignore[misc]
    """Attention, then SwiGLU, each on a normed copy of the stream. weights: {name: (inputs, outputs) or (d,)}."""

    def __init__(self, config: Any, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.width, self.eps = (config.d_model,), config.eps
        self.norm1, self.norm2 = (nn.Parameter(weights[f"norm{n}:gamma"], requires_grad=False) for n in (1, 2))
        self.attn, self.mlp = GlassAttention(config, weights), GlassMLP(weights)

    def forward(self, x: torch.Tensor, rope: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """x: (B, T, d)."""
        x = x + self.attn(F.rms_norm(x, self.width, self.norm1, self.eps), rope)
        return x + self.mlp(F.rms_norm(x, self.width, self.norm2, self.eps))


def rotate(x: torch.Tensor, rope: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Rotate the pairs (2i, 2i + 1) of x: (B, H, T, D) by the angles of rope: cos and sin, (T, D / 2)."""
    a, b = x[..., 0::2], x[..., 1::2]
    cos, sin = rope
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)


class Glass(nn.Module):  # type: ignore[misc]
    """ids (B, T ≤ max_len) -> logits (B, T, V)."""

    def __init__(self, config: Any, arrays: dict[str, Any]) -> None:
        super().__init__()
        weights = {name: torch.from_numpy(array).float() for name, array in arrays.items()}
        self.config = config
        self.embedding = nn.Parameter(weights["E"], requires_grad=False)
        self.gamma = nn.Parameter(weights["norm_f.gamma"], requires_grad=False)
        self.blocks = nn.ModuleList(
            GlassBlock(config, {name.removeprefix(f"blocks.{i}.").replace(".", ":"): w for name, w in weights.items()
                                if name.startswith(f"blocks.{i}.")})
            for i in range(config.n_layers)
        )  # fmt: skip

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        if ids.size(1) > self.config.max_len:
            raise GolfError(f"{ids.size(1)} tokens do not fit into glassllm's context of {self.config.max_len}",
                            f"`--seq-len {self.config.max_len}`")  # fmt: skip
        half = self.config.d_model // self.config.n_heads // 2
        # in float64, then rounded: as the package makes its tables
        angles = torch.arange(ids.size(1), dtype=torch.float64)[:, None] * torch.exp(
            -math.log(self.config.rope_base) * torch.arange(half, dtype=torch.float64) / half
        )
        rope = (angles.cos().float().to(ids.device), angles.sin().float().to(ids.device))
        x = F.embedding(ids, self.embedding)
        for block in self.blocks:
            x = block(x, rope)
        return F.rms_norm(x, (self.config.d_model,), self.gamma, self.config.eps) @ self.embedding.T


def open_glass(language: str, device: str) -> Source:
    """The package's model of `language` (en, pt) as a source; GolfError (10) where the package is not installed."""
    if find_spec("glassllm") is None:
        raise GolfError("the small pretrained model lies in the package `glassllm` (3 MB, numpy only)",
                        "install it: `pip install glassllm==0.1.0`", Exit.REFUSED)  # fmt: skip
    import glassllm

    if language not in glassllm.LANGUAGES:
        raise GolfError(f"glassllm has no language `{language}`", f"choose one of {', '.join(glassllm.LANGUAGES)}")
    theirs, tokenizer = glassllm.load_pretrained(language)
    model = Glass(theirs.cfg, {name: param.data for name, param in theirs.named_parameters().items()}).to(device)

    def encode(texts: list[str]) -> list[list[int]]:
        return [tokenizer.encode(text) for text in texts]

    name, files = f"glassllm-{language}", Path(glassllm.__file__).parent / "weights"
    tokenizer_sha256 = sha256_of_file(files / f"{language}.tokenizer.json")
    return Source(
        model,
        model.blocks,
        model,
        text_tokens(tokenizer_sha256, encode),
        spec=f"glassllm:{language}",
        name=name,
        vocab_size=theirs.cfg.vocab_size,
        seq_len=theirs.cfg.max_len,
        encode=encode,
        decode=lambda id: str(tokenizer.decode([id])),
        head=model.embedding,
        facts={
            "weights_sha256": sha256_of_file(files / f"{language}.npz"),
            "tokenizer_sha256": tokenizer_sha256,
        },
    )
