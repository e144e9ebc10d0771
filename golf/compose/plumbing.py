"""How `h` is passed around in the library, and its removal: in the generated file `h` is one global class."""

import ast
import symtable
from typing import Any

import libcst as cst
import libcst.matchers as m

_SELF_H = m.Attribute(value=m.Name("self"), attr=m.Name("h"))
_STORES_H = m.Assign(targets=[m.AssignTarget(target=_SELF_H)], value=m.Name("h"))
_SUPER_INIT = m.Expr(
    value=m.Call(func=m.Attribute(value=m.Call(func=m.Name("super"), args=[]), attr=m.Name("__init__")), args=[])
)


def is_h(node: cst.CSTNode) -> bool:
    """Whether a node is the bare name `h`."""
    return isinstance(node, cst.Name) and node.value == "h"


def self_h(node: cst.CSTNode) -> bool:
    """Whether a node is `self.h`."""
    return m.matches(node, _SELF_H)


def stores_h(node: cst.CSTNode) -> bool:
    """Whether a statement is `self.h = h`."""
    return m.matches(node, _STORES_H)


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
    if isinstance(params.star_arg, cst.Param) or not isinstance(node.body, cst.IndentedBlock):
        return False
    return m.matches(node.body, m.IndentedBlock(body=[m.SimpleStatementLine(body=[_SUPER_INIT])]))


def yields(function: cst.FunctionDef) -> bool:
    """Whether a function is a generator: a `yield` of its own, not of a function inside it."""

    class Search(cst.CSTVisitor):
        found = False

        def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
            return node is function

        def visit_Lambda(self, node: cst.Lambda) -> bool:
            return False

        def visit_Yield(self, node: cst.Yield) -> None:
            self.found = True

    search = Search()
    function.visit(search)
    return search.found


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
