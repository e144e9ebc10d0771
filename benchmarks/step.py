"""What one training step of a composed script asks of the machine: waits of the host, kernels beside those of the specification, time before and now.

    python benchmarks/step.py --what waits|evaluation|kernels [--recipes baseline,pr740,…]
    python benchmarks/step.py --what time --before FOLDER [--recipes …] [--rounds 12]

waits: the small twin trains with its tensors on a device that is not there (tests/helpers/device.py): every line at which the host would wait
for a GPU in a step, the logged loss aside; what ranks agree on by the clock (`time_is_up`, once a step) is for several ranks only and not
seen. evaluation: the same of every evaluator, from one scored batch to the next (what is learned between them included), and what comes before
the first and after the last. kernels: a step of one micro-batch under `torch.profiler`, its matrix products and attentions beside what the specification's sizes
give, loop off and on, and all kernels where nothing is fused. time: CPU seconds of a step of the scripts of an older commit (`git worktree
add FOLDER COMMIT`) and of now, turn by turn in one process; medians, and the ratio with its quartiles.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "tests/helpers")]

from device import Device, Literals  # noqa: E402
from graphs import made_data, one_micro_batch  # noqa: E402
from worlds import data_of, execute, run_folder, tiny  # noqa: E402

from golf.compose import compose  # noqa: E402
from golf.recipe import Recipe, changed, load_recipe, shipped_recipes, smoke_recipe  # noqa: E402

PRODUCTS = ("aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm", "aten::addbmm")
# no kernel of their own: another view of the same memory, memory without values, or a question about a tensor
FREE = (
    "view", "_unsafe_view", "reshape", "_reshape_alias", "transpose", "t", "permute", "expand", "slice", "select", "as_strided", "unsqueeze", "squeeze",
    "split", "split_with_sizes", "narrow", "unbind", "chunk", "detach", "detach_", "alias", "flatten", "unflatten", "numpy_T", "mT", "view_as", "expand_as", "empty", "empty_like",
    "empty_strided", "new_empty", "new_empty_strided", "resize_", "set_", "lift_fresh", "to", "result_type", "resolve_conj", "resolve_neg", "item", "is_nonzero",
    "_local_scalar_dense", "record_stream", "diagonal", "movedim", "contiguous", "type_as",
)  # fmt: skip


# several chunks of the stream are learned from at test time
LEARNING = {"ttt_chunk_tokens": 512}


class Enough(Exception):
    """Raised out of a script's training: what was asked for has been seen."""


def trained(recipe: Recipe, folder: Path, monkeypatch: Any, data: Path, watched: Any) -> None:
    """Run the recipe's script up to the end of its training steps. `watched(module)` may change the module before, and may raise Enough."""
    with run_folder(folder, monkeypatch, data_of(recipe, data), (), seed=1):
        module = execute(compose(recipe), folder / "train_gpt.py")
        one_micro_batch(vars(module))

        def enough(*args: Any, **named: Any) -> None:
            raise Enough

        vars(module)["validate"] = enough  # after the last step
        watched(module)
        try:
            module.main()
        except Enough:
            return
    raise AssertionError("the script did not come to its validation")


def built_on(device: Device, names: dict[str, Any]) -> Any:
    """The script's `build`, its model on the device and its environment too."""
    build = names["build"]

    def built(*args: Any) -> Any:
        model = build(*args)
        env = next(arg for arg in args if isinstance(arg, names["Env"]))
        env.device, env.autocast = device.type, lambda: torch.autocast("cpu", enabled=False)
        return device.move(model)

    return built


def waits_of(recipe: Recipe, folder: Path, monkeypatch: Any, data: Path) -> tuple[Counter[str], int]:
    """(line of the composed script → how often the host waits there, steps): all training steps after the warm-up, the logged loss aside."""
    device, steps = Device(str(folder / "train_gpt.py")), 0

    def watched(module: Any) -> None:
        names = vars(module)
        step, warm_up = names["take_step"], names["warm_up"]

        def warmed(*args: Any) -> None:
            warm_up(*args)
            names["take_step"] = stepped

        def stepped(*args: Any, **named: Any) -> Any:
            nonlocal steps
            steps, device.watching = steps + 1, True
            return step(*args, **named).here  # read in log lines only

        names.update(build=built_on(device, names), warm_up=warmed)

    with device, Literals():
        trained(recipe, folder, monkeypatch, data, watched)
    return device.waits, steps


@dataclass
class Scored:
    """Of an evaluator: its scored batches, and waits up to the first of them, up to the last, and at all."""

    batches: int = 0
    first: Counter[str] = field(default_factory=Counter)
    last: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)

    @property
    def between(self) -> Counter[str]:
        return self.last - self.first


def evaluation_waits_of(recipe: Recipe, folder: Path, monkeypatch: Any, data: Path) -> dict[str, Scored]:
    """{evaluator: where the host waits in it} of the recipe's reports in their order, on weights as they are drawn."""
    device, found, text = Device(str(folder / "train_gpt.py")), dict[str, Scored](), compose(recipe)
    if all(name in text for name in LEARNING):
        text = compose(changed(recipe, LEARNING))
    with run_folder(folder, monkeypatch, data_of(recipe, data), ("eval",), seed=1):
        names = vars(execute(text, folder / "train_gpt.py"))
        trace = names["Trace"]
        begin, add, reduce = trace.__init__, trace.add, trace.reduce

        def begun(self: Any, *args: Any, **named: Any) -> None:
            device.waits.clear()
            device.watching = True
            begin(self, *args, **named)

        def added(self: Any, *args: Any, **named: Any) -> None:
            add(self, *args, **named)
            seen = found.setdefault(self.name, Scored())
            seen.batches, seen.last = seen.batches + 1, device.waits.copy()
            seen.first = seen.first if seen.batches > 1 else seen.last

        def reduced(self: Any) -> Any:
            device.watching = False
            found[self.name].whole = device.waits.copy()
            return reduce(self)

        trace.__init__, trace.add, trace.reduce = begun, added, reduced
        # progress is told by the clock, six times a minute
        names.update(build=built_on(device, names), load_artifact=lambda *args: None, PROGRESS_SECONDS=float("inf"))
        with device, Literals():
            names["main"]()
    return found


def counted(events: Any) -> dict[str, int]:
    """Products, attentions (forward and backward) and all kernels of a profile: operators that call none and move or make numbers."""
    found: Counter[str] = Counter()
    for event in events:
        if not event.name.startswith("aten::"):
            continue
        inner = [child for child in event.cpu_children if child.name.startswith("aten::")]
        if event.name in PRODUCTS:
            found["products"] += 1
        elif "_scaled_dot_product" in event.name and not any("_scaled_dot_product" in child.name for child in inner):
            found["attentions"] += 1
        if event.name.removeprefix("aten::") not in FREE and not any(
            child.name.removeprefix("aten::") not in FREE for child in inner
        ):
            found["kernels"] += 1
    return dict(found)


def kernels_of(recipe: Recipe, folder: Path, monkeypatch: Any, data: Path) -> dict[str, dict[str, int]]:
    """{"off" and "on", or "": what a step of one micro-batch launches} of the recipe's script, forward, backward and both optimizers."""
    found: dict[str, dict[str, int]] = {}

    def watched(module: Any) -> None:
        step = module.take_step

        def stepped(*args: Any, **named: Any) -> Any:
            loop = {True: "on", False: "off"}.get(named.get("loop"), "")
            if loop in found:
                return step(*args, **named)
            with profile(activities=[ProfilerActivity.CPU]) as seen:
                loss = step(*args, **named)
            found[loop] = counted(seen.events())
            return loss

        vars(module)["take_step"] = stepped

    trained(recipe, folder, monkeypatch, data, watched)
    return {
        loop: count for loop, count in found.items() if loop or len(found) == 1
    }  # the warm-up's, if there are others


def expected(values: Any, *, loop: bool) -> dict[str, int]:
    """Products and attentions of the same step by the specification: four matrices of attention and two of the MLP a layer that runs, the head, a gate
    a layer, a smear gate that reads channels, each once forward and twice backward; Muon's three products in each of its iterations of every matrix of its own.

    Attention is one kernel forward and one backward. Tables' projections, recycled layers, adapters and dictionaries are left out.
    """
    runs = own = values["num_layers"]
    if loop and "looped" in str(values["order"]):
        runs += values["loop_extra"] * (values["loop_last"] - values["loop_first"] + 1)
    a_layer = 4 + 2 - 2 * bool(values["fused_qkv"])
    gates = runs * bool(values["head_gate"]) + ("smear_input" in str(values["embed_pre"]))
    muon = own * a_layer * values["ns_steps"] * 3
    return {"products": 3 * (runs * a_layer + 1 + gates) + muon, "attentions": 2 * runs}


def step_of(text: str, folder: Path, data: Path, recipe: Recipe) -> Any:
    """A function that takes one training step of a composed script, past its warm-up."""
    state: list[Any] = []
    with run_folder(folder, pytest.MonkeyPatch(), data_of(recipe, data), (), seed=1):
        os.environ["ITERATIONS"] = "1000"
        module = execute(text, folder / "train_gpt.py")
        take = module.take_step

        def stepped(*args: Any, **named: Any) -> Any:
            state[:] = [args, named]
            raise Enough

        def warmed(*args: Any) -> None:
            vars(module)["take_step"] = stepped

        vars(module).update(warm_up=warmed)
        try:
            module.main()
        except Enough:
            pass
        os.environ.pop("ITERATIONS")

    def once() -> float:
        begun = time.process_time()
        take(*state[0], **state[1])
        return time.process_time() - begun

    return once


def composed_by(folder: Path, names: list[str]) -> dict[str, str]:
    """The small twins' scripts of these recipes as the golf in `folder` composes them; {} entries where it has no such recipe."""
    code = (
        "import json, sys\nfrom golf.compose import compose\n"
        "try:\n    from golf.recipe import load_recipe, smoke_recipe\n"
        "except ImportError:\n    from golf.recipe import load_recipe\n    from golf.recipe_files import smoke_recipe\n"
        "found = {}\n"
        "for name in sys.argv[1:]:\n    try:\n        found[name] = compose(smoke_recipe(load_recipe(name)))\n"
        "    except Exception as fault:\n        print(name, fault, file=sys.stderr)\nprint(json.dumps(found))"
    )
    done = subprocess.run([sys.executable, "-c", code, *names], cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)},
                          check=True, capture_output=True, text=True)  # fmt: skip
    return json.loads(done.stdout)


def time_table(names: list[str], before: Path, rounds: int, scratch: Path) -> None:
    """A row a recipe: median CPU milliseconds of a step before and now, and the median of the rounds' ratios with its quartiles."""
    print(
        "| recipe | before, ms | now, ms | now / before | quartiles | rounds |\n|---|---:|---:|---:|---|---:|",
        file=sys.__stdout__,
    )
    data = made_data(scratch / "data", pieces=1024)
    old, new = composed_by(before, names), composed_by(Path(__file__).resolve().parents[1], names)
    for name in names:
        if name not in old:
            print(f"| {name} | not there | | | | |", file=sys.__stdout__, flush=True)
            continue
        sides = [
            step_of(text, scratch / f"{name}{i}", data, smoke_recipe(load_recipe(name)))
            for i, text in enumerate((old[name], new[name]))
        ]
        for once in sides:
            once()
        # who goes first changes from round to round
        pairs = []
        for turn in range(rounds):
            taken = [0.0, 0.0]
            for side in (0, 1) if turn % 2 else (1, 0):
                taken[side] = sides[side]()
            pairs.append(taken)
        ratios = [now / then for then, now in pairs]
        low, _, high = statistics.quantiles(ratios, n=4)
        medians = [1000 * statistics.median(column) for column in zip(*pairs, strict=True)]
        print(f"| {name} | {medians[0]:.0f} | {medians[1]:.0f} | {statistics.median(ratios):.3f} | {low:.3f} to {high:.3f} | {rounds} |",
              file=sys.__stdout__, flush=True)  # fmt: skip


def main() -> None:
    """Print a table, a row a recipe."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipes", default=",".join(sorted(shipped_recipes())))
    parser.add_argument("--what", choices=("waits", "evaluation", "kernels", "time"), default="waits")
    parser.add_argument("--before", type=Path, help="a checkout of the older commit, for --what time")
    parser.add_argument("--rounds", type=int, default=12)
    args = parser.parse_args()
    names, out = args.recipes.split(","), sys.__stdout__
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if args.what == "time":
            if args.before is None:
                parser.error("--what time wants --before, a checkout of the older commit")
            return time_table(names, args.before.resolve(), args.rounds, scratch)
        data = made_data(scratch / "data")
        heads = {
            "waits": "| recipe | waits a step | where |\n|---|---:|---|",
            "evaluation": "| recipe | evaluator | batches | waits from one to the next | where | before and after |\n|---|---|---:|---:|---|---:|",
            "kernels": "| recipe | loop | products | expected | attentions | expected | kernels, nothing fused |\n|---|---|---:|---:|---:|---:|---:|",
        }
        print(heads[args.what], file=out, flush=True)
        for name in names:
            recipe, patch = tiny(name), pytest.MonkeyPatch()
            try:
                if args.what == "waits":
                    waits, steps = waits_of(recipe, scratch / name, patch, data)
                    print(f"| {name} | {waits.total() / steps:g} | {'; '.join(waits)} |", file=out, flush=True)
                    continue
                if args.what == "evaluation":
                    for evaluator, seen in evaluation_waits_of(recipe, scratch / name, patch, data).items():
                        between, gaps = seen.between, max(seen.batches - 1, 1)
                        row = [
                            seen.batches,
                            f"{between.total() / gaps:.3g}",
                            "; ".join(f"{n / gaps:.3g} {what}" for what, n in between.items()),
                            seen.whole.total() - between.total(),
                        ]
                        print(f"| {name} | {evaluator} | {' | '.join(map(str, row))} |", file=out, flush=True)
                    continue
                for loop, found in kernels_of(recipe, scratch / name, patch, data).items():
                    wanted = expected(recipe.values, loop=loop != "off")
                    row = [
                        found.get("products", 0),
                        wanted["products"],
                        found.get("attentions", 0),
                        wanted["attentions"],
                        found["kernels"],
                    ]
                    print(f"| {name} | {loop} | {' | '.join(map(str, row))} |", file=out, flush=True)
            except Exception as fault:
                print(
                    f"| {name} | {type(fault).__name__}: {str(fault).strip().splitlines()[0][:120]} |",
                    file=out,
                    flush=True,
                )


if __name__ == "__main__":
    main()
