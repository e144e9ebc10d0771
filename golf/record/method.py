"""How a record tells its method: its title and summary, what every technique in play does, and whose work it is."""

import re
from pathlib import Path

from golf.files import read_text
from golf.recipe import Recipe
from golf.recipe.credits import by_person, lines
from golf.recipe.techniques import techniques

MOST_BYTES = 1_000_000


def method(recipe: Recipe) -> list[str]:
    """The paragraphs of a recipe's method; what it changed against its parent stands in golf.record.changed."""
    told = [recipe.title or recipe.name]
    if recipe.summary:
        told.append(recipe.summary)
    line = recipe.lineage[1:]
    told.append(
        f"Recipe `{recipe.name}`" + (f", which extends {' < '.join(f'`{name}`' for name in line)}." if line else ".")
    )
    used = [t for t in techniques(recipe.catalogue).values() if t.used_in(recipe)]
    if used:
        told.append("\n".join(f"- `{technique.name}`: {technique.summary}" for technique in used))
    if recipe.ruling:
        told.append(f"**The recipe breaks {', '.join(recipe.ruling)}** (`golf explain {recipe.ruling[0]}`)"
                    + (f"; `{recipe.legal_variant}` is the legal variant." if recipe.legal_variant else "."))  # fmt: skip
    return told


def credits_of(recipe: Recipe) -> list[str]:
    """A line a person: who made what this stands on."""
    return lines(by_person(recipe.authors, recipe.credits, recipe.chain))


def reasons(path: Path) -> dict[str, str]:
    """Key → the comment beside it in a recipe's file: why its author chose the value."""
    text = read_text(path, MOST_BYTES) or ""
    found = re.findall(r"^(\w+)\s*=[^#\n\"']*(?:\"[^\"\n]*\"[^#\n\"]*)*#\s*(.+)$", text, re.MULTILINE)
    return {key: comment.strip() for key, comment in found}
