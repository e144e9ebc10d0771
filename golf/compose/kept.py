"""What was composed, weighed and predicted before is read from the user's cache: asked again, it costs no folding, packing or torch.

An entry's name is a hash of everything that its content depends on: every source file of golf, the versions of the tools, every
choice of the recipe and the text of every part that it chooses from. So an entry is never out of date, only unused; the oldest go.
"""

import hashlib
import json
import platform
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from golf.compose.composition import Composition, composition
from golf.files import sha256_of, write_atomically
from golf.project import cache_dir
from golf.recipe import Recipe, refuse_values

FOLDER = "composed"
ENTRIES = 200  # of at most about 150 kB
PACKAGES = ("libcst", "ruff", "python-minifier", "brotli", "torch")


def kept_composition(recipe: Recipe) -> Composition:
    """`composition(recipe)`, read where it was composed before. Raises the same GolfErrors."""
    refuse_values(recipe)
    catalogue = recipe.catalogue
    found = kept("composition", recipe, lambda: _plain(composition(recipe)))
    return Composition(
        recipe,
        found["text"],
        tuple(catalogue.parts[stem] for stem in found["parts"]),
        tuple((catalogue.definitions[name], text) for name, text in found["definitions"]),
        {name: recipe.values[name] for name in found["scalars"]},
        frozenset(found["read"]),
        tuple(found["twin_faults"]),
    )


def _plain(composed: Composition) -> dict[str, Any]:
    return {
        "text": composed.text,
        "parts": [part.stem for part in composed.parts],
        "definitions": [[definition.names[0], text] for definition, text in composed.definitions],
        "scalars": list(composed.scalars),
        "read": sorted(composed.read),
        "twin_faults": list(composed.twin_faults),
    }


def kept(kind: str, recipe: Recipe, make: Callable[[], Any], *more: object) -> Any:
    """What `make` returns (JSON: dicts, lists, text, numbers), from the cache where it was made before.

    more: what it depends on besides golf, the tools and the recipe. A cache that cannot be read or written is as good as none.
    """
    path = _path(kind, recipe, more)
    found = _read(path)
    if found is None:
        found = make()
        with suppress(OSError):
            _write(path, found)
    return found


def is_kept(kind: str, recipe: Recipe, *more: object) -> bool:
    """Whether `kept` would read it."""
    return _read(_path(kind, recipe, more)) is not None


def _path(kind: str, recipe: Recipe, more: Iterable[object]) -> Path:
    parts = [(part.stem, part.shown, part.sha256) for part in recipe.catalogue.parts.values()]
    chosen = (
        recipe.name,
        recipe.title,
        recipe.summary,
        recipe.credits,
        recipe.authors,
        recipe.source,
        recipe.entry,
        recipe.chain,
    )
    chain = [recipe.published, recipe.track, sorted(recipe.own), recipe.full]
    made_of = (kind, *more, golf_sha256(), _versions(), parts, chosen, chain, sorted(recipe.values.items()))
    return cache_dir() / FOLDER / f"{sha256_of(repr(made_of).encode())}.json"


@lru_cache(maxsize=1)
def golf_sha256() -> str:
    """Of every file of golf that may decide a result: its modules and its recipes."""
    root = Path(str(files("golf")))
    found = hashlib.sha256()
    for path in sorted([*root.rglob("*.py"), *root.rglob("*.toml")]):
        found.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()


@lru_cache(maxsize=1)
def _versions() -> tuple[str, ...]:
    found = [platform.python_version()]
    for package in PACKAGES:
        try:
            found.append(version(package))
        except PackageNotFoundError:
            found.append("?")
    return tuple(found)


def _read(path: Path) -> Any:
    """An entry's content; None where there is none, or one that was damaged."""
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        return entry["content"] if entry["sha256"] == _sha256(entry["content"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, content: Any) -> None:
    """Write whole or not at all, and let the oldest entries go."""
    write_atomically(path, json.dumps({"sha256": _sha256(content), "content": content}).encode())
    entries = sorted(path.parent.glob("*.json"), key=lambda entry: entry.stat().st_mtime_ns)
    for entry in entries[:-ENTRIES]:
        entry.unlink(missing_ok=True)


def _sha256(content: Any) -> str:
    return sha256_of(json.dumps(content).encode())
