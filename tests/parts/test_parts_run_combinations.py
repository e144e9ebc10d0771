"""What a run is made of, in combination: loaders, schedules, averages, quantizers, corrections, coders and evaluators.

A covering array holds every pair of choices of two axes; each row trains, exports and scores as a library and as the composed file.
"""

import json

import pytest
import torch
from worlds import covering_array, run_generated, run_library, tiny

from golf.parts.artifact import RawCoder, read_container
from golf.recipe import changed

SDCLIP = {"attn_bits": 6, "mlp_bits": 6}
AXES: dict[str, list[dict]] = {
    "loader": [{}, {"loader": "shuffled_sequences.ShuffledSequences"}],
    "attention": [{}, {"attend": "varlen.varlen_attention", "documents": "varlen.document_bounds"}],
    "average": [
        {},
        {"after_step": ("ema.EMA",), "export_weights": "ema.ema_weights"},
        {"after_step": ("swa.SWA",), "export_weights": "swa.swa_weights", "lr_at": "warmdown_frac.warmdown_by_fraction"},
    ],
    "gradients": [{}, {"parallel": "banked.unwrapped", "average_gradients": "banked.average_all"}],
    "quantizer": [
        {},
        {"attn_quantizer": "sdclip.sdclip_rtn", "mlp_quantizer": "dead_zone.dead_zone_rows", **SDCLIP},
        {"attn_quantizer": "gptq.gptq_sdclip", "mlp_quantizer": "gptq.gptq_percentile", "calibrate": "calibrate.from_training_text", **SDCLIP},
        {"attn_quantizer": "trellis.gptq_trellis", "mlp_quantizer": "trellis.gptq_trellis", "levels": "trellis.trellis_levels", "calibrate": "calibrate.from_own_text", **SDCLIP},
    ],
    "after": [{}, {"corrections": ("lqer.LQER",)}, {"prune": "prune.prune_cheapest"}],
    "coder": [
        {},
        {"coder": "lzma_coder.LzmaCoder"},
        {"coder": "zstd_coder.ZstdCoder"},
        {"coder": "brotli_shuffle.BrotliCoder"},
        {"coder": "bitpack.BitpackCoder"},
        {"coder": "rans.RansCoder"},
        {"coder": "rans_context.ContextRansCoder"},
    ],
    "report": [
        {},
        {"reports": ("sliding.sliding",)},
        {"reports": ("ttt_sgd.ttt_sgd",)},
        {"reports": ("ngram_kneser_ney.ngram_kneser_ney",), "reader": "ttt_sgd.ttt_window"},
        {"reports": ("doc_isolated.doc_isolated", "ngram_tilt.ngram_tilt")},
        {"reports": ("ttt_lora.ttt_lora",), "adapters": True},
    ],
}  # fmt: skip


def check(row, folder, monkeypatch, data):
    values = {key: value for axis, choice in row.items() for key, value in AXES[axis][choice].items()}
    recipe = changed(tiny("baseline", num_layers=2, iterations=2), values)
    run_library(recipe, folder / "library", monkeypatch, data)
    run_generated(recipe, folder / "generated", monkeypatch, data)
    found = []
    for world in ("library", "generated"):
        weights, _ = read_container(folder / world / "float.golf", RawCoder)
        line = (folder / world / "logs" / "test.txt").read_text().splitlines()[-1]
        reports = json.loads(line.removeprefix("golf_result "))["reports"]
        scores = [(report["name"], report["val_loss"], report["val_bpb"]) for report in reports]
        found.append((weights, (folder / world / "model.golf").read_bytes(), scores))
    (ours, model, scores), (theirs, same_model, same_scores) = found
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert model == same_model
    assert scores == same_scores


ROWS = covering_array(AXES)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: "".join(map(str, row.values())))
def test_every_pair_of_choices_of_a_run_gives_the_same_bits(row, tiny_data, tmp_path, monkeypatch):
    check(row, tmp_path, monkeypatch, tiny_data)
