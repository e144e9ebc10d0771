"""Other Pythons on this machine: those on the path, of pyenv and of uv."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def interpreter(version: str) -> str:
    """A Python of this version ("3.12") that starts; skips the test where there is none."""
    found = [shutil.which(f"python{version}")]
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found += sorted(map(str, kept.glob(f"{version}.*/bin/python")), reverse=True)
    if uv := shutil.which("uv"):
        asked = subprocess.run(
            [uv, "python", "find", "--offline", version], capture_output=True, text=True, check=False
        )
        found.append(asked.stdout.strip())
    for python in filter(None, found):
        said = subprocess.run(
            [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
        if said.stdout.strip() == version:
            return python
    pytest.skip(f"no Python {version} here")
