"""A sparse autoencoder of one place in a model: untied, a bias before the encoder, a decoder whose columns have norm 1.

    z = select(ReLU(W_e (x − b_pre) + b_e))        x̂ = W_d z (+ b_d) + b_pre

Parameter names are those of the published checkpoints (`b_pre, encoder.weight, encoder.bias, decoder.weight`; a file with a
second bias has `decoder.bias`). `select` is the identity (relu), the k largest of a token (topk), or the N·k largest of a batch of N
tokens (batchtopk), which outside training is a threshold that a running mean of the smallest kept code has found.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from golf.errors import GolfError

ARCHITECTURES = ("relu", "topk", "batchtopk")
READABLE = (*ARCHITECTURES, "jumprelu")  # a threshold per feature: only read, never trained here
THRESHOLD_MOMENTUM = 0.97


class Dictionary(nn.Module):  # type: ignore[misc]
    """Encoder and decoder. `config` and `stats` are what its file says of it: plain values, and one row per stretch of training.

    config: at least d_model, d_sae, arch, k (see `golf.sae.files`). Raises GolfError for an arch or k that cannot be.
    """

    b_pre: torch.Tensor
    threshold: torch.Tensor

    def __init__(
        self, model_dim: int, features: int, *, arch: str = "relu", k: int = 0, two_biases: bool = False
    ) -> None:
        super().__init__()
        if arch not in READABLE:
            raise GolfError(f"no dictionary has the architecture `{arch}`", f"choose one of {', '.join(ARCHITECTURES)}")
        if arch in ("topk", "batchtopk") and not 0 < k <= features:
            raise GolfError(f"k is {k}, of {features:,} features", "name how many may be active: `--k 32`")
        self.model_dim, self.features, self.arch, self.k = model_dim, features, arch, k
        self.config: dict[str, Any] = {"d_model": model_dim, "d_sae": features, "arch": arch, "k": k}
        self.stats: list[dict[str, Any]] = []
        self.b_pre = nn.Parameter(torch.zeros(model_dim))
        self.encoder = nn.Linear(model_dim, features)
        self.decoder = nn.Linear(features, model_dim, bias=two_biases)
        if arch in ("batchtopk", "jumprelu"):
            self.register_buffer("threshold", torch.zeros(() if arch == "batchtopk" else features))
        self.normalize_decoder()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(x̂, z) of x: (…, d)."""
        z = self.encode(x)
        return self.decode(z), z

    def before_selection(self, x: torch.Tensor) -> torch.Tensor:
        """(…, F): what `select` chooses from."""
        if not self.training:
            return F.relu(self.encoder(x - self.b_pre))
        # the same values; but b_pre's gradient comes by way of the bias, which spares the product that x's gradient would take
        centre = self.b_pre.detach()
        bias = self.encoder.bias + self.encoder.weight @ (centre - self.b_pre)
        return F.relu(F.linear(x - centre, self.encoder.weight, bias))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """The code z (…, F) of x (…, d); no code is negative."""
        return self.select(self.before_selection(x))

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """The reconstruction (…, d) of a code (…, F)."""
        x: torch.Tensor = self.decoder(z) + self.b_pre
        return x

    def select(self, codes: torch.Tensor) -> torch.Tensor:
        """The codes that stay; the rest becomes 0. In training, `batchtopk` also moves its threshold."""
        if self.arch == "topk":
            best = codes.topk(self.k, dim=-1, sorted=False)
            return torch.zeros_like(codes).scatter(-1, best.indices, best.values)
        if self.arch == "batchtopk" and self.training:
            return self._best_of_batch(codes)
        if self.arch in ("batchtopk", "jumprelu"):
            return codes * (codes > self.threshold)
        return codes

    def _best_of_batch(self, codes: torch.Tensor) -> torch.Tensor:
        flat = codes.flatten()
        best = flat.topk(self.k * (flat.numel() // self.features), sorted=False)
        with torch.no_grad():
            kept = best.values[best.values > 0]
            if kept.numel():
                least = kept.min().float()
                self.threshold.lerp_(least, 1.0 if self.threshold == 0 else 1 - THRESHOLD_MOMENTUM)
        return torch.zeros_like(flat).scatter(-1, best.indices, best.values).view_as(codes)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def normalize_decoder(self) -> None:
        """Bring every decoder column to norm 1."""
        self.decoder.weight.div_(self.decoder.weight.norm(dim=0, keepdim=True).clamp_min(1e-12))

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def project_gradient(self) -> None:
        """Take out of the decoder's gradient what would only change the columns' norms."""
        weight, grad = self.decoder.weight, self.decoder.weight.grad
        if grad is not None:
            grad.sub_((grad * weight).sum(0, keepdim=True) * weight)


def seeded(seed: int, model_dim: int, features: int, arch: str, k: int) -> Dictionary:
    """A dictionary with PyTorch's own initialisation of linear layers, drawn from `seed` alone; the global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Dictionary(model_dim, features, arch=arch, k=k)


@torch.no_grad()  # type: ignore[untyped-decorator]
def tie(sae: Dictionary, decoder_norm: float, encoder_norm: float) -> None:
    """Let the decoder's columns be random directions of one norm, the encoder their transpose at another, with no bias."""
    sae.decoder.weight.mul_(decoder_norm / sae.decoder.weight.norm(dim=0, keepdim=True).clamp_min(1e-12))
    sae.encoder.weight.copy_(sae.decoder.weight.T * (encoder_norm / decoder_norm))
    sae.encoder.bias.zero_()


@torch.no_grad()  # type: ignore[untyped-decorator]
def with_unit_columns(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of a ReLU dictionary that compute the same with decoder columns of norm 1: their norms go into the encoder."""
    norms = state["decoder.weight"].norm(dim=0).clamp_min(1e-12)
    return {
        **state,
        "decoder.weight": state["decoder.weight"] / norms,
        "encoder.weight": state["encoder.weight"] * norms[:, None],
        "encoder.bias": state["encoder.bias"] * norms,
    }


@torch.no_grad()  # type: ignore[untyped-decorator]
def unscaled(state: dict[str, torch.Tensor], scale: float) -> dict[str, torch.Tensor]:
    """The weights that do on x what `state` does on scale · x, with x̂ in the units of x.

    W_e (s x − b) + b_e = s (W_e (x − b/s) + b_e/s), so only biases and thresholds change and the columns keep their norm.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise GolfError(f"the activations' scale is {scale}", "their mean norm must be positive and finite")
    scaled = ("b_pre", "encoder.bias", "decoder.bias", "threshold")
    return {name: (value / scale if name in scaled else value).clone() for name, value in state.items()}
