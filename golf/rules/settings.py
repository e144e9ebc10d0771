"""Settings of a script: environment reads with their defaults, constants, and how their texts compare."""

import ast
import re
from dataclasses import dataclass
from typing import Any

from golf.reading.module import dotted, walk

ENV_CALLS = (
    "os.environ.get",
    "os.getenv",
    "environ.get",
    "getenv",
    "env",
    "_env",
    "env_int",
    "env_float",
    "env_bool",
    "env_str",
)


@dataclass(frozen=True)
class Setting:
    """A default that the environment may override (env is its name) or a constant of the script (env is None)."""

    name: str
    value: Any
    env: str | None
    line: int


def setting_of(name: str, value: ast.expr, line: int) -> Setting | None:
    call = next((node for node in walk(value) if isinstance(node, ast.Call) and _reads_env(node)), None)
    if call is not None:
        arguments = [node.value for node in call.args if isinstance(node, ast.Constant)]
        if not arguments:
            return None
        default = literal_of(arguments[1]) if len(arguments) > 1 else ...
        if len(arguments) < 2 and len(call.args) > 1:
            default = _computed(call.args[1])
        return Setting(name, default, str(arguments[0]), line)
    if isinstance(value, ast.Constant):
        return Setting(name, value.value, None, line)
    return None


def _reads_env(call: ast.Call) -> bool:
    return dotted(call.func) in ENV_CALLS and bool(call.args) and isinstance(call.args[0], ast.Constant)


def _computed(node: ast.expr) -> Any:
    try:
        return literal_of(ast.literal_eval(node.args[0] if isinstance(node, ast.Call) and node.args else node))
    except (ValueError, TypeError, SyntaxError):
        return ...


def literal_of(value: Any) -> Any:
    """An environment's text as what scripts make of it: numbers, flags, else text."""
    if not isinstance(value, str):
        return value
    lowered = value.strip().lower()
    if lowered in ("true", "yes", "on"):
        return True
    if lowered in ("false", "no", "off", "none", ""):
        return False
    try:
        return int(lowered) if re.fullmatch(r"-?\d+", lowered) else float(lowered)
    except ValueError:
        return value


def compare(left: Any, op: ast.cmpop, right: Any) -> bool | None:
    if left is ... or right is ...:
        return None
    try:
        match op:
            case ast.Eq():
                return bool(left == right)
            case ast.NotEq():
                return bool(left != right)
            case ast.Gt():
                return bool(left > right)
            case ast.GtE():
                return bool(left >= right)
            case ast.Lt():
                return bool(left < right)
            case ast.LtE():
                return bool(left <= right)
            case ast.Is():
                return left is right
            case ast.IsNot():
                return left is not right
    except TypeError:
        return None
    return None
