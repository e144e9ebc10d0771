"""Trellis-coded quantization: the path found is the best there is, and its codes read back as the same levels."""

import itertools
import math

import numpy as np
import pytest
import torch
from quantizing import inputs_gram, toy

from golf.parts.quant import dequantize, quantize
from golf.parts.techniques.gptq import gptq_sdclip
from golf.parts.techniques.trellis import gptq_trellis, nearest_path, trellis_levels, trellis_tables
from golf.recipe import load_recipe
from golf.recipe.namespace import Namespace, namespace


def recipe(*overrides: str) -> Namespace:
    return namespace(load_recipe("baseline", ["levels=trellis_levels", "calibrate=from_training_text", *overrides]))


def read_levels(k: np.ndarray) -> np.ndarray:
    return trellis_levels(torch.from_numpy((k + 128).astype(np.uint8))[:, None])[:, 0].numpy()


def test_every_state_has_two_ways_in_and_its_parity_decides_the_next_level() -> None:
    after, before, coset = trellis_tables()
    assert sorted(after.flatten().tolist()) == sorted([*range(8), *range(8)])
    for to, way in itertools.product(range(8), range(2)):
        state, z = before[way, to], coset[way, to]
        assert z & 1 == state >> 2 and after[state, z >> 1] == to


@pytest.mark.slow
def test_the_path_is_the_nearest_of_all_paths() -> None:
    rng = np.random.default_rng(0)
    for rows in (1, 5, 9):
        values = rng.normal(0, 2, rows).astype(np.float32)
        near = [[k for k in range(-6, 6) if abs(2 * k + 0.5 - value) <= 3.5] for value in values]
        best = min(float(((read_levels(np.array(k)) - values) ** 2).sum()) for k in itertools.product(*near))
        assert math.isclose(float(((nearest_path(values) - values) ** 2).sum()), best, rel_tol=1e-5)


@pytest.mark.parametrize("rows", [1, 31, 32, 33, 64, 200])
def test_a_path_longer_than_a_piece_is_permitted_from_end_to_end(rows: int) -> None:
    values = np.random.default_rng(rows).normal(0, 9, rows).astype(np.float32)
    levels = nearest_path(values)
    assert np.array_equal(read_levels(levels.astype(np.int64) // 2), levels)
    assert np.abs(levels - values).max() <= 2.5


def test_it_gains_a_decibel_over_rounding_at_the_same_entropy() -> None:
    values = np.random.default_rng(0).normal(0, 1, 40_000).astype(np.float32)

    def bits(codes: np.ndarray) -> float:
        share = np.unique(codes, return_counts=True)[1] / codes.size
        return float(-(share * np.log2(share)).sum())

    levels, rounded = nearest_path(values / 0.2), np.round(values / 0.4)
    assert abs(bits(levels // 2) - bits(rounded)) < 0.01
    gain = 10 * math.log10(((rounded * 0.4 - values) ** 2).mean() / ((levels * 0.2 - values) ** 2).mean())
    assert 0.95 < gain < 1.15


@pytest.mark.parametrize("log_scales", ["false", "true"])
def test_inside_gptq_it_reads_back_and_loses_less_of_the_outputs(log_scales: str) -> None:
    h, hessian = recipe(f"log_scales={log_scales}"), inputs_gram(64, seed=5)
    w = torch.randn(96, 64, generator=torch.Generator().manual_seed(1)) * 0.05
    w[7] = 0.0
    loss = {}
    for quantizer in (gptq_sdclip, gptq_trellis):
        codes, scale = quantizer(h, w, hessian, 5, "mlp")
        levels = codes if quantizer is gptq_sdclip else trellis_levels(codes)
        error = w - levels.float() * scale[:, None]
        loss[quantizer] = float((error @ hessian * error).sum())
    assert codes.dtype == torch.uint8
    assert 0.7 < loss[gptq_trellis] / loss[gptq_sdclip] < 0.9


def test_a_model_with_trellis_and_plain_roles_reads_back() -> None:
    tagged, weights, hessians = toy()
    h = recipe(
        "keep_float_numel=16",
        "mlp_quantizer=gptq_trellis",
        "embed_quantizer=gptq_trellis",
        "attn_quantizer=gptq_sdclip",
    )
    tensors = quantize(h, tagged, weights, {**hessians, "embed": torch.eye(32)} | {"mlp": hessians["mlp"]})
    assert tensors["mlp:q"].dtype == torch.uint8 and tensors["attn:q"].dtype == torch.int8
    read = dequantize(h, tensors)
    for name in ("mlp", "embed", "attn"):
        assert float((read[name] - weights[name]).abs().max()) < 0.15, name


def test_it_refuses_a_recipe_that_could_not_read_its_codes() -> None:
    with pytest.raises(AssertionError, match="trellis_levels"):
        gptq_trellis(namespace(load_recipe("baseline")), torch.randn(8, 8), None, 6, "mlp")
