"""Docstrings of a composed file speak to its reader: not of parameters that went, nor of the slot that a function fills."""

import ast
import re

from golf.compose.edits import Edit, source, span
from golf.compose.program import Function, Tree, tree_of

# what only the author of a technique needs: "A slot for `route`.", "Sequential blocks first: a slot for `block`.", "Belongs into `value`."
_PLACE = r"(?:slot for|elongs into(?: the chain)?) `\w+`"
OF_SLOTS = re.compile(rf"(:|,)? *\b(?:a |b){_PLACE}[^.:;]*?(?=\.(\s|$)|:)|\b(?:A |B){_PLACE}[^.:]*(\.|: (?=\w))\s*")


def docstring_of(node: ast.AST) -> ast.Expr | None:
    """A definition's docstring, as the statement that it is."""
    first = node.body[0] if isinstance(node, ast.FunctionDef | ast.ClassDef) else None
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return first if is_text and isinstance(first, ast.Expr) else None


def without_sentence_on(tree: Tree, function: Function, name: str) -> list[Edit]:
    """The edit that takes `name: what it is.` out of a function's docstring; none where it does not speak of it so."""
    docstring = docstring_of(function)
    if docstring is None:
        return []
    text, (start, _) = source(tree, docstring), span(tree, docstring)
    found = re.search(rf'(?P<before>"""|(?<=[.:])\s+|\n\s*){name}: .*?\.(?=(?P<after>\s+|"""))', text, re.DOTALL)
    if found is None:
        return []
    first, last = found.start(), found.end()
    stays = found["before"] == '"""' or (found["before"].startswith("\n") and found["after"].strip("\n") == " ")
    if stays:  # what follows on the line moves up
        first, last = first + len(found["before"]), last + len(found["after"].replace('"""', ""))
    elif found["before"].count("\n") > 1 and text[last:].strip() != '"""':  # the empty line stays above the next
        first += 1
    return [Edit(tree, start + len(text[:first].encode()), start + len(text[:last].encode()))]


def for_the_reader(text: str) -> str:
    """A definition's text with docstrings that say nothing of slots, and without those that say nothing at all."""
    if '"""' not in text:
        return text
    lines = text.splitlines(keepends=True)
    nodes = [n for n in tree_of(text).nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    for node in sorted(nodes, key=lambda n: -n.lineno):
        docstring = docstring_of(node)
        if docstring is None or docstring.end_lineno is None:
            continue
        at = slice(docstring.lineno - 1, docstring.end_lineno)
        old = "".join(lines[at])
        body = old.strip()
        if not body.startswith('"""') or not body.endswith('"""'):
            continue
        before = body[3:-3].strip()
        said = OF_SLOTS.sub("", before).strip()
        if said and said == before and ("\n" in said) == ("\n" in body):
            continue
        if before[:1].isupper() and re.match(r"\w\w", said):
            said = said[:1].upper() + said[1:]
        indent = old[: len(old) - len(old.lstrip())]
        close = f"\n{indent}" if "\n" in said else ""
        new = f'{indent}"""{said}{close}"""\n' if said else ""
        lines[at] = [new] if said or len(node.body) > 1 else [f"{indent}pass\n"]
    return "".join(lines)
