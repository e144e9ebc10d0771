"""One study of small twins on this machine's processes and on a Ray cluster of two nodes: are table and artifacts the same to the bit?

Needs Ray (`pip install 'parameter-golf[fleet]'`). Twelve trials of real twins, each trained, packed and scored: some ten minutes of
one core for each engine. Prints a line a trial and exits 1 where anything differs.

    $ python benchmarks/engines.py --work DIR
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from golf.files import sha256_of_file

ROOT = Path(__file__).parents[1]
AXES = ("matrix_lr=0.02,0.04,0.06", "qk_gain=1.0,1.5,2.0,2.5")


def sweep(root: Path, iterations: int, engine: str, address: str = "") -> tuple[float, list[dict[str, Any]]]:
    """(wall seconds, the rows of the study's table) of the study in a project of its own."""
    root.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "PYTHONPATH": str(ROOT), **({"RAY_ADDRESS": address} if address else {})}
    words = [
        "baseline",
        *(word for axis in AXES for word in ("--over", axis)),
        "--smoke",
        "--seeds",
        "1337",
        "--name",
        "same",
    ]
    words += ["--iterations", str(iterations), "--nproc", "1", "--engine", engine, "--parallel", "2", "--json"]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "golf", "sweep", *words], cwd=root, env=env, check=True, capture_output=True, text=True
    )
    return time.perf_counter() - began, json.loads(done.stdout)["trials"]


def artifacts(root: Path) -> dict[str, str]:
    """sha256 of every artifact of the study's runs, by the trial's name."""
    return {
        next(part for part in path.parts if part.startswith("same-")): sha256_of_file(path)
        for path in sorted(root.rglob("model.golf"))
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--work", type=Path, required=True, help="an empty folder for the two projects")
    options.add_argument("--iterations", type=int, default=12)
    given = options.parse_args()
    seconds, here = sweep(given.work / "local", given.iterations, "local")
    print(f"local: {len(here)} trials, {seconds:.0f} s", flush=True)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    print(f"ray {ray.__version__}: {sum(node['Alive'] for node in ray.nodes())} nodes", flush=True)
    try:
        seconds, there = sweep(given.work / "ray", given.iterations, "ray", cluster.address)
    finally:
        ray.shutdown()
        cluster.shutdown()
    print(f"ray: {len(there)} trials, {seconds:.0f} s", flush=True)
    one, two = artifacts(given.work / "local"), artifacts(given.work / "ray")
    for name, sha in one.items():
        print(
            f"{name}  {sha[:16]}  {(two.get(name) or 'missing')[:16]}  {'same' if two.get(name) == sha else 'DIFFERENT'}"
        )
    same = sum(two.get(name) == sha for name, sha in one.items())
    print(f"artifacts the same: {same} of {len(one)}; table the same: {scores(here) == scores(there)}")
    sys.exit(not (one and one == two and scores(here) == scores(there)))


def scores(rows: list[dict[str, Any]]) -> list[str]:
    """The rows of the table without the step's milliseconds and what hangs on them."""
    timed = ("seconds", "dollars", "step_ms", "began", "ended", "host")
    return sorted(
        json.dumps({k: v for k, v in row.items() if not any(word in k for word in timed)}, sort_keys=True)
        for row in rows
    )


if __name__ == "__main__":
    main()
