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
from worlds import ALL_CASES, TINY, covering_array, execute, tiny

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

# the same for what the records from #1412 on brought to the model
LATE_AXES: dict[str, list[dict]] = {
    "route": [{}, {"route": "Lanes", "lanes_from": 3}, {"route": "MergedLanes", "lanes_from": 3}, {"route": "LanesApart", "apart_from": 3}],
    "order": [
        {},
        {"order": "looped", "loop_first": 1, "loop_last": 2, "loop_from": 0.5},
        {"order": "looped", "loop_first": 2, "loop_last": 3, "loop_from": 0.5},
    ],
    "block": [{}, {"block": "parallel_block", "parallel_from": 2}],
    "gate": [
        {},
        {"head_gate": "DenseGate", "gate_quantizer": "amax_rows"},
        {"head_gate": "SparseGate", "gate_quantizer": "amax_rows"},
        {"head_gate": "OutGate"},
    ],
    "smear": [
        {},
        {"embed_pre": ("SmearInput",), "smear_bos_mask": True},
        {"embed_pre": ("SmearInput",), "smear_bos_mask": False},
        {"embed_pre": ("SmearInput",), "smear_bos_mask": False, "smear_trained": False},
    ],
    "nats": [{}, {"training_nats": "fused_cross_entropy"}],
    "cap": [{}, {"eval_cap": "AsymmetricCap"}, {"cap": "PolyCap"}],
    "mlp": [{}, {"activation": "leaky_relu2"}, {"activation": "leaky_relu2", "training_mlp": "fused_mlp"}],
    "product": [{}, {"product": "qat_by_amax"}],
    "muon": [{}, {"orthogonalize": "polar_express"}, {"orthogonalize": "banked_newton_schulz"}],
    "quant": [{}, {"attn_quantizer": "sdclip_rtn", "mlp_quantizer": "sdclip_rtn", "mlp_bits": 6, "half_controls": True, "corrections": ("LQER",)}],
}  # fmt: skip
LANES = ("Lanes", "MergedLanes", "LanesApart")
# two choices that exclude each other: what each sets, and the reason that the composer gives
REFUSED = [
    *(({"route": route}, {"block": "parallel_block"}, "must be the plain `Block`") for route in LANES),
    *(({"route": route}, {"loop_last": 3}, "lies in the loop") for route in LANES),
    ({"training_nats": "fused_cross_entropy"}, {"cap": "PolyCap"}, "caps the logits by itself"),
    ({"training_mlp": "fused_mlp"}, {"product": "qat_by_amax"}, "multiplies with the masters"),
]


def refused(a: dict, b: dict) -> str:
    """Why two choices cannot be combined; "" where they can."""
    for one, other, reason in REFUSED:
        for x, y in ((a, b), (b, a)):
            if one.items() <= x.items() and other.items() <= y.items():
                return reason
    return ""


def lawful_rows(axes: dict[str, list[dict]]) -> list[dict[str, int]]:
    """A covering array without refused pairs: a row that has one goes without its later choice, and pairs that this loses get a row."""
    rows, pairs = covering_array(axes), list(itertools.combinations(axes, 2))
    for row in rows:
        for a, b in pairs:
            if refused(axes[a][row[a]], axes[b][row[b]]):
                row[b] = 0
    seen = {(a, row[a], b, row[b]) for row in rows for a, b in pairs}
    for a, b in pairs:
        for i, j in itertools.product(range(len(axes[a])), range(len(axes[b]))):
            if (a, i, b, j) not in seen and not refused(axes[a][i], axes[b][j]):
                rows.append({**dict.fromkeys(axes, 0), a: i, b: j})
    return rows


LATE_ROWS = lawful_rows(LATE_AXES)
# the first row, and the one with the most choices beside two lanes; GOLF_EVERY_RECIPE=1 takes the array
FULLEST = max(LATE_ROWS, key=lambda row: (row["route"] > 0, sum(choice > 0 for choice in row.values())))


def recipe_of(row: dict[str, int], axes: dict[str, list[dict]] = AXES):
    values = {key: value for axis, choice in row.items() for key, value in axes[axis][choice].items()}
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
    stored = called(world.quantize, tagged, weights, hessians={}, rank=0, world_size=1)
    return [*seen, *weights.values(), *stored.values()]


def check(row: dict[str, int], folder, axes: dict[str, list[dict]] = AXES) -> None:
    recipe = recipe_of(row, axes)
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


@pytest.mark.parametrize(
    "row", LATE_ROWS if ALL_CASES else [LATE_ROWS[0], FULLEST], ids=lambda row: "".join(map(str, row.values()))
)
def test_every_pair_of_late_techniques_computes_the_same_bits(row, tmp_path):
    check(row, tmp_path, LATE_AXES)


def test_the_late_array_covers_every_pair_that_is_not_refused():
    for a, b in itertools.combinations(LATE_AXES, 2):
        every = set(itertools.product(range(len(LATE_AXES[a])), range(len(LATE_AXES[b]))))
        lawful = {(i, j) for i, j in every if not refused(LATE_AXES[a][i], LATE_AXES[b][j])}
        assert {(row[a], row[b]) for row in LATE_ROWS} == lawful


@pytest.mark.parametrize(
    "case", REFUSED, ids=lambda case: "-".join(str(value) for side in case[:2] for value in side.values())
)
def test_every_refused_pair_is_refused_with_its_reason(case):
    one, other, reason = case
    values = {}
    for choices in LATE_AXES.values():
        for wanted in (one, other):
            values |= next((choice for choice in choices if wanted.items() <= choice.items()), {})
    with pytest.raises(GolfError, match=reason):
        compose(changed(tiny("baseline", num_layers=MODEL_LAYERS), values))


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
