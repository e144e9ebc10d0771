"""Gated: which features are active and how much are told apart (Rajamanoharan et al. 2024, arXiv 2404.16014)."""

from typing import ClassVar

import torch

from golf.sae.dictionary import Dictionary
from golf.sae.penalty import Control


class Gated(Dictionary):
    """With π = W_e (x − b_pre) + b_e: z = [π > 0] · ReLU(exp(r) · (π − b_e) + b_mag).

    The penalty weighs ReLU(π) and the norms of the decoder's columns, which are free, and ReLU(π) through the decoder must rebuild as well:
    so the gate learns, and the magnitudes do not shrink. In the paper the columns have norm 1 and the gate's own error does not move
    them; here it does, or they would shrink under the penalty while the magnitudes grow. On planted data (benchmarks/dictionaries.md)
    columns of norm 1 found fewer directions.
    """

    arch = "gated"
    free = True
    # At a fixed penalty L0 is soon a few times what it ends with, and falls evenly in its logarithm from there to the end; a target that
    # falls from what the first step has lets the gates be dense for half of the run, and the directions have no time then.
    control = Control(descent=0.9, head=6.0, start=2.0)
    starts: ClassVar[dict[str, float]] = {"r_mag": 0.0, "b_mag": 0.0}

    r_mag: torch.Tensor
    b_mag: torch.Tensor

    def select(self, codes: torch.Tensor) -> torch.Tensor:
        """The magnitudes of the features whose gate is open."""
        magnitudes = torch.relu(self.r_mag.exp() * (codes - self.encoder.bias) + self.b_mag)
        return magnitudes * (codes > 0)

    def loss(self, codes: torch.Tensor, z: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean squared error, and the one of the gates themselves by way of the same decoder."""
        main, error = super().loss(codes, z, target)
        guess = torch.nn.functional.linear(codes, self.decoder.weight, self.added)
        return main + (guess - target).float().square().mean(), error

    def sparsity(self, codes: torch.Tensor, z: torch.Tensor, norms: torch.Tensor | float) -> torch.Tensor:
        """Sum of the gates' codes."""
        return (codes.float() * norms).sum(-1)
