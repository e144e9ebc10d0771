"""ReLU with a penalty on the sum of the codes: the plain sparse autoencoder (Bricken et al. 2023, Cunningham et al. 2023)."""

import torch

from golf.sae.dictionary import Dictionary


class ReLU(Dictionary):
    """Whatever is positive stays. The decoder's norms are free and weigh the penalty (Conerly et al. 2024)."""

    arch = "relu"
    free = True

    def select(self, codes: torch.Tensor) -> torch.Tensor:
        """All of them."""
        return codes
