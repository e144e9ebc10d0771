"""Every recipe's smoke twin on real text: trained, packed, scored from its bytes alone, beside the unigram model of the same tokens.

    python benchmarks/smoke.py [--recipes baseline,pr740,…] [--data DIR --tokenizer MODEL] [--twice] [--out FILE]

Without --data the embedded corpus. --twice trains each again and compares the checkpoints to the bit. Prints a Markdown table.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from golf.data.accounting import byte_tables, unigram
from golf.data.shards import read_split
from golf.data.source import resolve_data
from golf.data.tokenizer import load_tokenizer
from golf.parts.artifact import RawCoder, read_container
from golf.recipe import load_recipe, shipped_recipes


def golf(folder: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "golf", *words], cwd=folder, check=False, capture_output=True, text=True
    )
    if done.returncode not in (0, 1):
        raise SystemExit(
            f"golf {' '.join(words)} ended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )


def smoke(name: str, project: Path, args: argparse.Namespace, floor: float) -> list[str]:
    """One row: train, export, evaluate and package the small twin of a recipe."""
    where = ["--data-path", str(args.data), "--tokenizer-path", str(args.tokenizer)] if args.data else []
    allow = [word for code in load_recipe(name).ruling for word in ("--allow", code)]
    begun = time.perf_counter()
    golf(project, "new", name, "--from", name)
    golf(project, "run", name, "--smoke", "--seeds", "1337", *where, *allow)
    seconds = time.perf_counter() - begun
    golf(project, "package", name, "--smoke", *where)
    folder = next((project / "submissions" / name / "runs").glob("*-smoke"))
    log = (folder / "seed_1337" / "train_seed1337.log").read_text()
    result = json.loads(log.split("golf_result ")[-1].splitlines()[0])
    manifest = json.loads(next(folder.glob("package*/manifest.json")).read_text())
    stages = ", ".join(f"{r['name']} {r['val_bpb']:.4f}" for r in result["reports"])
    same = ""
    if args.twice:
        first, _ = read_container(folder / "seed_1337" / "float.golf", RawCoder)
        golf(project, "run", name, "--smoke", "--seeds", "1337", "--again", *where, *allow)
        second, _ = read_container(folder / "seed_1337" / "float.golf", RawCoder)
        same = "yes" if all(first[key].equal(second[key]) for key in first) else "NO"
    return [
        name, f"{result['params']:,}", f"{result['step_ms']:.0f}", f"{result['pre_quant_val_bpb']:.4f}", stages,
        "yes" if result["pre_quant_val_bpb"] < floor else "NO", f"{result['model_bytes']:,}", f"{seconds:.0f}", same,
        str(manifest.get("state", manifest.get("exit", "")) or "packed"),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", default=",".join(sorted(shipped_recipes())))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--twice", action="store_true")
    args = parser.parse_args()
    source = resolve_data(1024, args.data, args.tokenizer)
    tokens = read_split(source.data_path, "val")
    floor = unigram(byte_tables(load_tokenizer(source.tokenizer_path, 1024), 1024), tokens)
    print(
        f"{source.name}: {len(tokens):,} validation tokens, unigram {floor.bpb:.4f} BPB ({floor.nats_per_token:.4f} nats)\n"
    )
    head = [
        "recipe",
        "params",
        "ms/step",
        "pre-quant BPB",
        "reports",
        "below unigram",
        "model bytes",
        "s",
        "same twice",
        "package",
    ]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in args.recipes.split(","):
            project = Path(scratch) / name
            (project / "submissions").mkdir(parents=True)
            print("| " + " | ".join(smoke(name, project, args, floor.bpb)) + " |", flush=True)


if __name__ == "__main__":
    main()
