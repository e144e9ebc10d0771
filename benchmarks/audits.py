"""Folders a second of `golf audit` by processes and engine, over copies of a folder of records; and whether all give the same rows.

python benchmarks/audits.py RECORDS [--copies 20] [--ways local:1,local:2,ray:2]     # start of Python and of the cluster included
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from making import ROOT, Memory


def rows_of(project: Path, name: str) -> list[dict]:
    """The rows without the seconds that each took."""
    lines = (project / "audits" / name / "verdicts.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def main() -> None:
    """Measure what is asked for; exit 1 where two ways give other rows."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("records", type=Path)
    options.add_argument("--copies", type=int, default=1)
    options.add_argument("--ways", default="local:1,local:2", help="ENGINE:PROCESSES, …")
    asked = options.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as top:
        project = Path(top)
        for number in range(asked.copies):
            shutil.copytree(asked.records, project / "copies" / f"{number:04d}", copy_function=shutil.copyfile)
        print(
            f"{'engine':<8}{'processes':>10}{'folders':>9}{'wall s':>9}{'a second':>10}{'CPU s':>8}{'peak MB':>9}  load"
        )
        for way in asked.ways.split(","):
            engine, _, processes = way.partition(":")
            words = ["audit", "copies", "--name", f"{engine}{processes}", "--engine", engine, "--processes", processes]
            begun = time.perf_counter()
            child = subprocess.Popen([sys.executable, "-m", "golf", *words], cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)},
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
            memory = Memory([child.pid])
            memory.start()
            wrong = child.communicate()[1]
            wall, used = time.perf_counter() - begun, memory.end()
            if child.returncode:
                sys.exit(wrong.decode()[-800:])
            rows = rows_of(project, f"{engine}{processes}")
            found.append(rows)
            print(f"{engine:<8}{processes:>10}{len(rows):>9}{wall:>9.1f}{len(rows) / wall:>10.1f}{used:>8.1f}{memory.most:>9.0f}{os.getloadavg()[0]:>6.1f}", flush=True)  # fmt: skip
    same = all(rows == found[0] for rows in found)
    print("the same rows every way" if same else "NOT the same rows")
    if not same:
        sys.exit(1)


if __name__ == "__main__":
    main()
