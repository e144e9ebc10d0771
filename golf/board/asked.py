"""Which recipe a person means: a recipe's name, a PR's number or address, a record folder's name, or words of a row's title."""

import re
import tomllib
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import cache

from golf.board.rows import Row, official, recipe_of_row
from golf.errors import GolfError
from golf.recipe.files import find_recipe, shipped_recipes

PULL = re.compile(r"(?:https?://)?(?:www\.)?github\.com/[^/]+/[^/]+/pull/(\d+)(?:[/?#].*)?")
NUMBER = re.compile(r"(?:pr|pull|pull request)?\s*[-#]?\s*(\d+)(_\w+|[a-z])?", re.IGNORECASE)
SHOWN = 6  # rows that a hint lists at most


def asked_recipe(text: str) -> str:
    """The name of the recipe that `text` means, or `text` itself where it is a recipe's name or path already.

    `1855`, `#1855`, `PR1855`, a pull request's address, a record folder's name or address, words of a title ("ternary"). GolfError where
    nothing or several are meant: with the nearest rows, and whether a PR is known that has no recipe.
    """
    wanted = text.strip()
    try:
        find_recipe(wanted)
        return wanted
    except GolfError as fault:
        unknown = fault
    if pull := PULL.fullmatch(wanted):
        return _of_pull(int(pull[1]), "")
    if number := NUMBER.fullmatch(wanted):
        return _of_pull(int(number[1]), (number[2] or "").lower())
    if folder := _of_folder(wanted):
        return folder
    if "/" in wanted or wanted.endswith(".toml"):
        raise unknown
    return _of_words(wanted, unknown)


def _of_pull(number: int, suffix: str) -> str:
    """The recipe of a pull request; suffix: of a variant, as in `1855_legal`."""
    shipped = shipped_recipes()
    if f"pr{number}{suffix}" in shipped:
        return f"pr{number}{suffix}"
    rows = [row for row in official() if row.pr == number]
    named = {name: row for row in rows if (name := recipe_of_row(row))}
    names = list(named)
    if len(names) > 1:
        told = ", ".join(f"`{name}` ({row.run}, {row.score})" for name, row in named.items())
        raise GolfError(f"PR #{number} has {len(names)} rows", f"say which: {told}")
    if names and not suffix:
        return names[0]
    if suffix and (names or f"pr{number}" in shipped):
        variants = [name for name in shipped if name.startswith(f"pr{number}")]
        raise GolfError(
            f"PR #{number} has no recipe `pr{number}{suffix}`", f"there is {', '.join(f'`{v}`' for v in variants)}"
        )
    raise GolfError(_known(number, rows), _nearest_to(rows, number))


def _known(number: int, rows: list[Row]) -> str:
    """Whether the board or the list of all pull requests has this one."""
    if rows:
        row = rows[0]
        if row.status == "base":
            return f"PR #{number} is on the board as the base of other rows, and golf has no recipe of it"
        return f"PR #{number} is on the board ({row.run}{f', {row.score}' if row.score else ''}) and golf has no recipe of it"
    from golf.board.field import attempts

    found = next((attempt for attempt in attempts() if attempt.pr == number), None)
    if found is None:
        return f"no PR #{number} of the challenge is known"
    claim = "" if found.claim is None else f", claims {found.claim:.4f}"
    return f"PR #{number} is known ({found.title}{claim}) but has no row of the board and no recipe"


def _nearest_to(rows: list[Row], number: int) -> str:
    """Rows with a recipe that are nearest: bases first, then by shared techniques and by score, or by number."""
    with_recipe = [row for row in official() if recipe_of_row(row)]
    if rows:
        row, keys, bases = rows[0], {row.key: row for row in official()}, []
        while row.base in keys:
            row = keys[row.base]
            bases.append(row)
        row = rows[0]
        others = sorted(
            (other for other in with_recipe if other.key != row.key),
            key=lambda other: (
                -len(set(other.techniques) & set(row.techniques)),
                abs((other.bpb or 9) - (row.bpb or 1)),
            ),
        )
        near = list(dict.fromkeys(name for one in (*bases, *others) if (name := recipe_of_row(one))))
    else:
        ordered = sorted(with_recipe, key=lambda row: abs((row.pr or 0) - number))
        near = list(dict.fromkeys(name for row in ordered if (name := recipe_of_row(row))))
    return f"nearest: {_told(near[:3])}"


def _of_folder(text: str) -> str | None:
    """The recipe of a record folder, by its name, its path or its address."""
    name = text.split("?", maxsplit=1)[0].rstrip("/").rpartition("/")[2].lower()
    for row in official():
        if row.folder and row.folder.rpartition("/")[2].lower() == name:
            if recipe := recipe_of_row(row):
                return recipe
            raise GolfError(f"{text} is on the board and golf has no recipe of it", _nearest_to([row], row.pr or 0))
    return None


def _of_words(text: str, unknown: GolfError) -> str:
    """The recipe whose title or row has all the words; of several, one whose row adds a technique of that name."""
    words = re.findall(r"[a-z0-9.]+", text.lower())
    texts = _texts()
    names = [name for name, told in texts.items() if words and all(word in told for word in words)]
    if not names:
        near = sorted(
            texts,
            key=lambda name: (
                -max((SequenceMatcher(None, text.lower(), word).ratio() for word in texts[name].split()), default=0.0)
            ),
        )
        raise GolfError(unknown.message, f"nearest: {_told(near[:3])}; `golf ls recipes` lists them")
    if len(names) == 1:
        return names[0]
    wanted = "_".join(words)
    adds = [name for row in official() if wanted in row.adds and (name := recipe_of_row(row)) in names]
    if len(adds) == 1 and adds[0]:
        return adds[0]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    raise GolfError(f"`{text}` fits {len(names)} recipes", f"say which: {_told(names[:SHOWN])}{more}")


@cache
def _texts() -> dict[str, str]:
    """Recipe → the words people may remember it by: its name and title, its row's run and folder."""
    rows = {name: row for row in official() if (name := recipe_of_row(row))}
    found = {}
    for name, title in _titles():
        row = rows.get(name)
        told = (name, title, *((row.run, row.folder.rpartition("/")[2]) if row else ()))
        found[name] = " ".join(re.findall(r"[a-z0-9.]+", " ".join(told).lower()))
    return found


def _titles() -> Iterator[tuple[str, str]]:
    """(name, title) of the shipped recipes; a lawful variant is found by its name only."""
    for name, path in shipped_recipes().items():
        if not name.endswith("_legal"):
            yield name, str(tomllib.loads(path.read_text(encoding="utf-8")).get("title", ""))


def _told(names: list[str]) -> str:
    titles = dict(_titles())
    return ", ".join(f"`{name}` ({titles.get(name, '')})" for name in names)
