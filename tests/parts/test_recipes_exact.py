"""The seed recipes beside the public scripts: what a golden vector of one size cannot show. Every formula is written again here."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from worlds import run_library, tiny

from golf.compose import compose
from golf.parts.artifact import RawCoder, read_container
from golf.parts.attention import rotary_tables
from golf.parts.model import GPT
from golf.parts.muon import Muon
from golf.parts.quant import quantize
from golf.parts.schedule import Clock
from golf.parts.tags import collect, initialize, tag
from golf.parts.techniques.ddp_one_graph import ddp_one_graph
from golf.parts.techniques.ema import EMA
from golf.parts.techniques.gptq import gptq_search
from golf.parts.techniques.swa import SWA, swa_weights
from golf.parts.train import time_is_up
from golf.recipe import changed, load_recipe, shipped_recipes, smoke_recipe
from golf.recipe.namespace import namespace

OWN = ("cayley", "golf_")  # recipes that follow no public script
PUBLIC = [name for name in sorted(shipped_recipes()) if not name.startswith(OWN)]
# tokens beyond which the public script's rotary base grows; 0: it has no such code
NTK_FROM = {
    "baseline": 0, "pr740": 0, "pr740_v1": 0, "pr740_legal": 0,
    "pr414": 1024, "pr549": 1024, "pr1019": 1024, "pr1573": 1024, "pr1573_readme": 1024,
    "pr1394": 2048, "pr1493": 2048, "pr1809": 2048, "pr1809_legal": 2048,
}  # fmt: skip
DDP = ["pr1412", "pr1413", "pr1477", "pr1514"]  # on #1394's script; the late line from #1529 on is banked
LATE = ["pr1529", "pr1530", "pr1610", "pr1626", "pr1667", "pr1729", "pr1736", "pr1769", "pr1787", "pr1851", "pr1868", "pr1855",
        "pr1945", "pr1953", "pr2014", "pr2130", "pr2135"]  # fmt: skip
LEGAL = [f"{name}_legal" for name in (*DDP, *LATE) if load_recipe(name).legal_variant]
DDP += [name for name in LEGAL if name.removesuffix("_legal") in DDP]
LATE += [name for name in LEGAL if name.removesuffix("_legal") in LATE]
NTK_FROM |= dict.fromkeys(DDP, 2048) | dict.fromkeys(LATE, 0) | {"pr1529": 2048}  # rope_yarn is off from #1530 on
INT8 = [
    "lower_lr",
    "pr42",
    "pr39",
    "pr49",
    "pr52",
    "pr50",
    "pr77",
    "pr60",
    "pr65a",
    "pr65b",
    "pr63",
    "pr61",
    "pr86",
    "pr73",
    "pr2058",
]
FP8 = ["pr640", "pr641", "pr1388"]  # their pairs turn by YaRN
NTK_FROM |= dict.fromkeys([*INT8, *FP8, "pr162", "pr180", "pr542"], 0) | dict.fromkeys(
    ["pr60", "pr61", "pr265", "pr287", "pr315"], 1024
)
NTK_FROM |= dict.fromkeys(["pr1060", "pr1120", "pr1204"], 1024) | dict.fromkeys(["pr1218", "pr1285", "pr1334"], 2048)
BANKED = ["pr549", "pr1060", "pr1120", "pr1204", "pr1019", "pr1573", "pr1573_readme", "pr1529", "pr2135"]
UNCUT = ["pr1218", "pr1285", "pr1334", "pr1394", "pr1493", "pr1809", "pr1809_legal", *DDP]


def grown_base(base: float, tokens: int, train_len: int, dims: int) -> float:
    """NTK: base · (T / train length) ^ (dims / (dims − 2)) beyond the training length."""
    return base * math.pow(tokens / train_len, dims / (dims - 2)) if train_len and tokens > train_len else base


def test_every_public_recipe_has_its_row() -> None:
    assert sorted(NTK_FROM) == PUBLIC


@pytest.mark.parametrize("name", [name for name in PUBLIC if name not in FP8])
@pytest.mark.parametrize("times", [1, 4])
def test_the_rotary_base_at_four_times_the_training_length_is_the_public_scripts(name: str, times: int) -> None:
    recipe = load_recipe(name)
    tokens = times * recipe.values["train_seq_len"]
    dims = recipe.values["rope_dims"] or recipe.values["model_dim"] // recipe.values["num_heads"]
    base = grown_base(10_000.0, tokens, NTK_FROM[name], dims)
    if times == 4 and NTK_FROM[name]:
        assert base > 4 * 10_000
    angle = np.outer(np.arange(tokens), base ** (-np.arange(0, dims, 2) / dims))
    cos, sin = rotary_tables(namespace(recipe), tokens, "cpu")
    assert cos.shape == (1, tokens, 1, dims // 2)
    # an fp32 frequency is 6e-8 off, its angle at the last token that times as many radians
    assert np.abs(cos[0, :, 0].numpy() - np.cos(angle)).max() < 3e-7 * tokens
    assert np.abs(sin[0, :, 0].numpy() - np.sin(angle)).max() < 3e-7 * tokens


@pytest.mark.parametrize("name", ["pr414", "pr1573", "pr1394", "pr1493", "pr1809"])
def test_long_sequences_run_as_a_model_made_with_the_grown_base(name: str) -> None:
    """Logits at four times the training length, to the bit, against the same weights with the base written in."""
    sizes = {
        "num_layers": 4,
        "vocab_size": 64,
        "recycle_layers": (1, 2),
        "loop_first": 1,
        "loop_last": 2,
        "ve_layers": (2, 3),
        "xsa_last_n": 4,
        "parallel_from": 2,
    }
    grows = changed(smoke_recipe(load_recipe(name)), {**sizes, "rope_train_len": 24})
    written = changed(
        grows, {"rope_train_len": 0, "rope_base": grown_base(10_000.0, 96, 24, grows.values["rope_dims"])}
    )
    models = [GPT(namespace(recipe)) for recipe in (grows, written, changed(written, {"rope_base": 10_000.0}))]
    for model in models:
        initialize(namespace(grows), model, 1)
        for param in model.parameters():  # what starts at zero would hide the positions
            if param.ndim == 2 and not param.any():
                param.data.normal_(std=0.1, generator=torch.Generator().manual_seed(2))
    ids = torch.randint(0, 64, (1, 96), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        long, same, plain = (model(ids) for model in models)
        short, written_short = models[0](ids[:, :24]), models[2](ids[:, :24])
    assert torch.equal(long, same)
    assert not torch.allclose(long, plain, rtol=0, atol=1e-3 * float(plain.abs().max()))
    assert torch.equal(short, written_short)


@pytest.mark.parametrize("name", PUBLIC)
def test_what_passes_unquantized_has_the_public_type(name: str) -> None:
    """From #162 on every tensor of up to 65,536 values is fp16; the int8 scripts keep their control tensors, by name, in fp32."""
    recipe = smoke_recipe(load_recipe(name))
    model = GPT(namespace(recipe))
    initialize(namespace(recipe), model, 1)
    tagged = collect(model)
    tensors = quantize(namespace(recipe), tagged, {entry.name: entry.param.detach() for entry in tagged}, {})
    passing = {key: tensor.dtype for key, tensor in tensors.items() if ":" not in key}
    controls = ("attn_scale", "mlp_scale", "resid_mix", "q_gain", "skip_weights")
    single = (
        {key for key in passing if key.endswith(controls)}
        if name.startswith(("baseline", "pr740")) or name in INT8
        else set[str]()
    )
    if name in FP8:  # bytes of fp8 where there are rows and columns
        assert {key for key, dtype in passing.items() if dtype == torch.uint8} == {
            entry.name for entry in tagged if entry.param.ndim == 2 and entry.name in passing
        }
        passing = {key: dtype for key, dtype in passing.items() if dtype != torch.uint8}
    assert {key for key, dtype in passing.items() if dtype == torch.float32} == single
    assert all(dtype == torch.float16 for key, dtype in passing.items() if key not in single)


def test_damping_twice_gives_the_codes_of_1019() -> None:
    """Its collector adds 1 % of the mean diagonal, its solver 1 % of the mean that it then finds."""
    rng = torch.Generator().manual_seed(0)
    w, x = torch.randn(64, 96, generator=rng) * 0.2, torch.randn(400, 96, generator=rng)
    hessian = x.T @ x / 400
    once = hessian + 0.01 * hessian.diagonal().mean() * torch.eye(96)
    recipe = load_recipe("pr1019")
    ours, _ = gptq_search(namespace(recipe), w.clone(), hessian, 6, "mlp")
    theirs, _ = gptq_search(namespace(changed(recipe, {"gptq_damp": 0.01})), w.clone(), once, 6, "mlp")
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ["pr414", *(name for name in BANKED if load_recipe(name).values["lookups"])])
def test_projections_behind_narrow_tables_start_at_zero_and_wide_ones_orthogonal(name: str) -> None:
    def starts(values: dict[str, int]) -> dict[str, torch.Tensor]:
        recipe = changed(
            smoke_recipe(load_recipe(name)), {"model_dim": 256, "num_heads": 2, "num_kv_heads": 1, **values}
        )
        model = GPT(namespace(recipe))
        initialize(namespace(recipe), model, 1)
        found = {
            key: p.detach()
            for key, p in model.named_parameters()
            if key.endswith((".BigramXor.proj.weight", ".ValueTable.proj.weight"))
        }
        assert len(found) == 2
        return found

    assert not any(weight.any() for weight in starts({"bigram_dim": 32, "ve_dim": 32}).values())
    gain = (2 * load_recipe(name).values["num_layers"]) ** -0.5 if name == "pr414" else 1.0
    for weight in starts({"bigram_dim": 64, "ve_dim": 64}).values():
        assert torch.allclose(weight.T @ weight, gain**2 * torch.eye(64), atol=1e-5)


@pytest.mark.parametrize("name", ["pr414", "pr1394", *BANKED])
def test_muon_keeps_its_momentum_in_bf16_where_the_banked_scripts_do(name: str) -> None:
    h = namespace(changed(load_recipe(name), {"muon_wd": 0.0, "grad": ()}))
    rng = torch.Generator().manual_seed(0)
    p = torch.nn.Parameter(torch.zeros(16, 24))
    muon = Muon(h, [p], 1.0, SimpleNamespace(cuda=False, world_size=1, rank=0))
    muon.param_groups[0]["momentum"] = 0.9
    muon.orthogonalize = lambda g, steps: g
    gradients = torch.randn(3, 16, 24, generator=rng) / 7
    buffer = torch.zeros(16, 24, dtype=torch.bfloat16 if name in BANKED else torch.float32)
    for gradient in gradients:
        p.grad, p.data = gradient.clone(), torch.zeros(16, 24)
        muon.step()
        rounded = gradient.to(buffer.dtype)
        buffer = buffer * 0.9 + rounded
        expected = (rounded + 0.9 * buffer).float()
        # bf16 rounds by 2⁻⁹ of a value: the gradient, the momentum and the update, which travels in it, and on a processor without
        # vector instructions the factor 0.9 too
        assert torch.allclose(-p.data, expected, atol=3 * 2**-8 * float(expected.abs().max()))
        assert muon.state[p]["momentum"].dtype == buffer.dtype
        assert torch.allclose(muon.state[p]["momentum"].float(), buffer.float(), atol=2**-7 if name in BANKED else 1e-6)


@pytest.mark.parametrize("snapshots", [0, 1, 2])
def test_fewer_than_two_snapshots_export_the_ema(snapshots: int) -> None:
    recipe = load_recipe("pr1573")
    assert recipe.values["ema_decay"] == 0.997
    h = namespace(recipe)
    weight = torch.nn.Parameter(torch.zeros(3))
    model = torch.nn.Module()
    model.weight = tag(weight, group="scalar", role="control")
    averages = {T.__name__: T(h, model) for T in h.after_step}
    assert set(averages) == {"EMA", "SWA"}
    mean, taken = 0.0, []
    for step in range(1, 4):
        weight.data.fill_(step)
        low = step > 3 - snapshots
        for average in averages.values():
            average.update(SimpleNamespace(lr_factor=0.1 if low else 1.0, step=50 * step))
        mean = 0.997 * mean + 0.003 * step
        taken += [step] if low else []
    h.export_weights(model, averages)
    assert weight[0].item() == pytest.approx(sum(taken) / len(taken) if snapshots > 1 else mean, rel=1e-6)
    without = {"SWA": SWA(h, model)}
    weight.data.fill_(7.0)
    swa_weights(model, without)  # no EMA is kept: the last step's weights
    assert weight[0].item() == 7.0


def test_a_short_run_of_1573_exports_its_ema(tiny_data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    kept: list[EMA] = []
    monkeypatch.setattr(
        EMA, "__init__", lambda self, h, model, made=EMA.__init__: (made(self, h, model), kept.append(self))[0]
    )
    run_library(tiny("pr1573", iterations=2, swa_every=50), tmp_path, monkeypatch, tiny_data, ("train",))
    weights, _ = read_container(tmp_path / "float.golf", RawCoder)
    means = dict(zip(weights, kept[-1].means, strict=True))
    assert all(torch.equal(weights[key].float(), means[key].to(weights[key].dtype).float()) for key in weights)


class Untouchable:
    """No device: whoever reads it has waited for one."""

    @property
    def device(self) -> None:
        raise AssertionError("the device was asked")


@pytest.mark.parametrize(("cap", "elapsed", "up"), [(0.0, 9.0, False), (5.0, 4.9, False), (5.0, 5.0, True)])
def test_the_stop_flag_asks_no_device_where_no_rank_must_agree(cap: float, elapsed: float, up: bool) -> None:
    env: Any = Untouchable()
    env.distributed = False
    clock = Clock(env, cap)
    clock.elapsed_seconds = elapsed
    assert time_is_up(env, clock) is up
    if not cap:  # in steps all ranks count the same
        env.distributed = True
        assert time_is_up(env, clock) is False


def test_validation_runs_the_layers_as_the_last_step_did(tiny_data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(
        "golf.parts.train.validate", lambda h, env, log, raw, model, stream, clock: asked.append(model.keywords["loop"])
    )
    run_library(tiny("pr1493", iterations=4, val_loss_every=1), tmp_path, monkeypatch, tiny_data, ("train",))
    assert asked == [
        False,
        False,
        False,
        True,
        True,
    ]  # loops from 0.35 of 4 steps: the third step is the first with them


@pytest.mark.slow
def test_dynamo_leaves_the_graph_whole_where_the_public_scripts_say_so() -> None:
    for name in PUBLIC:
        assert load_recipe(name).values["parallel"].startswith("ddp_one_graph") == (name in UNCUT), name
    for name in ("baseline", "pr1573", "pr1809", "pr2135"):
        assert ("optimize_ddp = False" in compose(load_recipe(name))) == (name in UNCUT), name
    config, model = torch._dynamo.config, torch.nn.Linear(2, 2)
    with config.patch(optimize_ddp=True):
        assert ddp_one_graph(SimpleNamespace(distributed=False, cuda=False), model) is model
        assert config.optimize_ddp is True  # where nothing is compiled, the compiler is not even loaded
        assert ddp_one_graph(SimpleNamespace(distributed=False, cuda=True), model) is model
        assert config.optimize_ddp is False


@pytest.mark.parametrize("name", PUBLIC)
def test_a_published_score_stands_beside_its_own_protocol(name: str) -> None:
    """`val_bpb` is of the last report, `pre_quant_val_bpb` of plain windows on the weights that are exported; no other score."""
    recipe = load_recipe(shipped_recipes()[name])  # a submission of that name has published nothing
    scores = {key for key in recipe.published if "bpb" in key or "loss" in key}
    assert scores <= {"val_bpb", "val_bpb_sd", "pre_quant_val_bpb"}
    if scores:
        assert recipe.values["reports"] and recipe.published["source"]
    assert load_recipe("pr740_legal").values["reports"][-1] == "sliding.sliding"  # 1.1700 is a sliding number


PUBLISHED_RUNS = {  # ITERATIONS of the command, its seeds
    "baseline": (20_000, None), "pr414": (20_000, (1337, 42, 2024)), "pr549": (9_000, (1337, 42, 2025)),
    "pr1019": (20_000, (314, 42, 999)), "pr1573": (20_000, None), "pr1394": (20_000, (1, 42, 1234, 1337, 2025)),
    "pr1493": (20_000, (42, 314, 999)), "pr1809": (20_000, (42, 314, 999)), "pr740": (20_000, None),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED_RUNS)
def test_iterations_and_seeds_are_the_published_runs(name: str) -> None:
    iterations, seeds = PUBLISHED_RUNS[name]
    recipe = load_recipe(name)
    assert recipe.values["iterations"] == iterations
    assert seeds is None or recipe.seeds == seeds


# means of the published logs: prequant of pr1493's three, the others as the reference pages give them
MEANS = {"pr1493": np.mean([1.08775313, 1.0873479, 1.08789385]), "pr1394": 1.09021}


@pytest.mark.parametrize("name", MEANS)
def test_pre_quantization_numbers_are_means_over_the_seeds(name: str) -> None:
    assert load_recipe(name).published["pre_quant_val_bpb"] == pytest.approx(MEANS[name], abs=5e-6)
