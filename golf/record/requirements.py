"""requirements.txt of a record, from the imports of its script."""

import ast
import sys
from collections.abc import Collection
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

from golf.challenge import SCRIPT
from golf.errors import GolfError


def requirements(script: bytes, local: Collection[str] = ()) -> str:
    """requirements.txt: what the script, unpacked, imports beyond the standard library and `local` modules, at the installed versions.

    What is not installed here was not used by the runs: an import that the script does without; it stands as a remark.
    """
    from golf.reading.script import parse
    from golf.reading.unpack import unpack

    try:
        tree = parse(Path(SCRIPT), unpack(script)).tree
    except GolfError:
        tree = None
    if tree is None:
        return "torch\n"
    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {
        str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level
    }
    lines = {_pinned(name) for name in imported - set(sys.stdlib_module_names) - set(local)}
    text = "".join(f"{line}\n" for line in sorted(lines, key=lambda line: (line.startswith("#"), line)))
    return text or "# nothing beyond the standard library\n"


def _pinned(module: str) -> str:
    """The distribution of an imported module at its installed version; a remark where it is not installed."""
    try:
        return f"{module}=={version(module).partition('+')[0]}"
    except PackageNotFoundError:
        pass
    # a distribution of another name; the table of all installed ones is slow to make
    package = packages_distributions().get(module, [module])[0]
    try:
        return f"{package}=={version(package).partition('+')[0]}"
    except PackageNotFoundError:
        return f"# {module}: used where it is installed; these runs did without"
