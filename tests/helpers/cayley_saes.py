"""Small Cayley dictionaries in float64."""

import torch
from worlds import tiny

from golf.parts.techniques.cayley_sae import CayleySAE
from golf.recipe import changed
from golf.recipe.namespace import namespace


def sae_of(*levels, **values):
    """A CayleySAE in double precision with random statistics and biases."""
    h = namespace(changed(tiny("cayley_512"), {"model_dim": 2 ** levels[0][0], "cayley_levels": levels, **values}))
    sae, rng = CayleySAE(h, 0).double(), torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, param in sae.named_parameters():
            param.uniform_(0.5 if name == "score_var" else -0.3, 1.5 if name == "score_var" else 0.3, generator=rng)
    return sae


def randn(*shape, seed=1):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
