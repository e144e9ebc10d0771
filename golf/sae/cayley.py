"""CayleySAE, looked at: what a dictionary of parity features is before any run, and how a trained model uses it.

`describe` computes from integers (golf/parts/parity.py); `diagnose` runs a model, the library's or a composed file's.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from golf.errors import GolfError

ZOMBIE_SHARE = 0.1  # of the loudest feature's rms: a feature that fires and is quieter than that is a zombie


def parse_levels(text: str | Iterable[Iterable[int]]) -> tuple[tuple[int, int, int], ...]:
    """Levels from "9,16,0;13,32,256" or from triples (bits, kept a token, children that a parent opens). GolfError: another form."""
    try:
        rows = [part.split(",") for part in text.split(";")] if isinstance(text, str) else [list(row) for row in text]
        levels = tuple((int(bits), int(kept), int(children)) for bits, kept, children in rows)
    except (TypeError, ValueError) as fault:
        raise GolfError(f"levels are {text!r}", 'write bits, kept, children as in "9,16,0;13,32,256"') from fault
    if not levels:
        raise GolfError("levels are empty", 'write bits, kept, children as in "9,16,0;13,32,256"')
    return levels


def describe(dim: int, levels: str | Iterable[Iterable[int]]) -> dict[str, Any]:
    """The facts of a dictionary at width `dim`, `levels` among them, one dict each.

    features m, coherence μ (the largest |⟨w, w'⟩|, exact), welch_bound (the least that any m vectors can have), guaranteed_k (so many
    planted features of one magnitude are always found), frame_constant m / d; candidates a token looked at, and sure_candidates
    (distinct whatever the parents); of all levels together also what a layer learns and stores, and multiplications a token.
    GolfError: a width that is no power of two, levels that cannot be.
    """
    triples = parse_levels(levels)
    check_levels(dim, triples)
    t, d = triples[0][0], dim
    facts = []
    for i, (bits, kept, children) in enumerate(triples):
        rows = 2 ** (bits - t)
        parents = triples[i - 1][1] if children else 0
        facts.append(
            {
                "bits": bits,
                "kept": kept,
                "children": children,
                **geometry(d, [0] if bits == t else list(range(rows, 2 * rows))),
                "candidates": min(parents * (children // rows) * rows, 2**bits) if children else 2**bits,
                "sure_candidates": children // rows * rows if children else 2**bits,
            }
        )
    offsets = [0] + [b for bits, _, _ in triples[1:] for b in range(2 ** (bits - t), 2 ** (bits - t + 1))]
    features = len(offsets) * d
    return {
        "dim": d,
        "levels": facts,
        **geometry(d, offsets),
        "kept": sum(kept for _, kept, _ in triples),
        "biases": features,  # of the features; out_biases of the channels
        "out_biases": d,
        "artifact_bytes": 2 * features + 2 * d,  # a layer: gain and shift in 8 bits, out_bias in 16, before the coder
        "fast_macs": 2 * len(offsets) * d * (2 ** (t // 2) + 2 ** (t - t // 2)),  # a token: to scores and back
        "dense_macs": 2 * features * d,
    }


def check_levels(dim: int, levels: Sequence[tuple[int, int, int]]) -> None:
    """GolfError for what `CayleySAE` would refuse when it is composed."""
    t = dim.bit_length() - 1
    if not 4 <= dim <= 1 << 14 or dim != 1 << t:
        raise GolfError(f"the width is {dim}, so log2(width) is no whole number from 2 to 14",
                        "parity features need a width that is a power of two")  # fmt: skip
    if levels[0][0] != t or levels[0][2]:
        raise GolfError(f"the first level is {','.join(map(str, levels[0]))}, at width {dim}",
                        f"its bits are forced to log2(width) = {t}, and it has no parents: `{t},{levels[0][1]},0`")  # fmt: skip
    for i, (bits, kept, children) in enumerate(levels):
        rows = 1 << max(bits - t, 0)
        if i and not levels[i - 1][0] < bits < 3 * t:
            raise GolfError(f"level {i} has {bits} bits after {levels[i - 1][0]}", f"levels grow, to less than {3 * t}")
        sure = children // rows * rows if children else 1 << bits
        if not 0 < kept <= sure <= 1 << bits:
            raise GolfError(f"level {i} keeps {kept} features of {sure} sure candidates",
                            f"a parent opens whole rows of {rows}: give more children, at most {1 << bits}, or keep fewer")  # fmt: skip


def geometry(d: int, offsets: Sequence[int]) -> dict[str, Any]:
    """features, coherence, welch_bound, guaranteed_k and frame_constant of the rows with these offsets."""
    features = len(offsets) * d
    mu = coherence(d, offsets)
    return {
        "features": features,
        "coherence": mu,
        "welch_bound": math.sqrt((features - d) / (d * (features - 1))),
        "guaranteed_k": d if mu == 0 else math.ceil((1 + 1 / mu) / 2) - 1,
        "frame_constant": features / d,
    }


def coherence(d: int, offsets: Sequence[int]) -> float:
    """The largest |⟨w, w'⟩| of two different features. It depends on the xor of their masks alone: one transform of a histogram."""
    import torch

    from golf.parts.parity import parity_points

    t, bits = d.bit_length() - 1, max(offsets).bit_length()
    points = torch.arange(d) | (parity_points(t) & (1 << bits) - 1) << t
    x = torch.zeros(1 << t + bits).index_add_(0, points, torch.ones(d))
    for bit in range(t + bits):
        x = x.view(-1, 2, 1 << bit)
        x = torch.stack((x[:, 0] + x[:, 1], x[:, 0] - x[:, 1]), 1)
    products = x.view(-1, d).abs()
    products[0, 0] = 0  # of a feature with itself
    mine = torch.tensor(offsets)
    between = (mine[:, None] ^ mine).unique()
    return float(products[between].max()) / d


def diagnose(model: Any, ids: Any) -> list[dict[str, Any]]:
    """How a model's CayleySAEs code the positions of `ids` (B, T): a row per layer and level.

    l0: features a token whose code is not 0. dead_percent: never kept on these tokens. zombie_percent: kept, but with an rms code
    below a tenth of the loudest's. usage: exp(entropy of how often each is kept) / features, 1 when all are kept alike.
    plus_share: codes above 0. GolfError: no CayleySAE in the model.
    """
    import torch

    found = [(name, module) for name, module in model.named_modules() if type(module).__name__ == "CayleySAE"]
    if not found:
        raise GolfError("this model has no CayleySAE", 'a recipe has it with mlp_in = ["cayley_sae.CayleySAE"]')
    inputs: dict[str, Any] = {}
    hooks = [
        m.register_forward_pre_hook(lambda _, args, name=name: inputs.update({name: args[0]})) for name, m in found
    ]
    try:
        with torch.no_grad():
            model(ids)
    finally:
        for hook in hooks:
            hook.remove()
    return [row for name, module in found for row in _rows(name, module, inputs[name].flatten(0, 1))]


def _rows(name: str, sae: Any, x: Any) -> Iterator[dict[str, Any]]:
    codes, _, index = sae.encode(x)
    first = at = 0
    for number, (bits, kept, _) in enumerate(sae.levels):
        part, features = codes[:, at : at + kept], index[:, at : at + kept].long() - first
        yield {
            "layer": int(name.split(".")[1]) if name.startswith("blocks.") else name,
            "level": number,
            "features": 1 << bits,
            "tokens": len(x),
            **usage(part, features, 1 << bits),
        }
        first, at = first + (1 << bits), at + kept


def usage(codes: Any, index: Any, features: int) -> dict[str, float]:
    """l0, dead_percent, zombie_percent, usage and plus_share of codes (n, kept) at the features `index`."""
    import torch

    codes = codes.double()
    fired, flat = codes != 0, index[codes != 0]
    count = torch.bincount(flat, minlength=features).double()
    energy = torch.zeros(features, dtype=torch.float64).to(codes.device).index_add_(0, flat, codes[fired].square())
    rms = (energy / count.clamp_min(1)).sqrt()
    share = count / count.sum().clamp_min(1)
    alive = count > 0
    return {
        "l0": float(fired.sum(1).double().mean()),
        "dead_percent": 100 * float((~alive).double().mean()),
        "zombie_percent": 100 * float((alive & (rms < ZOMBIE_SHARE * rms.max())).double().mean()),
        "usage": float(torch.special.entr(share).sum().exp()) / features,
        "plus_share": int((codes > 0).sum()) / max(int(fired.sum()), 1),
    }
