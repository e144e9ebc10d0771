"""Small tagged models and their Hessians."""

import math

import torch
from torch import nn

from golf.parts.tags import Tagged, collect, tag


def inputs_gram(columns: int, seed: int, samples: int = 400) -> torch.Tensor:
    """Σ xᵀx of correlated inputs."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, columns, generator=rng) @ torch.randn(columns, columns, generator=rng) / math.sqrt(columns)
    return x.T @ x


class Toy(nn.Module):
    """One parameter per role."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        shapes = {
            "embed": (96, 32),
            "attn": (32, 32),
            "mlp": (64, 32),
            "table": (80, 16),
            "gate": (4, 32),
            "control": (32,),
        }
        for role, shape in shapes.items():
            values = nn.Parameter(torch.randn(shape, generator=rng) * 0.1)
            self.register_parameter(role, tag(values, group="matrix", role=role))


def toy(seed: int = 0) -> tuple[list[Tagged], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """(tagged, weights, Hessians) of a model with one parameter per role."""
    model = Toy(seed)
    weights = {name: param.detach() for name, param in model.named_parameters()}
    hessians = {name: inputs_gram(w.size(1), seed + 1) for name, w in weights.items() if w.ndim == 2}
    return collect(model), weights, hessians
