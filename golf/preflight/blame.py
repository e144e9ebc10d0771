"""Whose fault an exception is: the line of a part or of a user's technique that raised it, in one sentence."""

import inspect
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError
from golf.recipe import Recipe
from golf.recipe.catalogue import Catalogue
from golf.recipe.partfile import Part

LONGEST = 220  # characters of an exception's own words


@contextmanager
def blaming(recipe: Recipe, doing: str) -> Iterator[None]:
    """Turns an exception that comes out of a part into a GolfError (exit 10). doing: what was tried, as in "one step at full size".

    What no part had a hand in is a fault of golf and passes.
    """
    try:
        yield
    except GolfError:
        raise
    except Exception as fault:
        place = place_of(recipe.catalogue, fault)
        if place is None:
            raise
        part, line = place
        hint = "this is your own technique: mend it there" if part.user else "`golf show` lists what the values mean"
        raise GolfError(
            f"{doing} of {recipe.name} fails: {words_of(fault)}  [{part.shown}:{line}]", hint, Exit.REFUSED
        ) from fault


def place_of(catalogue: Catalogue, fault: BaseException) -> tuple[Part, int] | None:
    """The innermost line of a user's technique that an exception passed, else of any part."""
    parts = {part.path.resolve(): part for part in catalogue.parts.values()}
    passed = [
        (parts[path], frame.lineno or 1)
        for frame in traceback.extract_tb(fault.__traceback__)
        if (path := Path(frame.filename).resolve()) in parts
    ]
    mine = [place for place in passed if place[0].user]
    return mine[-1] if mine else passed[-1] if passed else None


def words_of(fault: BaseException) -> str:
    """The first line of what an exception says, with its type."""
    text = " ".join(str(fault).strip().partition("\n")[0].split())
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return f"{type(fault).__name__}: {text}" if text else type(fault).__name__


def shown_at(catalogue: Catalogue, thing: Any) -> str:
    """Where a function or class of a part is written: `techniques/mine.py:12`."""
    path = Path(inspect.getsourcefile(thing) or "").resolve()
    line = thing.__code__.co_firstlineno if hasattr(thing, "__code__") else inspect.getsourcelines(thing)[1]
    shown = next((part.shown for part in catalogue.parts.values() if part.path.resolve() == path), str(path))
    return f"{shown}:{line}"
