"""Where recipes are: shipped, in submissions, anywhere by path; and the line of ancestors that a file names."""

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.project import find_root
from golf.recipe.catalogue import did_you_mean


def shipped_recipes() -> dict[str, Path]:
    """Name → file of the recipes that come with golf."""
    folder = Path(str(files("golf") / "recipes"))
    return dict(_recipes_in(folder, folder.stat().st_mtime_ns))


@lru_cache(maxsize=8)
def _recipes_in(folder: Path, changed_ns: int) -> tuple[tuple[str, Path], ...]:
    """(name, file) of a folder's recipes, listed again once the folder has changed: every ancestor of every recipe asks."""
    return tuple((path.stem, path) for path in sorted(folder.glob("*.toml")) if path.stem != "techniques")


def find_recipe(name: str | Path, beside: Path | None = None) -> Path:
    """The file of a recipe: a path, else a submission's, else a shipped one.

    beside: the recipe that names it (`extends`, `--from`); then the shipped come first, so that submissions/pr1809 may extend pr1809.
    """
    text, root = str(name), find_root(beside.parent if beside else None)
    if text.endswith(".toml") or "/" in text or Path(text, "recipe.toml").is_file():
        for path in (Path(text), Path(text) / "recipe.toml", root / text / "recipe.toml"):
            if path.is_file():
                return path.resolve()
        raise GolfError(f"no recipe at {text}", "`golf ls recipes` lists them")
    shipped, submitted = shipped_recipes().get(text), root / "submissions" / text / "recipe.toml"
    candidates = (shipped, submitted) if beside else (submitted, shipped)
    for candidate in candidates:
        if candidate is not None and candidate.is_file():
            return candidate.resolve()
    known = sorted({*shipped_recipes(), *(p.parent.name for p in root.glob("submissions/*/recipe.toml"))})
    raise GolfError(f"no recipe is called `{text}`", did_you_mean(text, known) or "`golf ls recipes` lists them")


def ancestry(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """(file, table) of a recipe and its ancestors, the recipe first."""
    line: list[tuple[Path, dict[str, Any]]] = []
    at: Path | None = path
    while at is not None:
        if at in [seen for seen, _ in line]:
            names = " → ".join(name_of(*entry) for entry in line)
            raise GolfError(
                f"{names} → {name_of(at, {})}: a recipe extends itself",
                "`extends` names one ancestor, without a circle",
            )
        status = at.stat()
        table = _table(at, status.st_mtime_ns, status.st_size)
        line.append((at, table))
        parent = table.get("extends")
        if parent is not None and not isinstance(parent, str):
            raise GolfError(f"`extends` in {at} is {parent!r}", 'a recipe has one parent: `extends = "baseline"`')
        at = find_recipe(parent, beside=at) if parent else None
    return line


@lru_cache(maxsize=256)
def _table(path: Path, changed_ns: int, size_bytes: int) -> dict[str, Any]:
    """What a recipe's file holds, which nobody changes: an ancestor of forty recipes is parsed once, and again once it is another file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise GolfError(f"{path} is not TOML: {fault}", "strings are quoted, lists are in brackets") from fault


def name_of(path: Path, table: Mapping[str, Any]) -> str:
    return str(table.get("name") or (path.parent.name if path.name == "recipe.toml" else path.stem))
