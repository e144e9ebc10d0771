"""Thousands of damaged and strange record folders: each must get a verdict or one clear sentence, within ten CPU seconds.

    python benchmarks/strange.py --folders 10000 --first 0

Prints how many, and the CPU seconds of a static verdict: median, 95 %, largest. Stops at the first that fails, with its seed.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))
from strange_folders import judge_strange


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folders", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long")
    wanted = parser.parse_args()
    until = time.monotonic() + 60.0 * wanted.minutes
    seconds, sentences = [], 0
    for seed in range(wanted.first, wanted.first + wanted.folders):
        if time.monotonic() > until:
            break
        with tempfile.TemporaryDirectory(prefix="golf-strange-") as base:
            try:
                took, judged = judge_strange(seed, Path(base))
            except Exception:
                print(f"seed {seed}")
                raise
        seconds.append(took)
        sentences += not judged
        if len(seconds) % 500 == 0:
            print(f"{len(seconds)} folders, the largest {max(seconds):.2f} CPU s", flush=True)
    ordered = sorted(seconds)
    print(
        f"{len(seconds)} folders from seed {wanted.first}: {len(seconds) - sentences} verdicts, {sentences} sentences; CPU s median "
        f"{statistics.median(ordered):.2f}, 95 % {ordered[int(0.95 * (len(ordered) - 1))]:.2f}, largest {ordered[-1]:.2f}"
    )


if __name__ == "__main__":
    main()
