"""What the parts offer, read without importing them: knobs, definitions, imports, docstrings.

A part is one file of the package that ships (`golf.parts`), flat or in its `techniques/` folder; a submission's own techniques
are parts too. Each is known by its file's stem, which is also the section of a recipe that holds its knobs.
"""

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


@dataclass(frozen=True)
class Catalogue:
    """Every part of a package and of the submissions in play, by stem; every knob and definition by name."""

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
    return _build(package, tuple(read_part(*key) for key in _files(package, folders)))


def _files(package: str, folders: tuple[Path, ...]) -> Iterator[tuple[Path, str, str, bool, int]]:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise GolfError(f"`{package}` is not a package", 'entry is written "golf.parts.entry:main"')
    root = Path(next(iter(spec.submodule_search_locations)))
    for folder, module in ((root, package), (root / "techniques", f"{package}.techniques")):
        for path in sorted(folder.glob("*.py")):
            if path.stem not in ("__init__", "knobs"):
                yield path, f"{module}.{path.stem}", package, False, path.stat().st_mtime_ns
    for folder in folders:
        for path in sorted(folder.glob("*.py")):
            yield path, f"{private_package(folder)}.{path.stem}", package, True, path.stat().st_mtime_ns


def private_package(folder: Path) -> str:
    """The name under which a submission's techniques are imported."""
    return f"golf_user_{sha256_of(str(folder.resolve()).encode())[:12]}"


@lru_cache(maxsize=64)
def _build(package: str, parts: tuple[Part, ...]) -> Catalogue:
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
