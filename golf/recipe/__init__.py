"""A recipe: a TOML file becomes every choice of a submission. `load_recipe` is the door; the modules are what it stands on."""

from golf.recipe.files import find_recipe, shipped_recipes
from golf.recipe.load import load_recipe
from golf.recipe.recipe import Recipe, changed, diff, refuse_values, smoke_recipe, smoke_sizes

__all__ = [
    "Recipe",
    "changed",
    "diff",
    "find_recipe",
    "load_recipe",
    "refuse_values",
    "shipped_recipes",
    "smoke_recipe",
    "smoke_sizes",
]
