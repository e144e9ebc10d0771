"""The order of a composed file is a reader's: settings, model, data, optimizer, training, export, evaluation, main.

A technique stands in the chapter of the slot or chain that chose it, right before what uses it. Python binds names when a function
runs, so only what the file needs while it is read (bases, decorators, defaults, constants) must come first.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from golf.compose.program import Tree, tree_of
from golf.compose.shake import Live
from golf.recipe import Recipe
from golf.recipe.partfile import Definition, Part

# the parts of the skeleton, in the order in which one reads them; whatever else is live stands where it is used
CHAPTERS: Mapping[str, tuple[str, ...]] = {
    "settings": ("env",),
    "model": ("tags", "layers", "attention", "route", "model"),
    "data": ("data",),
    "optimizer": ("muon", "optim"),
    "training": ("schedule", "train"),
    "export": ("quant",),
    "evaluation": ("evaluate",),
    "main": ("artifact", "log", "entry"),
}


@dataclass(frozen=True)
class Chapter:
    """One chapter of the file: its name and its definitions (first names), in order."""

    name: str
    definitions: tuple[str, ...]


def chapters(recipe: Recipe, live: Live) -> list[Chapter]:
    """Every live definition once, in the chapters that hold any."""
    return _Order(recipe, live).chapters()


def parts_in_order(recipe: Recipe, live: Live, found: Sequence[Chapter]) -> list[Part]:
    """The parts of the file, each where its first definition stands."""
    stems = [live.definitions[name].part for chapter in found for name in chapter.definitions]
    return [recipe.catalogue.parts[stem] for stem in dict.fromkeys(stems)]


class _Order:
    def __init__(self, recipe: Recipe, live: Live) -> None:
        self.recipe = recipe
        self.live = live
        self.trees = {name: tree_of(live.text_of(name)) for name in live.definitions}
        self.home = {stem: chapter for chapter, stems in CHAPTERS.items() for stem in stems}
        self.home[recipe.entry.partition(":")[0].rpartition(".")[2]] = "main"
        self.order: list[str] = []
        self.open: set[str] = set()

    def chapters(self) -> list[Chapter]:
        found = []
        for chapter, stems in CHAPTERS.items():
            before = len(self.order)
            others = (self.part(name) for name in self.live.definitions if self.chapter_of[name] == chapter)
            for stem in dict.fromkeys([*stems, *others]):
                for name in self.names_of(stem, chapter):
                    self.visit(name)
            if self.order[before:]:
                found.append(Chapter(chapter, tuple(self.order[before:])))
        return found

    def part(self, name: str) -> str:
        return self.live.definitions[name].part

    def names_of(self, stem: str, chapter: str) -> list[str]:
        """A part's definitions that stand in a chapter, in the order of its file."""
        mine = [n for n, d in self.live.definitions.items() if d.part == stem and self.chapter_of[n] == chapter]
        return sorted(mine, key=lambda name: self.live.definitions[name].line)

    def visit(self, name: str) -> None:
        """Put a definition down after the techniques of its chapter that it uses; a technique's own stay together."""
        if name in self.order or name in self.open:
            return
        chapter, stem = self.chapter_of[name], self.part(name)
        unit = [name] if stem in self.home else self.names_of(stem, chapter)
        self.open |= set(unit)
        for member in unit:
            for used in self.uses[member]:
                if self.part(used) not in (stem, *self.home) and self.chapter_of[used] == chapter:
                    self.visit(used)
        for member in unit:
            self.put(member)
        self.open -= set(unit)

    def put(self, name: str) -> None:
        """Put a definition down after what Python needs of others when it reads it."""
        if name not in self.order:
            for needed in self.needed(name, set()):
                self.put(needed)
            self.order.append(name)

    def needed(self, name: str, seen: set[str]) -> Iterator[str]:
        """What must stand above a definition: what it reads as it is defined, and what that reads when it is called."""
        for used in self.uses_at_once(name):
            if used != name and used not in seen:
                seen.add(used)
                yield used
                yield from (n for n in self.reached(used, {name, used}) if n not in seen)

    def reached(self, name: str, seen: set[str]) -> Iterator[str]:
        for used in self.uses[name]:
            if used not in seen and self.live.definitions[name].kind == "def":
                seen.add(used)
                yield used
                yield from self.reached(used, seen)

    @cached_property
    def names(self) -> dict[str, str]:
        """Every name that a live definition binds → its first name."""
        return {name: definition.names[0] for definition in self.live.definitions.values() for name in definition.names}

    @cached_property
    def uses(self) -> dict[str, list[str]]:
        """Definition → the others that it reads, as they are met in its text."""
        found = {}
        for name, tree in self.trees.items():
            reads = sorted((n for n in tree.nodes if isinstance(n, ast.Name)), key=lambda n: (n.lineno, n.col_offset))
            used = [self.names[n.id] for n in reads if n.id in self.names and tree.scope_of(n) is None]
            found[name] = [u for u in dict.fromkeys(used) if u != name]
        return found

    def uses_at_once(self, name: str) -> list[str]:
        tree = self.trees[name]
        nodes = [n for n in tree.nodes if isinstance(n, ast.Name) and n.id in self.names]
        return list(dict.fromkeys(self.names[n.id] for n in nodes if tree.scope_of(n) is None and _at_once(tree, n)))

    @cached_property
    def chapter_of(self) -> dict[str, str]:
        """Definition → its chapter."""
        found = {n: self.home[d.part] for n, d in self.live.definitions.items() if d.part in self.home}
        for knob, chosen in self.chosen:
            found.setdefault(chosen, self.home.get(self.recipe.catalogue.knobs[knob].part, ""))
        found = {name: chapter for name, chapter in found.items() if chapter}
        order = list(CHAPTERS)
        while True:
            users: dict[str, list[str]] = {}
            for name in found:
                for used in self.uses[name]:
                    if used not in found:
                        users.setdefault(used, []).append(found[name])
            if not users:
                break
            found |= {name: min(chapters, key=order.index) for name, chapters in users.items()}
        return {name: found.get(name, "main") for name in self.live.definitions}

    @cached_property
    def chosen(self) -> list[tuple[str, str]]:
        """(slot or chain, the live definition that it chose), in the order of the chapters."""
        catalogue, found = self.recipe.catalogue, []
        for name, knob in catalogue.knobs.items():
            value = self.recipe.values[name]
            members = [value] if knob.kind == "Slot" else value if knob.kind == "Chain" else ()
            chosen: list[Definition] = [catalogue.find(member, name) for member in members if member]
            found += [(name, d.names[0]) for d in chosen if d.names[0] in self.live.definitions]
        order = [*CHAPTERS, ""]
        return sorted(found, key=lambda pair: order.index(self.home.get(catalogue.knobs[pair[0]].part, "")))


def _at_once(tree: Tree, node: ast.AST) -> bool:
    """Whether Python reads a name when it reads the definition, not when a function in it is called."""
    below = node
    for around in tree.around(node):
        body = (
            around.body
            if isinstance(around, ast.FunctionDef)
            else [around.body]
            if isinstance(around, ast.Lambda)
            else []
        )
        if any(statement is below for statement in body):
            return False
        below = around
    return True
