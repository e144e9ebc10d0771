"""No artifact is larger than what the script behind its recipe makes of the same codes, scales and small tensors."""

from collections.abc import Mapping

import pytest
import torch
from as_published import packed, published_bytes
from sizes import artifact_bytes, simulated_tensors

from golf.parts.techniques.bitpack import PACKED_FILTERS, BitpackCoder
from golf.parts.techniques.lzma_coder import LZMA_FILTERS
from golf.recipe import Recipe, changed, load_recipe

# one recipe for every way to store; its own quantizers, bits and coder at a quarter of the width
SMALL = {"num_layers": 5, "model_dim": 128, "num_heads": 2, "num_kv_heads": 1, "vocab_size": 512, "keep_float_numel": 4096,
         "bigram_buckets": 256, "bigram_740_buckets": 256, "ve_layers": (3, 4)}  # fmt: skip
NAMES = ["baseline", "pr740", "pr414", "pr549", "pr1019", "pr1573", "pr1394"]


def small(name: str) -> Recipe:
    recipe = load_recipe(name)
    # no later layer than there is
    last = {
        name: min(recipe.values[name], SMALL["num_layers"] - 1) for name in ("xsa_last_n", "loop_first", "loop_last")
    }
    return changed(recipe, SMALL | last)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_artifact_is_larger_than_the_public_script_makes_it(name: str) -> None:
    recipe = small(name)
    tensors, bits = simulated_tensors(recipe)
    assert artifact_bytes(recipe, tensors) <= published_bytes(name, tensors, bits)


def test_codes_are_packed_as_the_public_script_packs_them() -> None:
    """Eight int5 codes in five bytes: #1573 adds 16 and shifts every code by five bits more than the one before."""
    codes = torch.tensor([-15, 15, 0, 7, -8, 3, -1, 14], dtype=torch.int8)
    word = sum((int(code) + 16) << 5 * i for i, code in enumerate(codes))
    assert bytes(packed(codes, 5).tolist()) == word.to_bytes(5, "little")


def test_packed_bits_keep_the_contexts_that_one_byte_codes_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same packed bits behind the filters of one-byte codes are 5 % larger: each coder has its own."""
    codes = [torch.randn(512, 512, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    tensors = [torch.round(w * 3).clamp(-15, 15).to(torch.int8) for w in codes]
    sizes: Mapping[str, int] = {}
    for label, filters in (("general", PACKED_FILTERS), ("one byte", LZMA_FILTERS)):
        monkeypatch.setattr("golf.parts.techniques.bitpack.PACKED_FILTERS", filters)
        sizes = {**sizes, label: len(BitpackCoder.encode(tensors))}
    assert sizes["general"] < 0.97 * sizes["one byte"]
