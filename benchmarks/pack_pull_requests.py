"""Make golf/board/pull_requests.tsv.xz: the facts of the field's pull requests, with what audits and maintainers held against them.

$ python benchmarks/pack_pull_requests.py pull_requests.csv
"""

import csv
import io
import lzma
import sys
import tomllib
from pathlib import Path

GOLF = Path(__file__).resolve().parents[1] / "golf"


def main(source: Path) -> None:
    labels = tomllib.loads((GOLF / "rules" / "packs" / "corpus.toml").read_text())["pr"]
    by_number = {str(label["number"]): label for label in labels}
    rows = list(csv.DictReader(source.open(encoding="utf-8")))
    columns = [*rows[0], "rules", "verdict", "note"]
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        label = by_number.get(row["pr"], {})
        row |= {
            "rules": " ".join(label.get("rules", ())),
            "verdict": label.get("label", ""),
            "note": label.get("note", ""),
        }
        writer.writerow([" ".join(row[column].split()) for column in columns])
    target = GOLF / "board" / "pull_requests.tsv.xz"
    target.write_bytes(lzma.compress(text.getvalue().encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{target}: {len(rows)} pull requests, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
