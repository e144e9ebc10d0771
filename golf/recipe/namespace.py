"""The namespace `h` of a recipe for use as a library: slots are callables, chains are tuples of them, and nothing can be set."""

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from golf.errors import GolfError
from golf.recipe.catalogue import did_you_mean, load_catalogue, private_package
from golf.recipe.partfile import Definition, Part
from golf.recipe.recipe import Recipe


class Namespace:
    """Reads like the generated file's `class h`. A part is imported when the slot that selects it is first read."""

    def __init__(self, package: str, folders: tuple[Path, ...], values: Mapping[str, Any]) -> None:
        catalogue = load_catalogue(package, folders)
        references = {n: v for n, v in values.items() if catalogue.knobs[n].kind in ("Slot", "Chain")}
        object.__setattr__(self, "_made_of", (package, folders, dict(values)))
        object.__setattr__(self, "_references", references)
        self.__dict__.update({n: v for n, v in values.items() if n not in references})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._references:
            hint = did_you_mean(name, [*self.__dict__, *self._references]) if not name.startswith("_") else None
            raise AttributeError(f"no part has a knob `{name}`" + (f": {hint}" if hint else ""))
        package, folders, _ = self._made_of
        value = self._references[name]
        found = tuple(resolve(package, folders, v) for v in ((value,) if isinstance(value, str) else value) if v)
        self.__dict__[name] = found if not isinstance(value, str) else found[0] if found else None
        return self.__dict__[name]

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"`h.{name}` cannot be set: a recipe is fixed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"`h.{name}` cannot be set: a recipe is fixed")

    def __deepcopy__(self, memo: dict[int, Any]) -> "Namespace":
        return self

    def __reduce__(self) -> tuple[Callable[..., "Namespace"], tuple[Any, ...]]:
        return Namespace, self._made_of

    def __repr__(self) -> str:
        return f"<h of {self.__dict__.get('name', 'a recipe')}: {len(self._made_of[2])} knobs>"


def namespace(recipe: Recipe) -> Namespace:
    """`h` of a recipe. Raises GolfError when a slot is read whose part cannot be imported."""
    return Namespace(recipe.package, recipe.folders, recipe.values)


def entry_point(recipe: Recipe) -> Callable[..., Any]:
    """The function that `entry` names, imported."""
    module, _, name = recipe.entry.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def resolve(package: str, folders: tuple[Path, ...], reference: str) -> Any:
    """The class, function or constant that a slot or chain entry names."""
    catalogue = load_catalogue(package, folders)
    definition = catalogue.find(reference, "a slot")
    return getattr(import_part(catalogue.part_of(definition), definition), definition.names[0])


def import_part(part: Part, definition: Definition) -> ModuleType:
    """The module of a part; a submission's own techniques are imported under a private package name."""
    if part.user:
        package = private_package(part.path.parent)
        if package not in sys.modules:
            module = ModuleType(package)
            module.__path__ = [str(part.path.parent)]
            sys.modules[package] = module
    try:
        return importlib.import_module(part.module)
    except ImportError as fault:
        raise GolfError(
            f"`{definition.names[0]}` in {part.shown} does not import: {fault}",
            "install what it needs, or choose another",
        ) from fault
