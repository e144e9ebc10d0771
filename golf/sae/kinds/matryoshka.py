"""Matryoshka BatchTopK: nested dictionaries that each rebuild alone (Bussmann et al. 2025, arXiv 2503.17547)."""

import torch

from golf.sae.kinds.batchtopk import BatchTopK


def widths(features: int, groups: int) -> list[int]:
    """How many features each of the nested dictionaries has: every one twice the one before, the last all of them."""
    return sorted({max(features >> step, 1) for step in range(groups)})


class Matryoshka(BatchTopK):
    """BatchTopK whose error is the mean over the nested dictionaries: the first features alone must already rebuild."""

    arch = "matryoshka"

    def loss(self, codes: torch.Tensor, z: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean over the nested dictionaries of their mean squared errors, and the error of the whole."""
        weight, begin = self.decoder.weight, 0
        error = self.added - target
        nested = widths(self.features, self.groups)
        total = error.new_zeros(())
        for end in nested:
            error = error + torch.nn.functional.linear(z[:, begin:end], weight[:, begin:end])
            total, begin = total + error.float().square().mean(), end
        return total / len(nested), error.float()
