"""Quantizers give the codes and scales that the public scripts gave: equal, not close, wherever no rounding decides a row."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from noise import stable_rows

from golf.parts.quant import int8_rows
from golf.parts.techniques.gptq import gptq_percentile, gptq_sdclip
from golf.parts.techniques.gptq_lite import gptq_lite_matrix
from golf.recipe import load_recipe
from golf.recipe.namespace import Namespace, namespace

SHARE_STABLE = 0.8  # of the rows: the others lie within a few float32 roundings of another code
MATRICES = ["small", "large", "heavy"]
FOUR = "clip_percentiles=[0.999, 0.9995, 0.9999, 1.0]"
FIVE = "clip_percentiles=[0.999, 0.9995, 0.9999, 0.99999, 1.0]"
CASES = [
    ("baseline", "quantize_float_tensor/0", int8_rows, 8, "mlp", []),
    ("pr740", "quantize_float_tensor/0", int8_rows, 8, "mlp", []),
    ("pr740", "gptq_quantize_weight/0", gptq_percentile, 8, "mlp", ["gptq_descending=false", FIVE]),
    ("pr740", "gptq_quantize_weight/1", gptq_percentile, 6, "mlp", ["gptq_descending=false", FIVE]),
    ("pr1573", "quantize_float_tensor/0", int8_rows, 8, "mlp", []),
    ("pr1573", "quantize_int5_per_row/0", gptq_lite_matrix, 5, "mlp", [FOUR]),
    ("pr1573", "quantize_int6_per_row/0", gptq_lite_matrix, 6, "mlp", [FIVE]),
    ("pr1809", "gptq_quantize_weight/0", gptq_sdclip, 6, "mlp", ["mlp_clip_sigmas=12.85"]),
    ("pr1809", "gptq_quantize_weight/1", gptq_sdclip, 8, "embed", ["embed_clip_sigmas=20.0"]),
]


def settings(overrides: list[str]) -> Namespace:
    return namespace(load_recipe("baseline", ["calibrate=from_training_text", *overrides]))


def differs(
    shared: Path, recipe: str, call: str, quantizer: Any, bits: int, role: str, overrides: list[str], matrix: str
) -> bool:
    """Whether a row that no rounding decides has other codes or another stored scale than the public script gave."""
    golden = np.load(shared / "golden" / f"{recipe}.npz")
    w, hessian, told, told_scale = (
        torch.from_numpy(golden[f"quant/{matrix}/{part}"]) for part in ("W", "H", f"{call}/q", f"{call}/scale")
    )
    quantize = partial(quantizer, settings(overrides), bits=bits, role=role)
    codes, scale = quantize(w, hessian)
    decided = torch.ones(len(w), dtype=torch.bool)
    if quantizer is not int8_rows:  # sums over a row, a Cholesky factor: rounding may decide a tie
        decided = stable_rows(quantize, w, hessian)
        assert decided.float().mean() > SHARE_STABLE
    same = (codes == told).all(1) & (scale.half().float() == told_scale).view(len(w), -1).all(1)
    return not same[decided].all()


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1]}")
def test_codes_and_stored_scales_equal_the_public_script(shared: Path, case: Any, matrix: str) -> None:
    assert not differs(shared, *case, matrix)


@pytest.mark.parametrize("matrix", MATRICES)
def test_another_damping_is_seen_in_the_codes(shared: Path, matrix: str) -> None:
    *case, overrides = CASES[-2]
    assert differs(shared, *case, [*overrides, "gptq_damp=0.02"], matrix)
