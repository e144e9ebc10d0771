"""E1 on golf's own evaluators: the largest gain over the law of random text, by evaluator, vocabulary and rate; the theorem says under 20 nats.

    python benchmarks/referee.py --seeds 20 [--first SEED] [--targets 256] [pr1493 pr740 …]        (default: every distinct evaluator)

Recipes whose reports and knobs of evaluation are the same at the size of the small twin are one evaluator, run once, by the first of them, on an
untrained model of two plain layers (`--own-model`: on the recipe's own). Every case draws its own text and its own model by a seed; what every
report scores is tested, not the last one alone. Amplified: the
rates of what adapts 30 times as large, at most 1; the bound holds at every setting and every size. Runs on the CPU; nothing of it is a
challenge result. Rows are printed as they are done, seeds evenly over the evaluators, so that a run that is cut short is even too.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))
from evaluation import OneProcess, stream_of

from golf.harness.texts import text_of, uniform_text
from golf.harness.vocabulary import mixed
from golf.parts.entry import build
from golf.recipe import Recipe, changed, load_recipe, shipped_recipes, smoke_recipe
from golf.recipe.namespace import namespace

VOCABULARIES = (1024, 64)
SIZES = {
    "eval_seq_len": 64, "train_seq_len": 64, "eval_stride": 32, "val_batch_tokens": 4096, "ttt_chunk_tokens": 64, "ttt_batch_seqs": 4,
    "lora_batch_docs": 2, "model_dim": 32, "num_heads": 4, "num_kv_heads": 2,
}  # fmt: skip
RATES = ("ttt_lr", "lora_lr")
AMPLIFIED = 30.0
PLAIN = {"num_layers": 2}
CHOICES = frozenset(
    ("reports", "tilt", "reader", "windows", "two_log_probs", "adapters", "embed_adapter", "eval_tail", "attend")
)  # read elsewhere too
PARTS = "golf.parts"
NOT_EVALUATION = (
    "model",
    "layers",
    "attention",
    "knobs",
    "data",
    "env",
    "tags",
    "quant",
    "artifact",
    "kernels",
    "optim",
    "muon",
)


class Process(OneProcess):
    """One CPU process with a seed."""

    def __init__(self, seed: int) -> None:
        self.seed, self.grad_accum_steps = seed, 8


def evaluation(h: object) -> tuple[tuple[str, ...], frozenset[str]]:
    """What makes an evaluator: the names of what it runs, and the knobs of the parts that these are written in or call."""
    todo = [*h.reports, *(each for each in (h.tilt, h.reader, h.windows, h.two_log_probs) if each)]
    names = tuple(f"{each.__module__.removeprefix(PARTS)}.{each.__name__}" for each in todo)
    modules: dict[str, None] = {}
    while todo:
        module = todo.pop().__module__
        if module not in modules:
            modules[module] = None
            todo += [
                each for each in vars(sys.modules[module]).values()
                if str(getattr(each, "__module__", "")).startswith(PARTS) and each.__module__.rpartition(".")[2] not in NOT_EVALUATION
            ]  # fmt: skip
    knobs = {
        name
        for each in modules
        for name in vars(getattr(sys.modules[each], "Knobs", object)).get("__annotations__", ())
    }
    return names, frozenset(knobs) | CHOICES


def twin(recipe: Recipe, size: int, factor: float, *, own_model: bool = False) -> object:
    """`h` of an evaluator at the size of the small twin with a vocabulary of `size`, what adapts sped up by a factor."""
    small = smoke_recipe(recipe, size)
    values = {name: min(value, small.values[name]) for name, value in SIZES.items()}
    values |= {name: min(small.values[name] * factor, 1.0) for name in RATES}
    if not own_model:
        knobs = evaluation(namespace(small))[1]
        values = (
            {name: small.values[name] for name in knobs}
            | PLAIN
            | {name: values[name] for name in values if name not in PLAIN}
        )
        small = smoke_recipe(load_recipe("baseline"), size)
    return namespace(changed(small, values))


def evaluators(names: list[str]) -> dict[str, list[str]]:
    """The first recipe of every evaluator → all recipes that have it; recipes that keep to the rules first."""
    recipes = sorted((load_recipe(name) for name in names), key=lambda each: bool(each.ruling))
    found: dict[tuple[object, ...], list[str]] = {}
    for recipe in recipes:
        small = smoke_recipe(recipe, VOCABULARIES[0])
        names, knobs = evaluation(namespace(small))
        found.setdefault((names, *sorted((knob, str(small.values[knob])) for knob in knobs)), []).append(recipe.name)
    return {same[0]: same for same in found.values()}


def gains(h: object, size: int, targets: int, seed: int) -> Iterator[tuple[str, float, int]]:
    """(report, gain in nats, targets scored) of every report on a text and a model drawn by a seed."""
    vocabulary = mixed(size)
    ids = uniform_text(vocabulary, targets, seed).ids
    env = Process(seed)
    torch.manual_seed(seed)
    model = build(h, env)
    if h.product:
        model.eval()
    first = {name: each.clone() for name, each in model.state_dict().items()}
    stream = stream_of(ids, torch.from_numpy(np.maximum(text_of(vocabulary, ids).target_bytes, 1)))
    for report in h.reports:
        model.load_state_dict(first)
        trace = report(h, env, model, stream)
        yield trace.name, trace.tokens * math.log(size) - float(trace.sum), trace.tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, help="the first seed; drawn where it is not given")
    parser.add_argument("--targets", type=int, default=256)
    parser.add_argument("--own-model", action="store_true", help="the recipe's own model instead of two plain layers")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long, with the seeds done till then")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    until = time.monotonic() + 60.0 * wanted.minutes
    drawn = int(np.random.SeedSequence().entropy) % 1_000_000  # type: ignore[arg-type]
    first = wanted.first if wanted.first is not None else drawn
    same = evaluators(wanted.recipes or [name for name in shipped_recipes() if name != "techniques"])
    print(f"seeds {first} to {first + wanted.seeds - 1}, {wanted.targets} targets, {len(same)} evaluators", flush=True)
    cells: dict[tuple[str, int, float], list[float]] = {}
    seconds: dict[str, float] = dict.fromkeys(same, 0.0)
    for seed in range(first, first + wanted.seeds):
        for name in same:
            recipe = load_recipe(name)
            for size in VOCABULARIES:
                for factor in (1.0, AMPLIFIED):
                    began = time.process_time()
                    found = list(
                        gains(twin(recipe, size, factor, own_model=wanted.own_model), size, wanted.targets, seed)
                    )
                    seconds[name] += time.process_time() - began
                    cells.setdefault((name, size, factor), []).append(max(gain for _, gain, _ in found))
        worst = max((max(values), cell) for cell, values in cells.items() if not load_recipe(cell[0]).ruling)
        print(f"seed {seed}: largest gain of a lawful evaluator so far {worst[0]:.2f} nats, {worst[1]}", flush=True)
        if time.monotonic() > until:
            break
    print(
        "\n| evaluator of | and of | seeds | 1,024 | amplified | 64 | amplified | CPU s a run |\n|---|---|---:|---:|---:|---:|---:|---:|"
    )
    for name, others in same.items():
        each = [cells[name, size, factor] for size in VOCABULARIES for factor in (1.0, AMPLIFIED)]
        told = " | ".join(f"{max(values):,.2f}" for values in each)
        runs = sum(map(len, each))
        broken = " (breaks a rule)" if load_recipe(name).ruling else ""
        print(f"| `{name}`{broken} | {', '.join(others[1:])} | {len(each[0])} | {told} | {seconds[name] / runs:.2f} |")


if __name__ == "__main__":
    main()
