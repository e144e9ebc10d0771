"""How a record tells its method: the author's words, what the techniques do, what changed against the parent and why."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.recipe import Recipe, diff, load_recipe
from golf.recipe.credits import by_person, lines
from golf.recipe.knobs import toml
from golf.recipe.techniques import techniques

WORDS = "### In the author's words"


def method(recipe: Recipe, words: str = "") -> list[str]:
    """The paragraphs of a recipe's method. words: what the author wrote into an earlier record (see `words_of`)."""
    told = [recipe.title or recipe.name]
    if recipe.summary:
        told.append(recipe.summary)
    if words:
        told.append(f"{WORDS}\n\n{words}")
    used = [t for t in techniques(recipe.catalogue).values() if t.used_in(recipe)]
    if used:
        told.append(
            "### Techniques\n\n" + "\n".join(f"- `{technique.name}`: {technique.summary}" for technique in used)
        )
    told += ["### Changes", *changes(recipe)]
    if recipe.ruling:
        told.append(f"**The recipe breaks {', '.join(recipe.ruling)}** (`golf explain {recipe.ruling[0]}`)"
                    + (f"; `{recipe.legal_variant}` is the legal variant." if recipe.legal_variant else "."))  # fmt: skip
    return told


def changes(recipe: Recipe) -> Iterator[str]:
    """What a recipe extends, and a table of what it changes: before, now, what that is, and why, where its file says so."""
    line = recipe.lineage[1:]
    yield f"Recipe `{recipe.name}`" + (f", which extends {' < '.join(f'`{name}`' for name in line)}." if line else ".")
    parent = parent_of(recipe)
    if parent is None:
        return
    found = {knob: pair for knob, pair in diff(parent, recipe).items() if knob in recipe.own}
    if not found:
        yield f"It changes nothing of `{parent.name}`."
        return
    why, knobs = reasons(recipe.path), recipe.catalogue.knobs
    rows = ["| knob | before | now | what it is | why |", "|---|---|---|---|---|"]
    for knob, (before, now) in found.items():
        was = "" if before is None else f"`{_shown(before)}`"
        cells = (f"`{knob}`", was, f"`{_shown(now)}`", knobs[knob].meaning, why.get(knob, ""))
        rows.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    yield "\n".join(rows)


def _shown(value: Any) -> str:
    return toml(list(value) if isinstance(value, tuple) else value)


def parent_of(recipe: Recipe) -> Recipe | None:
    """The recipe that a recipe's file extends; None where it extends none, or that one cannot be read."""
    try:
        parent = tomllib.loads(recipe.path.read_text(encoding="utf-8")).get("extends")
        return load_recipe(parent) if isinstance(parent, str) else None
    except (OSError, tomllib.TOMLDecodeError, GolfError):
        return None


def reasons(path: Path) -> dict[str, str]:
    """Key → the comment beside it in a recipe's file: why its author chose the value."""
    found = re.findall(
        r"^(\w+)\s*=[^#\n\"']*(?:\"[^\"\n]*\"[^#\n\"]*)*#\s*(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {key: comment.strip() for key, comment in found}


def credits_of(recipe: Recipe) -> list[str]:
    """A line a person: who made what this stands on."""
    return lines(by_person(recipe.authors, recipe.credits, recipe.chain))


def words_of(records: Sequence[Path]) -> str:
    """What an author wrote under "In the author's words" into the newest of a submission's records; "" without any."""
    for folder in sorted(records, key=lambda folder: folder.name, reverse=True):
        try:
            text = (folder / "README.md").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        found = re.search(rf"^{re.escape(WORDS)}$(.*?)(?=^#{{1,3}} |\Z)", text, re.MULTILINE | re.DOTALL)
        if found and found[1].strip():
            return found[1].strip()
    return ""
