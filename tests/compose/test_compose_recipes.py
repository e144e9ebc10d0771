"""Every shipped recipe: composes, twins, packs below what its ancestors weighed, and holds only what the rules allow."""

import io
import re
import subprocess
import tokenize
from functools import partial

import pytest
from worlds import TELLING, slow_but

from golf.compose import compose, rescale, scalars
from golf.compose.composition import composition
from golf.compose.emit import RUFF, STYLE, speaking_of
from golf.compose.pack import minify, pack
from golf.reading.unpack import unpack
from golf.recipe import load_recipe, shipped_recipes, smoke_recipe, smoke_sizes
from golf.recipe.techniques import techniques

RECIPES = sorted(shipped_recipes())
WORD = re.compile(r"[A-Za-z_]\w*")


@pytest.mark.parametrize("name", slow_but(TELLING, RECIPES))
def test_a_recipe_composes_to_clean_text_and_keeps_every_bound_as_its_twin_does(name):
    made = composition(load_recipe(name))
    text = made.text
    assert made.twin_faults == ()
    done = subprocess.run(
        [*RUFF, "check", *STYLE, "--no-cache", "--select", "F,E4,E7,E9,I", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "golf.parts" not in text and "self.h." not in text and "Knobs" not in text
    assert not named_but_not_there(text)


def named_but_not_there(text: str) -> set[str]:
    """What comments and docstrings name in backticks or in CAPITALS_LIKE_THESE, and the code does not have."""
    names, said = set[str](), list[str]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.string.startswith('"""')):
            said += re.findall(r"`([^`\n]+)`", token.string) + re.findall(r"\b[A-Z0-9]+_[A-Z0-9_]+\b", token.string)
        elif token.type in (tokenize.NAME, tokenize.STRING):
            names.update(re.findall(r"\w+", token.string))
    words = {word for spoken in said if not spoken.startswith(("golf ", "python ")) for word in WORD.findall(spoken)}
    return words - names - {*RECIPES}  # a summary may speak of its parent


def test_a_comment_speaks_of_nothing_that_is_not_in_the_file():
    values = {"windows_from_end": True, "whole_from": 0.0, "width": 7}
    told = partial(speaking_of, frozenset({"gate", "width"}), values=values)
    assert told("Reads `width` channels; scaled by `gate`. Published: −1.") == (
        "Reads `width` channels; scaled by `gate`. Published: −1."
    )
    assert told("One. Two as in `other_part`. Three.") == "One. Three."
    assert told("One; two as in `other_part`. Three.") == "One. Three."
    assert told("As in `other_part`; two. Three.") == "Two. Three."
    assert told("It ends. With `windows_from_end` the last reaches back. With `whole_from` one runs first.") == (
        "It ends. The last reaches back."
    )
    assert told("With `width` it reads. It goes into the slot `gate`.") == "With `width` it reads."
    assert told("Run `golf compose`, `python train_gpt.py`.") == "Run `golf compose`, `python train_gpt.py`."


def test_a_technique_that_is_not_in_play_is_not_described():
    """LZMA tuned for one-byte codes was described above the one helper of it that bit packing uses."""
    text = compose(load_recipe("pr1573"))
    assert "def unlzma" in text and "LZMA2 without a header" not in text and "Bit packing, then LZMA" in text
    assert "LZMA2 without a header" in compose(load_recipe("pr549"))


@pytest.mark.parametrize("name", ["baseline", "cayley_512", "pr1529", "pr1573", "pr1809", "pr1945", "pr2130", "pr740"])
def test_the_smoke_values_settle_no_branch_otherwise(name):
    """The twin is the file with other values in `class h`: composing the small recipe gives the same text, as composing once more does."""
    recipe = load_recipe(name)
    text = compose(recipe)
    assert rescale(text, smoke_sizes(recipe)) == compose(smoke_recipe(recipe))
    assert text == compose(load_recipe(name))


def test_the_telling_recipes_use_every_technique_that_a_recipe_uses():
    def used(names):
        loaded = map(load_recipe, names)
        return {
            technique.name
            for recipe in loaded
            for technique in techniques(recipe.catalogue).values()
            if technique.used_in(recipe)
        }

    assert used(TELLING) == used(RECIPES)


def test_every_scalar_of_the_file_is_read_in_it():
    text = compose(load_recipe("pr1809"))
    for name in scalars(text):
        assert f"h.{name}" in text.partition("class h:")[2], name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["baseline", "pr1809"])
def test_a_packed_recipe_unpacks_to_itself_and_is_small(name):
    text = compose(load_recipe(name))
    packed = pack(text)
    assert unpack(packed) == minify(text) and len(packed) < 16_594  # what PR #1493 shipped
    compile(unpack(packed), "train_gpt.py", "exec")
