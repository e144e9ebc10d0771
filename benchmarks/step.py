"""What one training step of a composed script asks of the machine: waits of the host, kernels beside those of the specification, balance of Muon.

    python benchmarks/step.py [--recipes baseline,pr740,…] [--what waits|kernels|muon]

waits: the small twin trains with its tensors on a device that is not there (benchmarks/device.py); every line at which the host would wait for
a GPU in a step, log lines aside. kernels: a step of the small twin under `torch.profiler`, matrix products and attentions by kind, beside the
number that the specification's sizes give for the same step, with the loop off and on, and how many kernels all of it is where nothing is
fused. muon: the share of the matrices that the busiest of eight ranks orthogonalises, at full size, in FLOPs; 12.5 % is even.
"""

import argparse
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
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
from golf.recipe import Recipe, load_recipe, shipped_recipes  # noqa: E402
from golf.recipe.namespace import namespace  # noqa: E402
from golf.parts.tags import collect  # noqa: E402


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


def waits_of(recipe: Recipe, folder: Path, monkeypatch: Any, data: Path) -> tuple[Counter[str], int]:
    """(line of the composed script → how often the host waits there, steps): all training steps after the warm-up, the logged loss aside."""
    device, steps = Device(str(folder / "train_gpt.py")), 0

    def watched(module: Any) -> None:
        names = vars(module)
        build, step, warm_up = names["build"], names["take_step"], names["warm_up"]

        def built(*args: Any) -> Any:
            model = build(*args)
            env = next(arg for arg in args if isinstance(arg, names["Env"]))
            env.device, env.autocast = device.type, lambda: torch.autocast("cpu", enabled=False)
            return device.move(model)

        def warmed(*args: Any) -> None:
            warm_up(*args)
            names["take_step"] = stepped

        def stepped(*args: Any, **named: Any) -> Any:
            nonlocal steps
            steps, device.watching = steps + 1, True
            return step(*args, **named).here  # read in log lines only

        names.update(build=built, warm_up=warmed)

    with device, Literals():
        trained(recipe, folder, monkeypatch, data, watched)
    return device.waits, steps
