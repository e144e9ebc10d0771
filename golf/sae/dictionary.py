"""A sparse coder of one place in a model: untied, a bias before the encoder, a decoder whose columns have norm 1 in every file.

    z = select(ReLU(W_e (x − b_pre) + b_e))        x̂ = W_d z (+ b_d) + b_pre

A transcoder reads one place and rebuilds another: ŷ = W_d z + b_d, without b_pre. Parameter names are those of the published checkpoints
(`b_pre, encoder.weight, encoder.bias, decoder.weight`; a file with a second bias has `decoder.bias`). What `select` does and what is
minimised is the architecture's: a file of `golf.sae.kinds` each.
"""

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from golf.errors import GolfError
from golf.sae.penalty import Control

SCALED = ("encoder.bias", "decoder.bias", "threshold", "b_mag")  # what is measured in the units of a code


class Dictionary(nn.Module):  # type: ignore[misc]
    """Encoder and decoder. `config` and `stats` are what its file says of it: plain values, and one row per stretch of training.

    model_dim: width of what is read; out_dim: of what is rebuilt, only of a transcoder (None: not one). config: at least d_model, d_sae,
    arch, k (see `golf.sae.files`). Raises GolfError for a k that cannot be.
    """

    arch: ClassVar[str]
    sparse_by: ClassVar[str] = "penalty"  # or "k": what makes the code sparse
    free: ClassVar[bool] = False  # whether the decoder's norms are learned by default
    shrinks: ClassVar[bool] = (
        False  # whether the penalty makes codes smaller than what rebuilds best (`golf.sae.shrinkage`)
    )
    control: ClassVar[Control] = Control()  # of the penalty, where a target L0 is named
    starts: ClassVar[dict[str, float]] = {}  # own parameters of every feature (F), and where they start

    b_pre: torch.Tensor
    threshold: torch.Tensor

    def __init__(
        self,
        model_dim: int,
        features: int,
        *,
        k: int = 0,
        two_biases: bool = False,
        out_dim: int | None = None,
        groups: int = 1,
    ) -> None:
        super().__init__()
        if self.sparse_by == "k" and not 0 < k <= features:
            raise GolfError(f"k is {k}, of {features:,} features", "name how many may be active: `--k 32`")
        self.model_dim, self.features, self.k, self.groups = model_dim, features, k, groups
        self.out_dim, self.transcodes = model_dim if out_dim is None else out_dim, out_dim is not None
        self.config: dict[str, Any] = {"d_model": model_dim, "d_sae": features, "arch": self.arch, "k": k}
        if self.transcodes:
            self.config |= {"transcodes": True, "d_out": out_dim}
        self.stats: list[dict[str, Any]] = []
        self.b_pre = nn.Parameter(torch.zeros(model_dim))
        self.encoder = nn.Linear(model_dim, features)
        self.decoder = nn.Linear(features, self.out_dim, bias=two_biases or self.transcodes)
        for name, start in self.starts.items():
            self.register_parameter(name, nn.Parameter(torch.full((features,), start)))
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

    def encode_only(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """The codes (…, chosen) of some features (chosen,)."""
        return self.encode(x)[..., features]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """The reconstruction (…, d), of a transcoder (…, d_out), of a code (…, F)."""
        x: torch.Tensor = self.decoder(z)
        return x if self.transcodes else x + self.b_pre

    @property
    def added(self) -> torch.Tensor:
        """(d) what `decode` adds to W_d z of a dictionary with one bias."""
        return self.decoder.bias if self.transcodes else self.b_pre

    def select(self, codes: torch.Tensor) -> torch.Tensor:
        """The codes (…, F) that stay; the rest becomes 0."""
        raise NotImplementedError

    def loss(self, codes: torch.Tensor, z: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(mean squared error and what else is minimised without a weight, x̂ − target) of codes before and after selection, (N, F)."""
        error = (self.decode(z) - target).float()
        return error.square().mean(), error

    def sparsity(self, codes: torch.Tensor, z: torch.Tensor, norms: torch.Tensor | float) -> torch.Tensor:
        """(N,) what the penalty weighs; norms: (F) of the decoder's columns where they are free, else 1."""
        return (z.float() * norms).sum(-1)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def constrain(self) -> None:
        """Bring own parameters back to where they may be, after an optimizer step."""

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


@torch.no_grad()  # type: ignore[untyped-decorator]
def tie(sae: Dictionary, decoder_norm: float, encoder_norm: float) -> None:
    """Let the decoder's columns be random directions of one norm, the encoder their transpose at another, with no bias.

    A transcoder's encoder starts as random directions of its own: what it reads and what it rebuilds are two spaces.
    """
    sae.decoder.weight.mul_(decoder_norm / sae.decoder.weight.norm(dim=0, keepdim=True).clamp_min(1e-12))
    if sae.transcodes:
        rows = sae.encoder.weight
        rows.mul_(encoder_norm / rows.norm(dim=1, keepdim=True).clamp_min(1e-12))
        sae.decoder.bias.zero_()
    else:
        sae.encoder.weight.copy_(sae.decoder.weight.T * (encoder_norm / decoder_norm))
    sae.encoder.bias.zero_()


@torch.no_grad()  # type: ignore[untyped-decorator]
def with_unit_columns(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights that compute the same with decoder columns of norm 1: their norms go into the encoder, and into what is in its units."""
    norms = state["decoder.weight"].norm(dim=0).clamp_min(1e-12)
    own: dict[str, torch.Tensor] = {
        name: state[name] * norms for name in ("encoder.bias", "threshold", "b_mag") if name in state
    }
    return {
        **state,
        **own,
        "decoder.weight": state["decoder.weight"] / norms,
        "encoder.weight": state["encoder.weight"] * norms[:, None],
    }


@torch.no_grad()  # type: ignore[untyped-decorator]
def unscaled(state: dict[str, torch.Tensor], scale: float, out: float | None = None) -> dict[str, torch.Tensor]:
    """The weights that do on x what `state` does on scale · x, with what is rebuilt in its own units; out: its scale, default the same.

    W_e (s x − b) + b_e = s (W_e (x − b/s) + b_e/s). With one scale only biases and thresholds change; a transcoder's encoder takes the
    ratio of its two. The decoder's columns keep their norm.
    """
    out = scale if out is None else out
    for one in (scale, out):
        if not (math.isfinite(one) and one > 0):
            raise GolfError(f"the activations' scale is {one}", "their mean norm must be positive and finite")
    divided = {**dict.fromkeys(SCALED, out), "b_pre": scale}
    if scale != out:
        divided["encoder.weight"] = out / scale
    return {name: (value / divided[name] if name in divided else value).clone() for name, value in state.items()}
