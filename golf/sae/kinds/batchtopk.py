"""BatchTopK: the N·k largest codes of a batch of N tokens (Bussmann et al. 2024, arXiv 2412.06410)."""

from typing import Any

import torch

from golf.sae.dictionary import Dictionary

THRESHOLD_MOMENTUM = 0.97


class BatchTopK(Dictionary):
    """No penalty: k features a token on average. Outside training, what is above a threshold: a running mean of the smallest kept code."""

    arch = "batchtopk"
    sparse_by = "k"

    def __init__(self, model_dim: int, features: int, **choices: Any) -> None:
        super().__init__(model_dim, features, **choices)
        self.register_buffer("threshold", torch.zeros(()))

    def select(self, codes: torch.Tensor) -> torch.Tensor:
        """The best of the batch; in training this also moves the threshold."""
        if not self.training:
            return codes * (codes > self.threshold)
        flat = codes.flatten()
        best = flat.topk(self.k * (flat.numel() // self.features), sorted=False)
        with torch.no_grad():
            kept = best.values[best.values > 0]
            if kept.numel():
                least = kept.min().float()
                self.threshold.lerp_(least, 1.0 if self.threshold == 0 else 1 - THRESHOLD_MOMENTUM)
        return torch.zeros_like(flat).scatter(-1, best.indices, best.values).view_as(codes)
