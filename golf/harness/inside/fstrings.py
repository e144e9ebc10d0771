"""f-strings of Python 3.12 (PEP 701) spelled out for an older one: the same text comes out."""

import ast
import re

import libcst as cst


class _Spelled(cst.CSTTransformer):
    def leave_FormattedString(
        self, original_node: cst.FormattedString, updated_node: cst.FormattedString
    ) -> cst.BaseExpression:
        raw = "r" in updated_node.prefix.lower()
        return cst.parse_expression(f"''.join([{', '.join(_parts(updated_node.parts, raw))}])").with_changes(
            lpar=updated_node.lpar, rpar=updated_node.rpar
        )

    def visit_ConcatenatedString(self, node: cst.ConcatenatedString) -> bool:
        return False  # its sides may be nothing but strings: they are spelled out one by one

    def leave_ConcatenatedString(
        self, original_node: cst.ConcatenatedString, updated_node: cst.ConcatenatedString
    ) -> cst.BaseExpression:
        return cst.parse_expression(f"({_spelled(original_node.left)} + {_spelled(original_node.right)})")


def _spelled(node: cst.BaseExpression) -> str:
    spelled = node.visit(_Spelled())
    assert isinstance(spelled, cst.CSTNode)
    return cst.Module([]).code_for_node(spelled)


def _parts(parts: object, raw: bool) -> list[str]:
    texts = []
    for part in parts:  # type: ignore[attr-defined]
        if isinstance(part, cst.FormattedStringText):
            value = part.value.replace("{{", "{").replace("}}", "}")
            texts.append(repr(value if raw else _unescaped(value)))
            continue
        code = cst.Module([]).code_for_node(part.expression)
        if part.conversion:
            code = {"r": "repr", "s": "str", "a": "ascii"}[part.conversion] + f"({code})"
        spec = "''.join([" + ", ".join(_parts(part.format_spec, raw)) + "])" if part.format_spec else "''"
        label = "" if part.equal is None else repr(cst.Module([]).code_for_node(part.expression) + "=") + ", "
        texts.append(f"{label}format({code}, {spec})")
    return texts


def _unescaped(text: str) -> str:
    """What an escaped literal stands for; quotes of either kind may stand bare in it."""
    if "\\" not in text:
        return text
    return str(ast.literal_eval('"""' + re.sub(r'(?<!\\)"', r"\"", text) + '"""'))


def older(source: str) -> str:
    """`source` with every f-string as a join of formats. SyntaxError when it is no Python."""
    try:
        return cst.parse_module(source).visit(_Spelled()).code
    except Exception as fault:  # libcst has several errors for text that it does not read
        raise SyntaxError(f"not readable as Python: {type(fault).__name__}") from fault
