"""CE-Bench's contrastive and independent scores of a dictionary (arXiv 2509.00691), and the faults of its public code.

Of each pair of stories that differ in a subject: V1, V2 = mean code over the tokens of each, I1 = mean over all tokens of both,
I2 = a baseline; C = |V1 − V2|, D = |I1 − I2|, T = C + D. Each is standardised over the features (unbiased sd) and its largest entry
taken; the scores are the means of these over the pairs.

What one should know before comparing:
- the paper says min-max scaling and I1 = V1 + V2; the code standardises and takes the token-weighted mean. We follow the code.
- version 1 computes I2 with `I2 += I2` from zero, so I2 = 0 and D is the mean code itself: baseline "official-v1".
- version 2 means I2 over the other subjects, but loops over an empty mapping and stops with an error; what it means is our baseline
  "other-subjects", the default.
- the largest of N standardised values cannot exceed (N − 1)/√N: only dictionaries of equal width compare.
- the variant that subtracts α · sparsity gives no α: not offered.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor

from golf.errors import GolfError

Baseline = Literal["other-subjects", "all", "official-v1"]
BASELINES: tuple[Baseline, ...] = ("other-subjects", "all", "official-v1")


def known_baseline(name: str) -> Baseline:
    """A baseline by its name; GolfError for none."""
    known = next((one for one in BASELINES if one == name), None)
    if known is None:
        raise GolfError(f"CE-Bench has no baseline `{name}`", f"choose one of {', '.join(BASELINES)}")
    return known


def largest_z(values: Tensor) -> float:
    """The largest standardised entry of (N) values; 0 where they do not vary."""
    values = values.double()
    spread = float(values.std()) if values.numel() > 1 else 0.0
    return float((values.max() - values.mean()) / spread) if spread > 0 else 0.0


def bound(features: int) -> float:
    """What no score over `features` features can exceed."""
    return (features - 1) / math.sqrt(features)


class Stories:
    """Mean codes of the pairs; `add` each, then `report`."""

    def __init__(self) -> None:
        self.contrast: list[Tensor] = []  # (F) |V1 − V2| of each pair
        self.common: list[Tensor] = []  # (F) I1
        self.subjects: list[str] = []

    def add(self, first: Tensor, second: Tensor, subject: str) -> None:
        """first, second: (T, F) codes of the two stories' tokens."""
        one, two = first.double().mean(0), second.double().mean(0)
        both = (one * len(first) + two * len(second)) / (len(first) + len(second))
        self.contrast.append((one - two).abs().float().cpu())
        self.common.append(both.float().cpu())
        self.subjects.append(subject)

    def baselines(self, kind: Baseline) -> Iterable[Tensor]:
        """I2 of each pair, in order."""
        zero = torch.zeros_like(self.common[0], dtype=torch.float64)
        if kind == "official-v1":
            return (zero for _ in self.common)
        total = torch.stack([common.double() for common in self.common]).sum(0)
        if kind == "all":
            return (total / len(self.common) for _ in self.common)
        sums: dict[str, Tensor] = {}
        counts: dict[str, int] = {}
        for subject, common in zip(self.subjects, self.common, strict=True):
            sums[subject] = sums.get(subject, zero) + common.double()
            counts[subject] = counts.get(subject, 0) + 1
        if len(sums) < 2:
            raise ValueError("one subject has no others: use the baseline `all`")
        return ((total - sums[name]) / (len(self.common) - counts[name]) for name in self.subjects)

    def report(self, kind: Baseline = "other-subjects") -> dict[str, float | int | str]:
        """The three means, the bound, and what was counted; ValueError for no pairs, or one subject without others."""
        if not self.common:
            raise ValueError("no pairs of stories were measured")
        scores = [
            (largest_z(contrast), largest_z(difference), largest_z(contrast + difference))
            for contrast, common, baseline in zip(self.contrast, self.common, self.baselines(kind), strict=True)
            for difference in [(common.double() - baseline).abs()]
        ]
        contrastive, independent, both = (_mean([row[place] for row in scores]) for place in range(3))
        return {
            "pairs": len(scores),
            "subjects": len(set(self.subjects)),
            "features": len(self.common[0]),
            "baseline": kind,
            "contrastive_score_mean": contrastive,
            "independent_score_mean": independent,
            "interpretability_score_mean": both,
            "bound": bound(len(self.common[0])),
        }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
