"""Judging stored numbers by the rounding noise of the arithmetic itself: the same code in float64 beside its own precision.

No two kinds of processor add in the same order, so a number that another machine stored is right when it lies as near to our
float64 result (the twin) as our own results do. How near that is, is measured, tensor by tensor: the twin's distance from the
plain result and from results whose weights moved by at most one unit in the last place.
"""

import copy
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

DRAWS = 8  # a tensor of one element may be right by luck in one draw, not in nine
FEW = 6  # root-mean-square distances that a stored value may lie from the twin
HONEST = 3  # our own noise is of the stored values' size: code that rounds more coarsely is no excuse for its distance
SAME_ROUNDING = (
    2.5  # two bf16 results of one iteration lie as far from its float64 result, to this factor (1.9 seen of 320)
)
FLOOR = 2 * torch.finfo(torch.float32).eps  # of the largest value: two units in the last place


class InDouble(TorchFunctionMode):
    """Casts to a lower precision are casts to float64; everything that is no rounding stays, like the epsilon of a norm."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.Tensor.float, torch.Tensor.bfloat16):
            return args[0].double()
        if func in (F.rms_norm, torch.rms_norm):  # without one the epsilon is the dtype's
            kwargs = {**kwargs, "eps": kwargs.get("eps") or torch.finfo(torch.float32).eps}
        return func(*args, **kwargs)


def twin_of(work, model):
    """`work(model) -> {name: tensor}` in float64."""
    with InDouble():
        return work(copy.deepcopy(model).double())


def moved(tensor, rng, units=1):
    """The tensor with every element up, down or left alone, by so many units in the last place."""
    way = torch.randint(-1, 2, tensor.shape, generator=rng)
    for _ in range(units):
        tensor = torch.where(way == 0, tensor, torch.nextafter(tensor, way * torch.inf))
    return tensor


def nudged(model, seed):
    """The model with every weight at most one unit in the last place away."""
    rng, model = torch.Generator().manual_seed(seed), copy.deepcopy(model)
    with torch.no_grad():
        for param in model.parameters():
            param.copy_(moved(param, rng))
    return model


def distance(found, twin):
    """The largest difference as a share of the twin's largest value."""
    return float((found.double() - twin).abs().max() / twin.abs().max())


class Noise(NamedTuple):
    """What `work` gives in float64, and how far from it float32 lies: {name: share of the largest value}."""

    twin: dict
    rounding: dict

    @classmethod
    def of(cls, work, model, draws=DRAWS):
        twin = twin_of(work, model)
        results = [work(model), *(work(nudged(model, seed)) for seed in range(draws))]
        return cls(
            twin, {k: math.sqrt(sum(distance(r[k], twin[k]) ** 2 for r in results) / len(results)) for k in twin}
        )

    def ratios(self, stored):
        """Per stored tensor its distance from the twin over the distance that noise explains: right up to 1."""
        return {k: distance(v, self.twin[k]) / max(FEW * self.rounding[k], FLOOR) for k, v in stored.items()}

    def excess(self, stored):
        """How much noisier than the stored results ours are, in the middle of all tensors."""
        shares = sorted(self.rounding[k] / max(distance(v, self.twin[k]), FLOOR) for k, v in stored.items())
        return shares[len(shares) // 2]

    def explains(self, stored):
        """Whether the stored tensors differ from ours by rounding alone."""
        return max(self.ratios(stored).values()) <= 1 and self.excess(stored) <= HONEST


def update_ratios(orthogonalize, g, steps, stored):
    """How a stored orthogonalised bf16 update differs from ours, over what bf16 explains: right up to 1, each of three.

    One is as far from the float64 iteration as the other, as a whole and in singular values, and the singular values of the
    two lie no farther apart than that. Element by element they may differ: in the singular directions near zero of a square
    matrix by 3 % of the norm.
    """
    with InDouble():
        twin = orthogonalize(g.double(), steps)
    ours, stored = orthogonalize(g, steps).double(), stored.double()
    if stored.shape != twin.shape:
        return {"shape": math.inf}
    values = {name: torch.linalg.svdvals(x) for name, x in (("ours", ours), ("stored", stored), ("twin", twin))}

    def alike(a, b):
        return float(max(a / b, b / a)) / SAME_ROUNDING

    of_ours, of_stored = ((values[name] - values["twin"]).norm() for name in ("ours", "stored"))
    return {
        "distance from the twin": alike((ours - twin).norm(), (stored - twin).norm()),
        "singular values' distance from the twin's": alike(of_ours, of_stored),
        "singular values": float((values["ours"] - values["stored"]).norm() / of_ours) / SAME_ROUNDING,
    }


def stable_rows(quantize, w, hessian):
    """The rows whose codes and scales no rounding decides: a few units in the last place of weight or Hessian change none.

    The Hessian's diagonal stays: the order of its columns is read from the data, not computed.
    """
    rng, (codes, scale) = torch.Generator().manual_seed(0), quantize(w, hessian)
    stable = torch.ones(len(codes), dtype=torch.bool)
    for _ in range(DRAWS):
        half = torch.triu(moved(hessian, rng, FEW), 1)
        found, scales = quantize(moved(w, rng, FEW), half + half.T + hessian.diag().diag())
        stable &= (found == codes).all(1) & (scales.half() == scale.half()).view(len(codes), -1).all(1)
    return stable
