"""A golf in a process of its own, for tests that kill it: `run_driver.py FOLDER SEEDS POINT [resume] [again]`.

At the named point it kills itself with SIGKILL; POINT `-` means never.
"""

import os
import signal
import sys
from pathlib import Path

from run_fakes import run_fake


def main() -> None:
    folder, seeds, fatal, *rest = sys.argv[1:]

    def at(point: str) -> None:
        print(f"point {point}", flush=True)
        if point == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    finished = run_fake(Path(folder), seeds, at=at, resume="resume" in rest, again="again" in rest)
    print("finished", ",".join(str(run.seed) for run in finished), flush=True)


if __name__ == "__main__":
    main()
