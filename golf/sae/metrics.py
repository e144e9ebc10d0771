"""What a dictionary keeps of a stream: streaming sums in float64, so that the answer does not depend on how batches fall.

Definitions (the standard ones; one public tool differs, see below), over all tokens of the evaluation:

- FVU = Σ‖x − x̂‖² / Σ‖x − mean‖² with the mean of the whole data set; EV = 1 − FVU; MSE = mean over tokens and dimensions
- L0 = mean number of code entries `!= 0` (signed codes count; `> 0` would miss half of them)
- dead = share of features that fire on at most `threshold` of the tokens; threshold and tokens belong to the number
- L2 ratio = mean ‖x̂‖ / ‖x‖; cosine = mean cos(x, x̂); relative bias = E‖x̂‖² / E⟨x, x̂⟩
- importance of a feature = E[z²] over all tokens (what the loss floors are made of)

SAELens 6.54 means the same by EV and L0 (6.18 did not); dictionary_learning 0.1 takes the variance of each batch, so its EV is another.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

NO_VARIANCE = 1e-12  # of a stream's squares: less is rounding
NO_SPAN_NATS = 1e-5  # what zeroing a stream must cost before a share of it means anything
SPAN_ERRORS = 3.0  # and by how many of its standard errors (tokens taken as independent) that must be above nothing
DEAD_THRESHOLD = 1e-5  # firing frequency; the published measurements call a feature alive above it


@dataclass
class Quality:
    """Sums over tokens of what a dictionary does to them; `add` batches, then `report`."""

    features: int
    dim: int
    tokens: int = 0
    squared_error: float = 0.0
    l2_ratio: float = 0.0
    cosine: float = 0.0
    rebuilt_square: float = 0.0
    product: float = 0.0
    fires: Tensor = field(init=False)  # (F) tokens on which a feature is not zero
    squares: Tensor = field(init=False)  # (F) sum of z²
    shift: Tensor | None = None  # (d) the first batch's mean: deviations are summed around it
    deviations: Tensor = field(init=False)  # (d) sum of x - shift
    deviation_square: float = 0.0  # sum of ‖x - shift‖²

    def __post_init__(self) -> None:
        self.fires = torch.zeros(self.features, dtype=torch.float64)
        self.squares = torch.zeros(self.features, dtype=torch.float64)
        self.deviations = torch.zeros(self.dim, dtype=torch.float64)

    def add(self, x: Tensor, code: Tensor, rebuilt: Tensor) -> None:
        """x, rebuilt: (N, d); code: (N, F)."""
        self.fires += times_active(code).double().cpu()
        self.squares += code.float().square().sum(0).double().cpu()  # as above: a batch's sum has its seven digits
        x, rebuilt = x.double(), rebuilt.double()
        if self.shift is None:
            self.shift = x.mean(0)
        deviation = x - self.shift
        self.deviations += deviation.sum(0).cpu()
        self.deviation_square += float(deviation.square().sum())
        length, other = x.norm(dim=1), rebuilt.norm(dim=1)
        product = (x * rebuilt).sum(1)
        tiny = torch.finfo(torch.float64).tiny
        self.squared_error += float((x - rebuilt).square().sum())
        self.l2_ratio += float((other / length.clamp_min(tiny)).sum())
        self.cosine += float((product / (length * other).clamp_min(tiny)).sum())
        self.rebuilt_square += float(other.square().sum())
        self.product += float(product.sum())
        self.tokens += len(x)

    @property
    def variance(self) -> float:
        """Σ‖x − mean‖² around the mean of everything seen: exact algebra, no cancellation of a large common mean."""
        return self.deviation_square - float(self.deviations.square().sum()) / self.tokens

    @property
    def fvu(self) -> float | None:
        """The fraction of variance unexplained; None when the data do not vary (beyond what rounding makes of them)."""
        return self.squared_error / self.variance if self.variance > NO_VARIANCE * self.square else None

    @property
    def square(self) -> float:
        """Σ‖x‖²."""
        if self.shift is None:
            return 0.0
        mean = self.shift.cpu()
        return float(
            self.deviation_square + 2 * (mean * self.deviations).sum() + self.tokens * float(mean.square().sum())
        )

    @property
    def frequency(self) -> Tensor:
        """(F) share of tokens on which each feature fires."""
        return self.fires / self.tokens

    @property
    def importance(self) -> Tensor:
        """(F) E[z²] of each feature over all tokens."""
        return self.squares / self.tokens

    def report(self, threshold: float = DEAD_THRESHOLD) -> dict[str, Any]:
        """Every scalar, plain Python; ValueError before the first batch."""
        if not self.tokens:
            raise ValueError("no tokens were measured")
        alive = int((self.frequency > threshold).sum())
        fvu = self.fvu
        return {
            "tokens": self.tokens,
            "features": self.features,
            "fvu": fvu,
            "explained_variance": None if fvu is None else 1.0 - fvu,
            "mse": self.squared_error / (self.tokens * self.dim),
            "l0": float(self.fires.sum()) / self.tokens,
            "alive": alive,
            "dead_share": 1.0 - alive / self.features,
            "dead_threshold": threshold,
            "l2_ratio": self.l2_ratio / self.tokens,
            "cosine": self.cosine / self.tokens,
            "relative_bias": self.rebuilt_square / self.product if self.product else None,
        }


def times_active(code: Tensor) -> Tensor:
    """(F) on how many of the tokens of a code (N, F) each feature is not zero.

    Written as numbers at once, which takes a fifth of the time that truth values do; exact below 2^24 tokens.
    """
    return torch.ne(code, 0, out=torch.empty(code.shape, device=code.device)).sum(0).long()


def density_histogram(frequency: Tensor, low: float = -6.0, bins: int = 24) -> dict[str, Any]:
    """How often features fire: counts per bin of log10(frequency) from `low` to 0, below it, and never.

    The counts sum to the number of features.
    """
    fired = frequency[frequency > 0].double()
    place = ((fired.log10() - low) / -low * bins).floor().long().clamp(max=bins - 1)
    below = int((place < 0).sum())
    counts = torch.bincount(place[place >= 0], minlength=bins)
    edges = [low - low * index / bins for index in range(bins + 1)]
    never = int(frequency.numel() - fired.numel())
    return {"log10_edges": edges, "counts": counts.tolist(), "below": below, "never": never}


def split_signs(code: Tensor) -> Tensor:
    """(N, m) signed code as (N, 2m) virtual features: relu(u), then relu(−u). A feature and its opposite mean two things."""
    return torch.cat((code.clamp_min(0), (-code).clamp_min(0)), dim=-1)


@dataclass
class Losses:
    """Nats per target with the stream as it is, rebuilt by the dictionary, and set to zero."""

    tokens: int = 0
    clean: float = 0.0
    rebuilt: float = 0.0
    ablated: float = 0.0
    span_square: float = 0.0  # sum of (ablated − clean)², by which the mean's standard error is known
    divergence: float = 0.0  # sum of KL(clean ‖ rebuilt) in nats
    divergence_tokens: int = 0

    def add(self, clean: Tensor, rebuilt: Tensor, ablated: Tensor, divergence: Tensor | None = None) -> None:
        """Nats of the same targets, any shape; divergence: KL in nats per position where logits were at hand."""
        self.tokens += clean.numel()
        self.clean += float(clean.double().sum())
        self.rebuilt += float(rebuilt.double().sum())
        self.ablated += float(ablated.double().sum())
        self.span_square += float((ablated.double() - clean.double()).square().sum())
        if divergence is not None:
            self.divergence += float(divergence.double().sum())
            self.divergence_tokens += divergence.numel()

    def report(self) -> dict[str, float | int | None]:
        """CE recovered = (ablated − rebuilt) / (ablated − clean); None where zeroing costs nothing that stands out of its noise."""
        clean, rebuilt, ablated = (value / self.tokens for value in (self.clean, self.rebuilt, self.ablated))
        span = ablated - clean
        error = math.sqrt(max(self.span_square / self.tokens - span**2, 0.0) / self.tokens)
        return {
            "ce_tokens": self.tokens,
            "ce_clean_nats": clean,
            "ce_sae_nats": rebuilt,
            "ce_ablated_nats": ablated,
            "ce_difference_nats": rebuilt - clean,
            "ce_recovered": (ablated - rebuilt) / span if span > max(NO_SPAN_NATS, SPAN_ERRORS * error) else None,
            "kl_nats": self.divergence / self.divergence_tokens if self.divergence_tokens else None,
        }


def divergence(clean_logits: Tensor, other_logits: Tensor) -> Tensor:
    """KL(clean ‖ other) in nats per position of two (…, V) logits."""
    clean, other = clean_logits.float().log_softmax(-1), other_logits.float().log_softmax(-1)
    return divergence_of_logs(clean, clean.exp(), other)


def divergence_of_logs(clean: Tensor, probabilities: Tensor, other: Tensor) -> Tensor:
    """The same of log-probabilities (…, V), with the first ones' exponentials where many are held against them."""
    return (probabilities * (clean - other)).sum(-1)


def weight_cosines(encoder: Tensor, decoder: Tensor) -> dict[str, float]:
    """How far encoder rows and decoder columns point the same way, and how long the decoder's columns are; both (F, d)."""
    cosines = torch.nn.functional.cosine_similarity(encoder.detach().double(), decoder.detach().double(), dim=1)
    norms = decoder.detach().double().norm(dim=1)
    return {
        "encoder_decoder_cosine": float(cosines.mean()),
        "decoder_norm_mean": float(norms.mean()),
        "decoder_norm_deviation": float((norms - 1).abs().max()),
    }
