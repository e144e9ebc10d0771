"""Every shipped recipe: composes, twins, packs below what its ancestors weighed, and holds only what the rules allow."""

import subprocess

import pytest
from worlds import TELLING, slow_but

from golf.compose import compose, rescale, scalars
from golf.compose.composition import composition
from golf.compose.emit import RUFF, STYLE
from golf.compose.pack import minify, pack
from golf.reading.unpack import unpack
from golf.recipe import load_recipe, shipped_recipes, smoke_recipe, smoke_sizes
from golf.recipe.techniques import techniques

RECIPES = sorted(shipped_recipes())


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
