"""Composition is partial evaluation: fold what the recipe decides, shake off what nothing reaches, print the rest.

The composer writes no code of its own. Importing this package is light; composing imports libcst.
"""

from golf.compose.rescale import rescale, scalars
from golf.recipe import Recipe

__all__ = ["compose", "rescale", "scalars"]


def compose(recipe: Recipe) -> str:
    """The text of `train_gpt.py` for a recipe: one readable file that needs nothing of golf. Deterministic.

    Raises GolfError for what folding refuses, a false assertion of a part, and a key of the recipe that nothing reads.
    `golf.compose.composition.composition(recipe)` also says what the file is made of.
    """
    from golf.compose.composition import composition

    return composition(recipe).text
