"""Shake: keep the definitions, methods and imports that the entry point reaches after folding."""

import ast
import builtins
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from golf.compose.pieces import Folded, Piece, fold_once, has_body, with_text
from golf.errors import GolfError
from golf.recipe import Recipe
from golf.recipe.catalogue import Catalogue, did_you_mean
from golf.recipe.partfile import Definition, Import

# methods that a base class calls on its own; a test compares them with what torch's classes have
CALLED_BY_BASE = {
    "Module": (
        *(
            "forward",
            "train",
            "eval",
            "to",
            "apply",
            "requires_grad_",
            "zero_grad",
            "extra_repr",
            "state_dict",
            "load_state_dict",
        ),
        *(
            "parameters",
            "named_parameters",
            "named_buffers",
            "children",
            "named_children",
            "named_modules",
            "get_submodule",
        ),
        *("add_module", "register_buffer", "register_parameter", "get_extra_state", "set_extra_state"),
        *("_apply", "_load_from_state_dict", "_save_to_state_dict", "_named_members", "_get_name", "_call_impl"),
    ),
    "Optimizer": ("step", "zero_grad", "state_dict", "load_state_dict", "add_param_group", "profile_hook_step"),
    "object": (),
}


@dataclass
class Live:
    """What the composed file holds, in the making."""

    folded: dict[str, Folded] = field(default_factory=dict)  # by a definition's first name, in the order of discovery
    definitions: dict[str, Definition] = field(default_factory=dict)
    dead: dict[str, list[Piece]] = field(default_factory=dict)
    imports: dict[Import, str] = field(default_factory=dict)  # → the part that needs it
    knobs: set[str] = field(default_factory=set)
    decided: set[str] = field(default_factory=set)
    twin_faults: list[str] = field(default_factory=list)

    def text_of(self, name: str) -> str:
        """A live definition without its dead methods."""
        lines = self.folded[name].text.splitlines(keepends=True)
        for piece in sorted(self.dead.get(name, ()), key=lambda p: -p.lines[0]):
            lines[piece.lines[0] - 1 : piece.lines[1]] = []
        text = "".join(lines)
        return text if has_body(text) else text.rstrip("\n") + "\n    pass\n"


def shake(recipe: Recipe, texts: Mapping[str, str] | None = None) -> Live:
    """Everything that the recipe's entry point reaches; with texts (first name → text), in these instead of the folded ones.

    Raises GolfError for what the fold refuses, an undefined name, and two different things of one name.
    """
    catalogue, live = recipe.catalogue, Live()
    module, _, name = recipe.entry.partition(":")
    entry = catalogue.definitions.get(name)
    if entry is None or entry.part != module.rpartition(".")[2]:
        raise GolfError(f"the entry point `{recipe.entry}` is not there", 'entry is written "golf.parts.entry:main"')
    todo, mentioned = [(entry, "")], set[str]()
    waiting: dict[str, list[tuple[Definition, Piece]]] = {}
    while todo:
        definition, _ = todo.pop(0)
        if definition.names[0] in live.folded:
            continue
        folded = fold_once(catalogue, definition, recipe)
        if texts is not None:
            folded = with_text(folded, texts[definition.names[0]], frozenset(texts))
        live.folded[definition.names[0]], live.definitions[definition.names[0]] = folded, definition
        live.decided |= folded.decided
        live.twin_faults += folded.twin_faults
        pieces = []
        kept = _called_by_bases(catalogue, folded)
        for piece in folded.pieces:
            if not piece.method or kept is None or piece.method in kept or piece.method in mentioned:
                pieces.append((definition, piece))
            else:
                waiting.setdefault(piece.method, []).append((definition, piece))
        while pieces:
            owner, piece = pieces.pop()
            live.knobs |= piece.knobs
            todo += [(found, "") for found in _references(catalogue, owner, piece, live)]
            mentioned |= piece.mentions
            for method in piece.mentions & waiting.keys():
                pieces += waiting.pop(method)
    for definition, piece in (entry for entries in waiting.values() for entry in entries):
        live.dead.setdefault(definition.names[0], []).append(piece)
    _refuse_clashes(catalogue, live)
    return live


def _references(catalogue: Catalogue, owner: Definition, piece: Piece, live: Live) -> Iterator[Definition]:
    """The definitions that a piece reads; its imports are noted on the way."""
    part, chosen = catalogue.part_of(owner), live.folded[owner.names[0]].chosen
    used = dict(part.uses)
    for name in sorted(piece.names):
        found = catalogue.definitions.get(name)
        if found is not None and (found.part == part.stem or name in used):
            if name in used and found.part != used[name]:
                raise GolfError(f"{part.shown} imports `{name}` from `{used[name]}`", f"it is in `{found.part}`")
            yield found
            continue
        imports = [i for i in part.imports if i.bound == name]
        if imports:
            live.imports.update(dict.fromkeys(imports, part.stem))
        elif found is not None and name in chosen:
            yield found
        elif name not in ("h", "__file__", "__name__") and not hasattr(builtins, name):
            known = [*catalogue.definitions, *(i.bound for i in part.imports)]
            raise GolfError(
                f"`{name}` is not defined in {part.shown} (read by `{owner.names[0]}`)", did_you_mean(name, known)
            )


def _called_by_bases(catalogue: Catalogue, folded: Folded) -> frozenset[str] | None:
    """The methods of a class that its bases may call, or None for all of them."""
    kept = set[str]()
    for base in folded.bases:
        name = base.rpartition(".")[2]
        found = catalogue.definitions.get(name)
        if found is not None:
            node: Any = ast.parse(found.text).body[0]
            inner = Folded("", (), tuple(ast.unparse(b) for b in node.bases), {}, frozenset(), frozenset())
            above = _called_by_bases(catalogue, inner)
            if above is None:
                return None
            kept |= above | {s.name for s in node.body if isinstance(s, ast.FunctionDef)}
        elif name in CALLED_BY_BASE:
            kept |= set(CALLED_BY_BASE[name])
        else:
            return None
    return frozenset(kept)


def _refuse_clashes(catalogue: Catalogue, live: Live) -> None:
    """One name, one thing: imports of different parts agree, and no definition bears an import's name."""
    bound: dict[str, tuple[Import, str]] = {}
    for item, stem in live.imports.items():
        other, first = bound.setdefault(item.bound, (item, stem))
        same = other == item or (not other.name and not item.name and "=" not in other.module + item.module)
        if not same:
            raise GolfError(
                f"`{item.bound}` is one import in {catalogue.parts[first].shown} and another in {catalogue.parts[stem].shown}",
                "import it alike in both [rule 3]",
            )
    for definition in live.definitions.values():
        for name in definition.names:
            if name in bound or name == "h":
                shown = catalogue.part_of(definition).shown
                where = catalogue.parts[bound[name][1]].shown if name in bound else "every part"
                raise GolfError(
                    f"`{name}` is defined in {shown} and imported in {where}", "rename the definition [rule 3]"
                )
