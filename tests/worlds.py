"""The two worlds that must agree: the parts as a library, and the file that the composer makes of them."""

import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from golf.compose import compose
from golf.namespace import entry_point, namespace
from golf.recipe import Recipe, changed, load_recipe, smoke_recipe

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


def execute(text: str, path: Path) -> ModuleType:
    """A composed file as a module, without running its `main`."""
    path.write_text(text)
    module = ModuleType("composed")
    module.__file__ = str(path)
    sys.modules["composed"] = module
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module


def run_library(recipe: Recipe, folder: Path, monkeypatch: Any, data: Path, phases=(), seed: int = 1) -> None:
    with run_folder(folder, monkeypatch, data, phases, seed):
        entry_point(recipe)(namespace(recipe))


def run_generated(recipe: Recipe, folder: Path, monkeypatch: Any, data: Path, phases=(), seed: int = 1) -> None:
    with run_folder(folder, monkeypatch, data, phases, seed):
        execute(compose(recipe), folder / "train_gpt.py").main()
