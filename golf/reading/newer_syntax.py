"""Source of a newer Python made readable for the running one: f-strings become tuples of the expressions in them."""

import libcst as cst


class _Plain(cst.CSTTransformer):
    def leave_FormattedString(
        self, original_node: cst.FormattedString, updated_node: cst.FormattedString
    ) -> cst.BaseExpression:
        values = [part.expression for part in updated_node.parts if isinstance(part, cst.FormattedStringExpression)]
        elements = [cst.Element(value) for value in values]
        call = cst.Call(cst.Name("str"), [cst.Arg(cst.List(elements))])
        return call.with_changes(lpar=updated_node.lpar, rpar=updated_node.rpar)

    def leave_ConcatenatedString(
        self, original_node: cst.ConcatenatedString, updated_node: cst.ConcatenatedString
    ) -> cst.BaseExpression:
        parts = [cst.Element(updated_node.left), cst.Element(updated_node.right)]
        return cst.Call(cst.Name("str"), [cst.Arg(cst.List(parts))]).with_changes(
            lpar=updated_node.lpar, rpar=updated_node.rpar
        )


def without_fstrings(text: str) -> str:
    """`text` with each f-string replaced by `str([…its expressions…])`; line numbers hold where strings are on one line.

    Raises libcst.ParserSyntaxError when it is no Python at all.
    """
    return cst.parse_module(text).visit(_Plain()).code
