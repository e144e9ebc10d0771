"""What would be allowed: for an assertion that a recipe breaks, the nearest values of a knob that keep it."""

import re
from collections.abc import Iterator
from typing import Any

from golf.compose.settle import Values, evaluate
from golf.errors import GolfError

FARTHEST = 20_000  # values tried on each side


def alternatives(test: str, values: Values) -> str | None:
    """ "`num_heads` could be 4 or 8": of the knobs that a test reads, the first that one change of would keep it; None without one.

    Knobs that a recipe has moved from their default come first: these are what somebody wants to change.
    """
    knobs = [values.catalogue.knobs[name] for name in dict.fromkeys(re.findall(r"\bh\.(\w+)", test))]
    for knob in sorted(knobs, key=lambda knob: bool(values.values[knob.name] == knob.default)):
        found = list(_nearest(test, values, knob.name))
        if found:
            return f"`{knob.name}` could be {' or '.join(map(str, sorted(found)))}"
    return None


def _nearest(test: str, values: Values, name: str) -> Iterator[Any]:
    """The nearest value below and above that the bound allows and that keeps the test; for a flag its opposite."""
    knob, now = values.catalogue.knobs[name], values.values[name]
    if knob.kind == "bool" and _keeps(test, values, name, not now):
        yield str(not now).lower()
    for step in (-1, 1) if knob.kind == "int" else ():
        for distance in range(1, FARTHEST):
            value = now + step * distance
            if value < 0:
                break
            if (knob.bound is None or knob.bound.holds(value)) and _keeps(test, values, name, value):
                yield value
                break


def _keeps(test: str, values: Values, name: str, value: Any) -> bool:
    try:
        known, kept = evaluate(test, Values(values.catalogue, {**values.values, name: value}))
    except GolfError:
        return False
    return known and bool(kept)
