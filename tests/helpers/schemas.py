"""The shape of a JSON document as a JSON Schema: what keys and types it has, inferred from what a command printed."""

import re
from collections.abc import Iterable
from typing import Any

# objects whose keys are data, not names: seeds, knobs, rule codes, fields of a log
MAPS = {
    "parts",
    "definitions",
    "techniques",
    "config",
    "seeds",
    "hyperparameters",
    "sources",
    "values",
    "origins",
    "knobs",
    "users",
    "published",
    "original",
    "touched",
}
DATA_KEY = re.compile(r"\d+|R\d\d")
WORDS = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


def schema_of(value: Any, name: str = "") -> dict[str, Any]:
    """The schema of one document, or of a value under `name` in it."""
    if isinstance(value, dict):
        if name in MAPS or (value and all(DATA_KEY.fullmatch(key) for key in value)):
            return {"type": "object", "additionalProperties": merged(schema_of(one) for one in value.values())}
        return {
            "type": "object",
            "properties": {key: schema_of(one, key) for key, one in value.items()},
            "required": sorted(value),
        }
    if isinstance(value, list):
        return {"type": "array", "items": merged(schema_of(one) for one in value)}
    return {"type": WORDS[type(value)]}


def merged(schemas: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One schema that all the values fit: types together, keys together, required what all have."""
    every = [one for one in schemas if one]
    if not every:
        return {}
    types = sorted({kind for one in every for kind in ([one["type"]] if isinstance(one["type"], str) else one["type"])})
    if {"integer", "number"} <= set(types):
        types.remove("integer")
    found: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
    named = [one for one in every if "properties" in one]
    if named:
        keys = dict.fromkeys(key for one in named for key in one["properties"])
        found["properties"] = {
            key: merged(one["properties"][key] for one in named if key in one["properties"]) for key in keys
        }
        found["required"] = sorted(set.intersection(*(set(one["required"]) for one in named)))
    for inner in ("items", "additionalProperties"):
        parts = [one[inner] for one in every if inner in one]
        if parts:
            found[inner] = merged(parts)
    return found
