"""Every way to export composes, and the composed file writes the library's artifact byte for byte and reads it back."""

from pathlib import Path
from typing import Any

import pytest
from worlds import run_generated, run_library, tiny

from golf.recipe import Recipe, changed, load_recipe

GPTQ = ["calibrate=from_training_text", "calibration_batches=2"]
EXPORTS = {
    "#1394": [*GPTQ, "embed_quantizer=gptq_sdclip", "attn_quantizer=gptq_sdclip", "mlp_quantizer=gptq_sdclip",
              "attn_bits=6", "mlp_bits=6", "half_controls=true", "coder=BrotliCoder"],
    "#1573": ["attn_quantizer=gptq_lite_matrix", "mlp_quantizer=gptq_lite_matrix", "attn_bits=5", "mlp_bits=5",
              "clip_percentiles=[0.999, 0.9995, 0.9999, 1.0]", "coder=LzmaCoder"],
    "#740's defaults": [*GPTQ, "attn_quantizer=gptq_percentile", "mlp_quantizer=gptq_percentile", "attn_bits=6",
                        "mlp_bits=6", "gptq_descending=false", "prune=prune_cheapest", "prune_max_code=127",
                        "prune_share=0.25", "coder=ZstdCoder"],
    "#1855": [*GPTQ, "embed_quantizer=gptq_sdclip", "attn_quantizer=gptq_sdclip", "mlp_quantizer=gptq_sdclip",
              "attn_bits=6", "mlp_bits=6", "embed_bits=7", "corrections=[\"LQER\"]", "coder=BrotliCoder"],
    "#1412": [*GPTQ, "attn_quantizer=gptq_sdclip", "mlp_quantizer=gptq_sdclip", "hessian_clip_lambda=0.175"],
    "ours": [*GPTQ, "embed_quantizer=gptq_sdclip", "attn_quantizer=gptq_trellis", "mlp_quantizer=gptq_trellis",
             "attn_bits=6", "mlp_bits=6", "levels=trellis_levels", "log_scales=true", "steps=by_tensor.fisher", "fisher_batches=1",
             "coder=ContextRansCoder", "corrections=[\"LQER\"]"],
    "own text": ["calibrate=from_own_text", "own_text_sequences=3", "attn_quantizer=gptq_sdclip", "mlp_quantizer=gptq_sdclip"],
    "mixed": [*GPTQ, "attn_quantizer=gptq_sdclip", "mlp_quantizer=gptq_sdclip", "assign_bits=bits_by_budget"],
    "fp16 embedding": ["embed_quantizer=", "attn_quantizer=amax_rows", "mlp_quantizer=dead_zone_rows", "coder=BitpackCoder"],
}  # fmt: skip


def exporting(overrides: list[str]) -> Recipe:
    """The tiny baseline with other export knobs."""
    own = load_recipe("baseline", overrides)
    return changed(tiny("baseline", num_layers=2), {name: own.values[name] for name in own.own})


QUICK = ("#1394", "#1573", "ours")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in EXPORTS])
def test_library_and_composed_file_write_one_artifact(
    name: str, tiny_data: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    recipe = exporting(EXPORTS[name])
    run_library(recipe, tmp_path / "library", monkeypatch, tiny_data)
    run_generated(recipe, tmp_path / "generated", monkeypatch, tiny_data)
    library, generated = (tmp_path / world / "model.golf" for world in ("library", "generated"))
    assert library.read_bytes() == generated.read_bytes()
