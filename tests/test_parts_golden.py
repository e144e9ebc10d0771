"""Parity with the public scripts: their weights, inputs, logits, gradients and orthogonalised updates (official data)."""

import json
from functools import partial

import numpy as np
import pytest
import torch

from golf.namespace import namespace
from golf.parts.model import GPT
from golf.parts.muon import newton_schulz
from golf.parts.quant import int8_rows
from golf.parts.techniques.banked_ns import banked_newton_schulz
from golf.parts.techniques.gram_ns import gram_ns
from golf.public_weights import from_public
from golf.recipe import changed, load_recipe, shipped_recipes

TOLERANCE = 1e-5  # of the largest reference value: fp32 rounding (design §10.17)
SIZES = {"vocab_size": 256, "model_dim": 64, "num_heads": 4, "num_kv_heads": 2}
# what the golden scripts ran with beside the sizes; everything else is the recipe
GOLDEN = {
    "baseline": {},
    "pr740": {"rope_dims": 8},
    "pr1573": {"rope_dims": 8, "bigram_buckets": 512, "bigram_dim": 32, "ve_dim": 32},
    "pr1809": {"rope_dims": 8},
}
CASES = [
    ("baseline", "T64"),
    ("pr740", "T64"),
    ("pr1573", "T64"),
    ("pr1573", "T1152"),
    ("pr1809", "T64_loop0"),
    ("pr1809", "T64_loop1"),
]


class Golden:
    """A recipe's golden file with our model holding its weights."""

    def __init__(self, name, folder):
        self.arrays = np.load(folder / f"{name}.npz")
        self.about = json.loads((folder / f"{name}.json").read_text())
        recipe = changed(load_recipe(name), {**SIZES, **GOLDEN[name]})
        self.ve_layers = recipe.values["ve_layers"]
        self.model = GPT(namespace(recipe))
        self.params = dict(self.model.named_parameters())
        weights = self.public("param/")
        assert weights.keys() == self.params.keys()
        for key, weight in weights.items():
            self.params[key].data.copy_(weight)

    def public(self, prefix):
        """Public arrays under `prefix`, by our names."""
        found = {
            k.removeprefix(prefix): torch.from_numpy(self.arrays[k]) for k in self.arrays.files if k.startswith(prefix)
        }
        return from_public(found, self.ve_layers)

    def tensor(self, key):
        return torch.from_numpy(self.arrays[key])


@pytest.fixture(scope="module")
def golden(shared):
    return partial(Golden, folder=shared / "golden")


def within(found, reference):
    return (found - reference).abs().max() <= TOLERANCE * reference.abs().max()


@pytest.mark.parametrize(("name", "case"), CASES)
def test_logits_loss_and_every_gradient_are_the_public_scripts(golden, name, case):
    g = golden(name)
    ids, targets = g.tensor(f"{case}/ids").long(), g.tensor(f"{case}/targets").long()
    loop = not case.endswith("loop0")
    assert within(g.model(ids, loop=loop), g.tensor(f"{case}/logits"))
    loss = g.model(ids, targets, loop=loop).mean()
    assert abs(loss.item() - float(g.arrays[f"{case}/loss"])) <= TOLERANCE * loss.item()
    loss.backward()
    gradients = g.public(f"{case}/grad/")
    assert all(within(g.params[key].grad, reference) for key, reference in gradients.items())
    # the first block has nothing to mix its values with
    idle = {"blocks.0.attn.value.ValueResidual.mix"} if name == "pr1573" else set()
    assert g.params.keys() - gradients.keys() == idle


@pytest.mark.parametrize(
    ("name", "orthogonalize"),
    [("baseline", newton_schulz), ("pr740", newton_schulz), ("pr1573", banked_newton_schulz), ("pr1809", gram_ns)],
)
def test_orthogonalised_updates_are_equal_to_the_bit(golden, name, orthogonalize):
    g = golden(name)
    inputs = [key for key in g.arrays.files if key.startswith("orth/") and key.endswith("/in")]
    assert inputs
    for key in inputs:
        steps = int(key.split("/")[1].removeprefix("steps"))
        assert torch.equal(orthogonalize(g.tensor(key), steps).float(), g.tensor(key.removesuffix("in") + "out"))


def test_baseline_codes_and_scales_are_equal(golden):
    g = golden("baseline")
    for case in ("small", "large", "heavy"):
        codes, scale = int8_rows(None, g.tensor(f"quant/{case}/W"), None, 8, "mlp")
        assert torch.equal(codes, g.tensor(f"quant/{case}/quantize_float_tensor/0/q"))
        assert torch.equal(scale.half().float(), g.tensor(f"quant/{case}/quantize_float_tensor/0/scale"))


@pytest.mark.parametrize("name", [n for n in sorted(shipped_recipes()) if load_recipe(n).published.get("params")])
def test_a_recipe_has_the_published_number_of_parameters(name):
    recipe = load_recipe(name)
    with torch.device("meta"):
        params = sum(p.numel() for p in GPT(namespace(recipe)).parameters())
    assert params == recipe.published["params"]
