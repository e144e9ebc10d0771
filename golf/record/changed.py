"""What a record changed against what it was built on, and why: the author's words where there are any, and the settings that differ."""

from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.files import read_text
from golf.recipe import Recipe, load_recipe
from golf.recipe.log_names import as_text, live_values
from golf.recipe.techniques import techniques
from golf.record.method import reasons

NOTES = "NOTES.md"  # of the submission: the author's words, carried over into each record that is written
MOST_BYTES = 200_000
MOST_ROWS = 40


def section(submission: Path, recipe: Recipe) -> str:
    """The text of "What changed and why"."""
    words = (read_text(submission / NOTES, MOST_BYTES) or "").strip()
    parts = [words] if words else []
    if (parent := parent_of(recipe)) is not None:
        parts += _differences(recipe, parent)
    if not words:
        parts.append(
            f"Why is not written yet: a `{NOTES}` beside the recipe (`submissions/{submission.name}/{NOTES}`) stands here in each record, word by word."
        )
    return "\n\n".join(parts)


def parent_of(recipe: Recipe) -> Recipe | None:
    """The recipe that this one extends; None without one, or where it is gone."""
    if len(recipe.chain) < 2:
        return None
    try:
        return load_recipe(recipe.chain[1])
    except (GolfError, OSError):
        return None


def _differences(recipe: Recipe, parent: Recipe) -> list[str]:
    """The techniques put in and taken out, and a table of the settings whose value differs."""
    here, there = (
        {name: one for name, one in techniques(side.catalogue).items() if one.used_in(side)}
        for side in (recipe, parent)
    )
    lines = [f"Built on `{parent.name}`" + (f" ({parent.title})" if parent.title else "") + "."]
    for what, names, of in (
        ("Put in", here.keys() - there.keys(), here),
        ("Taken out", there.keys() - here.keys(), there),
    ):
        if names:
            lines.append(
                f"{what}:\n\n"
                + "\n".join(f"- `{name}`: {of[name].summary}{_credit(of[name])}" for name in sorted(names))
            )
    mine, theirs = live_values(recipe), live_values(parent)
    why = reasons(recipe.path)
    rows = [
        f"| `{name}` | {_cell(theirs.get(name))} | {_cell(value)} | {recipe.catalogue.knobs[name].meaning if name in recipe.catalogue.knobs else ''} | {why.get(name, '').replace('|', '/')} |"
        for name, value in mine.items()
        if name not in ("name", "seed") and theirs.get(name) != value
    ]
    if rows:
        more = [f"| … | | | and {len(rows) - MOST_ROWS} more | |"] if len(rows) > MOST_ROWS else []
        lines.append(
            "\n".join(
                ["| setting | before | here | what it is | why |", "|---|---|---|---|---|", *rows[:MOST_ROWS], *more]
            )
        )
    elif not (here.keys() ^ there.keys()):
        lines.append("Nothing else differs from it.")
    return lines


def _credit(technique: Any) -> str:
    who = " ".join(filter(None, (f"#{technique.pr}" if technique.pr else "", ", ".join(technique.authors))))
    return f" ({who})" if who else ""


def _cell(value: Any) -> str:
    return "" if value is None else f"`{as_text(value)}`" if as_text(value) else "none"
