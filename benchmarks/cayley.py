"""CayleySAE: its fast transform against the dense one, and a model with it against the same without and with a learned dictionary.

    python benchmarks/cayley.py transform
    python benchmarks/cayley.py train [--full] [--steps 150] [--seeds 1337,42,7] [--data DIR --tokenizer MODEL]

Seconds are processor seconds of one thread, the least of several. `train` runs a small twin of `cayley_512` (3 layers of 64),
`cayley_512 --without cayley_sae` and `cayley_512_topk` at equal steps: train, export, score from the artifact; with --full the first two
at their own size (9 layers of 512). Prints Markdown.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from golf.compose import compose
from golf.data.shards import write_shard
from golf.data.source import resolve_data
from golf.parts.data import load_shard
from golf.parts.model import GPT
from golf.parts.parity import ParityTransform
from golf.parts.tags import collect, initialize
from golf.parts.techniques.cayley_sae import CayleySAE
from golf.parts.techniques.topk_sae import TopKSAE
from golf.recipe import Recipe, changed, load_recipe, smoke_recipe
from golf.recipe.namespace import namespace
from golf.sae.cayley import describe

DICTIONARIES = {512: ((9, 16, 0), (13, 32, 256)), 2048: ((11, 16, 0), (15, 32, 256))}
LAYERS, DIM, VAL_TOKENS = 3, 64, 32_769
TWIN = {
    "num_layers": LAYERS, "model_dim": DIM, "num_heads": 4, "num_kv_heads": 2, "train_seq_len": 128, "eval_seq_len": 128,
    "train_batch_tokens": 1024, "val_batch_tokens": 16_384, "warmup_steps": 1, "val_loss_every": 0, "keep_float_numel": 1024,
}  # fmt: skip
SHORT = {
    key: TWIN[key]
    for key in (
        "train_seq_len",
        "eval_seq_len",
        "train_batch_tokens",
        "val_batch_tokens",
        "warmup_steps",
        "val_loss_every",
    )
}
VARIANTS: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "none": ("cayley_512", ["cayley_sae"], {}),
    "CayleySAE": ("cayley_512", [], {"cayley_levels": ((6, 6, 0), (9, 12, 32)), "cayley_chunk_tokens": 64}),
    "TopKSAE": ("cayley_512_topk", [], {"topk_features": 64 + 512, "topk_kept": 18}),
}


def least_seconds(work: Callable[[], object], times: int = 5) -> float:
    """Processor seconds of the quickest of several calls, after one that warms up."""
    work()
    taken = []
    for _ in range(times):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return min(taken)


def table(columns: list[str], rows: list[list[str]]) -> None:
    print("| " + " | ".join(columns) + " |\n|" + " --- |" * len(columns))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def transform(tokens: int = 64) -> None:
    """Scores and vectors of `tokens` vectors, fast and by the written-out dictionary."""
    rows = []
    for d, levels in DICTIONARIES.items():
        facts, t = describe(d, levels), levels[0][0]
        rows_of_1 = 2 ** (levels[1][0] - t)
        fast = ParityTransform(t, [0, *range(rows_of_1, 2 * rows_of_1)])
        dense = fast.scores(torch.eye(d)).T.contiguous()
        rng = torch.Generator().manual_seed(1)
        x = torch.randn(tokens, d, generator=rng)
        codes = torch.zeros(tokens, len(dense)).scatter_(1, torch.randint(len(dense), (tokens, 48), generator=rng), 1.0)
        for what, ours, theirs in (
            ("to scores", partial(fast.scores, x), partial(torch.matmul, x, dense.T)),
            ("to vectors", partial(fast.vectors, codes), partial(torch.matmul, codes, dense)),
        ):
            error = float((ours() - theirs()).abs().max() / theirs().abs().max())
            quick, slow = least_seconds(ours, 20), least_seconds(theirs)
            rows.append([f"{d}, {len(dense):,}", what, f"{facts['fast_macs'] // 2:,}", f"{facts['dense_macs'] // 2:,}",
                         f"{facts['dense_macs'] / facts['fast_macs']:.1f}", f"{1e6 * quick / tokens:.1f}",
                         f"{1e6 * slow / tokens:.1f}", f"{slow / quick:.1f}", f"{error:.1e}"])  # fmt: skip
    table(["width, features", "what", "fast MAC/token", "dense MAC/token", "ratio", "fast µs/token", "dense µs/token",
           "ratio", "difference, of the largest"], rows)  # fmt: skip


def kept_bytes(module: torch.nn.Module, x: torch.Tensor) -> int:
    """Bytes that autograd keeps from a forward to its backward, besides parameters and the input itself."""
    own = {p.data_ptr() for p in module.parameters()} | {b.data_ptr() for b in module.buffers()} | {x.data_ptr()}
    found: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:
            found[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        alive = module(x, None)
    assert alive.requires_grad
    return sum(found.values())


def both_ways(module: torch.nn.Module, x: torch.Tensor) -> None:
    module(x, None).sum().backward()


def memory(tokens: int = 256) -> None:
    """What a layer stores and keeps a token, and its forward and backward, alone."""
    rows = []
    for d, levels in DICTIONARIES.items():
        for name, build, recipe in (("CayleySAE", CayleySAE, "cayley_512"), ("TopKSAE", TopKSAE, "cayley_512_topk")):
            values: dict[str, Any] = {"model_dim": d, "cayley_levels": levels, "cayley_chunk_tokens": 64}
            features = describe(d, levels)["features"]
            h = namespace(changed(load_recipe(recipe), {**values, "topk_features": features}))
            module = build(h, 0)
            initialize(h, module, 1)
            x = torch.nn.functional.rms_norm(torch.randn(1, tokens, d), (d,)).requires_grad_()
            seconds = least_seconds(partial(both_ways, module, x), 3)
            stored = sum(b.numel() * b.element_size() for b in module.buffers())
            learned = sum(p.numel() for p in module.parameters() if p.requires_grad)
            rows.append([name, f"{d}, {features:,}", f"{learned:,}", f"{stored:,}", f"{kept_bytes(module, x) // tokens:,}",
                         f"{1e6 * seconds / tokens:.0f}"])  # fmt: skip
    table(["layer", "width, features", "learned", "computed tables, bytes", "kept for backward, bytes/token",
           "forward + backward, µs/token"], rows)  # fmt: skip


def twin(name: str, full: bool) -> Recipe:
    recipe, without, values = VARIANTS[name]
    if full:
        own = {"cayley_chunk_tokens": 64} if name == "CayleySAE" else {}
        return changed(load_recipe(recipe, without=without), {**SHORT, **own})
    return changed(smoke_recipe(load_recipe(recipe, without=without)), {**TWIN, **values})


def step_seconds(recipe: Recipe, tokens: int) -> float:
    """Forward and backward of one batch."""
    h = namespace(recipe)
    model = GPT(h)
    initialize(h, model, 1)
    model.train()
    ids = torch.randint(h.vocab_size, (1, tokens + 1), generator=torch.Generator().manual_seed(1))
    return least_seconds(lambda: model(ids[:, :-1], ids[:, 1:]).mean().backward(), 3)


def shortened(data: Path, folder: Path, val_tokens: int) -> Path:
    """The training shards, and the first validation tokens."""
    folder.mkdir()
    for shard in data.glob("fineweb_train_*.bin"):
        (folder / shard.name).symlink_to(shard.resolve())
    first = min(data.glob("fineweb_val_*.bin"))
    write_shard(folder / "fineweb_val_000000.bin", load_shard(str(first))[:val_tokens])
    return folder


def run(text: str, folder: Path, data: Path, tokenizer: Path, seed: int, steps: int) -> dict[str, Any]:
    """golf_result of a composed file."""
    folder.mkdir(parents=True)
    (folder / "train_gpt.py").write_text(text)
    env = {**os.environ, "SEED": str(seed), "DATA_PATH": str(data), "TOKENIZER_PATH": str(tokenizer), "RUN_ID": "bench",
           "MAX_WALLCLOCK_SECONDS": "0", "ITERATIONS": str(steps), "OMP_NUM_THREADS": "1"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "train_gpt.py"], cwd=folder, env=env, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    result: dict[str, Any] = json.loads(done.stdout.rpartition("golf_result ")[2])
    return result


def spread(values: list[float], digits: int = 4) -> str:
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values) if len(values) > 1 else 0:.{digits}f}"


def train(steps: int, seeds: list[int], data: Path, tokenizer: Path, full: bool) -> None:
    rows: list[list[str]] = []
    plain: list[float] = []  # losses of the first variant, and its seconds a step
    least = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        val_tokens = VAL_TOKENS // (4 if full else 1)
        shards = shortened(data, Path(scratch) / "data", val_tokens)
        for name in ("none", "CayleySAE") if full else VARIANTS:
            recipe = twin(name, full)
            text = compose(recipe)
            results = []
            for seed in seeds:
                results.append(run(text, Path(scratch) / name / str(seed), shards, tokenizer, seed, steps))
                print(f"{name} seed {seed}: {results[-1]['val_loss']:.4f}", file=sys.stderr, flush=True)
            with torch.device("meta"):
                learned = sum(e.param.numel() for e in collect(GPT(namespace(recipe))) if e.param.requires_grad)
            seconds = step_seconds(recipe, 1024)
            least = seconds if name == "none" else least
            losses = [r["val_loss"] for r in results]
            plain = plain or losses
            paired = [a - b for a, b in zip(losses, plain, strict=True)]
            rows.append([name, f"{learned:,}", spread([r["model_bytes"] for r in results], 0), f"{len(text):,}",
                         f"{seconds / least:.2f}", spread([r["pre_quant_val_loss"] for r in results]), spread(losses),
                         spread(paired) if name != "none" else "–", spread([r["val_bpb"] for r in results])])  # fmt: skip
    print(f"{'9 layers of 512' if full else f'{LAYERS} layers of {DIM}'}, {steps} steps of {TWIN['train_batch_tokens']} tokens, n = {len(seeds)} seeds {seeds}, "
          f"{val_tokens - 1:,} validation tokens; mean ± sd\n")  # fmt: skip
    table(["dictionary", "learned parameters", "model bytes", "code bytes", "step time ratio", "loss before export",
           "loss from the artifact", "to none, paired", "bpb"], rows)  # fmt: skip


def legal(tokens: int = 256) -> None:
    """The recipes themselves: parameters, and forward and backward at full size."""
    rows, base = [], 0.0
    for name, (recipe_name, without, _) in VARIANTS.items():
        recipe = load_recipe(recipe_name, without=without)
        with torch.device("meta"):
            learned = sum(e.param.numel() for e in collect(GPT(namespace(recipe))) if e.param.requires_grad)
        seconds = step_seconds(changed(recipe, {"cayley_chunk_tokens": 64}), tokens)
        base = base or seconds
        rows.append([name, f"{learned:,}", f"{1e3 * seconds / tokens:.2f}", f"{seconds / base:.2f}"])
    table(["dictionary, 9 layers of 512", "learned parameters", "forward + backward, ms/token", "ratio"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("transform", "train"))
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", default="1337,42,7")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--full", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.what == "transform":
        transform()
        memory()
        legal()
        return
    if not (args.data and args.tokenizer):
        found = resolve_data(1024)
        args.data, args.tokenizer = found.data_path, found.tokenizer_path
    train(args.steps, [int(seed) for seed in args.seeds.split(",")], args.data, args.tokenizer, args.full)


if __name__ == "__main__":
    main()
