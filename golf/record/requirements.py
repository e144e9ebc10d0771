"""requirements.txt of a record, from the imports of its script."""

import ast
import sys
from collections.abc import Collection
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from re import compile as regex

from golf.challenge import SCRIPT
from golf.errors import GolfError

RELEASE = regex(r"(\d+(?:\.\d+)+)(?:\+\w+)?")  # 2.9.1 of 2.9.1+cu128


def requirements(script: bytes, local: Collection[str] = (), torch: str | None = None) -> str:
    """requirements.txt: what the script, unpacked, imports beyond the standard library and `local` modules.

    torch: the version that the runs used, None for unknown. Where it is the installed one they ran here: all stand at the installed
    versions, and what is not installed was not used by them (an import that the script does without; it stands as a remark). Runs
    of elsewhere pin torch alone, since nobody says what else they used.
    """
    from golf.reading.script import parse
    from golf.reading.unpack import unpack

    try:
        tree = parse(Path(SCRIPT), unpack(script)).tree
    except GolfError:
        tree = None
    ran, found = (RELEASE.fullmatch(text or "") for text in (torch, installed("torch")))
    here = ran is not None and found is not None and ran[1] == found[1]
    pin = f"torch=={ran[1]}" if ran else "torch"
    if tree is None:
        return f"{pin}\n"
    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {
        str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level
    }
    others = imported - set(sys.stdlib_module_names) - set(local)
    lines = (
        {_pinned(name) for name in others} if here else {pin if name == "torch" else _named(name) for name in others}
    )
    text = "".join(f"{line}\n" for line in sorted(lines, key=lambda line: (line.startswith("#"), line)))
    return text or "# nothing beyond the standard library\n"


def installed(package: str) -> str | None:
    """The version of a distribution that is installed here."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _distribution(module: str) -> str | None:
    """The installed distribution that has an imported module."""
    if installed(module):
        return module
    # one of another name; the table of all installed ones is slow to make
    return packages_distributions().get(module, [None])[0]


def _pinned(module: str) -> str:
    """The distribution of an imported module at its installed version; a remark where it is not installed."""
    package = _distribution(module)
    if package is None:
        return f"# {module}: used where it is installed; these runs did without"
    return f"{package}=={(installed(package) or '').partition('+')[0]}"


def _named(module: str) -> str:
    """The distribution of an imported module without a version."""
    return _distribution(module) or f"# {module}: of a package that is not installed here"
