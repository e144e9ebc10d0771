"""Edits of a definition's text by the places of its nodes: comments and layout stay what they were."""

import ast
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from golf.compose.program import Function, Tree


@dataclass(frozen=True)
class Edit:
    """Bytes of a definition's text from `start` to `end`, to be replaced. owner: the definition's tree."""

    owner: Tree
    start: int
    end: int
    text: str = ""


Change = list[Edit]  # what is done together or not at all


def span(tree: Tree, node: ast.AST) -> tuple[int, int]:
    """Where a node begins and ends, in bytes."""
    at = tree.line_starts
    first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", 1)
    return at[first - 1] + getattr(node, "col_offset", 0), at[last - 1] + getattr(node, "end_col_offset", 0)


def source(tree: Tree, node: ast.AST) -> str:
    """A node's own text."""
    start, end = span(tree, node)
    return tree.data[start:end].decode()


def replaced(tree: Tree, node: ast.AST, text: str) -> Edit:
    return Edit(tree, *span(tree, node), text)


def without_item(tree: Tree, items: Sequence[tuple[int, int]], i: int, first: int) -> Edit:
    """Take one of the items of a list in parentheses out, with its comma. first: where the list begins, after the parenthesis."""
    if i + 1 < len(items):
        return Edit(tree, items[i][0], items[i + 1][0])
    return Edit(tree, items[i - 1][1] if i else first, items[i][1])


def without_argument(tree: Tree, call: ast.Call, value: ast.expr) -> Edit:
    """A call without the argument that has this value."""
    keywords = {id(k.value): k for k in call.keywords}
    nodes: list[ast.expr | ast.keyword] = sorted([*call.args, *call.keywords], key=lambda node: span(tree, node))
    items = [span(tree, node) for node in nodes]
    i = nodes.index(keywords.get(id(value), value))
    return without_item(tree, items, i, span(tree, call.func)[1] + 1)


def without_parameter(tree: Tree, function: Function, name: str) -> Edit:
    """A function without one of its parameters, and without the `*` that only it needed."""
    args = function.args
    defaults: Mapping[str, ast.expr] = dict(
        zip([a.arg for a in args.args[len(args.args) - len(args.defaults) :]], args.defaults, strict=True)
    ) | {a.arg: d for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d is not None}
    order = [*args.args, *args.kwonlyargs]
    items = [(span(tree, a)[0], span(tree, defaults.get(a.arg, a))[1]) for a in order]
    i = [a.arg for a in order].index(name)
    opening = tree.data.index(b"(", span(tree, function)[0] + len(f"def {function.name}")) + 1
    if len(args.kwonlyargs) == 1 and order[i] is args.kwonlyargs[0]:  # the star before it
        return Edit(tree, items[i - 1][1] if i else opening, items[i][1])
    if i + 1 == len(args.args) and args.kwonlyargs and i == 0:
        return Edit(tree, items[i][0], tree.data.index(b"*", items[i][1]))
    if i + 1 == len(args.args) and args.kwonlyargs:
        return Edit(tree, items[i - 1][1], items[i][1])
    return without_item(tree, items, i, opening)


def lines_of(tree: Tree, first: int, last: int) -> tuple[int, int]:
    """The bytes of whole lines, 1-based and inclusive."""
    at = tree.line_starts
    return at[first - 1], at[min(last, len(at) - 1)]


def without_statement(tree: Tree, statement: ast.stmt) -> Edit:
    """A block without one statement, or with `pass` where it was the only one; comments of its own directly above it go with it."""
    lines = tree.lines
    around = tree.parents[statement]
    blocks = [getattr(around, name, None) for name in ("body", "orelse", "finalbody")]
    block = next(b for b in blocks if isinstance(b, list) and statement in b)
    first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
    while re.fullmatch(r"\s*#.*", lines[first - 2]) and first > 2:
        first -= 1
    text = " " * statement.col_offset + "pass\n" if len(block) == 1 else ""
    return Edit(tree, *lines_of(tree, first, statement.end_lineno or statement.lineno), text)


def rewritten(tree: Tree, start: int, end: int, edits: Iterable[Edit]) -> str:
    """The text from `start` to `end`, in bytes, with edits that lie in it made."""
    text = tree.data[start:end]
    for edit in sorted(edits, key=lambda e: -e.start):
        text = text[: edit.start - start] + edit.text.encode() + text[edit.end - start :]
    return text.decode()


def dedented(tree: Tree, block: Sequence[ast.stmt], after: int, column: int, edits: Iterable[Edit] = ()) -> str | None:
    """A block's lines, comments with them, edited and moved to a column. after: the line above it. None where a text of several lines
    forbids it."""
    for statement in block:
        for node in ast.walk(statement):
            if isinstance(node, ast.Constant | ast.JoinedStr) and (node.end_lineno or 0) > node.lineno:
                if not isinstance(node, ast.Constant) or isinstance(node.value, str):
                    return None
    text = rewritten(tree, *lines_of(tree, after + 1, block[-1].end_lineno or 0), edits)
    return textwrap.indent(textwrap.dedent(text), " " * column)


def settled(tree: Tree, node: ast.If, value: bool) -> Edit | None:
    """An `if` or `elif` whose test is known: the branch that is taken in its place."""
    lines, column = tree.lines, node.col_offset
    is_elif = lines[node.lineno - 1][column:].startswith("elif")
    other = node.orelse
    elif_follows = len(other) == 1 and isinstance(other[0], ast.If) and _starts(lines, other[0], "elif")
    body_end = node.body[-1].end_lineno or 0
    last = (other or node.body)[-1].end_lineno or 0
    if value:
        kept = dedented(tree, node.body, node.test.end_lineno or node.lineno, column + 4 * is_elif)
        text = None if kept is None else (" " * column + "else:\n" if is_elif else "") + kept
    elif elif_follows:
        start, end = lines_of(tree, other[0].lineno, last)
        text = tree.data[start:end].decode()
        text = text if is_elif else text.replace("elif", "if", 1)
    elif other and is_elif:
        start, end = lines_of(tree, body_end + 1, last)
        text = tree.data[start:end].decode()
    elif other:
        line = next(n for n in range(body_end + 1, other[0].lineno + 1) if lines[n - 1].strip().startswith("else"))
        text = dedented(tree, other, line, column)
    elif is_elif:
        text = ""
    else:
        return without_statement(tree, node)
    return None if text is None else Edit(tree, *lines_of(tree, node.lineno, last), text)


def _starts(lines: Sequence[str], node: ast.stmt, word: str) -> bool:
    return lines[node.lineno - 1][node.col_offset :].startswith(word)


def applied(changes: Iterable[Change]) -> Iterator[tuple[Tree, str]]:
    """(tree, its new text) of every definition that changes: of changes that touch the same place, the first is made."""
    taken: dict[Tree, list[Edit]] = {}
    for change in changes:
        edits = list(dict.fromkeys(change))
        if all(_is_free(edit, [*taken.get(edit.owner, ()), *(e for e in edits if e is not edit)]) for edit in edits):
            for edit in edits:
                taken.setdefault(edit.owner, []).append(edit)
    for tree, edits in taken.items():
        yield tree, rewritten(tree, 0, len(tree.data), edits)


def _is_free(edit: Edit, others: Iterable[Edit]) -> bool:
    return all(e.owner is not edit.owner or edit.end <= e.start or e.end <= edit.start for e in others)
