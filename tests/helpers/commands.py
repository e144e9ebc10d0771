"""The command line in a process of its own."""

import subprocess
import sys


def golf(*args, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "golf", *map(str, args)], capture_output=True, text=True, cwd=cwd, check=False
    )
