"""What every quantizer, correction and pruning must keep, whatever the weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quantizing import Toy, inputs_gram, toy

from golf.parts.artifact import write_container
from golf.parts.quant import dequantize, int8_rows, load_artifact, quantize
from golf.parts.techniques.amax import amax_rows
from golf.parts.techniques.dead_zone import dead_zone_rows
from golf.parts.techniques.gptq import gptq_percentile, gptq_sdclip, gptq_search
from golf.parts.techniques.gptq_lite import gptq_lite_matrix, gptq_lite_rows
from golf.parts.techniques.mixed_bits import bits_by_budget, bits_by_trace
from golf.parts.techniques.percentile import percentile_rows
from golf.parts.techniques.sdclip import sdclip_rtn, sdclip_scale
from golf.recipe import load_recipe
from golf.recipe.namespace import Namespace, namespace

QUANTIZERS = [
    int8_rows, amax_rows, percentile_rows, gptq_lite_matrix, gptq_lite_rows, sdclip_rtn, gptq_sdclip, gptq_percentile, gptq_search,
    dead_zone_rows,
]  # fmt: skip


def recipe(*overrides: str) -> Namespace:
    return namespace(load_recipe("baseline", ["calibrate=from_training_text", *overrides]))


@pytest.mark.parametrize("log_scales", ["false", "true"])
@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=lambda quantizer: quantizer.__name__)
@settings(max_examples=15, deadline=None)
@given(bits=st.integers(4, 8), role=st.sampled_from(["embed", "attn", "mlp", "table"]), seed=st.integers(0, 50))
def test_codes_fit_their_bits_and_rows_of_zeros_stay_zero(
    quantizer: Any, log_scales: str, bits: int, role: str, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    w = torch.randn(12, 24, generator=rng) * 10 ** (seed % 7 - 5)
    w[3], w[:, 5], w[7] = 0.0, 0.0, 1e-12
    hessian = inputs_gram(24, seed)
    hessian[9], hessian[:, 9] = 0.0, 0.0
    codes, scale = quantizer(recipe(f"log_scales={log_scales}"), w.clone(), hessian, bits, role)
    limit = 2 ** (bits - 1) - 1
    assert codes.dtype == torch.int8 and codes.shape == w.shape and scale.shape == (12,)
    assert int(codes.max()) <= limit and int(codes.min()) >= -limit - (quantizer is gptq_percentile)
    assert scale.isfinite().all() and (scale > 0).all()
    assert not codes[3].any()


def test_gptq_loses_less_of_the_outputs_than_rounding() -> None:
    h, hessian = recipe(), inputs_gram(64, seed=5)
    w = torch.randn(48, 64, generator=torch.Generator().manual_seed(1)) * 0.05
    loss = {}
    for quantizer in (sdclip_rtn, gptq_sdclip):
        codes, scale = quantizer(h, w, hessian, 5, "mlp")
        error = w - codes * scale[:, None]
        loss[quantizer] = float((error @ hessian * error).sum())
    assert loss[gptq_sdclip] < 0.6 * loss[sdclip_rtn]


def test_gptq_search_keeps_the_percentile_of_the_least_squared_error() -> None:
    hessian = inputs_gram(64, seed=5)
    w = torch.randn(48, 64, generator=torch.Generator().manual_seed(1)) ** 3
    each = [gptq_search(recipe(f"clip_percentiles=[{p}]"), w, hessian, 5, "mlp") for p in (0.9, 0.99, 1.0)]
    errors = [float((w - codes * scale[:, None]).square().mean()) for codes, scale in each]
    codes, scale = gptq_search(recipe("clip_percentiles=[0.9, 0.99, 1.0]"), w, hessian, 5, "mlp")
    best = each[errors.index(min(errors))]
    assert torch.equal(codes, best[0]) and torch.equal(scale, best[1])


def test_gptq_under_an_even_hessian_is_rounding_to_nearest() -> None:
    w = torch.randn(16, 40, generator=torch.Generator().manual_seed(2))
    codes, scale = gptq_sdclip(recipe(), w, torch.eye(40), 6, "attn")
    rounded, same = sdclip_rtn(recipe(), w, torch.eye(40), 6, "attn")
    assert torch.equal(codes, rounded) and torch.equal(scale, same)


def test_gptq_never_reads_columns_that_no_input_reaches() -> None:
    hessian = inputs_gram(24, seed=3)
    hessian[[2, 11]], hessian[:, [2, 11]] = 0.0, 0.0
    w = torch.randn(8, 24, generator=torch.Generator().manual_seed(4))
    assert not gptq_sdclip(recipe(), w, hessian, 6, "mlp")[0][:, [2, 11]].any()


def test_gptq_survives_a_hessian_of_fewer_inputs_than_columns_and_refuses_nan() -> None:
    w, x = torch.randn(8, 32), torch.randn(3, 32)
    codes, _ = gptq_sdclip(recipe("gptq_damp=0.0"), w, x.T @ x, 6, "mlp")
    assert codes.any()
    with pytest.raises(AssertionError, match="diverged"):
        gptq_sdclip(recipe(), w, torch.full((32, 32), torch.nan), 6, "mlp")


def test_the_step_of_sdclip_is_k_deviations_over_the_largest_code() -> None:
    w = torch.randn(6, 4000, generator=torch.Generator().manual_seed(0))
    scale = sdclip_scale(recipe("mlp_clip_sigmas=12.85"), w, None, 6, "mlp")
    assert torch.equal(scale, (12.85 * w.std(dim=1) / 31).half().float())


def test_the_hessian_moves_clips_only_between_rows() -> None:
    h, hessian = recipe("hessian_clip_lambda=0.175"), inputs_gram(24, seed=8)
    w = torch.randn(10, 24, generator=torch.Generator().manual_seed(0))
    ratio = sdclip_scale(h, w, hessian, 6, "mlp") / sdclip_scale(recipe(), w, hessian, 6, "mlp")
    assert ratio.std() > 0.001 and abs(ratio.mean() - 1) < 0.01


def test_each_role_has_its_own_quantizer_bits_and_small_tensors_stay_float() -> None:
    tagged, weights, hessians = toy()
    h = recipe("keep_float_numel=1024", "embed_bits=8", "mlp_bits=5", "attn_quantizer=", "table_quantizer=amax_rows")
    tensors = quantize(h, tagged, weights, hessians)
    kinds = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in tensors.items()}
    assert kinds == {
        "embed:q": "int8", "embed:s": "float16", "attn": "float16", "mlp:q": "int8", "mlp:s": "float16",
        "table:q": "int8", "table:s": "float16", "gate": "float16", "control": "float32",
    }  # fmt: skip
    assert int(tensors["mlp:q"].abs().max()) <= 15


def test_gates_with_a_quantizer_are_coded_at_any_size_and_controls_can_be_halves() -> None:
    tagged, weights, hessians = toy()
    tensors = quantize(recipe("gate_quantizer=amax_rows", "half_controls=true"), tagged, weights, hessians)
    assert tensors["gate:q"].shape == (4, 32) and tensors["control"].dtype == torch.float16


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=lambda quantizer: quantizer.__name__)
@pytest.mark.parametrize("log_scales", ["false", "true"])
def test_what_is_read_back_is_within_half_a_step_or_what_gptq_chose(quantizer: Any, log_scales: str) -> None:
    tagged, weights, hessians = toy()
    name = quantizer.__name__
    h = recipe(
        "keep_float_numel=16", f"embed_quantizer={name}", f"attn_quantizer={name}", f"mlp_quantizer={name}",
        "table_quantizer=amax_rows", "dead_zone=0.0", f"log_scales={log_scales}",
    )  # fmt: skip
    read = dequantize(h, quantize(h, tagged, weights, hessians))
    assert read.keys() == weights.keys()
    for key, w in weights.items():
        assert float((read[key].view_as(w) - w).abs().max()) < 0.1, key


def test_lqer_takes_the_largest_errors_and_makes_them_smaller() -> None:
    tagged, weights, hessians = toy()
    base = ["keep_float_numel=16", "mlp_bits=4", "attn_bits=4", "embed_bits=4"]
    quantizers = [f"{role}_quantizer=amax_rows" for role in ("mlp", "attn", "embed")]
    for form in (["lqer_asymmetric=true"], ["lqer_asymmetric=false"], ["lqer_asymmetric=true", "lqer_group=60"]):
        plain, fixed = (
            recipe(*base, *quantizers),
            recipe(*base, *quantizers, 'corrections=["LQER"]', "lqer_top_k=2", *form),
        )
        tensors = quantize(fixed, tagged, weights, hessians)
        before, after = dequantize(plain, quantize(plain, tagged, weights, hessians)), dequantize(fixed, tensors)
        error = {name: float((before[name].view_as(w) - w).norm()) for name, w in weights.items()}
        chosen = {name.partition(":")[0] for name in tensors if name.endswith(":a")}
        assert chosen == set(sorted(error, key=lambda name: -error[name])[:2])
        for name, w in weights.items():
            now = float((after[name].view_as(w) - w).norm())
            assert now < 0.95 * error[name] if name in chosen else now == error[name], (form, name)


def test_pruning_zeroes_exactly_the_cheapest_share_of_what_may_go() -> None:
    tagged, weights, hessians = toy()
    plain = recipe("keep_float_numel=16")
    pruned = recipe("keep_float_numel=16", "prune=prune_cheapest", "prune_share=0.3", "prune_max_code=2")
    before, after = quantize(plain, tagged, weights, hessians), quantize(pruned, tagged, weights, hessians)
    gone, kept, candidates = [], [], 0
    for name, codes in before.items():
        if name.endswith(":q"):
            cost = (codes.float() * before[name[:-1] + "s"].float()[:, None]).square()
            may = (codes != 0) & (codes.abs() <= 2)
            candidates += int(may.sum())
            gone.append(cost[may & (after[name] == 0)])
            kept.append(cost[may & (after[name] != 0)])
            assert torch.equal(after[name][~may], codes[~may])
    assert torch.cat(gone).max() <= torch.cat(kept).min()
    assert sum(map(len, gone)) == int(0.3 * candidates)


def test_mixed_bits_go_to_the_strongest_inputs_and_keep_their_budget() -> None:
    tagged, weights, hessians = toy()
    hessians["mlp"] = hessians["mlp"] * 100
    assert bits_by_trace(recipe("high_bits_count=1"), tagged, hessians) == {"mlp": 6, "attn": 5}
    assert bits_by_budget(recipe("mean_bits=5.0"), tagged, hessians) == {"mlp": 5, "attn": 5}
    assert bits_by_budget(recipe("mean_bits=5.7"), tagged, hessians) == {"mlp": 6, "attn": 5}
    h = recipe("assign_bits=bits_by_trace", "high_bits_count=1", "keep_float_numel=16")
    tensors = quantize(h, tagged, weights, hessians)
    assert int(tensors["mlp:q"].abs().max()) <= 31 and int(tensors["attn:q"].abs().max()) <= 15


@pytest.mark.parametrize("spoil", ["no scale", "short scale", "another shape", "a tensor too many"])
def test_an_artifact_of_another_model_is_refused_with_a_sentence(spoil: str, tmp_path: Path) -> None:
    tagged, weights, hessians = toy()
    h = recipe("keep_float_numel=16")
    tensors = quantize(h, tagged, weights, hessians)
    match spoil:
        case "no scale":
            del tensors["mlp:s"]
        case "short scale":
            tensors["mlp:s"] = tensors["mlp:s"][:3]
        case "another shape":
            tensors["control"] = torch.zeros(31)
        case "a tensor too many":
            tensors["other"] = torch.zeros(3)
    write_container(str(tmp_path / "model.golf"), tensors, {}, h.coder)
    with pytest.raises(ValueError, match="model"):
        load_artifact(h, str(tmp_path / "model.golf"), Toy())
