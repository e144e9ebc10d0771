"""Run under torchrun by test_parts_ddp: a composed file's whole `main`, then the operating system's count of what threads are left.

Usage: threads_driver.py train_gpt.py
"""

import sys
import time
from pathlib import Path

from ddp_driver import load


def threads() -> list[str]:
    """Names of this process's threads, as Linux knows them."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        try:
            found.append((task / "comm").read_text().strip())
        except OSError:  # it ended meanwhile
            continue
    return sorted(found)


if __name__ == "__main__":
    file = load(Path(sys.argv.pop(1)))
    before = len(threads())
    file.main()
    deadline = time.monotonic() + 2  # one that was told to end may take a moment
    while len(left := threads()) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    sys.stdout.write(f"threads left {len(left) - before} of {', '.join(left)}\n")
