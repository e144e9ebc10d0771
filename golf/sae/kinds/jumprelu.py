"""JumpReLU: what is above a learned threshold of its feature (Rajamanoharan et al. 2024, arXiv 2407.14435)."""

from typing import Any, ClassVar

import torch

from golf.sae.dictionary import Dictionary
from golf.sae.penalty import Control

KERNEL = 0.5  # width of the rectangle by which a step has a derivative; thresholds come to be about 1
START = 0.1  # of every threshold


class _Jump(torch.autograd.Function):  # type: ignore[misc]
    """(codes where they are above the threshold, 1 there): the threshold's derivative is estimated from codes near it."""

    @staticmethod
    def forward(context: Any, codes: torch.Tensor, threshold: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        above = codes > threshold
        context.save_for_backward(codes, threshold, above)
        return codes * above, above.float()

    @staticmethod
    def backward(context: Any, of_codes: torch.Tensor, of_steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        codes, threshold, above = context.saved_tensors
        near = ((codes - threshold).abs() < KERNEL / 2) & (codes > 0)
        slope = -(threshold * of_codes + of_steps) * near / KERNEL
        return of_codes * above, slope.sum(0).to(threshold.dtype)


class JumpReLU(Dictionary):
    """A threshold a feature; the penalty weighs how many are active, not how much, so that codes do not shrink."""

    arch = "jumprelu"
    # With columns of norm 1 a few features took all of the codes and up to two thirds fell silent, whatever the penalty did; with free
    # ones, as in SAELens, they do not (benchmarks/dictionaries.md).
    free = True
    # Adam moves thresholds at one speed whatever λ is, so L0 answers late and an integral winds up: the present error counts instead.
    control = Control(descent=0.9, proportional=6.0, sweep=0.0)
    starts: ClassVar[dict[str, float]] = {"threshold": START}

    def select(self, codes: torch.Tensor) -> torch.Tensor:
        """What is above its threshold."""
        if not self.training:
            return codes * (codes > self.threshold)
        kept: torch.Tensor = _Jump.apply(codes, self.threshold)[0]
        return kept

    def sparsity(self, codes: torch.Tensor, z: torch.Tensor, norms: torch.Tensor | float) -> torch.Tensor:
        """How many features are active, with the derivative of its estimate."""
        active: torch.Tensor = _Jump.apply(codes.float().detach(), self.threshold)[1]
        return active.sum(-1)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def constrain(self) -> None:
        """No threshold is negative."""
        self.threshold.clamp_(min=0.0)
