"""Recipes: a TOML file that fixes every choice of a submission, with one parent, becomes one frozen `Recipe`.

A recipe holds what it is (name, title, track, seeds, credits, source, published numbers, ruling) and sections of knobs. A
section is named after the part that declares its knobs, so a reader knows the file; knob names are unique, so `h` is flat.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from golf.recipe.catalogue import Catalogue, load_catalogue
from golf.recipe.knobs import checked, refuse_out_of_bounds

# blocks that a small twin's training runs through: 178 steps of the baseline's 9, a minute on two cores
TWIN_PASSES = 1600
TTT_SHARE = 0.4  # of them are left to an evaluation that trains (TTT), which takes nearly as long as training
DEFAULT_ENTRY = "golf.parts.entry:main"
OVERRIDE = "command line"
NO_PARTS = Catalogue("", MappingProxyType({}), MappingProxyType({}), MappingProxyType({}))


@dataclass(frozen=True)
class Recipe:
    """Every choice of a submission. values: knob → value, all knobs of all parts; origins: knob → the recipe that set it.

    unsaid: what the row's code does that its README does not say, each with kind, says and evidence.
    own: the knobs that this recipe sets itself (with overrides): these must be read. chain: this recipe and its ancestors.
    catalogue: the parts that it chooses from, its submissions' techniques among them, as they were when it was loaded.
    full: of a small twin, the values of the recipe that it is the twin of where they differ.
    """

    name: str
    path: Path
    title: str = ""
    summary: str = ""
    track: str = "local"
    seeds: tuple[int, ...] = (1337, 42, 7)
    credits: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    source: str = ""
    published: Mapping[str, Any] = field(default_factory=dict)
    ruling: tuple[str, ...] = ()
    unsaid: tuple[Mapping[str, str], ...] = ()
    legal_variant: str = ""
    entry: str = DEFAULT_ENTRY
    chain: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    catalogue: Catalogue = field(default=NO_PARTS, repr=False, compare=False)
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    own: frozenset[str] = frozenset()
    full: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def package(self) -> str:
        """The package of the parts: `golf.parts`."""
        return self.entry.partition(":")[0].rpartition(".")[0]

    @property
    def extends(self) -> str | None:
        return self.chain[1] if len(self.chain) > 1 else None

    @property
    def lineage(self) -> tuple[str, ...]:
        """Its chain as people tell it: a recipe that bears its parent's name is told once."""
        return tuple(name for i, name in enumerate(self.chain) if i == 0 or name != self.chain[i - 1])

    @cached_property
    def plugged(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """Part → slot or chain → the entries in it that come from the part's file."""
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for knob in self.catalogue.knobs.values():
            if knob.kind not in ("Slot", "Chain"):
                continue
            value = self.values[knob.name]
            for entry in filter(None, value if knob.kind == "Chain" else (value,)):
                held = found.setdefault(self.catalogue.find(entry, knob.name).part, {})
                held[knob.name] = (*held.get(knob.name, ()), entry)
        return MappingProxyType(found)

    @cached_property
    def twin(self) -> Mapping[str, Any]:
        """The other values that the composed file must work with too: the small twin's, or for a twin the full ones."""
        return smoke_sizes(self) if self.full is None else self.full


def changed(recipe: Recipe, values: Mapping[str, Any], origin: str = OVERRIDE) -> Recipe:
    """The recipe with other values of some knobs, already of the right type; they count as its own."""
    if not values:
        return recipe
    return replace(
        recipe,
        values=MappingProxyType({**recipe.values, **values}),
        origins=MappingProxyType({**recipe.origins, **dict.fromkeys(values, origin)}),
        own=recipe.own | values.keys(),
    )


def refuse_values(recipe: Recipe) -> None:
    """GolfError where a value breaks its knob's bound, or where the small twin's would; whoever set it."""
    for values, where in ((recipe.values, recipe.name), (recipe.twin, f"the small twin of {recipe.name}")):
        for name, value in values.items():
            refuse_out_of_bounds(recipe.catalogue, recipe.catalogue.knobs[name], value, where)


def with_folders(recipe: Recipe, folders: Iterable[Path]) -> Recipe:
    """The recipe with the techniques of other submissions to choose from, too, their knobs at their defaults."""
    new = tuple(folder for folder in folders if folder not in recipe.folders)
    if not new:
        return recipe
    catalogue = load_catalogue(recipe.package, (*recipe.folders, *new))
    added = {
        n: checked(catalogue, k, k.default, "its default") for n, k in catalogue.knobs.items() if n not in recipe.values
    }
    return replace(
        recipe,
        folders=(*recipe.folders, *new),
        catalogue=catalogue,
        values=MappingProxyType({**added, **recipe.values}),
        origins=MappingProxyType({**dict.fromkeys(added, "default"), **recipe.origins}),
    )


def smoke_sizes(recipe: Recipe) -> dict[str, Any]:
    """Knob → value of the small twin: what `class Smoke` of the parts declares, never larger than the recipe's own.

    A twin keeps its layers and loops, so one that runs through more blocks a step takes as many steps fewer (`TWIN_PASSES`): no
    twin takes minutes on two cores.
    """
    sizes: dict[str, Any] = {}
    for name, knob in recipe.catalogue.knobs.items():
        if knob.smoke is not None:
            number = type(knob.smoke) in (int, float)
            sizes[name] = min(recipe.values[name], knob.smoke) if number else knob.smoke
    if "iterations" in sizes:
        trains = recipe.values.get("adapters") or any(
            "ttt" in str(report) for report in recipe.values.get("reports", ())
        )
        passes = TWIN_PASSES * (1 - TTT_SHARE * bool(trains))
        sizes["iterations"] = max(min(sizes["iterations"], round(passes / max(_passes(recipe.values), 1))), 1)
    return sizes


def _passes(values: Mapping[str, Any]) -> float:
    """How many blocks a step of training runs through, on average: the layers, and what loops or a recycled core run again."""
    passes = float(values.get("num_layers", 0))
    if str(values.get("order", "")).endswith("looped"):
        again = values["loop_extra"] * (values["loop_last"] - values["loop_first"] + 1)
        passes += again * (1 - values["loop_from"])
    if str(values.get("order", "")).endswith("recurrent"):
        passes += len(values["recur_layers"])
    if values.get("core"):
        passes += values.get("recycle_repeats", 0) * len(values.get("recycle_layers", ()))
    return passes


def smoke_recipe(recipe: Recipe, vocab_size: int | None = None) -> Recipe:
    """The recipe at the sizes of its small twin; what it sets itself stays what must be read.

    vocab_size: of the data that the twin runs on, where that is not the twin's own.
    """
    sizes = smoke_sizes(recipe) | ({"vocab_size": vocab_size} if vocab_size and "vocab_size" in recipe.values else {})
    return replace(changed(recipe, sizes, "smoke"), own=recipe.own, full={name: recipe.values[name] for name in sizes})


def diff(before: Recipe, after: Recipe) -> dict[str, tuple[Any, Any]]:
    """Knob → (value before, value after) where two recipes differ; None for a knob that one of them does not know."""
    names = [*before.values, *(name for name in after.values if name not in before.values)]
    pairs = {name: (before.values.get(name), after.values.get(name)) for name in names if name != "name"}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
