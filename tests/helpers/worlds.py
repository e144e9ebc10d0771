"""The two worlds that must agree: the parts as a library, and the file that the composer makes of them."""

import itertools
import os
import random
import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from golf.compose import compose
from golf.data.shards import write_shard
from golf.parts.data import load_shard
from golf.recipe import Recipe, changed, load_recipe, smoke_recipe
from golf.recipe.namespace import entry_point, namespace

# even smaller than a smoke twin: what a handful of steps in a test needs
TINY = {
    "vocab_size": 384,
    "model_dim": 32,
    "num_heads": 2,
    "num_kv_heads": 1,
    "train_seq_len": 32,
    "eval_seq_len": 32,
    "train_batch_tokens": 256,
    "val_batch_tokens": 2048,
    "warmup_steps": 1,
    "val_loss_every": 0,
    "train_log_every": 1,
    "iterations": 3,
}


def tiny(name: str, **values: Any) -> Recipe:
    """A recipe at the sizes of its smoke twin, and smaller still."""
    recipe = smoke_recipe(load_recipe(name))
    if "cayley_sae.CayleySAE" in recipe.values["mlp_in"]:  # its first level has log2(model_dim) bits
        values = {"cayley_levels": ((5, 4, 0), (7, 8, 16)), **values}
    if recipe.values["loop_whole_from"]:  # a step of each order
        values = {"iterations": 4, **values}
    if recipe.values["loop_from_step"]:  # the same
        values = {"loop_from_step": 2, **values}
    if recipe.values["adapters"]:  # a chunk is no longer than a window
        values = {"lora_chunk_tokens": 32, "lora_batch_docs": 16, **values}
    if "growing" in recipe.values["documents"]:  # the longest context is the training length
        values = {"context_tokens": (8, 16, 32), **values}
    return changed(recipe, {k: v for k, v in {**TINY, **values}.items() if k in recipe.values})


@contextmanager
def run_folder(folder: Path, monkeypatch: Any, data: Path, phases: tuple[str, ...], seed: int):
    """A folder to run a script in, with the environment that the contest gives it."""
    folder.mkdir(parents=True, exist_ok=True)
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "ITERATIONS"):
            patch.delenv(name, raising=False)
        patch.setenv("SEED", str(seed))
        patch.setenv("RUN_ID", "test")
        patch.setenv("DATA_PATH", str(data))
        patch.setenv("TOKENIZER_PATH", str(data / "tokenizer.model"))
        patch.setenv("MAX_WALLCLOCK_SECONDS", "0")
        patch.setattr(sys, "argv", ["train_gpt.py", *phases])
        yield folder


def data_of(recipe: Recipe, data: Path) -> Path:
    """The data that a recipe reads: where it counts bytes by a side-car, the same shards with one, two bytes a token."""
    if "side_car" not in recipe.values["target_bytes"]:
        return data
    folder = data.with_name(f"{data.name}_with_side_car")
    if not folder.exists():
        folder.mkdir()
        for file in data.iterdir():
            (folder / file.name).symlink_to(file)
        counts = [0 if token == 1 else 2 for token in load_shard(str(data / "fineweb_val_000000.bin"))]
        write_shard(folder / "fineweb_val_bytes_000000.bin", counts)
    return folder


def execute(text: str, path: Path) -> ModuleType:
    """A composed file as a module, without running its `main`."""
    path.write_text(text)
    module = ModuleType("composed")
    module.__file__ = str(path)
    sys.modules["composed"] = module
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module


def run_library(recipe: Recipe, folder: Path, monkeypatch: Any, data: Path, phases=(), seed: int = 1) -> None:
    with run_folder(folder, monkeypatch, data_of(recipe, data), phases, seed):
        entry_point(recipe)(namespace(recipe))


def run_generated(recipe: Recipe, folder: Path, monkeypatch: Any, data: Path, phases=(), seed: int = 1) -> None:
    with run_folder(folder, monkeypatch, data_of(recipe, data), phases, seed):
        execute(compose(recipe), folder / "train_gpt.py").main()


# what another case of the same test goes through as well waits until it is asked for
ALL_CASES = "GOLF_EVERY_RECIPE" in os.environ
covered_by_another = pytest.mark.skipif(not ALL_CASES, reason="another case covers it; GOLF_EVERY_RECIPE=1 runs all")

# shipped recipes that together use every technique that a recipe uses: what is tried on them is tried on all code
TELLING = (
    "baseline", "cayley_512_topk", "cayley_large_2L", "golf_1", "pr60", "pr65b", "pr180", "pr641", "pr1388", "pr542", "pr2058", "pr73",
    "pr1019", "pr1120", "pr1204", "pr1334", "pr1514", "pr1529", "pr1573", "pr1667", "pr1729", "pr1736", "pr1809", "pr2014", "pr2130",
    "pr740", "pr740_v1",
)  # fmt: skip


def slow_but(quick, names):
    """The cases `names`, all but those of `quick` marked slow: `make test` takes a few of a kind, CI every one."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


def covering_array(axes: dict[str, list[dict]], seed: int = 1) -> list[dict[str, int]]:
    """Rows (axis → choice) that hold every pair of choices of two axes at least once; greedy, deterministic."""
    rng = random.Random(seed)
    pairs = {
        (a, i, b, j)
        for a, b in itertools.combinations(axes, 2)
        for i in range(len(axes[a]))
        for j in range(len(axes[b]))
    }
    rows = []
    while pairs:
        best, gain = {}, -1
        for _ in range(30):
            a, i, b, j = rng.choice(sorted(pairs))
            row = {axis: rng.randrange(len(axes[axis])) for axis in axes} | {a: i, b: j}
            covered = sum((x, row[x], y, row[y]) in pairs for x, y in itertools.combinations(axes, 2))
            if covered > gain:
                best, gain = row, covered
        pairs -= {(x, best[x], y, best[y]) for x, y in itertools.combinations(axes, 2)}
        rows.append(best)
    return rows
