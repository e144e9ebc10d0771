"""The claim table: for each record folder how many seeds it claims, how many runs golf counts, and what explains a difference.

python benchmarks/claims.py RECORDS        # a folder of tracks, as the challenge's `records/`
"""

import argparse
from pathlib import Path

from golf.reading.choice import choose
from golf.reading.folder import open_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path)
    for path in sorted(parser.parse_args().records.glob("*/*")):
        record = open_folder(path)
        chosen = choose(record)
        scores = ", ".join(f"{seed} {run.val_bpb}" for seed, run in chosen.runs.items())
        print(f"{path.name}: {chosen.count}; headline {record.headline}; {scores}")
        for note in chosen.notes:
            print(f"    {note}")


if __name__ == "__main__":
    main()
