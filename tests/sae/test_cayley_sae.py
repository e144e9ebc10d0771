"""CayleySAE in the model, known answers: gradients, symmetry, counts, zombies, errors, statistics, storage."""

import re
from types import SimpleNamespace

import pytest
import torch
from cayley_saes import randn, sae_of
from worlds import TINY, execute, run_generated, run_library, tiny

from golf.compose import compose, scalars
from golf.errors import GolfError
from golf.parts.artifact import read_container
from golf.parts.model import GPT
from golf.parts.optim import build_optimizers
from golf.parts.parity import ParityTransform
from golf.parts.quant import dequantize, load_weights, quantize
from golf.parts.tags import collect, initialize
from golf.parts.techniques.cayley_sae import CayleySAE, FoldScores
from golf.parts.techniques.ema import EMA, ema_weights
from golf.parts.techniques.ttt_sgd import trainable
from golf.recipe import changed, load_recipe, smoke_recipe, smoke_sizes
from golf.recipe.namespace import namespace
from golf.sae.cayley import describe, diagnose, usage

LEVELS = ((5, 4, 0), (7, 6, 16))
MODES = [
    {},
    {"cayley_forward": "raw"},
    {"cayley_standardize": "none"},
    {"cayley_signed": False},
    {"cayley_bias": False, "cayley_out_bias": False},
    {"cayley_route": "full"},
]


def out(sae, x):
    return sae(x[None], None)[0]


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_the_gradients_are_those_of_the_function(mode):
    sae, x = sae_of(*LEVELS, **mode), randn(3, 32).requires_grad_()
    learned = [p for p in sae.parameters() if p.requires_grad]
    assert torch.autograd.gradcheck(lambda x, *_: out(sae, x), (x, *learned), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("mode", [*MODES, {"cayley_standardize": "token"}], ids=str)
def test_the_function_is_what_autograd_makes_of_the_kept_features(mode):
    """The same sum written out with ordinary tensors; statistics, and a token's own moments, are constants."""
    sae, h = sae_of(*LEVELS, **mode), namespace(changed(tiny("cayley_512"), mode))
    x, pull = randn(9, 32).requires_grad_(), randn(9, 32, seed=2)
    _, _, index = sae.encode(x.detach())
    scores = sae.parity.scores(x)
    if h.cayley_standardize == "feature":
        u = (scores - sae.score_mean) * (sae.score_var + 1e-5).rsqrt()
    elif h.cayley_standardize == "token":
        mean, var = scores.detach().mean(1, keepdim=True), scores.detach().var(1, correction=0, keepdim=True)
        u = (scores - mean) * (var + 1e-5).rsqrt()
    else:
        u = scores
    u = scores if h.cayley_forward == "raw" else u
    u = u + sae.bias if h.cayley_bias else u
    kept = torch.zeros_like(u).scatter(1, index.long(), u.gather(1, index.long()))
    expected = sae.parity.vectors(kept) + (sae.out_bias if h.cayley_out_bias else 0)
    wanted = [x, *(p for p in sae.parameters() if p.requires_grad)]
    found = out(sae, x)
    assert torch.allclose(found, expected, atol=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad((found * pull).sum(), wanted),
        torch.autograd.grad((expected * pull).sum(), wanted),
        strict=True,
    ):
        assert torch.allclose(ours, theirs, atol=1e-12)


def test_the_chunks_change_nothing():
    x = randn(50, 32)
    whole, pieces = (sae_of(*LEVELS, cayley_chunk_tokens=tokens) for tokens in (64, 7))
    assert torch.equal(out(whole, x), out(pieces, x))


def test_the_backward_keeps_nothing_of_the_dictionary_s_size():
    sae, x = sae_of((5, 4, 0), (12, 6, 128)), randn(200, 32).requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        out(sae, x)
    per_token = sum(t.numel() for t in kept if t.dim() and t.size(0) == 200) / 200
    assert per_token == 2 * 10  # an index and a gain for each of 10 kept features
    assert all(t.numel() < 4096 or t.dim() == 1 for t in kept)


def test_an_odd_function_without_bias_and_mean_unless_it_selects_by_sign():
    x = randn(20, 32)
    for signed in (True, False):
        sae = sae_of(*LEVELS, cayley_signed=signed, cayley_bias=False, cayley_out_bias=False)
        sae.score_mean.data.zero_()
        assert torch.allclose(out(sae, -x), -out(sae, x)) == signed


def on_meta(name, *overrides):
    with torch.device("meta"):
        return GPT(namespace(load_recipe(name, overrides)))


def learned(model, mark):
    return sum(e.param.numel() for e in collect(model) if e.param.requires_grad and mark in e.name)


SMALL = ("num_layers=12", "model_dim=1024", "num_heads=8", "num_kv_heads=8")


@pytest.mark.parametrize(
    ("name", "overrides", "backbone", "biases", "with_out"),
    [
        ("cayley_large_2L", (), 1_311_082_496, 835_584, 884_736),
        ("cayley_large_2L", (*SMALL, "cayley_levels=[[10,16,0],[15,32,256]]"), 202_531_840, 405_504, 417_792),
        ("cayley_large_2L", (*SMALL, "cayley_levels=[[10,16,0],[15,32,256],[17,64,256]]"), 202_531_840, 1_978_368, 1_990_656),
        ("cayley_512", (), 17_059_912, 78_336, 82_944),
    ],
)  # fmt: skip
def test_the_published_counts(name, overrides, backbone, biases, with_out):
    """The backbone as nanoGPT counts it: without the table of positions."""
    model = on_meta(name, *overrides)
    assert learned(model, ".mlp_in.") == with_out
    assert learned(model, ".mlp_in.CayleySAE.bias") == biases
    assert learned(model, "") - learned(model, ".mlp_in.") - learned(model, "LearnedPositions") == backbone


def test_the_learned_control_has_the_published_count():
    model = on_meta("cayley_large_2L", *SMALL, "mlp_in=topk_sae.TopKSAE", "corrections=[]", "topk_features=65536")
    assert learned(model, "") - learned(model, "LearnedPositions") == 1_813_943_296


def test_no_tensor_has_the_dictionary_s_size():
    model = on_meta("cayley_512")
    assert max(t.numel() for name, t in model.state_dict().items() if "mlp_in" in name) < 8704 * 512
    assert not any("parity" in name or "steps" in name for name in model.state_dict())


def loud_and_quiet(tokens, seed=0):
    """Vectors of width 512 whose coefficients in the Walsh–Hadamard basis differ in scale by a log-normal factor; RMS 1."""
    rng = torch.Generator().manual_seed(seed)
    scale = torch.randn(512, generator=rng).exp()
    x = ParityTransform(9, [0]).vectors(scale * torch.randn(tokens, 512, generator=rng))
    return torch.nn.functional.rms_norm(x, (512,))


def zombies(standardize, forward):
    h = namespace(load_recipe("cayley_512", ["cayley_levels=[[9,16,0]]", f"cayley_standardize={standardize}",
                                             f"cayley_forward={forward}", "cayley_momentum=1.0"]))  # fmt: skip
    sae, x = CayleySAE(h, 0), loud_and_quiet(4096)
    sae.encode(x, observe=standardize == "feature")
    codes, _, index = sae.encode(x)
    return usage(codes, index.long(), 512)


def test_the_zombie_fix():
    """Standardized selection keeps every feature alive, and most of them silent, unless the standardized score is handed on."""
    plain, token = zombies("none", "raw"), zombies("token", "raw")
    silent, fixed = zombies("feature", "raw"), zombies("feature", "z")
    assert plain["dead_percent"] > 5 * silent["dead_percent"]
    assert abs(token["dead_percent"] - plain["dead_percent"]) < 5
    assert silent["zombie_percent"] > 40
    assert fixed["zombie_percent"] < 2
    assert plain["usage"] < 0.6 < 0.8 < fixed["usage"]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["model_dim=768"], "model_dim is 768.*log2"),
        (["model_dim=1024"], "log2"),
        (["cayley_levels=[[9,600,0]]"], "more features than it has candidates"),
        (["cayley_levels=[[9,16,0],[13,300,256]]"], "among the candidates that one parent opens"),
        (["cayley_levels=[[9,16,0],[13,32,8]]"], "whole rows"),
        (["cayley_levels=[[9,16,0],[13,32,256]]", "cayley_per_parent=false"], "candidates"),
        (["cayley_levels=[[9,16,0],[9,32,256]]"], "must grow"),
        (["cayley_levels=[[9,16,0],[27,32,256]]"], "less than 3"),
        (["cayley_levels=[[9,16,4]]"], "no parents"),
        (["cayley_standardize=layer"], "feature, token or none"),
        (["cayley_route=fast"], "cayley or full"),
        (["cayley_forward=x", "corrections=[]"], "z or raw"),
        (["cayley_forward=raw"], "z and a bias"),
        (["cayley_level=3"], "no part has a knob `cayley_level`"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_composed(overrides, sentence):
    with pytest.raises(GolfError) as refused:
        compose(load_recipe("cayley_512", overrides))
    assert re.search(sentence, refused.value.message, re.DOTALL)


def test_a_misspelt_key_has_a_hint():
    with pytest.raises(GolfError) as refused:
        load_recipe("cayley_512", ["cayley_level=3"])
    assert "did you mean `cayley_levels`" in refused.value.hint


def test_the_recipe_without_it_is_the_baseline():
    with_, base = (
        compose(r) for r in (load_recipe("cayley_512", without=["cayley_sae"]), load_recipe("baseline", ["mlp_bits=7"]))
    )
    assert with_.partition("class h:")[2].replace("cayley_512", "baseline") == base.partition("class h:")[2]


def model_of(**values):
    h = namespace(tiny("cayley_512", num_layers=2, **values))
    model = GPT(h)
    initialize(h, model, 3)
    return h, model, torch.randint(2, 384, (2, 33), generator=torch.Generator().manual_seed(5))


def statistics(model):
    return {e.name: e.param.clone() for e in collect(model) if e.tag.group == "measured"}


def moved(before, model):
    return any(not torch.equal(before[name], value) for name, value in statistics(model).items())


def test_statistics_move_in_training_only():
    _, model, ids = model_of()
    before = statistics(model)
    model(ids[:, :-1], ids[:, 1:]).mean().backward()  # as test-time training does
    assert not moved(before, model)
    model.train()
    with torch.no_grad():  # as validation between two steps does
        model(ids)
    assert not moved(before, model)
    model(ids[:, :-1], ids[:, 1:])
    assert moved(before, model)


def test_the_statistics_are_running_moments():
    sae, x = sae_of(*LEVELS, cayley_momentum=0.25), randn(100, 32)
    mean, var = sae.score_mean.clone(), sae.score_var.clone()
    sae.train()
    out(sae, x)
    scores = sae.parity.scores(x)
    assert torch.allclose(sae.score_mean, 0.75 * mean + 0.25 * scores.mean(0))
    assert torch.allclose(sae.score_var, 0.75 * var + 0.25 * scores.var(0, correction=0))


def test_statistics_are_averaged_but_neither_learned_nor_adapted():
    h, model, ids = model_of(after_step=("EMA",), ema_decay=0.5)
    env = SimpleNamespace(cuda=False, world_size=1, rank=0)
    stepped = {id(p) for o in build_optimizers(h, collect(model), env) for g in o.param_groups for p in g["params"]}
    measured = {name: p for name, p, tag in collect(model) if tag.group == "measured"}
    assert measured
    assert not stepped & {id(p) for p in measured.values()}
    assert not {id(p) for p in trainable(namespace(tiny("pr549")), model)} & {id(p) for p in measured.values()}
    average, before = EMA(h, model), statistics(model)
    model.train()
    model(ids[:, :-1], ids[:, 1:])
    after = statistics(model)
    average.update(None)
    ema_weights(model, {"EMA": average})
    assert all(torch.equal(p, before[name] * 0.5 + after[name] * 0.5) for name, p in statistics(model).items())


def test_biases_are_adam_s_and_never_decayed():
    h, model, _ = model_of(adam_wd=0.1, embed_wd=0.1, muon_wd=0.1)
    adam, _ = build_optimizers(h, collect(model), SimpleNamespace(cuda=False, world_size=1, rank=0))
    decay = {id(p): g["weight_decay"] for g in adam.param_groups for p in g["params"]}
    assert {decay[id(e.param)] for e in collect(model) if e.tag.group == "bias"} == {0.0}
    assert {decay[id(e.param)] for e in collect(model) if e.tag.group == "scalar"} == {0.1}


def test_folded_scores_are_stored_in_8_bits_and_select_as_before():
    h, model, ids = model_of()
    assert h.corrections == (FoldScores,)
    model.train()
    for _ in range(30):
        model(ids[:, :-1], ids[:, 1:])
    model.eval()
    with torch.no_grad():
        for name, param, _ in collect(model):
            if name.endswith("SAE.bias"):
                param.uniform_(-0.2, 0.2, generator=torch.Generator().manual_seed(1))
    weights = {e.name: e.param.detach().clone() for e in collect(model)}
    tensors = quantize(h, collect(model), weights, {})
    mine = {name: t for name, t in tensors.items() if "SAE.bias" in name or "score" in name}
    features = 2 * 2 * (32 + 128)  # gain and shift, two layers
    assert sum(t.numel() for t in mine.values() if t.dtype == torch.int8) == features
    assert sum(t.numel() * t.element_size() for t in mine.values()) == features + 2 * 2 * 2
    sae = model.blocks[1].mlp_in["CayleySAE"]
    x = torch.nn.functional.rms_norm(torch.randn(200, 32, generator=torch.Generator().manual_seed(2)), (32,))
    before = out(sae, x).detach()
    load_weights(model, dequantize(h, tensors))
    after = out(sae, x).detach()
    assert float((after - before).norm() / before.norm()) < 0.2  # a feature at the edge may change places
    close = (after - before).abs().amax(1) < 0.1
    assert close.float().mean() > 0.8


def test_layers_may_be_chosen():
    model = GPT(namespace(tiny("cayley_512", num_layers=3, cayley_layers=(1,))))
    assert [len(block.mlp_in) for block in model.blocks] == [0, 1, 0]


@pytest.mark.slow
def test_it_is_one_full_graph(tmp_path):
    text = compose(tiny("cayley_512", num_layers=2, cayley_chunk_tokens=24))
    file = execute(text, tmp_path / "train_gpt.py")
    ids = torch.randint(2, 384, (2, 33), generator=torch.Generator().manual_seed(5))
    found = []
    for compiled in (False, True):
        model = file.GPT()
        file.initialize(model, 3)
        model.train()
        torch._dynamo.reset()
        run = torch.compile(model, dynamic=False, fullgraph=True, backend="aot_eager") if compiled else model
        nats = run(ids[:, :-1], ids[:, 1:])
        nats.mean().backward()
        found.append([nats.detach(), *(p.grad if p.grad is not None else p for p in model.parameters())])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*found, strict=True))


def test_a_token_s_codes_are_counted_in_a_composed_file_too(tmp_path):
    file = execute(compose(tiny("cayley_512", num_layers=2)), tmp_path / "train_gpt.py")
    model = file.GPT()
    file.initialize(model, 3)
    rows = diagnose(model, torch.randint(2, 384, (2, 32), generator=torch.Generator().manual_seed(5)))
    assert [(row["layer"], row["level"], row["l0"], row["features"]) for row in rows] == [
        (0, 0, 4, 32), (0, 1, 8, 128), (1, 0, 4, 32), (1, 1, 8, 128),
    ]  # fmt: skip
    for row in rows:
        assert 0 < row["usage"] <= 1
        assert 0 <= row["dead_percent"] < 100
        assert row["plus_share"] == pytest.approx(0.5, abs=0.2)
    with pytest.raises(GolfError, match="no CayleySAE"):
        diagnose(torch.nn.Linear(2, 2), None)


def test_usage_by_hand():
    codes = torch.tensor([[2.0, 0.0], [2.0, -0.1], [2.0, 0.0], [-2.0, 0.0]])
    index = torch.tensor([[0, 1], [0, 2], [0, 3], [1, 0]])
    found = usage(codes, index, 4)
    assert found["l0"] == 5 / 4
    assert found["dead_percent"] == 25  # 3
    assert found["zombie_percent"] == 25  # 2
    assert found["plus_share"] == 3 / 5
    entropy = -(0.6 * torch.tensor(0.6).log() + 0.4 * torch.tensor(0.2).log())
    assert found["usage"] == pytest.approx(float(entropy.exp()) / 4)


def test_the_facts_of_the_published_dictionaries():
    large = describe(2048, "11,16,0;15,32,256")
    assert (large["features"], large["coherence"], large["guaranteed_k"]) == (34_816, 1 / 32, 16)
    assert large["levels"][1]["welch_bound"] == pytest.approx(0.0214, abs=5e-5)
    assert large["levels"][1]["candidates"] == 4096
    assert large["fast_macs"] * 20 < large["dense_macs"]
    legal = describe(512, ((9, 16, 0), (13, 32, 256)))
    assert (legal["features"], legal["coherence"], legal["guaranteed_k"], legal["frame_constant"]) == (
        8704,
        1 / 16,
        8,
        17,
    )
    assert legal["levels"][1]["welch_bound"] == pytest.approx(0.0428, abs=5e-5)
    assert describe(512, "9,16,0")["coherence"] == 0


@pytest.mark.parametrize(
    ("dim", "levels", "sentence"),
    [
        (768, "9,16,0", "log2"),
        (512, "10,16,0", "the first level"),
        (512, "9,16,0;13,300,256", "sure candidates"),
        (512, "9,16", "levels are"),
        (512, "", "levels are"),
        (512, "9,16,0;9,1,16", "after 9"),
    ],
)
def test_levels_that_cannot_be_are_refused(dim, levels, sentence):
    with pytest.raises(GolfError, match=sentence):
        describe(dim, levels)


def test_the_control_reads_the_strongest_learned_features():
    h = namespace(tiny("cayley_512_topk", topk_features=40, topk_kept=3))
    model = GPT(h)
    initialize(h, model, 1)
    sae, u = model.blocks[0].mlp_in["TopKSAE"], torch.randn(1, 6, 32, generator=torch.Generator().manual_seed(1))
    scores = u @ sae.enc.weight.T
    kept = scores * (scores >= scores.topk(3).values[..., -1:])
    assert torch.allclose(sae(u, None), kept.relu() @ sae.dec.weight.T, atol=1e-6)
    with pytest.raises(GolfError, match="keeps 50 features"):
        compose(load_recipe("cayley_512_topk", ["topk_features=40", "topk_kept=50"]))


@pytest.mark.slow
def test_the_twin_of_a_packed_submission_is_known_as_ours():
    """Its levels, tuples in a tuple, are written otherwise than a minified twin's."""
    from golf.compose import rescale
    from golf.compose.pack import minify
    from golf.rules.ownership import _forms

    recipe = load_recipe("cayley_512")
    assert rescale(minify(compose(recipe)), smoke_sizes(recipe)) in list(_forms("cayley_512", []))


@pytest.mark.slow
def test_the_source_is_small():
    """What the technique adds to a shipped file, minified, before it is packed."""
    from golf.compose.pack import minify

    added = len(minify(compose(load_recipe("cayley_512")))) - len(minify(compose(load_recipe("baseline"))))
    assert added < 5500
    assert scalars(compose(load_recipe("cayley_512")))["cayley_levels"] == ((9, 16, 0), (13, 32, 256))


@pytest.mark.slow
def test_it_works_in_a_record_with_everything(tiny_data, tmp_path, monkeypatch):
    """PR #1809 with it: parallel blocks, loops, EMA, GPTQ, TTT; the composed file is the library, and the score comes from its bytes."""
    recipe = load_recipe("pr1809", with_=["cayley_512:cayley_sae"])
    sizes = {k: v for k, v in TINY.items() if k in recipe.values} | {"cayley_levels": LEVELS, "iterations": 1}
    recipe = changed(smoke_recipe(recipe), sizes)
    run_library(recipe, tmp_path / "library", monkeypatch, tiny_data)
    run_generated(recipe, tmp_path / "generated", monkeypatch, tiny_data)
    ours, theirs = ((tmp_path / world / "model.golf").read_bytes() for world in ("library", "generated"))
    assert ours == theirs
    stored = read_container(tmp_path / "library" / "model.golf", *(namespace(recipe).coder,))[0]
    assert any(name.endswith("bias:folded") for name in stored)
    scores = [
        [line for line in (tmp_path / world / "logs/test.txt").read_text().splitlines() if "_exact" in line]
        for world in ("library", "generated")
    ]
    assert scores[0] == scores[1]
    assert scores[0]
