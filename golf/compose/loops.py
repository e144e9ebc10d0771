"""Loops over a chain: `for hook in h.attn_out:` is written out where that reads as if by hand."""

from typing import cast

import libcst as cst

from golf.compose.plumbing import holds, is_h, is_name, self_h
from golf.compose.settle import Values


def over_chain(node: cst.For, values: Values) -> str | None:
    """The chain that a loop runs over, or None."""
    source = node.iter
    if not (isinstance(source, cst.Attribute) and (is_h(source.value) or self_h(source.value))):
        return None
    return source.attr.value if values.kind(source.attr.value) == "Chain" else None


def can_unroll(node: cst.For, members: int, function: cst.CSTNode) -> bool:
    """Whether a loop may be written out: its variable is only read, and only in the loop; the body is one line, or run once."""
    if not isinstance(node.target, cst.Name) or node.orelse is not None or node.asynchronous is not None:
        return False
    body = node.body.body
    if members > 1 and not (len(body) == 1 and isinstance(body[0], cst.SimpleStatementLine)):
        return False
    name = node.target.value
    if holds(node.body, (cst.Break, cst.Continue, cst.Lambda, cst.FunctionDef, cst.Global, cst.Nonlocal)):
        return False
    search = _Uses(name)
    node.body.visit(search)
    outside = _Uses(name)
    (function.body if isinstance(function, cst.FunctionDef) else function).visit(outside)
    return not search.bound and outside.loose == 0


class _Uses(cst.CSTVisitor):
    """Counts how a name is used: bound in a target, or read outside every loop that binds it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bound = False
        self.loose = 0

    def visit_For(self, node: cst.For) -> bool:
        binds = is_name(node.target, self.name)
        self.bound = self.bound or binds
        return not binds

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:
        self._bind(node.target)

    def visit_AugAssign(self, node: cst.AugAssign) -> None:
        self._bind(node.target)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        self._bind(node.target)

    def visit_NamedExpr(self, node: cst.NamedExpr) -> None:
        self._bind(node.target)

    def visit_CompFor(self, node: cst.CompFor) -> None:
        self._bind(node.target)

    def visit_AsName(self, node: cst.AsName) -> None:
        self._bind(node.name)

    def visit_Del(self, node: cst.Del) -> None:
        self._bind(node.target)

    def visit_Attribute_attr(self, node: cst.Attribute) -> None:
        self.loose -= node.attr.value == self.name  # an attribute's name is no use

    def visit_Arg(self, node: cst.Arg) -> None:
        self.loose -= node.keyword is not None and node.keyword.value == self.name

    def visit_Name(self, node: cst.Name) -> None:
        self.loose += node.value == self.name

    def _bind(self, target: cst.CSTNode) -> None:
        waiting = [target]
        while waiting and not self.bound:
            at = waiting.pop()
            self.bound = is_name(at, self.name)
            waiting += at.children


def unrolled(node: cst.For, member: str) -> cst.IndentedBlock:
    """A loop's body for one member of its chain."""
    return cast(cst.IndentedBlock, node.body.visit(_Rename(cast(cst.Name, node.target).value, member)))


class _Rename(cst.CSTTransformer):
    def __init__(self, name: str, member: str) -> None:
        super().__init__()
        self.name = name
        self.member = member

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        return updated_node.with_changes(value=self.member) if updated_node.value == self.name else updated_node

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.Attribute:
        return updated_node.with_changes(attr=original_node.attr)

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        return updated_node.with_changes(keyword=original_node.keyword)
