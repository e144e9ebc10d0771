"""How `h` is passed around in the library, and its removal: in the generated file `h` is one global class."""

import ast
import symtable
from typing import Any

import libcst as cst

# nodes are told apart by isinstance, not by libcst.matchers: importing those takes as long as composing a file


def is_name(node: cst.CSTNode, name: str) -> bool:
    """Whether a node is the bare name `name`."""
    return isinstance(node, cst.Name) and node.value == name


def holds(
    node: cst.CSTNode, kinds: tuple[type[cst.CSTNode], ...], *, closed: tuple[type[cst.CSTNode], ...] = ()
) -> bool:
    """Whether a node of one of the kinds is `node` or lies in it, without looking into what is `closed`."""
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if isinstance(at, kinds):
            return True
        waiting += [child for child in at.children if not isinstance(child, closed)]
    return False


def only_line(block: cst.CSTNode) -> cst.BaseSmallStatement | None:
    """The statement of a block that holds just one, on a line of its own; else None."""
    if not isinstance(block, cst.IndentedBlock) or len(block.body) != 1:
        return None
    line = block.body[0]
    return line.body[0] if isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1 else None


def is_h(node: cst.CSTNode) -> bool:
    """Whether a node is the bare name `h`."""
    return is_name(node, "h")


def self_h(node: cst.CSTNode) -> bool:
    """Whether a node is `self.h`."""
    return isinstance(node, cst.Attribute) and is_name(node.value, "self") and is_h(node.attr)


def stores_h(node: cst.CSTNode) -> bool:
    """Whether a statement is `self.h = h`."""
    if not isinstance(node, cst.Assign) or len(node.targets) != 1:
        return False
    return self_h(node.targets[0].target) and is_h(node.value)


def without_h(call: cst.Call) -> cst.Call:
    """A call without its bare `h` argument."""
    kept = [
        a for a in call.args if not (is_h(a.value) and not a.star and (a.keyword is None or a.keyword.value == "h"))
    ]
    if len(kept) == len(call.args):
        return call
    if kept:
        kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return call.with_changes(args=kept, whitespace_before_args=cst.SimpleWhitespace(""))


def drop_parameter(params: cst.Parameters) -> cst.Parameters:
    """Parameters without `h`, without the `*` or `/` that only it needed, and without a trailing comma that would open the line."""
    lists: dict[str, list[cst.Param]] = {}
    for group in ("params", "kwonly_params", "posonly_params"):
        lists[group] = [p for p in getattr(params, group) if not is_h(p.name)]
    if all(len(kept) == len(getattr(params, group)) for group, kept in lists.items()):
        return params
    changes: dict[str, Any] = dict(lists)
    if not lists["kwonly_params"] and isinstance(params.star_arg, cst.ParamStar):
        changes["star_arg"] = cst.MaybeSentinel.DEFAULT
    if not lists["posonly_params"]:
        changes["posonly_ind"] = cst.MaybeSentinel.DEFAULT
    for group in ("kwonly_params", "params", "posonly_params"):
        if lists[group]:
            lists[group][-1] = lists[group][-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
            break
    return params.with_changes(**changes)


def is_trivial_init(node: cst.FunctionDef) -> bool:
    """Whether a method is an `__init__(self)` that only calls its parent's."""
    params = node.params
    if node.name.value != "__init__" or len(params.params) != 1 or params.kwonly_params or params.star_kwarg:
        return False
    if isinstance(params.star_arg, cst.Param):
        return False
    only = only_line(node.body)
    return isinstance(only, cst.Expr) and _is_super_init(only.value)


def _is_super_init(node: cst.CSTNode) -> bool:
    """Whether a node is `super().__init__()`."""
    if not isinstance(node, cst.Call) or node.args or not isinstance(node.func, cst.Attribute):
        return False
    parent = node.func.value
    if not isinstance(parent, cst.Call) or parent.args or not is_name(parent.func, "super"):
        return False
    return node.func.attr.value == "__init__"


def yields(function: cst.FunctionDef) -> bool:
    """Whether a function is a generator: a `yield` of its own, not of a function inside it."""
    return any(holds(child, (cst.Yield,), closed=(cst.FunctionDef, cst.Lambda)) for child in function.children)


def local_names(text: str) -> set[str]:
    """Every name that a function in `text` binds for itself, at any depth."""
    names: set[str] = set()
    tables = [symtable.symtable(text, "part", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        if isinstance(table, symtable.Function):
            names |= set(table.get_locals())
    return names


def stray_h(text: str) -> str | None:
    """The expression around an `h` that is neither read (`h.x`) nor erased, or None."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            continue
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Name) and child.id == "h":
                return ast.unparse(node).partition("\n")[0]
        if (isinstance(node, ast.arg) and node.arg == "h") or (
            isinstance(node, ast.Global | ast.Nonlocal) and "h" in node.names
        ):
            return "h"
        if isinstance(node, ast.keyword) and node.arg == "h":
            return f"h={ast.unparse(node.value)}"
    return None
