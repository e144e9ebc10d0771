"""Substitution: what the recipe chooses takes the place of `h.slot` and `h.chain`, and the plumbing of `h` goes."""

import libcst as cst

from golf.compose.branches import EMPTY
from golf.compose.plumbing import drop_parameter, is_h, local_names, self_h, without_h
from golf.compose.settle import Choice, Values
from golf.errors import GolfError
from golf.recipe.partfile import Definition


class Substitute(cst.CSTTransformer):
    """Bottom up through everything that is no statement and no condition."""

    def __init__(self, definition: Definition, values: Values) -> None:
        super().__init__()
        self.definition = definition
        self.values = values
        self.locals: set[str] | None = None

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.BaseExpression:
        if self_h(updated_node):
            return cst.Name("h", lpar=updated_node.lpar, rpar=updated_node.rpar)
        if not is_h(updated_node.value):
            return updated_node
        knob = updated_node.attr.value
        if self.values.kind(knob) not in ("Slot", "Chain"):
            return updated_node
        value = self.values.read(knob)
        if isinstance(value, tuple):
            return self.tuple_of(value)
        if value is None:
            return cst.Name("None")
        self.check_capture(value.name)
        return cst.Name(value.name, lpar=updated_node.lpar, rpar=updated_node.rpar)

    def tuple_of(self, members: tuple[Choice, ...]) -> cst.Tuple:
        for member in members:
            self.check_capture(member.name)
        comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
        last = cst.Comma() if len(members) == 1 else cst.MaybeSentinel.DEFAULT
        elements = [
            cst.Element(cst.Name(c.name), comma=comma if i + 1 < len(members) else last) for i, c in enumerate(members)
        ]
        return cst.Tuple(elements)

    def check_capture(self, name: str) -> None:
        """Refuse to put a name where a local of the same name would take its place."""
        if self.locals is None:
            self.locals = local_names(self.definition.text)
        if name in self.locals:
            raise GolfError(f"`{name}` is chosen by the recipe and also a local name here", "rename the local [rule 3]")

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        return without_h(updated_node)

    def leave_Parameters(self, original_node: cst.Parameters, updated_node: cst.Parameters) -> cst.Parameters:
        return drop_parameter(updated_node)

    def visit_Lambda(self, node: cst.Lambda) -> None:
        if drop_parameter(node.params) is not node.params:
            raise GolfError(
                f"`{EMPTY.code_for_node(node)}` would lose its `h`", "write a function instead of a lambda [rule 4]"
            )
