"""Source of a newer Python made readable for the running one: what its grammar has not is replaced by what it has.

Run as a program of its own by `newer_syntax`: the parser is native code, and text that nests deeply enough ends its process.

f-strings become lists of the expressions in them (Python 3.12 nests quotes in them), type parameters go, a type alias becomes an
assignment. What the names, calls and imports of a script are does not change by that.
"""

import sys

import libcst as cst

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

MOST_CPU_SECONDS = 10  # the largest public scripts, 190 KB, take two


def _parts(node: cst.BaseExpression) -> list[cst.BaseExpression]:
    """The strings of a concatenation, in order."""
    if isinstance(node, cst.ConcatenatedString):
        return [*_parts(node.left), *_parts(node.right)]
    return [node]


class _Plain(cst.CSTTransformer):
    def leave_FormattedString(
        self, original_node: cst.FormattedString, updated_node: cst.FormattedString
    ) -> cst.BaseExpression:
        values = [part.expression for part in updated_node.parts if isinstance(part, cst.FormattedStringExpression)]
        elements = [cst.Element(value) for value in values]
        call = cst.Call(cst.Name("str"), [cst.Arg(cst.List(elements))])
        return call.with_changes(lpar=updated_node.lpar, rpar=updated_node.rpar)

    def visit_ConcatenatedString(self, node: cst.ConcatenatedString) -> bool:
        return False  # its parts must be strings until it is replaced itself

    def leave_ConcatenatedString(
        self, original_node: cst.ConcatenatedString, updated_node: cst.ConcatenatedString
    ) -> cst.BaseExpression:
        plain = [part.visit(self) for part in _parts(original_node)]
        parts = [cst.Element(part) for part in plain if isinstance(part, cst.BaseExpression)]
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


def translated(text: str) -> tuple[str, str]:
    """(the least Python that parses `text`: 3.13 for defaults of type parameters, else 3.12; `text` with what only newer Pythons parse
    replaced). Line numbers hold where strings are on one line.

    Raises libcst.ParserSyntaxError when it is no Python at all.
    """
    module, defaults = cst.parse_module(text), _Defaults()
    module.visit(defaults)
    return "3.13" if defaults.found else "3.12", module.visit(_Plain()).code


def main() -> int:
    """Read a script on stdin; the Python that it needs and what it is in this grammar on stdout, or exit code 1."""
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_SECONDS, MOST_CPU_SECONDS))
    try:
        needs, plain = translated(sys.stdin.buffer.read().decode("utf-8"))
    except (cst.ParserSyntaxError, cst.CSTValidationError, ValueError, RecursionError, MemoryError):
        return 1
    sys.stdout.buffer.write(f"{needs}\n{plain}".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
