"""TopK: the k largest codes of a token (Gao et al. 2024, arXiv 2406.04093)."""

import torch

from golf.sae.dictionary import Dictionary


class TopK(Dictionary):
    """No penalty: k features of every token stay."""

    arch = "topk"
    sparse_by = "k"

    def select(self, codes: torch.Tensor) -> torch.Tensor:
        """The k largest of each token."""
        best = codes.topk(self.k, dim=-1, sorted=False)
        return torch.zeros_like(codes).scatter(-1, best.indices, best.values)
