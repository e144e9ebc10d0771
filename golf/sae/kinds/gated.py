"""Gated: which features are active and how much are told apart (Rajamanoharan et al. 2024, arXiv 2404.16014)."""

from typing import ClassVar

import torch

from golf.sae.dictionary import Dictionary


class Gated(Dictionary):
    """With π = W_e (x − b_pre) + b_e: z = [π > 0] · ReLU(exp(r) · (π − b_e) + b_mag).

    The penalty weighs ReLU(π), and ReLU(π) through a decoder that takes no gradient must rebuild as well: so the gate learns, and the
    magnitudes do not shrink. The decoder's columns have norm 1: free ones would shrink under the penalty while the magnitudes grow.
    """

    arch = "gated"
    starts: ClassVar[dict[str, float]] = {"r_mag": 0.0, "b_mag": 0.0}

    r_mag: torch.Tensor
    b_mag: torch.Tensor

    def select(self, codes: torch.Tensor) -> torch.Tensor:
        """The magnitudes of the features whose gate is open."""
        magnitudes = torch.relu(self.r_mag.exp() * (codes - self.encoder.bias) + self.b_mag)
        return magnitudes * (codes > 0)

    def loss(self, codes: torch.Tensor, z: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean squared error, and the one of the gates themselves by way of the decoder as it is."""
        main, error = super().loss(codes, z, target)
        guess = torch.nn.functional.linear(codes, self.decoder.weight.detach(), self.added.detach())
        return main + (guess - target).float().square().mean(), error

    def sparsity(self, codes: torch.Tensor, z: torch.Tensor, norms: torch.Tensor | float) -> torch.Tensor:
        """Sum of the gates' codes."""
        return (codes.float() * norms).sum(-1)
