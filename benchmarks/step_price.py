"""What a missing training step costs, measured on pairs of public runs: `python benchmarks/step_price.py RECORDS`.

RECORDS is the folder `records` of a clone of the challenge's repository. It reads logs only; nothing is run.
"""

import math
import sys
from pathlib import Path

from golf.repro.price import cut_price, measured, public_pairs, trained_bpb


def main(records: Path) -> None:
    pairs = public_pairs(records)
    print(f"{'steps':>8} {'steps':>8} {'BPB':>9} {'BPB':>9} {'per ln(steps)':>14} {'warmdown, BPB/step':>19}")
    for one, other in pairs:
        first, second = trained_bpb(one) or math.nan, trained_bpb(other) or math.nan
        price = (first - second) / math.log((other.steps or 1) / (one.steps or 1))
        slope = cut_price([one])
        cut = "unknown" if slope is None else f"{slope:.2e}"
        print(f"{one.steps:8} {other.steps:8} {first:9.5f} {second:9.5f} {price:14.4f} {cut:>19}")
    found = measured(pairs)
    print(
        f"price {found.bpb:.5f} ± {found.error:.5f} BPB for one unit of ln(steps), one standard error, n = {found.n} pairs"
    )
    print(f"a step of 4,900 is then {found.bpb / 4900:.2e} ± {found.error / 4900:.1e} BPB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
