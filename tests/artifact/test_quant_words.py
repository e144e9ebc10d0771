"""Short words for export choices mean knobs that load, and anything else stays as it is written."""

import pytest

from golf.artifact.words import CODERS, QUANTIZERS, in_full
from golf.errors import GolfError
from golf.recipe import load_recipe
from golf.recipe.namespace import namespace


@pytest.mark.parametrize("name", CODERS)
def test_every_coder_is_chosen_by_its_own_name(name: str) -> None:
    assert namespace(load_recipe("baseline", in_full([f"coder={name}"]))).coder.name == name


@pytest.mark.parametrize("name", QUANTIZERS)
def test_every_quantizer_is_chosen_for_all_matrices(name: str) -> None:
    h = namespace(load_recipe("baseline", in_full([f"quantizer={name}", "bits=5", "calibrate=from_training_text"])))
    assert h.embed_quantizer is h.attn_quantizer is h.mlp_quantizer
    assert (h.attn_bits, h.mlp_bits, h.embed_bits) == (5, 5, 8)


def test_other_words_stay() -> None:
    words = ["num_layers=3", "coder=RansCoder", "coder=rans.RansCoder", "embed_bits=7"]
    assert in_full(words) == words


@pytest.mark.parametrize(("word", "hint"), [("coder=lzmaa", "lzma"), ("bits=9", "bits=6"), ("quantizer=gtpq", "gptq")])
def test_what_is_no_short_word_is_refused_with_the_nearest(word: str, hint: str) -> None:
    with pytest.raises(GolfError) as fault:
        in_full([word])
    assert hint in str(fault.value.hint)
