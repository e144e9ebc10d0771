"""Quantizers give the codes and scales that the public scripts gave: equal, not close."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from golf.namespace import Namespace, namespace
from golf.parts.quant import int8_rows
from golf.parts.techniques.gptq import gptq_percentile, gptq_sdclip
from golf.parts.techniques.gptq_lite import gptq_lite_matrix
from golf.recipe import load_recipe

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


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize(("recipe", "call", "quantizer", "bits", "role", "overrides"), CASES)
def test_codes_and_stored_scales_equal_the_public_script(
    shared: Path, recipe: str, call: str, quantizer: Any, bits: int, role: str, overrides: list[str], matrix: str
) -> None:
    golden = np.load(shared / "golden" / f"{recipe}.npz")
    w, hessian = (torch.from_numpy(golden[f"quant/{matrix}/{part}"]) for part in ("W", "H"))
    codes, scale = quantizer(settings(overrides), w, hessian, bits, role)
    assert torch.equal(codes, torch.from_numpy(golden[f"quant/{matrix}/{call}/q"]))
    assert torch.equal(scale.half().float(), torch.from_numpy(golden[f"quant/{matrix}/{call}/scale"]))
