"""The early and middle rows' settings beside the tables of the specification: what ran, what was published, what is stored how."""

import json
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from early_rows import BANKS, OURS
from public_weights import from_public

from golf.parts.layers import CastedLinear
from golf.parts.model import GPT
from golf.parts.quant import quantize
from golf.parts.tags import collect
from golf.parts.techniques.mixed_bits import by_sensitivity
from golf.recipe import Recipe, load_recipe, shipped_recipes
from golf.recipe.namespace import namespace
from golf.rules.pack import load_pack

ROWS = ("lower_lr pr42 pr39 pr49 pr52 pr50 pr77 pr60 pr65a pr65b pr63 pr61 pr86 pr162 pr180 pr265 pr287 pr315 pr640 pr1060 pr1120 pr1204 "
        "pr1218 pr1285 pr1334").split()  # fmt: skip
OTHERS = ["pr641", "pr1388", "pr542", "pr2058", "pr73"]
PARENTS = {
    "lower_lr": "baseline", "pr42": "baseline", "pr39": "lower_lr", "pr49": "baseline", "pr52": "baseline", "pr50": "baseline",
    "pr77": "baseline", "pr60": "baseline", "pr65a": "pr52", "pr65b": "pr65a", "pr63": "pr49", "pr61": "pr50", "pr86": "pr65a",
    "pr162": "baseline", "pr180": "pr162", "pr265": "pr162", "pr287": "pr265", "pr315": "pr287", "pr640": "baseline", "pr1060": "pr549",
    "pr1120": "pr549", "pr1204": "pr1060", "pr1218": "pr549", "pr1285": "pr1218", "pr1334": "pr1285",
}  # fmt: skip
JOINTS = {
    "pr414": "pr315",
    "pr549": "pr414",
    "pr1019": "pr549",
    "pr1394": "pr1218",
}  # recipes that were here before their parents
# layers, hidden width, vocabulary, sequence, batch, rates (matrix, scalar, tied), momentum, warmdown in steps or share, clip
TRAINING: dict[str, tuple[Any, ...]] = {
    "lower_lr": (9, 1024, 1024, 1024, 524_288, (0.02, 0.02, 0.03), (0.95, 0.85, 500), 1200, 0.0),
    "pr42": (9, 992, 1024, 1024, 524_288, (0.06, 0.04, 0.05), (0.95, 0.85, 500), 3600, 0.0),
    "pr39": (10, 1024, 1024, 1024, 524_288, (0.02, 0.02, 0.03), (0.95, 0.85, 500), 1200, 0.0),
    "pr49": (9, 1024, 1024, 2048, 524_288, (0.032, 0.032, 0.04), (0.95, 0.85, 500), 1200, 0.0),
    "pr52": (9, 1024, 1024, 4096, 393_216, (0.02, 0.02, 0.03), (0.99, 0.92, 1500), 3000, 0.0),
    "pr50": (9, 1024, 1024, 1024, 524_288, (0.04, 0.04, 0.05), (0.95, 0.85, 500), 1200, 0.0),
    "pr77": (9, 1024, 1024, 1024, 524_288, (0.04, 0.04, 0.05), (0.95, 0.85, 500), 1200, 0.0),
    "pr60": (10, 1024, 1024, 1024, 524_288, (0.04, 0.04, 0.10), (0.95, 0.85, 500), 2500, 0.0),
    "pr65a": (9, 1536, 1024, 1024, 524_288, (0.02, 0.02, 0.03), (0.99, 0.92, 1500), 3000, 0.0),
    "pr65b": (9, 1536, 1024, 1024, 524_288, (0.02, 0.02, 0.03), (0.99, 0.92, 1500), 3000, 0.0),
    "pr63": (10, 1344, 1024, 2048, 524_288, (0.02, 0.02, 0.04), (0.99, 0.92, 1500), 3600, 0.3),
    "pr61": (9, 1536, 1024, 2048, 786_432, (0.02, 0.02, 0.03), (0.95, 0.85, 500), 1200, 0.0),
    "pr86": (11, 1536, 1024, 1024, 524_288, (0.025, 0.025, 0.035), (0.99, 0.92, 1500), 3000, 0.0),
    "pr162": (9, 1536, 1024, 2048, 786_432, (0.02, 0.02, 0.03), (0.99, 0.92, 1500), 3000, 0.3),
    "pr180": (10, 1536, 1024, 2048, 786_432, (0.02, 0.02, 0.03), (0.99, 0.92, 1500), 3000, 0.3),
    "pr265": (11, 1536, 1024, 2048, 786_432, (0.025, 0.025, 0.035), (0.99, 0.92, 1500), 3000, 0.3),
    "pr287": (11, 1536, 1024, 2048, 786_432, (0.025, 0.025, 0.035), (0.99, 0.92, 1500), 3000, 0.3),
    "pr315": (11, 1536, 1024, 2048, 786_432, (0.025, 0.025, 0.035), (0.99, 0.92, 1500), 3000, 0.3),
    "pr640": (10, 3072, 8192, 1024, 524_288, (0.04, 0.02, 0.02), (0.95, 0.85, 500), 0.2, 0.0),
    "pr1060": (11, 1536, 1024, 2048, 786_432, (0.025, 0.025, 0.035), (0.99, 0.92, 1500), 3500, 0.3),
    "pr1120": (11, 1536, 1024, 2048, 786_432, (0.025, 0.025, 0.035), (0.99, 0.92, 1500), 3500, 0.3),
    "pr1204": (11, 1536, 1024, 2048, 786_432, (0.03, 0.025, 0.035), (0.99, 0.92, 1500), 3500, 0.3),
    "pr1218": (11, 2048, 4096, 2048, 786_432, (0.02, 0.02, 0.03), (0.99, 0.92, 1500), 0.667, 0.3),
    "pr1285": (11, 2048, 4096, 2048, 786_432, (0.02, 0.02, 0.03), (0.99, 0.92, 1500), 0.667, 0.3),
    "pr1334": (11, 2048, 4096, 2048, 786_432, (0.02, 0.02, 0.03), (0.99, 0.92, 1500), 0.667, 0.3),
}
# decay (Muon, tables, scalars), window and stride of the score's windows (0: plain), the last layers with XSA, warm-up steps, reserve
REST: dict[str, tuple[Any, ...]] = {
    "lower_lr": ((0, 0, 0), (1024, 0), 0, 20, 0), "pr42": ((0, 0, 0), (1024, 0), 0, 20, 0), "pr39": ((0, 0, 0), (1024, 0), 0, 20, 0),
    "pr49": ((0, 0, 0), (2048, 0), 0, 20, 0), "pr52": ((0, 0, 0), (4096, 0), 0, 20, 0), "pr50": ((0, 0, 0), (1024, 64), 0, 20, 0),
    "pr77": ((0, 0, 0), (1024, 0), 0, 20, 0), "pr60": ((0.02, 0.01, 0.01), (1024, 64), 0, 20, 0),
    "pr65a": ((0, 0, 0), (1024, 64), 0, 20, 0), "pr65b": ((0.01, 0, 0), (1024, 64), 0, 20, 0), "pr63": ((0, 0, 0), (2048, 64), 0, 20, 0),
    "pr61": ((0, 0, 0), (2048, 256), 0, 20, 0), "pr86": ((0.04, 0.04, 0.04), (1024, 64), 0, 20, 0),
    "pr162": ((0.04, 0.01, 0.01), (2048, 64), 0, 20, 0), "pr180": ((0.04, 0.04, 0.04), (2048, 64), 0, 20, 0),
    "pr265": ((0.04, 0.04, 0.04), (2048, 64), 3, 30, 0), "pr287": ((0.04, 0.04, 0.04), (2048, 64), 4, 20, 0),
    "pr315": ((0.04, 0.04, 0.04), (2048, 64), 4, 20, 0), "pr640": ((0, 0, 0), (1024, 16), 0, 5, 0),
    "pr1060": ((0.04, 0.04, 0.04), (2048, 64), 11, 20, 14), "pr1120": ((0.04, 0.04, 0.04), (2048, 64), 11, 20, 0),
    "pr1204": ((0.04, 0.04, 0.04), (2048, 64), 9, 20, 0), "pr1218": ((0.085, 0.085, 0.02), (2048, 64), 11, 20, 10),
    "pr1285": ((0.09, 0.09, 0.02), (2048, 64), 11, 20, 10), "pr1334": ((0.09, 0.09, 0.02), (2048, 64), 11, 20, 10),
}  # fmt: skip
# slots and numbers that one row or a few have
CHOICES: dict[str, dict[str, Any]] = {
    "pr42": {"embed_quantizer": ""},
    "pr39": {"prune": "code_steps.codes_in_steps", "code_step_layers": (3, 4, 5, 6), "code_step": 4},
    "pr50": {"windows": "sliding.legacy_windows", "product": ""},
    "pr77": {"reports": ("plain", "ttt_lora.ttt_lora"), "lora_targets": ("q", "v", "head"), "lora_rank": 8, "lora_alpha": 8.0, "lora_lr": 0.01,
             "lora_beta1": 0.9, "lora_beta2": 0.95, "lora_wd": 0.0, "lora_chunk_tokens": 256, "lora_batch_docs": 64,
             "lora_windows_from_end": True, "eval_tail": True},
    "pr60": {"embed_init": "overtone.overtone_normal", "mix_start": "overtone.phase_mix", "muon_wd_after": True, "embed_quantizer": ""},
    "pr65a": {"product": "qat.qat_by_percentile", "mlp_bits": 6, "attn_bits": 6, "embed_bits": 8, "coder": "ZlibCoder"},
    "pr65b": {"product": "qat.qat_by_percentile", "embed_pre": ("bigram_v5.BigramV5", "smear_pre.SmearPre"), "smear_pre_start": 3.0,
              "linear_init": "orthogonal.orthogonal", "muon_wd_after": False, "embed_quantizer": "", "coder": "zstd_coder.ZstdCoder"},
    "pr63": {"product": "qat.qat_by_amax", "product_in_validation": True, "embed_quantizer": "", "coder": "zstd_coder.ZstdCoder"},
    "pr61": {"assign_bits": "keep_fp16.chosen_in_fp16", "fp16_layers": (7, 8), "rope_train_len": 1024, "coder": "ZlibCoder"},
    "pr86": {"product": "qat.qat_in_steps", "muon_wd_after": True, "prune": "code_steps.codes_in_steps", "code_step_low": -128,
             "code_step_high": 124, "coder": "zstd_coder.ZstdCoder"},
    "pr162": {"swa_start": 0.5, "swa_every": 50, "bigram_buckets": 4096, "bigram_dim": 128, "fp16_layers": (8,)},
    "pr180": {"swa_start": 0.4, "swa_every": 50, "bigram_buckets": 10_240, "sparsify": "magnitude_prune.without_smallest",
              "windows": "sliding.legacy_ttt_windows", "keep_float_numel": 8192},
    "pr265": {"swa_start": 0.5, "swa_every": 120, "bigram_buckets": 2048, "rope_train_len": 1024, "iterations": 9000, "assign_bits": ""},
    "pr287": {"after_step": ("ema.EMA",), "ema_decay": 0.997, "iterations": 9000},
    "pr315": {"rope_dims": 16, "ln_scale": True, "iterations": 9000},
    "pr640": {"ns_steps": 3, "embed_dim": 254, "weight_group": 128, "softcap": 10.0, "z_loss": 1e-4, "qk_gain": 2.25, "rope_base": 5000.0,
              "yarn_tokens": 2048, "max_wallclock_seconds": 599.0, "tied_embed_init_std": 0.005, "beta2": 0.95},
    "pr1060": {"loader": "coprime_loader.CoprimeShards", "bigram_buckets": 2816, "bigram_dim": 112, "gptq_damp": 0.0201,
               "calibrate": "calibrate.from_training_text", "coder": "lzma_coder.LzmaCoder"},
    "pr1120": {"loader": "coprime_walk.CoprimeWalk", "walk_hold": 64, "code_together": "one_choice.bank_by_bank", "embed_bits": 6,
               "bigram_buckets": 2048, "bigram_dim": 128, "coder": "zstd_coder.ZstdCoder", "after_step": ("ema.EMA",)},
    "pr1204": {"loader": "coprime_loader.CoprimeShards", "loop_from_step": 3000, "recur_layers": (4, 5), "two_lanes_from": 7, "bigram_dim": 160,
               "high_bits_count": 32, "high_bits_layers": (4, 5), "own_text_sequences": 64, "own_text_temperature": 0.8,
               "calibrate": "calibrate.from_own_text", "coder": "brotli_shuffle.BrotliCoder", "ema_decay": 0.997},
    "pr1218": {"loader": "coprime_loader.CoprimeShards", "qk_gain": 4.0, "skip_gates": True, "ve_layers": (9, 10), "embed_pre": (), "embed_post": (),
               "windows": "sliding.full_windows", "coder": "brotli_shuffle.BrotliCoder", "rope_train_len": 2048},
    "pr1285": {"grad": ("row_norm.row_norm",), "loop_from_step": 3000, "skip_row": "recurrence.last_row_again", "qk_gain": 4.0},
    "pr1334": {"route": "lanes_apart.SplitLanes", "apart_from": 7, "skip_row": "recurrence.plain_rows", "qk_gain": 5.0,
               "prune": "one_shot_prune.prune_once", "codes_per_byte": 8, "fit_bytes": 16_000_000},
    "pr641": {"num_layers": 15, "product": "ternary.binary_product", "iterations": 50_000, "max_wallclock_seconds": 0.0},
    "pr1388": {"num_layers": 10, "model_dim": 1024, "embed_dim": 384, "weight_group": 256, "vocab_size": 1024},
    "pr2058": {"num_layers": 12, "adapter_rank": 160, "code_step_layers": (5, 6, 7), "eval_stride": 512},
    "pr73": {"swiglu_hidden": 640, "train_batch_tokens": 131_072, "warmdown_frac": 0.2},
}  # fmt: skip


def row_of(name: str) -> Recipe:
    """The recipe that ships; a submission of its name in this folder has published nothing."""
    return load_recipe(shipped_recipes()[name])


@pytest.mark.parametrize("name", ROWS)
def test_a_row_trains_and_is_scored_as_the_tables_say(name):
    recipe = row_of(name)
    h = recipe.values
    warmdown = h["warmdown_frac"] if "warmdown_by_fraction" in h["lr_at"] else h["warmdown_iters"]
    assert TRAINING[name] == (
        h["num_layers"], int(h["mlp_mult"] * h["model_dim"]), h["vocab_size"], h["train_seq_len"], h["train_batch_tokens"],
        (h["matrix_lr"], h["scalar_lr"], h["tied_embed_lr"]),
        (h["momentum"], h["momentum_warmup_start"], h["momentum_warmup_steps"]), warmdown, h["grad_clip_norm"],
    )  # fmt: skip
    sliding = h["reports"][-1] == "sliding.sliding"
    assert REST[name] == (
        (h["muon_wd"], h["embed_wd"], h["adam_wd"]), (h["eval_seq_len"], h["eval_stride"] if sliding else 0),
        h["xsa_last_n"] if h["attn_out"] == ("xsa.XSA",) else 0, h["warmup_steps"], h["reserve_seconds"],
    )  # fmt: skip
    assert recipe.extends == PARENTS[name]
    assert recipe.track == "10min_16mb"


def test_the_line_is_whole_from_the_baseline_to_the_late_rows():
    for name, parent in JOINTS.items():
        assert row_of(name).extends == parent
    # by `pr1218` a recipe says only what it changes: settings that the late rows had from the baseline stay theirs
    for name in ("pr1394", "pr1413", "pr1493", "pr1855"):
        assert (row_of(name).values["lookups"], row_of(name).values["value"]) == ((), ())
    assert [row_of(name).values["ttt_lr"] for name in ("pr549", "pr1413", "pr1493", "pr1477", "pr1514")] == [
        0.002,
        0.005,
        0.005,
        0.005,
        0.005,
    ]


@pytest.mark.parametrize("name", CHOICES)
def test_what_a_row_alone_chooses(name):
    values = row_of(name).values
    assert {key: values[key] for key in CHOICES[name]} == CHOICES[name]


@pytest.mark.parametrize("name", [*ROWS, *OTHERS])
def test_published_numbers_hang_together(name):
    recipe = row_of(name)
    facts = recipe.published
    assert facts["source"] and recipe.authors and recipe.source
    if "scores" in facts:
        assert len(facts["scores"]) == (4 if name == "pr77" else len(recipe.seeds))  # four runs of one seed
        assert abs(np.mean(facts["scores"]) - facts["val_bpb"]) < 7e-5
    if "total_bytes" in facts:
        assert len(facts["total_bytes"]) == len(recipe.seeds)
        assert max(facts["total_bytes"]) == facts["artifact_bytes"]
    assert set(recipe.ruling) <= set(load_pack().rules)
    assert recipe.track == ("non_record_16mb" if name in OTHERS else "10min_16mb")


def test_published_results_that_no_code_on_record_gives_say_so():
    for name in ("pr86", "pr61"):
        text = " ".join([row_of(name).summary, *(fact["says"] for fact in row_of(name).unsaid)])
        assert "no code on" in text.lower()
    assert any(fact["kind"].startswith("float weights") for fact in row_of("pr1120").unsaid)


# the files' names of the rows
ROUTING = {
    "baseline": "baseline", "fp16embed": "pr42", "warmdownq": "pr61", "pr60": "pr60", "pr86": "pr86", "mixedquant": "pr65a", "pr63": "pr63",
    "rv5": "pr65b", "pr162": "pr162", "pr180": "pr180", "pr265": "pr265", "pr287": "pr287", "pr315": "pr315", "pr640": "pr640",
    "pr1060": "pr1060", "pr1120": "pr1120", "pr1204": "pr1204", "pr1218": "pr1218", "pr1285": "pr1285", "pr1334": "pr1334",
}  # fmt: skip
STORED = {
    ("int8_rows", 8): "int8 percentile",
    ("int8_rows", 6): "int6 percentile, floor 1/31",
    ("amax_rows", 6): "int6 amax",
    ("amax_rows", 5): "int5 amax",
    ("amax_rows_floored", 6): "int6 amax, floor 1/31",
    ("gptq_search", 6): "int6 GPTQ percentile search",
    ("gptq_lite_matrix", 6): "int6 percentile search, one choice per stored tensor",
    ("ternary_codes", 8): "ternary",
    ("table_rows_or_search", 8): "int8 percentile",
    ("table_rows_or_search", 5): "int5 percentile search (not in the Hessians)",
}


def recorded(quantizer, seen):
    """In place of a quantizer: notes its name and bits, and gives codes that are those of zeros."""

    def record(h, w, hessian, bits, role):
        groups = w.reshape(-1, h.weight_group) if quantizer.__name__ == "ternary_codes" else w
        seen.append((quantizer.__name__, bits, tuple(w.shape)))
        return torch.zeros(w.shape, dtype=torch.int8), torch.full((len(groups),), len(seen), dtype=torch.float16)

    return record


def stored_as(recipe: Recipe) -> dict[str, str]:
    """How the export stores every tensor of a recipe's full-size model, by our names."""
    h, seen = SimpleNamespace(**vars_of(recipe)), []
    for slot in ("embed_quantizer", "attn_quantizer", "mlp_quantizer", "table_quantizer"):
        if getattr(h, slot):
            setattr(h, slot, recorded(getattr(h, slot), seen))
    stepped = bool(h.prune) and h.prune.__name__ == "codes_in_steps"
    h.prune, h.corrections = "", ()
    with torch.device("meta"):
        model = GPT(h)
    tagged = collect(model)
    weights = {entry.name: torch.zeros(()).expand(entry.param.shape) for entry in tagged}
    hessians = {f"{name}.weight": torch.eye(1) for name, m in model.named_modules() if isinstance(m, CastedLinear)}
    tensors = quantize(h, tagged, weights, hessians)
    found = {}
    for name, tensor in tensors.items():
        base, _, kind = name.partition(":")
        if kind == "q":
            function, bits, _ = seen[int(tensors[f"{base}:s"].reshape(-1)[0]) - 1]
            found[base] = f"{function}/{bits}" if (function, bits) not in STORED else STORED[function, bits]
            if stepped and re.match(rf"blocks\.({'|'.join(map(str, h.code_step_layers))})\.", base):
                found[base] = f"int8 codes rounded to multiples of {h.code_step}"
        elif not kind:
            found[base] = {torch.float32: "fp32", torch.float16: "fp16", torch.uint8: "fp8"}[tensor.dtype]
    return found


def vars_of(recipe: Recipe) -> dict[str, Any]:
    h = namespace(recipe)
    return {name: getattr(h, name) for name in recipe.values}


@pytest.mark.parametrize("row", ROUTING)
def test_every_tensor_is_stored_as_in_the_public_export(shared, row):
    told = json.loads((shared / "golden/export_routing_early.json").read_text())[row]
    file = {"rv5": "rv5", "pr640": "pr640_ternary"}.get(row, row)
    ours, checked = stored_as(row_of(ROUTING[row])), set()
    for line in told:
        layers = line["layers"] if line["layers"] is not None else [None]
        for layer in layers:
            name = line["tensor"] if layer is None else line["tensor"].replace("*", str(layer), 1)
            for own in our_names(file, name, line["shape"]):
                found = ours[own]
                if row == "pr1204" and found in ("int6 GPTQ percentile search", "gptq_search/5"):
                    found = "int6 or int5 GPTQ percentile search (mixed)"
                want = line["stored"]
                if row == "rv5" and want == "int8 percentile":  # its vectors and 15.9 MB of 22.4 M weights say six bits
                    want = "int6 percentile, floor 1/31"
                assert found == want, own
                checked.add(own)
    assert checked == ours.keys() - (
        {f"blocks.0.attn.{m}.weight" for m in ("c_q", "c_k", "c_v", "proj")} if row == "pr1204" else set()
    )


def our_names(file: str, name: str, shape: list[int]) -> list[str]:
    """Our names of a public tensor; a bank stands for every layer's matrices."""
    if name in BANKS:
        roles = BANKS[name]
        return [f"blocks.{layer}.{role}.weight" for role in roles for layer in range(shape[0] // len(roles))]
    for pattern, ours in OURS.get(file, ()):
        if re.fullmatch(pattern, name):
            return [re.sub(pattern, ours, name)]
    return list(from_public({name: torch.zeros(0)}, (9, 10)))


def test_the_mixed_row_has_32_matrices_of_six_bits_with_the_recurrent_layers_first():
    """#1204's log: 32 int6, 35 int5; here layer 0's four unused matrices are int5 too, and zero."""
    h = namespace(row_of("pr1204"))
    with torch.device("meta"):
        model = GPT(h)
    hessians = {
        f"{name}.weight": torch.eye(1) * (not name.startswith("blocks.0.attn"))
        for name, m in model.named_modules()
        if isinstance(m, CastedLinear)
    }
    hessians["blocks.4.attn.c_q.weight"] = torch.full((1, 1), 0.1)  # below all others, and still among the first
    bits = h.assign_bits(h, collect(model), hessians)
    first = [name for name in bits if name.startswith(("blocks.4.", "blocks.5.", "route.repeat."))]
    assert len(first) == 16
    assert {bits[name] for name in first} == {6}
    small = {"lookups.ValueTable.proj.weight"}  # fp16 by its size
    coded = {name: b for name, b in bits.items() if not name.startswith("blocks.0.attn") and name not in small}
    assert sorted(coded.values()) == 35 * [5] + 32 * [6]
    assert all(bits[f"blocks.0.attn.{m}.weight"] == 5 for m in ("c_q", "c_k", "c_v", "proj"))


def test_sensitivity_is_the_sum_of_the_diagonal():
    """A wider matrix with the same mean counts for more (#1204, #1285)."""
    tagged = [
        SimpleNamespace(name=name, param=torch.zeros(2, width), tag=SimpleNamespace(role="mlp"))
        for name, width in (("narrow", 2), ("wide", 8))
    ]
    hessians = {"narrow": 2 * torch.eye(2), "wide": torch.eye(8)}
    assert [(name, trace) for name, _, trace in by_sensitivity(tagged, hessians)] == [("wide", 8.0), ("narrow", 4.0)]
