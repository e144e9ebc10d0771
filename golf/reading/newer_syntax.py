"""Scripts that only a newer Python parses: their tree, and which Python they need."""

import ast
import subprocess
import sys
import warnings
from functools import lru_cache
from pathlib import Path

PROGRAM = Path(__file__).with_name("newer_grammar.py")
MOST_SECONDS = 60.0  # of the wall; the program itself stops after 10 of a processor
MOST_BYTES = 2_000_000  # no script that is worth a second grammar is larger


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
