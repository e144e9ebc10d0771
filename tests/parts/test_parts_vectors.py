"""Golden vectors computed from the public scripts: hashes, loop lists, loader order, scalar responses, identities at the start."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from worlds import tiny

from golf.data.shards import write_shard
from golf.parts.model import GPT, Block, Flow
from golf.parts.tags import initialize
from golf.parts.techniques.bigram_740 import Bigram740
from golf.parts.techniques.bigram_xor import BigramXor
from golf.parts.techniques.gram_ns import YOU_QUINTICS, gram_ns, on_gram, on_matrix
from golf.parts.techniques.growing_context import context_length, growing_bounds, warmdown_after_changes
from golf.parts.techniques.loops import looped
from golf.parts.techniques.out_gate import OutGate
from golf.parts.techniques.recycled_core import RecycledCore
from golf.parts.techniques.shuffled_sequences import ShuffledSequences
from golf.parts.techniques.smear_input import SmearInput
from golf.parts.techniques.value_residual import ValueResidual
from golf.parts.techniques.wd_taper import wd_taper
from golf.parts.techniques.xsa import XSA
from golf.recipe import changed, load_recipe
from golf.recipe.namespace import namespace


def buckets_of(technique, ids):
    """The rows of its table that a bigram technique looks up."""
    seen = []
    technique.embed.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    technique(torch.zeros(1, len(ids), technique.h.model_dim), torch.tensor([ids]))
    return seen[0][0].tolist()


def h_of(name, **values):
    return namespace(changed(load_recipe(name), values))


@pytest.mark.parametrize(
    ("buckets", "pairs"),
    [
        (2048, {(1, 5): 1887, (5, 7): 1082, (1023, 1000): 1723, (0, 0): 0}),
        (10240, {(1, 5): 1819, (5, 7): 5128, (1023, 1000): 3287}),
    ],
)
def test_the_xor_hash_of_a_pair(buckets, pairs):
    technique = BigramXor(h_of("pr414", bigram_buckets=buckets))
    for pair, bucket in pairs.items():
        assert buckets_of(technique, list(pair)) == [buckets - 1, bucket]


def test_the_linear_hash_of_pr740():
    technique = Bigram740(h_of("pr740"))
    for (before, token), bucket in {(0, 5): 117, (5, 7): 2794, (1023, 1000): 2353}.items():
        assert buckets_of(technique, [before, token])[1] == bucket
    assert buckets_of(technique, [5])[0] == 117


@pytest.mark.parametrize(
    ("first", "last", "extra", "encoder", "decoder"),
    [
        (4, 5, 2, [0, 1, 2, 3, 4, 5, 4], [5, 4, 5, 6, 7, 8, 9, 10]),
        (3, 5, 2, [0, 1, 2, 3, 4, 5, 3, 4], [5, 3, 4, 5, 6, 7, 8, 9, 10]),
        (4, 5, 1, [0, 1, 2, 3, 4, 5], [4, 5, 6, 7, 8, 9, 10]),
    ],
)
def test_loop_lists(first, last, extra, encoder, decoder):
    h = SimpleNamespace(
        num_layers=11, loop_first=first, loop_last=last, loop_extra=extra, loop_whole_from=0.0, core=None
    )
    assert looped(h, True) == (encoder, decoder)
    assert looped(h, False) == ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9, 10])


def test_loops_in_two_phases_run_one_extra_pass_first():
    """PR #1412: one repeat of layers 4 and 5 from half of the budget, two from 0.65."""
    h = namespace(changed(load_recipe("pr1412"), {}))
    assert looped(h, 1) == ([0, 1, 2, 3, 4, 5], [4, 5, 6, 7, 8, 9, 10])
    assert looped(h, True) == ([0, 1, 2, 3, 4, 5, 4], [5, 4, 5, 6, 7, 8, 9, 10])
    assert looped(h, False) == ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9, 10])


def test_weight_decay_tapers_to_half_and_context_grows_in_stages():
    h = namespace(load_recipe("pr1729"))

    def at(share):
        return SimpleNamespace(progress=lambda: share)

    assert [wd_taper(h, at(share)) for share in (0.0, 0.7, 0.85, 1.0)] == pytest.approx([1.0, 1.0, 0.75, 0.5])
    h = namespace(load_recipe("pr2014"))
    assert [context_length(h, at(share)) for share in (0.0, 0.1, 0.11, 0.7, 0.71, 1.0)] == [
        1024,
        1024,
        2048,
        2048,
        3072,
        3072,
    ]
    clock = SimpleNamespace(progress=lambda: 0.12, step=100, context=(1024, -32))
    assert growing_bounds(h, torch.full((1, 4096), 5), clock).bounds[:4].tolist() == [0, 2048, 4096, 4096]
    assert clock.context == (2048, 100)
    assert warmdown_after_changes(h, clock) == pytest.approx(1 / 32)
    clock.step = 131
    assert warmdown_after_changes(h, clock) == 1.0


def test_the_recycled_core_runs_between_the_halves():
    h = namespace(tiny("pr1573"))
    model = GPT(h)
    order = []
    for layer, block in enumerate(model.blocks):
        block.register_forward_pre_hook(lambda module, args, layer=layer: order.append(layer))
    model(torch.zeros(1, 4, dtype=torch.long))
    assert order == [0, 1, 2, 3, 4, 5, 3, 4, 6, 7, 8, 9, 10, 11]


def test_shuffled_sequences_draw_the_published_order(tmp_path):
    write_shard(tmp_path / "fineweb_train_000000.bin", np.arange(100))
    env = SimpleNamespace(data_path=str(tmp_path), rank=0, world_size=1, device="cpu")
    loader = ShuffledSequences(SimpleNamespace(train_seq_len=8, train_batch_tokens=64, micro_batches=0), env)
    assert loader.starts == [[38, 54, 62, 22, 6, 30, 46, 86, 78, 70, 14]]
    ids, targets = loader.next_batch()
    assert (ids[0, 0], targets[0, 0]) == (14, 15)


def test_ln_scale_of_every_layer():
    h = namespace(tiny("pr1573"))
    gains = [Block(h, layer).ln_gain for layer in range(12)]
    assert gains == pytest.approx(
        [1, 0.7071, 0.5774, 0.5, 0.4472, 0.4082, 0.3780, 0.3536, 0.3333, 0.3162, 0.3015, 0.2887], abs=5e-5
    )


SIGMAS = [1, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.003, 0.001]
FIXED = [(3.4445, -4.7750, 2.0315)] * 5
RESPONSES = {
    "NS5": (FIXED, [0.6964, 1.1203, 0.7654, 1.0796, 0.7468, 0.7121, 0.7581, 1.1223, 0.6818, 0.6989, 1.1544, 1.1104, 0.4705]),
    "YOU5": (YOU_QUINTICS, [0.9783, 1.0137, 0.9859, 0.9962, 1.0312, 1.0190, 1.0106, 0.9857, 1.0188, 1.0180, 1.1115, 1.0751, 0.4750]),
    "YOU4": (YOU_QUINTICS[-4:], [0.9941, 1.0017, 0.9846, 0.9860, 1.0171, 1.0079, 1.0241, 0.9825, 1.1177, 0.9727, 0.5709, 0.3548, 0.1204]),
}  # fmt: skip


@pytest.mark.parametrize("name", RESPONSES)
def test_coefficients_move_singular_values_as_tabled(name):
    quintics, expected = RESPONSES[name]
    sigma = np.array(SIGMAS)
    for a, b, c in quintics:
        sigma = a * sigma + b * sigma**3 + c * sigma**5
    assert sigma == pytest.approx(expected, abs=6e-5)


def test_the_library_uses_the_tabled_coefficients():
    """A diagonal matrix in bf16 answers like the scalars, to bf16's precision."""
    from golf.parts.muon import newton_schulz

    diagonal = torch.diag(torch.tensor([1.0, 0.7, 0.5, 0.3, 0.2, 0.1]))
    scale = diagonal.norm()
    out = newton_schulz(diagonal, 5).float().diagonal()
    sigma = (torch.tensor([1.0, 0.7, 0.5, 0.3, 0.2, 0.1]) / scale).double()
    for a, b, c in FIXED:
        sigma = a * sigma + b * sigma**3 + c * sigma**5
    assert out.double().tolist() == pytest.approx(sigma.tolist(), abs=0.08)  # a few bf16 roundings a step


@pytest.mark.parametrize("shape", [(24, 96), (16, 40)])
@pytest.mark.parametrize("steps", [2, 3, 4, 5])
def test_gram_newton_schulz_is_newton_schulz(shape, steps):
    """Exact algebra: 1e-12 in double, 1e-5 in single precision."""
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        x = torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(steps))
        x = x / x.norm()
        quintics = YOU_QUINTICS[-steps:]
        assert (on_gram(x, quintics) - on_matrix(x, quintics)).abs().max() < tolerance
    tall = torch.randn(shape, generator=torch.Generator().manual_seed(9)).T
    assert torch.equal(gram_ns(tall, 4), gram_ns(tall.T.contiguous(), 4).T)


def flow_of(h, v=None, v0=None):
    return Flow(ids=None, docs=None, x0=None, rope=None, lora=None, v=v, v0=v0)


def test_xsa_leaves_nothing_along_the_own_value():
    h = namespace(tiny("pr414"))
    rng = torch.Generator().manual_seed(1)
    v, y = torch.randn(2, 7, 1, 16, generator=rng), torch.randn(2, 7, 2, 16, generator=rng)
    out = XSA(h, 10)(y, None, flow_of(h, v=v))
    assert ((out * v).sum(-1).abs() < 1e-5 * v.square().sum(-1)).all()
    assert [layer for layer in range(11) if XSA.at(h, layer)] == [7, 8, 9, 10]


def test_what_starts_as_the_identity():
    h = namespace(tiny("pr1573"))
    rng = torch.Generator().manual_seed(1)
    x, ids = torch.randn(1, 6, h.model_dim, generator=rng), torch.arange(6)[None]
    assert torch.equal(SmearInput(h)(x, ids), x)
    y = torch.randn(1, 6, 2, 16, generator=rng)
    assert torch.equal(OutGate(h, 0)(y, x, None), y)
    blocks = [lambda x, flow: (x, flow)] * 12
    assert torch.equal(RecycledCore(h)(x, blocks, flow_of(h))[0], x)
    assert torch.equal(ValueResidual(h, 0)(y, None, flow_of(h)), y)


def test_smear_input_stops_at_a_document():
    h = namespace(tiny("pr1573"))
    smear = SmearInput(h)
    smear.strength.data.fill_(1.0)
    x = torch.randn(1, 4, h.model_dim, generator=torch.Generator().manual_seed(1))
    out = smear(x, torch.tensor([[5, 6, 1, 7]]))
    assert torch.equal(out[0, 0], x[0, 0])
    assert torch.equal(out[0, 2], x[0, 2])
    assert not torch.equal(out[0, 1], x[0, 1])
    assert not torch.equal(out[0, 3], x[0, 3])


def test_a_fresh_looped_model_adds_nothing_but_the_mixes():
    """Every output projection starts at zero, so a second pass changes x by the residual mix only: not at all at the start."""
    h = namespace(changed(tiny("pr1394"), {"skip_gates": False}))
    model = GPT(h)
    initialize(h, model, 1)
    ids = torch.randint(2, 384, (1, 16), generator=torch.Generator().manual_seed(1))
    model.route.skip_weights.data.zero_()
    assert torch.equal(model(ids, loop=True), model(ids, loop=False))
