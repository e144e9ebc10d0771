"""Source of a newer Python made readable for the running one: what its grammar has not is replaced by what it has.

f-strings become lists of the expressions in them (Python 3.12 nests quotes in them), type parameters go, a type alias becomes an
assignment. What the names, calls and imports of a script are does not change by that.
"""

import ast
import warnings

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

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        return updated_node.with_changes(type_parameters=None)

    def leave_ClassDef(self, original_node: cst.ClassDef, updated_node: cst.ClassDef) -> cst.ClassDef:
        return updated_node.with_changes(type_parameters=None)

    def leave_TypeAlias(self, original_node: cst.TypeAlias, updated_node: cst.TypeAlias) -> cst.Assign:
        return cst.Assign([cst.AssignTarget(updated_node.name)], updated_node.value)


class _Defaults(cst.CSTVisitor):
    found = False

    def visit_TypeParam(self, node: cst.TypeParam) -> None:
        self.found = self.found or node.default is not None


def in_this_grammar(text: str) -> str:
    """`text` with what only newer Pythons parse replaced; line numbers hold where strings are on one line.

    Raises libcst.ParserSyntaxError when it is no Python at all.
    """
    return cst.parse_module(text).visit(_Plain()).code


def tree_of_newer(text: str) -> ast.Module | None:
    """The tree of a script that the running Python does not parse, see `in_this_grammar`; None when it is no Python at all."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(in_this_grammar(text))
    except (cst.ParserSyntaxError, cst.CSTValidationError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def needed_python(text: str) -> str:
    """The least Python that parses a script that `tree_of_newer` read: 3.13 for defaults of type parameters, else 3.12."""
    defaults = _Defaults()
    cst.parse_module(text).visit(defaults)
    return "3.13" if defaults.found else "3.12"
