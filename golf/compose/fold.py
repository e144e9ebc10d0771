"""Fold: replace what the recipe decides in one definition, and resolve the branches that this settles (libcst keeps comments).

1. `h.slot` → the name, `h.chain` → the tuple of names; `h.scalar` stays, for `class h`.
2. `if`, conditional expressions, the left of `and`/`or` and `assert` go where their test is made only of `h.…` and literals.
   The original test decides, before anything is put in its place; a branch that is not taken is not looked at.
3. A loop over a chain is unrolled where that reads better, and disappears when the chain is empty.
4. Statements after a settled `return`, `raise`, `break`, `continue` go.
5. `h` is one global of the file: parameters, arguments and `self.h = h` are erased (golf.compose.plumbing).
"""

import re
from collections.abc import Sequence
from typing import Any, cast

import libcst as cst

from golf.compose.alternatives import alternatives
from golf.compose.branches import (
    EMPTY,
    Statement,
    bare,
    carry,
    ends_block,
    indented,
    is_pass,
    is_pure,
    settle,
    without_blank_start,
)
from golf.compose.loops import can_unroll, over_chain, unrolled
from golf.compose.plumbing import (
    is_trivial_init,
    stores_h,
    stray_h,
    yields,
)
from golf.compose.settle import Values, evaluate
from golf.compose.substitute import Substitute
from golf.errors import GolfError
from golf.recipe.partfile import Definition

WORD_H = re.compile(r"\bh\b")


def fold(definition: Definition, values: Values, shown: str) -> str:
    """The text of `definition` under the recipe `values`. shown: its file, for messages.

    Raises GolfError with `file:line` for a false assertion, an unknown knob, and an `h` that would be lost.
    """
    if not WORD_H.search(definition.text):  # every rule of the fold is about `h`
        return definition.text
    module = cst.parse_module(definition.text)
    folder = Fold(definition, values)
    try:
        folded = module.with_changes(header=module.header, body=folder.statements(module.body), footer=module.footer)
        text = folded.code
        stray = stray_h(text)
        if stray:
            raise GolfError(
                f"`{stray}` would lose its `h`",
                "pass `h` bare to a function of the parts, or read `h.…` there [rule 4]",
            )
    except GolfError as fault:
        place = f"{shown}:{folder.line_of(module)}"
        if place in fault.message:
            raise
        raise GolfError(f"{fault.message}  [{place}]", fault.hint, fault.code) from fault
    for sentence, at in folder.twin_faults:
        folder.at = at
        values.twin_faults.append(f"{sentence}  [{shown}:{folder.line_of(module)}]")
    return text


class Fold(Substitute):
    """Walks one definition top down through statements and tests, bottom up through everything else."""

    def __init__(self, definition: Definition, values: Values) -> None:
        super().__init__(definition, values)
        self.at: cst.CSTNode | None = None
        self.functions: list[cst.FunctionDef] = []
        self.twin_faults: list[tuple[str, cst.CSTNode | None]] = []

    def line_of(self, module: cst.Module) -> int:
        """The line in the part's file of the statement that is being folded."""
        from libcst.metadata import MetadataWrapper, PositionProvider

        positions = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
        position = positions.get(self.at) if self.at is not None else None
        return self.definition.line + (position.start.line - 1 if position else 0)

    # statements -------------------------------------------------------------------------------------------------------

    def statements(self, body: Sequence[Statement]) -> list[Statement]:
        """A block's statements after folding. Comments above a resolved `if` stay with what takes its place."""
        kept: list[Statement] = []
        settled = False
        for statement in body:
            self.at = statement
            pieces = self.statement(statement)
            changed = not (len(pieces) == 1 and type(pieces[0]) is type(statement))
            settled = settled or (changed and isinstance(statement, cst.If | cst.For))
            kept += pieces
            if settled and kept and ends_block(kept[-1]):
                break
        if kept and kept[0] is not body[0]:
            kept[0] = without_blank_start(kept[0])
        return kept

    def statement(self, statement: Statement) -> list[Statement]:
        match statement:
            case cst.If():
                return self.fold_if(statement)
            case cst.For():
                return self.fold_for(statement)
            case cst.SimpleStatementLine():
                return self.fold_line(statement)
        folded = statement.visit(self)
        return [] if isinstance(folded, cst.RemovalSentinel) else [cast(Statement, folded)]

    def fold_line(self, line: cst.SimpleStatementLine) -> list[Statement]:
        small: list[Any] = []
        for part in line.body:
            if stores_h(part) or (isinstance(part, cst.Assert) and self.holds(part)):
                continue
            small.append(part.visit(self))
        if not small:
            return []
        small[-1] = small[-1].with_changes(semicolon=cst.MaybeSentinel.DEFAULT)
        return [line.with_changes(body=small)]

    def holds(self, node: cst.Assert) -> bool:
        """Whether the recipe proves an assertion; GolfError with its sentence when the recipe breaks it."""
        decided = set(self.values.decided)
        known, value, _ = settle(node.test, self.values)
        test = EMPTY.code_for_node(node.test)
        if not known:
            known, value = evaluate(test, self.values)
            if known and value and not self.twin_keeps(test):  # no fault of the file, but the twin must not be started
                self.twin_faults.append((self.sentence(node, small=True), self.at))
        self.values.decided = decided  # an assertion that holds has no effect on the file
        if known and not value:
            hint = alternatives(test, self.values) or "the recipe's values break this condition of the part"
            raise GolfError(self.sentence(node), hint)
        return known

    def twin_keeps(self, test: str) -> bool:
        try:
            return bool(evaluate(test, self.values, small=True)[1])
        except GolfError:
            return False

    def sentence(self, node: cst.Assert, small: bool = False) -> str:
        """What an assertion says when it is broken, by the recipe's values or by the twin's."""
        if node.msg is None:
            return f"`{EMPTY.code_for_node(node.test)}` does not hold"
        text = EMPTY.code_for_node(node.msg)
        computed, found = evaluate(text, self.values, small)
        plain = node.msg.evaluated_value if isinstance(node.msg, cst.SimpleString | cst.ConcatenatedString) else text
        return str(found if computed else plain)

    def fold_if(self, node: cst.If) -> list[Statement]:
        known, value, test = settle(node.test, self.values)
        if known:
            if value:
                return self.inline(node.body, node.leading_lines)
            match node.orelse:
                case None:
                    return []
                case cst.If() as other:
                    return self.fold_if(other.with_changes(leading_lines=[*node.leading_lines, *other.leading_lines]))
                case cst.Else() as other:
                    return self.inline(other.body, [*node.leading_lines, *other.leading_lines])
        body, orelse = cast(cst.BaseSuite, node.body.visit(self)), self.fold_else(node.orelse)
        if orelse is None and is_pass(body) and not is_pass(node.body) and is_pure(test):
            return []
        return [node.with_changes(test=bare(node.test, test).visit(self), body=body, orelse=orelse)]

    def fold_else(self, node: cst.If | cst.Else | None) -> cst.If | cst.Else | None:
        if node is None:
            return None
        if isinstance(node, cst.Else):
            body = cast(cst.BaseSuite, node.body.visit(self))
            return None if is_pass(body) and not is_pass(node.body) else node.with_changes(body=body)
        kept = self.fold_if(node)
        if len(kept) == 1 and isinstance(kept[0], cst.If):
            return kept[0]
        return cst.Else(cst.IndentedBlock(kept), leading_lines=[]) if kept else None

    def inline(self, block: cst.BaseSuite, leading: Sequence[cst.EmptyLine]) -> list[Statement]:
        """A branch's statements in the place of the whole `if`, with the comments that stood above and beside it."""
        suite = indented(block)
        kept = self.statements(suite.body)
        if not kept:
            return []
        comments = list(leading)
        if suite.header.comment is not None:
            comments.append(cst.EmptyLine(comment=suite.header.comment))
        first = without_blank_start(kept[0])
        return [cast(Any, first).with_changes(leading_lines=[*comments, *cast(Any, first).leading_lines]), *kept[1:]]

    def fold_for(self, node: cst.For) -> list[Statement]:
        knob = over_chain(node, self.values)
        if knob is None:
            return [cast(Statement, node.visit(self))]
        members = self.values.read(knob)
        if not members:
            return self.inline(node.orelse.body, node.leading_lines) if node.orelse else []
        if not can_unroll(node, len(members), self.functions[-1] if self.functions else node):
            return [cast(Statement, node.visit(self))]
        kept: list[Statement] = []
        for i, member in enumerate(members):
            self.check_capture(member.name)
            kept += self.inline(unrolled(node, member.name), node.leading_lines if i == 0 else [])
        return kept

    def visit_IndentedBlock(self, node: cst.IndentedBlock) -> bool:
        return False

    def leave_IndentedBlock(
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.IndentedBlock:
        kept = self.statements(original_node.body)
        return original_node.with_changes(body=kept or [cst.SimpleStatementLine([cst.Pass()])])

    # tests -------------------------------------------------------------------------------------------------------------

    def visit_BooleanOperation(self, node: cst.BooleanOperation) -> bool:
        return False

    def leave_BooleanOperation(
        self, original_node: cst.BooleanOperation, updated_node: cst.BooleanOperation
    ) -> cst.BaseExpression:
        known, value, left = settle(original_node.left, self.values)
        if known:
            decided = bool(value) == isinstance(original_node.operator, cst.Or)
            chosen = original_node.left if decided else original_node.right
            return carry(original_node, cast(cst.BaseExpression, chosen.visit(self)))
        right = cast(cst.BaseExpression, original_node.right.visit(self))
        return original_node.with_changes(
            left=cast(cst.BaseExpression, bare(original_node.left, left).visit(self)),
            right=bare(original_node.right, right),
        )

    def visit_IfExp(self, node: cst.IfExp) -> bool:
        return False

    def leave_IfExp(self, original_node: cst.IfExp, updated_node: cst.IfExp) -> cst.BaseExpression:
        known, value, test = settle(original_node.test, self.values)
        if known:
            chosen = original_node.body if value else original_node.orelse
            return carry(original_node, cast(cst.BaseExpression, chosen.visit(self)))
        return original_node.with_changes(
            test=test.visit(self), body=original_node.body.visit(self), orelse=original_node.orelse.visit(self)
        )

    # functions ---------------------------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        self.functions.append(node)
        return True

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef | cst.RemovalSentinel:
        self.functions.pop()
        # looking through the tree is slow, so only where the word stands
        if "yield" in self.definition.text and yields(original_node) and not yields(updated_node):
            raise GolfError(
                f"folding would turn the generator `{original_node.name.value}` into a function",
                "choose between two functions with a slot [rule 6]",
            )
        if is_trivial_init(updated_node) and not is_trivial_init(original_node):
            return cst.RemoveFromParent()
        return updated_node
