"""What the parts offer, read without importing them: knobs, definitions, imports, docstrings.

A part is one file of the package that ships (`golf.parts`), flat or in its `techniques/` folder; a submission's own techniques
are parts too. Each is known by its file's stem, which is also the section of a recipe that holds its knobs.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from golf.errors import GolfError
from golf.files import sha256_of
from golf.recipe.partfile import Definition, Import, Knob, Part, read_part

__all__ = ["Catalogue", "Definition", "Import", "Knob", "Part", "did_you_mean", "load_catalogue", "private_package"]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Every part of a package and of the submissions in play, by stem; every knob and definition by name.

    The same files give the same object, so what follows from a catalogue can be kept beside it.
    """

    package: str
    parts: Mapping[str, Part]
    knobs: Mapping[str, Knob] = field(repr=False)
    definitions: Mapping[str, Definition] = field(repr=False)

    def part_of(self, definition: Definition) -> Part:
        return self.parts[definition.part]

    def find(self, reference: str, where: str) -> Definition:
        """The definition that a slot or chain entry names: `xsa.XSA`, `XSA`, or `user:file.Name`.

        where: what names it, for the message. Raises GolfError with near misses.
        """
        user, bare = reference.startswith("user:"), reference.removeprefix("user:")
        stem, dot, name = bare.rpartition(".")
        if dot and stem not in self.parts:
            names = [s for s, part in self.parts.items() if part.user or not user]
            raise GolfError(f"{where} names `{reference}`, but no part is called `{stem}`", did_you_mean(stem, names))
        found = self.definitions.get(name)
        if found is None or (dot and found.part != stem):
            known = [n for n, d in self.definitions.items() if not dot or d.part == stem]
            place = self.parts[stem].shown if dot else f"any part of {self.package}"
            raise GolfError(f"{where} names `{reference}`, but `{name}` is not in {place}", did_you_mean(name, known))
        if user and not self.parts[found.part].user:
            raise GolfError(f"{where} names `{reference}`, which ships with golf", f"write `{bare}`")
        return found


def did_you_mean(name: str, known: list[str] | tuple[str, ...]) -> str | None:
    """The hint for a name that is not known: the nearest one, or all when they are few."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"there is {', '.join(f'`{k}`' for k in sorted(known))}" if 0 < len(known) <= 8 else None


def load_catalogue(package: str = "golf.parts", folders: tuple[Path, ...] = ()) -> Catalogue:
    """The catalogue of `package` and of the `techniques/` folders of submissions. Imports nothing.

    Raises GolfError for a part that does not parse and for a stem, definition or knob that is declared twice.
    """
    return _build(package, tuple(_files(package, folders)))


def _files(package: str, folders: tuple[Path, ...]) -> Iterator[tuple[str, str, str, bool, int]]:
    """(path, module, package, user, time of change) of every part, as plain texts: this is asked thousands of times."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise GolfError(f"`{package}` is not a package", 'entry is written "golf.parts.entry:main"')
    root = next(iter(spec.submodule_search_locations))
    for folder, module in ((root, package), (f"{root}/techniques", f"{package}.techniques")):
        for file in _python_files(folder):
            if file.name not in ("__init__.py", "knobs.py"):
                yield file.path, f"{module}.{file.name[:-3]}", package, False, file.stat().st_mtime_ns
    for folder in map(str, folders):
        for file in _python_files(folder):
            yield file.path, f"{private_package(Path(folder))}.{file.name[:-3]}", package, True, file.stat().st_mtime_ns


def _python_files(folder: str) -> list[os.DirEntry[str]]:
    if not Path(folder).is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if e.name.endswith(".py") and e.name[0] != "."), key=lambda e: e.name)


def private_package(folder: Path) -> str:
    """The name under which a submission's techniques are imported."""
    return f"golf_user_{sha256_of(str(folder.resolve()).encode())[:12]}"


@lru_cache(maxsize=64)
def _build(package: str, listed: tuple[tuple[str, str, str, bool, int], ...]) -> Catalogue:
    parts = [read_part(Path(path), *rest) for path, *rest in listed]
    stems: dict[str, Part] = {}
    knobs: dict[str, Knob] = {}
    definitions: dict[str, Definition] = {}
    for part in parts:
        if part.stem in stems:
            other = stems[part.stem].path
            raise GolfError(f"two parts are called `{part.stem}`: {other} and {part.path}", "rename one [rule 3]")
        stems[part.stem] = part
        for knob in part.knobs:
            if knob.name in knobs:
                raise GolfError(
                    f"knob `{knob.name}` is declared in {stems[knobs[knob.name].part].shown} and in {part.shown}",
                    "knob names are unique across parts: rename one [rule 3]",
                )
            knobs[knob.name] = knob
        for definition in part.definitions:
            for name in definition.names:
                if name in definitions:
                    raise GolfError(
                        f"`{name}` is defined in {stems[definitions[name].part].shown} and in {part.shown}",
                        "names are unique across parts: rename one [rule 3]",
                    )
                definitions[name] = definition
    return Catalogue(package, MappingProxyType(stems), MappingProxyType(knobs), MappingProxyType(definitions))
