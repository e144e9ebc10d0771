"""Whether what a file said has the shape that is relied on: one sentence then names the place, and nothing further down stumbles."""

from dataclasses import dataclass
from typing import Any

NUMBER = (int, float)


@dataclass(frozen=True)
class Maybe:
    """None, or of a shape."""

    shape: Any


def misfit(value: Any, shape: Any, at: str = "") -> str | None:
    """Where `value` first is not as `shape` says; None where it is.

    shape: a type or several; `Maybe`; [shape] of every entry; {key: shape}, where a key that ends in "?" may be absent, "*" is every
    value, and other keys are free. True is no number.
    """
    here = at or "it"
    if isinstance(shape, Maybe):
        return None if value is None else misfit(value, shape.shape, at)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return here
        if isinstance(shape[0], type | tuple) and {type(one) for one in value} <= set(_kinds(shape[0])):
            return None  # as nearly always; of lists with an entry per feature one look after another takes long
        entries = ((f"{at}[{number}]", one, shape[0]) for number, one in enumerate(value))
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            return here
        for key in shape:
            if key != "*" and not key.endswith("?") and key not in value:
                return f"{at}.{key}".lstrip(".")
        entries = (
            (f"{at}.{key}".lstrip("."), one, wanted)
            for key, one in value.items()
            if (wanted := shape.get(key, shape.get(f"{key}?", shape.get("*")))) is not None
        )
    else:
        kinds = _kinds(shape)
        fits = isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds)
        return None if fits else here
    return next((found for place, one, wanted in entries if (found := misfit(one, wanted, place))), None)


def _kinds(shape: Any) -> tuple[type, ...]:
    return shape if isinstance(shape, tuple) else (shape,)
