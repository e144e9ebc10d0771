"""Every parameter of a recipe's model: shape, optimizer, learning rate, weight decay, storage. What the tags say, as a table."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

from golf.recipe.namespace import namespace
from golf.recipe.recipe import Recipe

COLUMNS = ("parameter", "shape", "values", "optimizer", "group", "base lr", "wd", "role", "bits", "master")


@dataclass(frozen=True)
class Parameter:
    """One parameter. base_lr: before the schedule. wd: decoupled. bits: of its codes, 16 or 32 where it stays floating point."""

    name: str
    shape: tuple[int, ...]
    optimizer: str
    group: str
    base_lr: float
    wd: float
    role: str
    bits: int
    master: str

    def row(self) -> list[str]:
        shape = "×".join(map(str, self.shape)) or "scalar"
        count = 1
        for side in self.shape:
            count *= side
        return [self.name, shape, f"{count:,}", self.optimizer, self.group, f"{self.base_lr:g}", f"{self.wd:g}",
                self.role, str(self.bits), self.master]  # fmt: skip


def parameters(recipe: Recipe) -> Iterator[Parameter]:
    """The parameters in the order of the state dict, as the shipped optimizers and quantizer treat them. Imports torch."""
    import torch

    from golf.parts.model import GPT
    from golf.parts.optim import build_optimizers
    from golf.parts.quant import quantizer_of
    from golf.parts.tags import collect

    h = namespace(recipe)
    with torch.device("meta"):
        model = GPT(h)
    tagged = collect(model)
    adam, muon = build_optimizers(h, tagged, SimpleNamespace(cuda=False, world_size=1, rank=0))
    owner = {
        id(p): ("AdamW", group["lr"], group["weight_decay"]) for group in adam.param_groups for p in group["params"]
    }
    owner |= {id(p): ("Muon", group["lr"], h.muon_wd) for group in muon.param_groups for p in group["params"]}
    for name, param, tag in tagged:
        optimizer, lr, wd = owner.get(id(param), ("none", 0.0, 0.0))  # statistics are measured, not learned
        quantizer, bits = quantizer_of(h, tag.role)
        if tag.role == "control":
            bits = 16 if h.half_controls else 32
        elif quantizer is None or (param.numel() <= h.keep_float_numel and tag.role != "gate"):
            bits = 16
        yield Parameter(name, tuple(param.shape), optimizer, tag.group, lr, wd, tag.role, bits, tag.master)


def table(recipe: Recipe) -> list[list[str]]:
    """The rows of `COLUMNS`; the layers that are alike stand as one row, `blocks.*`."""
    rows: dict[tuple[str, ...], list[str]] = {}
    layers: dict[tuple[str, ...], list[str]] = {}
    for parameter in parameters(recipe):
        row = parameter.row()
        if parameter.name.startswith("blocks."):
            layer, rest = parameter.name.removeprefix("blocks.").split(".", 1)
            row[0] = f"blocks.*.{rest}"
            layers.setdefault(tuple(row), []).append(layer)
        rows[tuple(row)] = row
    for key, which in layers.items():
        rows[key][0] = rows[key][0].replace("*", _span(which))
    return list(rows.values())


def _span(layers: list[str]) -> str:
    numbers = [int(layer) for layer in layers]
    whole = numbers == list(range(numbers[0], numbers[-1] + 1))
    return layers[0] if len(layers) == 1 else f"{layers[0]}-{layers[-1]}" if whole else ",".join(layers)
