"""`golf size` beside the published bytes of the early and middle rows: the mean over their seeds, without the code."""

from pathlib import Path

import pytest
import torch

from golf.artifact.estimate import FLOAT_SHARES, SCALE_SHARE
from golf.artifact.predict import predict, published_model_bytes, tensors_of
from golf.parts.artifact import ZlibCoder
from golf.parts.techniques.brotli_shuffle import BrotliCoder
from golf.parts.techniques.lzma_coder import LzmaCoder
from golf.parts.techniques.zstd_coder import ZstdCoder
from golf.recipe import changed, load_recipe, shipped_recipes

CODERS = {coder.__name__: coder for coder in (ZlibCoder, ZstdCoder, LzmaCoder, BrotliCoder)}

# |predicted / published − 1| at most
CLOSE = {
    "lower_lr": 0.005, "pr39": 0.005, "pr42": 0.0055, "pr49": 0.005, "pr52": 0.005, "pr50": 0.005, "pr77": 0.005, "pr65a": 0.005, "pr63": 0.0051,
    "pr162": 0.005, "pr180": 0.0055, "pr61": 0.005, "pr65b": 0.005,
}  # fmt: skip
# scales have a floor, or are a group's: bytes hang on how far Muon spreads the weights, for which there is one constant
FLOORED = {
    "pr287": 0.005, "pr315": 0.005, "pr1060": 0.005, "pr1120": 0.005, "pr1285": 0.005, "pr1334": 0.005, "pr1204": 0.01, "pr640": 0.005, "pr641": 0.01,
    "pr60": 0.005, "pr86": 0.01,
    # one seed, where those of #287 differ by 1.4 %; weights spread 5 % less than with #1285's row_norm, which the walk does not know
    "pr265": 0.011, "pr1218": 0.018,
}  # fmt: skip
ROWS_FAR = (
    "pr61", "pr63", "pr65b", "pr86", "pr162", "pr180", "pr265", "pr640", "pr641", "pr1204", "pr1218", "pr2058",
)  # fmt: skip
# not on record one by one: about; #641's as #640's, by the same author
CODE_BYTES = {"pr77": 50_000, "pr86": 58_000, "pr641": 70_853}
# what is not on record of a run, as its bytes say it was
AS_IT_RAN = {"pr61": {"momentum": 0.99, "momentum_warmup_start": 0.92, "momentum_warmup_steps": 1500}}
# bytes of fp16 weights as the public scripts have zstd code them, with both bytes of a number side by side (measured: golf keeps them apart)
SIDE_BY_SIDE = {"zstd_coder.ZstdCoder": (0.924, 0.769)}


@pytest.mark.parametrize("name", [*CLOSE, *FLOORED])
def test_predicted_bytes_beside_the_published_ones(name):
    recipe = changed(load_recipe(shipped_recipes()[name]), AS_IT_RAN.get(name, {}))
    facts = recipe.published
    totals = facts.get("total_bytes", [facts["artifact_bytes"]])
    model_bytes = sum(totals) / len(totals) - facts.get("code_bytes", CODE_BYTES.get(name))
    found = predict(recipe)
    assert found.estimate_bytes is not None
    off = (found.estimate_bytes + kept_apart_bytes(recipe)) / model_bytes - 1
    assert abs(off) < {**CLOSE, **FLOORED}[name]
    if name in FLOORED:
        assert abs(off) < found.within  # what `golf size` says of itself


# the same of a group's fp16 scales under LZMA (rows and columns 20 and 40 % apart: 0.68 and 0.72; golf's planes 0.61 and 0.62)
SCALES_SIDE_BY_SIDE = 0.70


def kept_apart_bytes(recipe):
    """What golf's coder saves beside the public scripts' on what is stored in fp16."""
    coder = recipe.values["coder"]
    if coder.startswith("trits."):
        return sum(
            2 * (SCALES_SIDE_BY_SIDE - SCALE_SHARE) * t.numel / t.group for t in tensors_of(recipe)[0] if t.group
        )
    if coder not in SIDE_BY_SIDE:
        return 0
    ours, theirs = FLOAT_SHARES[coder.rpartition(".")[2]], SIDE_BY_SIDE[coder]
    kept = [t for t in tensors_of(recipe)[0] if not t.bits and t.numel > 65_536]
    return sum(2 * t.numel * (theirs[t.bf16] - ours[t.bf16]) for t in kept)


@pytest.mark.parametrize("coder", FLOAT_SHARES)
def test_fp16_weights_weigh_what_was_measured(coder):
    """A bf16 master leaves three bits of its fp16 zero."""
    rng = torch.Generator().manual_seed(0)
    weights = 0.1 * torch.exp(0.3 * torch.randn(512, 1, generator=rng)) * torch.randn(512, 512, generator=rng)
    for bf16, stored in enumerate((weights.half(), weights.bfloat16().half())):
        share = len(CODERS[coder].encode([stored])) / (2 * stored.numel())
        assert share == pytest.approx(FLOAT_SHARES[coder][bf16], abs=0.006)


def test_what_a_recipe_does_to_single_matrices_is_predicted_matrix_by_matrix():
    tensors = {
        name: {t.name: t for t in tensors_of(load_recipe(shipped_recipes()[name]))[0]}
        for name in ("pr39", "pr61", "pr1204", "pr641")
    }
    assert [tensors["pr39"][f"blocks.{layer}.mlp.fc.weight"].code_step for layer in (2, 3, 6, 7)] == [1, 4, 4, 1]
    assert [tensors["pr61"][f"blocks.{layer}.attn.c_k.weight"].bits for layer in (6, 7, 8)] == [6, 0, 0]
    bits = [t.bits for t in tensors["pr1204"].values() if t.role in ("attn", "mlp")]
    assert bits.count(6) - bits.count(5) == 32 + 4 - (len(bits) - 36)  # and the first layer's four, which are zero
    assert tensors["pr641"]["blocks.14.mlp.fc.weight"].group == 128


def test_size_says_how_far_it_is_from_the_published_model_and_why(golf):
    code, out, _ = golf("size pr65b")
    said = " ".join(out[out.index("model, published:") :].split())
    size, seeds = published_model_bytes(load_recipe(shipped_recipes()["pr65b"]))
    assert code == 0 and (size, seeds) == (15_878_809 - 61_629, 1)
    assert said.startswith(f"model, published: {size:,.0f} bytes (one seed); predicted is -1.3")
    assert "side by side" in said
    assert published_model_bytes(load_recipe(shipped_recipes()["pr1218"])) == (pytest.approx(15_847_947, abs=20), 3)
    assert published_model_bytes(load_recipe(shipped_recipes()["pr86"])) is None  # no code on record
    far = {
        name: recipe
        for name in ROWS_FAR
        if (recipe := load_recipe(shipped_recipes()[name])).published.get("bytes_note")
    }
    assert set(far) == set(ROWS_FAR)  # whatever is further off than half a percent says why
    page = (Path(__file__).parents[2] / "docs/early-rows.md").read_text()
    for line in (line for line in page.splitlines() if line.startswith("| `")):
        name, *_, off, _, why = (cell.strip(" `") for cell in line.strip("|").split("|"))
        assert why or abs(float(off.removesuffix("%"))) <= 0.51, name
