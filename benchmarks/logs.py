"""How fast the log reader is: MB/s on official logs (when ../shared/data is there) and on a synthetic 2 MB log with a code dump.

python benchmarks/logs.py
"""

import sys
import tempfile
import time
from pathlib import Path

from golf.logs import read_log

OFFICIAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "records"
CODE = 'import os\nfrom pathlib import Path\n\n\ndef main():\n    log(f"step:{step} val_loss:{loss:.4f} val_bpb:{bpb:.4f}")\n\n\nif __name__ == "__main__":\n    main()\n'


def synthetic(folder: Path) -> Path:
    """A log of about 2 MB: a code dump, 20,000 steps, one final evaluation."""
    rows = [
        f"step:{step}/20000 train_loss:{3 + step % 7 / 10:.4f} train_time:{step * 43}ms step_avg:43.60ms"
        for step in range(1, 20_001)
    ]
    path = folder / "synthetic.log"
    final = "\nfinal_int8_zlib_roundtrip_exact val_loss:2.07405347 val_bpb:1.22837129\n"
    path.write_text(CODE * 3500 + "=" * 100 + "\nmodel_params:17059912\nseed:1337\n" + "\n".join(rows) + final)
    return path


def measure(name: str, paths: list[Path]) -> None:
    """One line of the table: the best of five passes."""
    size = sum(path.stat().st_size for path in paths)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        for path in paths:
            read_log(path)
        seconds.append(time.perf_counter() - start)
    print(f"{name:<22}{len(paths):>6}{size / 1e6:>10.2f}{min(seconds) * 1000:>10.1f}{size / 1e6 / min(seconds):>10.1f}")


def main() -> None:
    """Print the table."""
    print(f"{'logs':<22}{'files':>6}{'MB':>10}{'ms':>10}{'MB/s':>10}")
    if OFFICIAL.is_dir():
        measure("official", [path for path in OFFICIAL.rglob("*") if path.suffix in (".log", ".txt")])
    with tempfile.TemporaryDirectory() as folder:
        measure("synthetic, code dump", [synthetic(Path(folder))])


if __name__ == "__main__":
    sys.exit(main())
