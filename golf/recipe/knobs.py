"""Values of knobs: checked against the declared type, parsed from `key=value`, and printed as Python."""

import json
import tomllib
from collections.abc import Mapping
from typing import Any

from golf.errors import GolfError
from golf.files import toml
from golf.recipe.bounds import finite
from golf.recipe.catalogue import Catalogue, did_you_mean
from golf.recipe.partfile import Knob


def checked(catalogue: Catalogue, knob: Knob, value: Any, where: str) -> Any:
    """`value` as a recipe may give it (a TOML value) turned into what the knob holds; GolfError when the type is another,
    or when it breaks the knob's bound.

    An int serves as a float, a bool is no int, a list becomes a tuple, "" is a slot's None. where: the file, for the message.
    """
    found = _typed(catalogue, knob, value, where)
    refuse_out_of_bounds(catalogue, knob, found, where)
    return found


def refuse_out_of_bounds(catalogue: Catalogue, knob: Knob, value: Any, where: str) -> None:
    """GolfError where a value of the knob's type is not what its part allows, or no number: one sentence, with the place."""
    if finite(value) and (knob.bound is None or knob.bound.holds(value)):
        return
    wants = knob.bound.words() if knob.bound else "a finite number"
    raise GolfError(
        f"`{knob.name}` in {where} is {toml(value)}, and it must be {wants}  [{place_of(catalogue, knob)}]",
        f"by default it is {toml(knob.default)}",
    )


def place_of(catalogue: Catalogue, knob: Knob) -> str:
    """Where a knob is declared: `golf/parts/attention.py:21`."""
    return f"{catalogue.parts[knob.part].shown}:{knob.line}"


def _typed(catalogue: Catalogue, knob: Knob, value: Any, where: str) -> Any:
    match knob.kind:
        case "int" if type(value) is int:
            return value
        case "float" if type(value) in (int, float) and value == value:
            return float(value) if abs(value) < 1 << 1000 else float("inf")
        case "bool" | "str" if type(value).__name__ == knob.kind:
            return value
        case "tuple" if isinstance(value, list | tuple):
            return _frozen(value)
        case "Slot" if isinstance(value, str):
            if value:
                catalogue.find(value, f"`{knob.name}` in {where}")
            return value
        case "Chain" if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
            _refuse_twins(catalogue, knob, tuple(value), where)
            return tuple(value)
    wants = {"Slot": "the name of one implementation", "Chain": "a list of names", "tuple": "a list"}
    raise GolfError(
        f"`{knob.name}` in {where} is {value!r}, a {type(value).__name__}",
        f"it is {wants.get(knob.kind, f'of type {knob.kind}')}, by default {knob.default!r}"
        f"  [{catalogue.parts[knob.part].shown}]",
    )


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list | tuple) else value


def _refuse_twins(catalogue: Catalogue, knob: Knob, members: tuple[str, ...], where: str) -> None:
    seen: set[str] = set()
    for member in members:
        name = catalogue.find(member, f"`{knob.name}` in {where}").names[0]
        if name in seen:
            raise GolfError(
                f"`{knob.name}` in {where} holds `{name}` twice", "a member acts once in a chain: remove one"
            )
        seen.add(name)


def parsed(catalogue: Catalogue, assignment: str) -> tuple[Knob, Any]:
    """The knob and the value of a `key=value` (or `section.key=value`) from the command line, read by the knob's type."""
    key, equals, text = assignment.partition("=")
    section, _, name = key.strip().rpartition(".")
    if not equals:
        raise GolfError(f"`{assignment}` is no override", "write `key=value`, as in `num_layers=11`")
    if name not in catalogue.knobs:
        raise GolfError(f"no part has a knob `{name}`", knob_hint(catalogue, name))
    knob = catalogue.knobs[name]
    if section and section != knob.part:
        raise GolfError(f"`{name}` is not a knob of `{section}`", f"write `{knob.part}.{name}=…`, or `{name}=…`")
    return knob, checked(catalogue, knob, _from_text(knob.kind, text.strip()), f"`{assignment}`")


def _from_text(kind: str, text: str) -> Any:
    if kind in ("str", "Slot"):
        return text.strip("\"'")
    if kind in ("tuple", "Chain") and not text.startswith("["):
        parts = [part.strip() for part in text.strip("()").split(",") if part.strip()]
        return parts if kind == "Chain" else [_from_text("int", part) for part in parts]
    try:
        return tomllib.loads(f"value = {text.lower() if text.lower() in ('true', 'false') else text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def knob_hint(catalogue: Catalogue, name: str) -> str | None:
    """ "did you mean `gate_window`?  [golf/parts/techniques/sparse_gate.py]" for a name that is no knob."""
    hint = did_you_mean(name, list(catalogue.knobs))
    if hint is None or not hint.startswith("did"):
        return "`golf ls techniques` and `golf show technique:NAME` list the knobs"
    near = hint.split("`")[1]
    return f"{hint}  [{catalogue.parts[catalogue.knobs[near].part].shown}]"


def literal(value: Any) -> str:
    """A scalar as one writes it in Python: 786_432, 1e-08, "text", (3, 5)."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, int | float):
        return toml(value) if abs(value) < float("inf") else f'float("{value}")'
    if isinstance(value, tuple):
        return f"({literal(value[0])},)" if len(value) == 1 else f"({', '.join(literal(v) for v in value)})"
    text = repr(str(value))
    return text if text.startswith('"') or '"' in text else f'"{text[1:-1]}"'


def assignments(changes: Mapping[str, Any]) -> list[str]:
    """Changed keys as the command line takes them: `key=value` words, texts bare, any other JSON value as JSON (and so as TOML)."""
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in changes.items()]
