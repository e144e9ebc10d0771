"""What a penalty on the sum of the codes takes from them, and how it is given back.

Such a penalty makes every code smaller than what would rebuild best, so a dictionary that has found its directions still explains too
little. Which features are active, and where they point, is not mended by that: the codes only want to be larger. So the written weights
have all codes multiplied by one factor c, and the bias moved, both by least squares of the last steps of the training:

    x ≈ c · W_d z + b'        c = cov(x, W_d z) / var(W_d z)        b' = mean(x) − c · mean(W_d z)

(Feature suppression: Wright and Sharkey 2024, who train a factor for every feature. On planted data those, and a whole new decoder, gave
hardly more than the one: `benchmarks/dictionaries.md`.)
"""

import torch

MOMENTUM = 0.99  # of the sums, a step


class Shrinkage:
    """Falling sums over the steps: of x (N, d) and of what the code adds to the bias, y = W_d z (N, d)."""

    def __init__(self, dim: int, device: torch.device) -> None:
        shapes = {"tokens": (), "x": (dim,), "y": (dim,), "xy": (), "yy": ()}
        self.sums = {name: torch.zeros(shape, dtype=torch.float64, device=device) for name, shape in shapes.items()}

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def add(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """One step."""
        seen = {"tokens": len(x), "x": x.sum(0), "y": y.sum(0), "xy": (x * y).sum(), "yy": y.square().sum()}
        for name, value in seen.items():
            self.sums[name].mul_(MOMENTUM).add_(value)

    def fit(self) -> tuple[float, torch.Tensor | None]:
        """(c, b'); (1, None), which changes nothing, where the code does not vary or the fit would turn it around."""
        tokens = float(self.sums["tokens"])
        if not tokens:
            return 1.0, None
        x, y = self.sums["x"] / tokens, self.sums["y"] / tokens
        covariance = float(self.sums["xy"] / tokens - x @ y)
        variance = float(self.sums["yy"] / tokens - y @ y)
        if not (covariance > 0 and variance > 0):
            return 1.0, None
        gain = covariance / variance
        return gain, (x - gain * y).float()


@torch.no_grad()  # type: ignore[untyped-decorator]
def given_back(state: dict[str, torch.Tensor], gain: float, bias: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """The weights whose codes are `gain` times those of `state`, and whose bias is `bias`; the same codes are zero.

    A dictionary subtracts its bias before it encodes: what the encoder saw before, its own bias keeps.
    """
    if bias is None:
        return dict(state)
    encoder, own = state["encoder.weight"], state["encoder.bias"]
    if "decoder.bias" in state:  # of a transcoder
        changed = {"decoder.bias": bias}
    else:
        changed, own = {"b_pre": bias}, own + encoder @ (bias - state["b_pre"])
    return {**state, **changed, "encoder.weight": gain * encoder, "encoder.bias": gain * own}
