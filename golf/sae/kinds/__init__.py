"""The architectures of dictionaries, a file each: how codes are selected, and what is minimised."""

from typing import Any

import torch

from golf.errors import GolfError
from golf.sae.dictionary import Dictionary
from golf.sae.kinds.batchtopk import BatchTopK
from golf.sae.kinds.gated import Gated
from golf.sae.kinds.jumprelu import JumpReLU
from golf.sae.kinds.matryoshka import Matryoshka
from golf.sae.kinds.relu import ReLU
from golf.sae.kinds.topk import TopK

KINDS: dict[str, type[Dictionary]] = {kind.arch: kind for kind in (ReLU, TopK, BatchTopK, JumpReLU, Gated, Matryoshka)}
ARCHITECTURES = tuple(KINDS)


def make(arch: str, model_dim: int, features: int, **choices: Any) -> Dictionary:
    """A dictionary of an architecture; choices: k, groups, two_biases, out_dim (`golf.sae.dictionary.Dictionary`). GolfError for none."""
    if arch not in KINDS:
        raise GolfError(f"no dictionary has the architecture `{arch}`", f"choose one of {', '.join(ARCHITECTURES)}")
    return KINDS[arch](model_dim, features, **choices)


def seeded(seed: int, model_dim: int, features: int, arch: str, k: int = 0, **choices: Any) -> Dictionary:
    """A dictionary with PyTorch's own initialisation of linear layers, drawn from `seed` alone; the global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(arch, model_dim, features, k=k, **choices)
