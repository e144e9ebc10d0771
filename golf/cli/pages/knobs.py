"""The page of one knob, slot or chain: what it means, who reads it, what fits, and lines that can be pasted into recipe.toml."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from golf.files import toml
from golf.recipe import Recipe
from golf.recipe.catalogue import Catalogue
from golf.recipe.partfile import Definition, Knob
from golf.recipe.places import declared_at, fits, members_of, reads, shapes

UNIT = re.compile(r"(tokens|seconds|steps|bytes|bits|nats|bpb|channels|layers)$")
KINDS = ("slot", "chain", "knob")
MOST_USERS = 6  # recipes that a line names; `--json` has all


def kind_of(knob: Knob) -> str:
    """Which of the three kinds of choice it is: slot, chain, or knob for every other type."""
    return knob.kind.lower() if knob.kind in ("Slot", "Chain") else "knob"


def unit_of(knob: Knob) -> str:
    """The unit that its name ends with or its comment begins with; "" where neither says one."""
    first = re.split(r"[ ,;(]", knob.meaning, maxsplit=1)[0]
    for word in (knob.name.rpartition("_")[2], first):
        if knob.kind in ("int", "float") and UNIT.fullmatch(word):
            return word
    return ""


def facts_of(
    catalogue: Catalogue, name: str, recipes: Sequence[Recipe], own: Mapping[str, Catalogue]
) -> dict[str, Any]:
    """Everything that the page says, as data. own: submission → the catalogue with its own techniques."""
    knob = catalogue.knobs[name]
    file, line = declared_at(catalogue, knob)
    found: dict[str, Any] = {
        "kind": kind_of(knob), "name": name, "section": knob.part, "type": knob.kind, "meaning": knob.meaning,
        "default": knob.default, "unit": unit_of(knob), "smoke": knob.smoke, "file": file, "line": line,
        "read_by": [{"file": f, "line": n, "text": text} for f, n, text in reads(catalogue, name)],
    }  # fmt: skip
    if kind_of(knob) == "knob":
        values: dict[str, list[str]] = {}
        for recipe in recipes:
            values.setdefault(toml(recipe.values[name]), []).append(recipe.name)
        return {**found, "values": values, "example": _pasted(knob, knob.default)}
    users = members_of(knob, recipes)
    here = [catalogue.find(entry, name) for entry in users if not entry.startswith("user:")]
    fitting = [d for d in _definitions(catalogue) if d not in here and fits(catalogue, knob, d)]
    names = [f"{d.part}.{d.names[0]}" for d in fitting]
    for submission, other in own.items():
        mine = [d for d in _definitions(other) if other.part_of(d).user and fits(other, knob, d)]
        names += [f"user:{d.part}.{d.names[0]} (submissions/{submission})" for d in mine]
    model = next(iter([*here, *fitting]), None)
    chosen = next(
        (entry for entry, by in users.items() if by and entry != knob.default and entry not in knob.default), None
    )
    chosen = chosen or next((f"{d.part}.{d.names[0]}" for d in [*fitting, *here]), "FILE.NAME")
    return {
        **found,
        "users": users,
        "fits": names,
        "called": {"name": model.names[0], "kind": model.kind, "calls": list(shapes(model)),
                   "file": catalogue.part_of(model).shown, "line": model.line} if model else None,
        "example": _pasted(knob, chosen if knob.kind == "Slot" else (chosen,)),
        "own": toml("user:FILE.NAME" if knob.kind == "Slot" else ("user:FILE.NAME",)),
    }  # fmt: skip


def _definitions(catalogue: Catalogue) -> list[Definition]:
    """The classes and functions of the techniques."""
    return [d for d in dict.fromkeys(catalogue.definitions.values()) if catalogue.part_of(d).technique]


def _pasted(knob: Knob, value: Any) -> list[str]:
    return [f"[{knob.part}]", f"{knob.name} = {toml(value)}"]


def lines_of(facts: Mapping[str, Any]) -> Iterator[str]:
    """The page of `facts_of`."""
    name = facts["name"]
    yield f"{facts['kind']}:{name}"
    yield from ("", facts["meaning"] or "(its comment says nothing)", "")
    yield _row("section", f"[{facts['section']}]")
    if facts["kind"] == "knob":
        yield _row("type", facts["type"] + (f", in {facts['unit']}" if facts["unit"] else ""))
    yield _row("default", toml(facts["default"]))
    if facts["smoke"] is not None:
        yield _row("small twin", toml(facts["smoke"]))
    yield _row("declared", f"{facts['file']}:{facts['line']}")
    yield from _rows("read by", [f"{r['file']}:{r['line']}  {r['text']}" for r in facts["read_by"]])
    if facts["kind"] == "knob":
        yield from _rows("values", [f"{value}  {_some(users)}" for value, users in facts["values"].items()])
    else:
        used = [f"{entry}  {_some(users)}".rstrip() for entry, users in facts["users"].items()]
        yield from _rows("plugged in", used)
        yield from _rows("fits too", facts["fits"])
        yield from _called(facts["called"])
    yield from ("", "in recipe.toml:", "", *facts["example"])
    if facts["kind"] == "chain":
        yield from ("", "a list takes the place of the one that the recipe extends; its order is the order of calls")
    if facts["kind"] == "knob":
        yield from ("", f"or on the command line: `golf new mine {name}={toml(facts['default'])}`")
    else:
        yield from ("", "one of your own, from submissions/SUBMISSION/techniques/FILE.py:", "")
        yield from (facts["example"][0], f"{name} = {facts['own']}")


def _called(called: Mapping[str, Any] | None) -> Iterator[str]:
    if called:
        word = "class" if called["kind"] == "class" else "function"
        yield _row("called as", f"{word} {called['name']}  [{called['file']}:{called['line']}]")
        yield from (f"{'':16}{call}" for call in called["calls"])


def _row(key: str, value: str) -> str:
    return f"{key:14}{value}"


def _some(users: Sequence[str]) -> str:
    """The first names of many; a lawful variant is its row's, and is not named beside it."""
    named = [user for user in users if user.removesuffix("_legal") not in users or not user.endswith("_legal")]
    return ", ".join(named[:MOST_USERS]) + (f" and {len(named) - MOST_USERS} more" if len(named) > MOST_USERS else "")


def _rows(key: str, values: Sequence[str]) -> Iterator[str]:
    for i, value in enumerate(values):
        yield _row("" if i else key, value)
