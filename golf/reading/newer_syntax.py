"""Scripts that only a newer Python parses: their tree, and which Python they need."""

import ast
import re
import subprocess
import sys
import warnings
from functools import lru_cache
from pathlib import Path

PROGRAM = Path(__file__).with_name("newer_grammar.py")
MOST_SECONDS = 60.0  # of the wall; the program itself stops after 10 of a processor
MOST_BYTES = 2_000_000  # no script that is worth a second grammar is larger
NEWER = re.compile(
    r"""(?i)(?<![a-z0-9_])(?:[ft]r?|r[ft])["']|\btype\s+\w|\b(?:def|class)\s+\w+\s*\[|\bexcept\b[^:(]*,"""
)
AROUND_LINES = 40  # before an error, in which what the running Python does not know must stand


def may_be_newer(text: str, fault: SyntaxError | ValueError) -> bool:
    """Whether what the running Python refuses may be a newer one's: an f-string, a type alias, parameters of a type, two exceptions
    without parentheses near the place of the error. Asking a newer grammar costs half a second."""
    line, message = getattr(fault, "lineno", None), str(getattr(fault, "msg", ""))
    if not line or message.startswith("f-string"):
        return NEWER.search(text) is not None
    return NEWER.search("\n".join(text.split("\n")[max(line - AROUND_LINES, 0) : line + 1])) is not None


def tree_of_newer(text: str) -> ast.Module | None:
    """The tree of a script that the running Python does not parse, what its grammar lacks replaced; None when it is no Python at all."""
    found = _translated(text)
    if found is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(found[1])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def needed_python(text: str) -> str | None:
    """The least Python that parses the script, as "3.12"; None when it is no Python at all."""
    found = _translated(text)
    return None if found is None else found[0]


@lru_cache(maxsize=16)
def _translated(text: str) -> tuple[str, str] | None:
    """(the Python it needs, the text in the running one's grammar); None for what is no Python, or ends the parser's process."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        return None
    if len(raw) > MOST_BYTES or b"\0" in raw:
        return None
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(PROGRAM)], input=raw, capture_output=True, timeout=MOST_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    needs, _, plain = done.stdout.decode("utf-8", "replace").partition("\n")
    return (needs, plain) if done.returncode == 0 else None
