"""Every recipe's composed script compiled on this CPU as on a GPU: graph breaks, recompilations, FLOPs and kernels of a step.

    python benchmarks/graphs.py [--recipes baseline,pr740,…] [--backend aot_eager|inductor] [--table]

The text that ships runs whole (train, export, evaluate) at a few tokens, its `… if env.cuda else …` before `torch.compile` taken out. Each
call of a compiled function is looked at: one that makes a graph for inputs of a kind (shapes, types, flags, modes) seen before is a
recompilation; one that makes any after the warm-up, in a training step, is late. What only CUDA takes (FlashAttention 3, Triton) is not
seen here. aot_eager traces forward and backward as inductor does and writes no C++: seconds instead of minutes a recipe; with
inductor the kernels of the forward and the backward graphs are counted. --table adds FLOPs of a token at full size: counted on the meta
device, and expected from the specification's sizes.
"""

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters
from torch._inductor import metrics
from torch.utils._pytree import tree_flatten

sys.path[:0] = [
    str(Path(__file__).resolve().parent / "gpu"),
    str(Path(__file__).resolve().parents[1] / "tests/helpers"),
]

from prepare import flops_per_token  # noqa: E402
from worlds import data_of, execute, run_folder, tiny  # noqa: E402

from golf.compose import compose  # noqa: E402
from golf.data.factbook import load_documents  # noqa: E402
from golf.data.shards import write_shard  # noqa: E402
from golf.data.tokenizer import load_tokenizer, train_tokenizer  # noqa: E402
from golf.recipe import Recipe, load_recipe, shipped_recipes  # noqa: E402

COMPILED = re.compile(r"torch\.compile\(([^()]*)\) if env\.cuda else [\w.]+")
MODEL = re.compile(
    r"    if not env\.cuda:\n        return model\n((?:    .*\n)*?)    return torch\.compile\(([^()]*)\)"
)


@dataclass
class Graphs:
    """stage → graphs made in it; breaks: places where a graph ended early; late: in training steps after the warm-up; again: for inputs seen before."""

    made: Counter[str] = field(default_factory=Counter)
    breaks: int = 0
    late: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    calls: int = 0
    kernels: Counter[str] = field(default_factory=Counter)


def kind_of(value: Any) -> Any:
    """What a compiler may specialise on: shape and type of a tensor, the value and type of anything else (True is not 1)."""
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), value.stride(), value.dtype, value.requires_grad
    return type(value).__name__, value if isinstance(value, bool | int | str | None) else ""


class Watch:
    """Stands for `torch.compile` in a script, and notes what each call compiles."""

    def __init__(self, backend: str) -> None:
        self.backend, self.found, self.stage, self.seen = backend, Graphs(), "warm-up", set[Any]()

    def compile(self, target: Any, **options: Any) -> Any:
        made = torch.compile(target, backend=self.backend, **options)
        if not isinstance(made, torch.nn.Module):
            return lambda *args, **named: self.called(made, target, args, named)
        base = type(made)
        watched = type("Watched", (base,), {"__call__": lambda one, *args, **named: self.called(
            lambda *a, **k: base.__call__(one, *a, **k), target, args, named)})  # fmt: skip
        made.__class__ = watched
        return made

    def called(self, call: Any, target: Any, args: Any, named: Any) -> Any:
        leaves, spec = tree_flatten((args, named))
        modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")
        training = isinstance(target, torch.nn.Module) and target.training
        kind = id(target), str(spec), tuple(map(kind_of, leaves)), modes, training
        before, kernels = counters["stats"]["unique_graphs"], kernel_count()
        answer = call(*args, **named)
        made = counters["stats"]["unique_graphs"] - before
        self.found.calls += 1
        self.found.kernels[self.stage] += kernel_count() - kernels
        if made:
            name = getattr(target, "__name__", type(target).__name__)
            self.found.made[self.stage] += made
            if kind in self.seen:
                self.found.again.append(f"{self.stage}: {name}")
            if self.stage == "training":
                self.found.late.append(name)
        self.seen.add(kind)
        return answer

    @contextmanager
    def in_stage(self, name: str) -> Any:
        before, self.stage = self.stage, name
        try:
            yield
        finally:
            self.stage = before

    def around(self, function: Any, stage: str, then: str = "") -> Any:
        """The function, its calls in this stage; `then`: the stage after it."""

        def wrapped(*args: Any, **named: Any) -> Any:
            with self.in_stage(stage):
                answer = function(*args, **named)
            self.stage = then or self.stage
            return answer

        return wrapped


def one_micro_batch(names: dict[str, Any]) -> None:
    """A step of the script takes one micro-batch of the eight: they are all of one shape."""
    build = names["build"]

    def built(*args: Any) -> Any:
        next(arg for arg in args if isinstance(arg, names["Env"])).grad_accum_steps = 1
        return build(*args)

    names["build"] = built


def kernel_count() -> int:
    """Kernels that inductor has written in this process; 0 with another backend."""
    return int(metrics.generated_kernel_count)


def graphs_of(recipe: Recipe, folder: Path, monkeypatch: Any, data: Path, backend: str = "aot_eager") -> Graphs:
    """Run the recipe's script whole, compiled, in `folder`; what was compiled. GolfError or an assertion of the script's own is raised."""
    text, _ = COMPILED.subn(r"graph_watch.compile(\1)", compose(recipe))
    text, found = MODEL.subn(r"\1    return graph_watch.compile(\2)", text)
    assert found == 1, "the script does not compile its model as this benchmark knows"
    torch._dynamo.reset()
    counters.clear()
    watch = Watch(backend)
    with run_folder(folder, monkeypatch, data_of(recipe, data), (), seed=1):
        module = execute(text, folder / "train_gpt.py")
        names = vars(module)
        names["graph_watch"] = watch
        one_micro_batch(names)
        if "warm_up" in names:
            names["warm_up"] = watch.around(names["warm_up"], "warm-up", "training")
        for name in ("validate", "score_average"):
            if name in names:
                names[name] = watch.around(names[name], "validation")
        names["evaluate"] = watch.around(names["evaluate"], "evaluation")
        module.main()
    watch.found.breaks = sum(counters["graph_break"].values())
    torch._dynamo.reset()
    return watch.found


def expected(values: Any, *, loop: bool) -> tuple[float, float]:
    """(matrices, attention) FLOPs of a token's forward by the specification's sizes: projections, MLP and head, layers that run again, the
    projections of hashed tables; the whole square of scores.

    Gates, value embeddings and adapters are left out: that is what the count has more.
    """
    width, kv = values["model_dim"], values["model_dim"] // values["num_heads"] * values["num_kv_heads"]
    layers = values["num_layers"]
    if loop and "looped" in str(values["order"]):
        layers += values["loop_extra"] * (values["loop_last"] - values["loop_first"] + 1)
    if loop and values["core"]:
        layers += values["recycle_repeats"] * len(values["recycle_layers"])
    chains = f"{values['embed_pre']} {values['embed_post']}"
    tables = sum(
        values[size]
        for name, size in (("bigram_740", "bigram_740_dim"), ("bigram_xor", "bigram_dim"))
        if name in chains
    )
    hidden = int(values["mlp_mult"] * width)
    block = 2 * width * width + 2 * width * kv + 2 * width * hidden
    return 2.0 * (layers * block + width * (values["vocab_size"] + tables)), 4.0 * layers * width * values[
        "train_seq_len"
    ]


def flops_table(names: list[str]) -> None:
    """A row a recipe, at full size, in millions a token: counted and expected."""
    print(
        "| recipe | loop | matrices counted | expected | ratio | attention counted | expected | ratio |\n|---|---|---|---|---|---|---|---|"
    )
    for name in names:
        recipe = load_recipe(name)
        for switch, found in flops_per_token(compose(recipe)).items():
            row = [name, switch]
            for counted, wanted in zip(
                (found["mm"], found["attention"]), expected(recipe.values, loop=switch == "on"), strict=True
            ):
                row += [f"{counted / 1e6:.3f}", f"{wanted / 1e6:.3f}", f"{counted / wanted:.4f}"]
            print("| " + " | ".join(row) + " |", flush=True)


def made_data(folder: Path, pieces: int = 384) -> Path:
    """A tokenizer of so many pieces and two shards of training tokens and one of validation, of the text that golf has with it."""
    folder.mkdir()
    lines = [line for document in load_documents()[:12] for line in document.lines]
    (folder / "tokenizer.model").write_bytes(train_tokenizer(lines, pieces))
    sp = load_tokenizer(folder / "tokenizer.model", pieces)
    tokens = [token for line in lines for token in (1, *sp.encode(line))]
    for name, start, end in (("train_000000", 0, 3000), ("train_000001", 3000, 5000), ("val_000000", 5000, 7000)):
        write_shard(folder / f"fineweb_{name}.bin", tokens[start:end])
    return folder


def main() -> None:
    """Print a table, a row a recipe."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipes", default=",".join(sorted(shipped_recipes())))
    parser.add_argument("--backend", default="aot_eager")
    parser.add_argument("--table", action="store_true", help="FLOPs at full size instead of compiling")
    args = parser.parse_args()
    if args.table:
        return flops_table(args.recipes.split(","))
    print(
        "| recipe | graphs: warm-up, training, validation, evaluation | breaks | recompiled | calls | kernels | CPU s |\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as scratch:
        data = made_data(Path(scratch) / "data")
        for name in args.recipes.split(","):
            begun = time.process_time()
            try:
                found = graphs_of(tiny(name), Path(scratch) / name, pytest.MonkeyPatch(), data, args.backend)
                said = [", ".join(str(found.made[s]) for s in ("warm-up", "training", "validation", "evaluation")), str(found.breaks),
                        "; ".join(found.late + found.again) or "0", str(found.calls), str(sum(found.kernels.values()) or "")]  # fmt: skip
            except Exception as fault:
                said = [f"{type(fault).__name__}: {str(fault).strip().splitlines()[0][:120]}", "", "", "", ""]
            print(
                f"| {name} | " + " | ".join(said) + f" | {time.process_time() - begun:.0f} |",
                file=sys.__stdout__,
                flush=True,
            )


if __name__ == "__main__":
    main()
