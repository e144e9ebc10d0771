"""ReLU with a penalty on the sum of the codes: the plain sparse autoencoder (Bricken et al. 2023, Cunningham et al. 2023)."""

import torch
import torch.nn.functional as F

from golf.sae.dictionary import Dictionary


class ReLU(Dictionary):
    """Whatever is positive stays. The decoder's norms are free and weigh the penalty (Conerly et al. 2024)."""

    arch = "relu"
    free = True
    shrinks = True

    def select(self, codes: torch.Tensor) -> torch.Tensor:
        """All of them."""
        return codes

    def encode_only(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """No feature depends on another: the others are not computed."""
        weight, bias = self.encoder.weight[features], self.encoder.bias[features]
        return F.relu(F.linear(x - self.b_pre, weight, bias))
