"""What only a GPU can show: the composed scripts compile full-graph and train in bf16; step time, memory, packed = readable.

    python benchmarks/gpu.py --data DIR --tokenizers DIR [--recipes baseline,pr1809,pr1573,pr740] [--seconds 60] [--out DIR]

DIR of --data holds fineweb10B_sp1024/ and fineweb10B_sp8192/ with shards, --tokenizers the .model files. One process on one
GPU, the 8 micro-batches of a step one after another (a step on 8 GPUs is about an eighth of it, plus communication). Prints a
Markdown table; logs and results go to --out. Never part of the tests.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from golf.compose import compose
from golf.compose.pack import pack
from golf.recipe import load_recipe


def run(
    script: Path, folder: Path, args: argparse.Namespace, vocab: int, seconds: float, steps: int, *phases: str
) -> dict:
    """Run a script on this GPU; its golf_result with the logged step times and losses. An error ends the benchmark."""
    folder.mkdir(parents=True, exist_ok=True)
    env = os.environ | {
        "DATA_PATH": str(args.data.resolve() / f"fineweb10B_sp{vocab}"),
        "TOKENIZER_PATH": str(args.tokenizers.resolve() / f"fineweb_{vocab}_bpe.model"),
        "MAX_WALLCLOCK_SECONDS": str(seconds),
        "ITERATIONS": str(steps),
        "SEED": "1337",
        "RUN_ID": "gpu",
    }
    done = subprocess.run(
        [sys.executable, str(script.resolve()), *phases],
        cwd=folder,
        env=env,
        check=False,
        capture_output=True,
        text=True,
    )
    log = done.stdout + done.stderr
    (folder / "run.log").write_text(log)
    if done.returncode:
        print(log[-4000:])
        raise SystemExit(f"{script} ended with {done.returncode}")
    result = json.loads(re.findall(r"^golf_result (.*)$", log, re.MULTILINE)[-1])
    times = {
        int(s): int(ms) for s, ms in re.findall(r"^step:(\d+)/\d+ train_loss:\S+ train_time:(\d+)ms", log, re.MULTILINE)
    }
    result["losses"] = {int(s): float(x) for s, x in re.findall(r"^step:(\d+)/\d+ train_loss:(\S+)", log, re.MULTILINE)}
    late = [s for s in times if s >= 10]
    if len(late) >= 2:
        result["steady_step_ms"] = (times[late[-1]] - times[late[0]]) / (late[-1] - late[0])
    return result


def speed(name: str, args: argparse.Namespace) -> list[str]:
    """One row: train for `--seconds` at full size, compiled."""
    recipe = load_recipe(name, [f"train_log_every={args.every}", "val_loss_every=0"])
    folder = args.out / name
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "train_gpt.py"
    script.write_text(compose(recipe))
    vocab, batch = recipe.values["vocab_size"], recipe.values["train_batch_tokens"]
    result = run(script, folder / "speed", args, vocab, args.seconds, 20_000, "train")
    steady = result.get("steady_step_ms") or result["step_ms"]
    (folder / "result.json").write_text(json.dumps(result, indent=1))
    last = max(result["losses"])
    return [
        name, result["device"], result["attention"], result["dtype"], f"{result['steps']}", f"{steady:.1f}",
        f"{1000 * batch / steady:,.0f}", f"{result['compile_seconds']:.0f}", f"{result['peak_memory_mib']:,}",
        f"{result['losses'][last]:.4f} @ {last}",
    ]  # fmt: skip


def packed_is_readable(name: str, args: argparse.Namespace) -> str:
    """The packed file trains as the readable one does: the losses of 20 steps, as logged."""
    recipe = load_recipe(name, ["train_log_every=1", "val_loss_every=0"])
    folder, text = args.out / f"{name}-packed", compose(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    losses = []
    for form, data in (("readable", text.encode()), ("packed", pack(text))):
        script = folder / f"{form}.py"
        script.write_bytes(data)
        losses.append(run(script, folder / form, args, recipe.values["vocab_size"], 0, 20, "train")["losses"])
    worst = max(abs(losses[0][s] - losses[1][s]) for s in losses[0])
    return f"{name}: packed and readable, 20 steps: largest difference of a logged loss {worst:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizers", type=Path, required=True)
    parser.add_argument("--recipes", default="baseline,pr1809,pr1573,pr740")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "gpu-out")))
    args = parser.parse_args()
    head = ["recipe", "device", "attention", "dtype", "steps", "ms/step", "tokens/s", "compile s", "MiB", "loss"]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head), flush=True)
    for name in args.recipes.split(","):
        print("| " + " | ".join(speed(name, args)) + " |", flush=True)
    print(packed_is_readable(args.recipes.split(",")[0], args), flush=True)


if __name__ == "__main__":
    main()
