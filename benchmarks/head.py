"""What it saves that the head reads only the columns that count: a sliding window's forward with all its columns and with the last stride.

    python benchmarks/head.py [--recipes pr1493,…] [--rounds 5]

The recipe's own model at full size (weights as drawn, fp32, one thread), one window of `eval_seq_len` tokens, random ids; CPU seconds of a
forward without gradients, turn by turn, medians, the median of the rounds' ratios with its quartiles, and the largest difference of the
scored nats. Products: the head's share of all matrix products and attention by the specification's sizes.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from graphs import expected

from golf.parts.entry import initialize
from golf.parts.model import GPT
from golf.recipe import load_recipe
from golf.recipe.namespace import namespace


def measured(name: str, rounds: int) -> str:
    recipe = load_recipe(name)
    h: Any = namespace(recipe)
    model = GPT(h)
    initialize(h, model, 1)
    rng = torch.Generator().manual_seed(0)
    ids, targets = (torch.randint(h.vocab_size, (1, h.eval_seq_len), generator=rng) for _ in range(2))
    columns = torch.arange(h.eval_seq_len - h.eval_stride, h.eval_seq_len)[None]
    sides = (
        lambda: model(ids, targets)[:, columns[0]],
        lambda: model(ids, targets.take_along_dim(columns, 1), head_at=columns),
    )
    with torch.no_grad():
        whole, scored = (side() for side in sides)
        pairs = []
        for turn in range(rounds):
            taken = [0.0, 0.0]
            for side in (0, 1) if turn % 2 else (1, 0):
                begun = time.process_time()
                sides[side]()
                taken[side] = time.process_time() - begun
            pairs.append(taken)
    ratios = [now / then for then, now in pairs]
    low, _, high = statistics.quantiles(ratios, n=4)
    before, after = (statistics.median(column) for column in zip(*pairs, strict=True))
    matrices, attention = expected({**recipe.values, "train_seq_len": h.eval_seq_len}, loop=True)
    head = 2 * h.model_dim * h.vocab_size / (matrices + attention)
    return (f"| {name} | {h.vocab_size} | {h.eval_seq_len} / {h.eval_stride} | {before:.2f} | {after:.2f} | {statistics.median(ratios):.3f} "
            f"| {low:.3f} to {high:.3f} | {100 * head:.1f} % | {float((whole - scored).abs().max()):.1e} | {rounds} |")  # fmt: skip


def main() -> None:
    """Print a table, a row a recipe."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipes", default="baseline,pr549,pr1493,pr1809")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| recipe | vocabulary | window / stride | all columns, CPU s | scored ones, CPU s | scored / all | quartiles "
          "| head's share of products | largest difference, nats | rounds |\n" + "|---" * 10 + "|", flush=True)  # fmt: skip
    for name in args.recipes.split(","):
        print(measured(name, args.rounds), flush=True)


if __name__ == "__main__":
    main()
