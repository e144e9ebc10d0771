"""Techniques in combination: every pair that may coexist composes, and computes what the library computes.

A covering array holds every pair of choices in a few dozen recipes; the slow set draws forty more at random.
"""

import inspect
import itertools
import random
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from worlds import TINY, covering_array, execute, tiny

from golf.compose import compose
from golf.errors import GolfError
from golf.parts.model import GPT
from golf.parts.optim import build_optimizers
from golf.parts.quant import quantize
from golf.parts.tags import collect, initialize
from golf.recipe import changed
from golf.recipe.namespace import namespace

# one axis per point of the skeleton; a choice is what it sets
AXES: dict[str, list[dict]] = {
    "activation": [{}, {"activation": "leaky_relu2"}],
    "rope": [{}, {"rope_dims": 8}, {"rope_dims": 8, "rope_train_len": 16}],
    "norm": [{}, {"ln_scale": True}],
    "values": [
        {},
        {"value": ("ValueEmbed",), "lookups": ("ValueTable",), "ve_layers": (1, 3)},
        {"value": ("ValueResidual",), "keep_first_value": True},
        {"value": ("ValueEmbed", "ValueResidual"), "lookups": ("ValueTable",), "ve_layers": (3,), "keep_first_value": True},
    ],
    "heads": [{}, {"attn_out": ("XSA",), "xsa_last_n": 2}],
    "gate": [{}, {"head_gate": "GatedAttention"}, {"head_gate": "SparseGate"}, {"head_gate": "OutGate"}],
    "before": [{}, {"embed_pre": ("BigramXor",), "table_init": "orthogonal"}, {"embed_pre": ("Bigram740", "SmearPre")}, {"embed_pre": ("SmearInput",)}],
    "after": [{}, {"embed_post": ("SmearPost",)}],
    "recurrence": [
        {},
        {"order": "looped", "loop_first": 1, "loop_last": 2, "loop_from": 0.5},
        {"core": ("RecycledCore",), "recycle_layers": (1, 2)},
    ],
    "skips": [{}, {"skip_gates": True}],
    "block": [{}, {"block": "parallel_block", "parallel_from": 2}],
    "bottleneck": [
        {},
        {"mlp_in": ("CayleySAE",), "cayley_levels": ((5, 4, 0), (7, 8, 16)), "corrections": ("FoldScores",)},
        {"mlp_in": ("TopKSAE",), "topk_features": 80, "topk_kept": 6},
    ],
    "init": [{}, {"linear_init": "orthogonal"}, {"linear_init": "orthogonal_wide"}],
    "muon": [
        {},
        {"orthogonalize": "gram_ns", "ns_steps": 4},
        {"orthogonalize": "polar_express"},
        {"orthogonalize": "banked_newton_schulz", "muon_wd": 0.1},
    ],
    "rows": [{}, {"grad": ("row_norm",)}],
    "quant": [
        {},
        {"attn_quantizer": "sdclip_rtn", "mlp_quantizer": "sdclip_rtn", "attn_bits": 6, "mlp_bits": 6},
        {"attn_quantizer": "gptq_lite_matrix", "mlp_quantizer": "amax_rows", "mlp_bits": 5, "half_controls": True},
    ],
}  # fmt: skip
MODEL_LAYERS = 4


def recipe_of(row: dict[str, int]):
    values = {key: value for axis, choice in row.items() for key, value in AXES[axis][choice].items()}
    return changed(tiny("baseline", num_layers=MODEL_LAYERS), values)


class Library:
    """The parts, called as the composed file is: without h."""

    def __init__(self, recipe):
        h = namespace(recipe)
        self.GPT, self.initialize, self.collect = partial(GPT, h), partial(initialize, h), collect
        self.build_optimizers, self.quantize = partial(build_optimizers, h), partial(quantize, h)


def called(function, *given, **options):
    """Call it with those options that it still has: a composed file loses parameters that nothing in it needs."""
    kept = inspect.signature(function).parameters
    return function(*given, **{name: value for name, value in options.items() if name in kept})


def compute(world, switches) -> list[torch.Tensor]:
    """Everything that two optimizer steps and an export leave: losses, weights, codes. switches: the loop is off, then on."""
    env = SimpleNamespace(cuda=False, world_size=1, rank=0)
    model = world.GPT()
    world.initialize(model, 3)
    model.train()  # statistics move
    tagged = world.collect(model)
    optimizers = world.build_optimizers(tagged, env)
    ids = torch.randint(2, TINY["vocab_size"], (2, 24), generator=torch.Generator().manual_seed(5))
    seen = []
    for loop in (False, True):
        nats = model(ids[:, :-1], ids[:, 1:], **({"loop": loop} if switches else {}))
        nats.mean().backward()
        seen.append(nats.detach())
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                if "momentum" in group:
                    group["momentum"] = 0.9
            # what a forward leaves out (the first block's idle mix, a core before its time) has nothing to step
            for group in optimizer.param_groups:
                for param in group["params"]:
                    if param.grad is None:
                        param.grad = torch.zeros_like(param)
            optimizer.step()
            optimizer.zero_grad()
    weights = {entry.name: entry.param.detach() for entry in tagged}
    stored = called(world.quantize, tagged, weights, {}, rank=0, world_size=1)
    return [*seen, *weights.values(), *stored.values()]


def check(row: dict[str, int], folder) -> None:
    recipe = recipe_of(row)
    composed = execute(compose(recipe), folder / "train_gpt.py")
    switches = "loop" in inspect.signature(composed.GPT.forward).parameters  # else nothing in the file ever switches
    ours, theirs = compute(Library(recipe), switches), compute(composed, switches)
    assert len(ours) == len(theirs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


ROWS = covering_array(AXES)


def test_the_array_covers_every_pair():
    for a, b in itertools.combinations(AXES, 2):
        seen = {(row[a], row[b]) for row in ROWS}
        assert len(seen) == len(AXES[a]) * len(AXES[b])


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: "".join(map(str, row.values())))
def test_every_pair_of_techniques_computes_the_same_bits(row, tmp_path):
    check(row, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
def test_forty_random_combinations_compute_the_same_bits(block, tmp_path):
    rng = random.Random(1000 + block)
    for _ in range(10):
        check({axis: rng.randrange(len(choices)) for axis, choices in AXES.items()}, tmp_path)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"order": "loops.looped", "core": ("recycled_core.RecycledCore",)}, "two recurrences"),
        ({"value": ("value_embed.ValueEmbed",)}, "add `ValueTable`"),
        ({"value": ("value_residual.ValueResidual",)}, "keep_first_value"),
        ({"lr_at": "warmdown_frac.warmdown_by_fraction", "min_lr": 0.1}, "needs an average"),
    ],
)
def test_what_cannot_be_combined_is_refused_with_the_reason(values, sentence):
    with pytest.raises(GolfError, match=sentence):
        compose(changed(tiny("baseline"), values))
