"""Tests and blocks: what the recipe settles of a condition, and how a branch takes the place of its `if`."""

from typing import Any, cast

import libcst as cst

from golf.compose.plumbing import holds, only_line
from golf.compose.settle import Values, decide

Statement = cst.BaseStatement
EMPTY = cst.Module([])


def settle(node: cst.BaseExpression, values: Values) -> tuple[bool, Any, cst.BaseExpression]:
    """(whether the recipe decides a test, its value, what is left of the test with nothing put in place yet)."""
    match node:
        case cst.BooleanOperation():
            known, value, left = settle(node.left, values)
            if known and bool(value) == isinstance(node.operator, cst.Or):
                return True, value, left
            right_known, right_value, right = settle(node.right, values)
            if known:
                return right_known, right_value, carry(node, right)
            return False, None, node.with_changes(left=bare(node.left, left), right=bare(node.right, right))
        case cst.UnaryOperation(operator=cst.Not()):
            known, value, inner = settle(node.expression, values)
            return known, known and not value, node.with_changes(expression=inner)
        case cst.IfExp():
            known, value, _ = settle(node.test, values)
            if known:
                chosen = node.body if value else node.orelse
                known, value, left = settle(chosen, values)
                return known, value, carry(node, left)
            return False, None, node
    known, value = decide(EMPTY.code_for_node(node), values)
    return known, value, node


def carry(outer: cst.BaseExpression, chosen: cst.BaseExpression) -> cst.BaseExpression:
    """`chosen` in the place of `outer`, with the parentheses that `outer` had, unless it stands alone."""
    alone = isinstance(
        chosen, cst.Name | cst.Attribute | cst.Call | cst.Subscript | cst.Integer | cst.Float | cst.SimpleString
    )
    if (
        not outer.lpar
        or chosen.lpar
        or (alone and "\n" not in EMPTY.code_for_node(chosen))
        or (alone and isinstance(chosen, cst.Call))
    ):
        return chosen
    return chosen.with_changes(lpar=[*outer.lpar, *chosen.lpar], rpar=[*chosen.rpar, *outer.rpar])


def bare(before: cst.BaseExpression, after: cst.BaseExpression) -> cst.BaseExpression:
    """An operand of `and`/`or`, or a test: a comparison without the parentheses that only what folding took out needed."""
    if after is before or not isinstance(after, cst.Comparison) or "\n" in EMPTY.code_for_node(after):
        return after
    return after.with_changes(lpar=[], rpar=[])


def ends_block(statement: Statement) -> bool:
    last = statement.body[-1] if isinstance(statement, cst.SimpleStatementLine) else None
    return isinstance(last, cst.Return | cst.Raise | cst.Break | cst.Continue)


def without_blank_start(statement: Statement) -> Statement:
    lines = list(cast(Any, statement).leading_lines)
    while lines and lines[0].comment is None:
        lines.pop(0)
    return cast(Statement, cast(Any, statement).with_changes(leading_lines=lines))


def indented(block: cst.BaseSuite) -> cst.IndentedBlock:
    if isinstance(block, cst.IndentedBlock):
        return block
    return cst.IndentedBlock([cst.SimpleStatementLine(cast(Any, block.body))])


def is_pass(block: cst.BaseSuite) -> bool:
    return isinstance(only_line(block), cst.Pass)


def is_pure(test: cst.BaseExpression) -> bool:
    return not holds(test, (cst.Call, cst.NamedExpr, cst.Await, cst.Yield))
