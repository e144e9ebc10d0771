"""Muon: orthogonalised momentum."""

import torch

from toy_parts.knobs import Chain, Slot


class Knobs:
    orthogonalize: Slot = "newton_schulz"  # (g, steps) -> g
    ns_steps: "1 <= int <= 50" = 3
    lr: "0 < float <= 10" = 0.05
    row_norm: bool = False  # rows of the update first
    wd: "0 <= float < 10" = 0.0  # weight decay
    after_step: Chain = ()  # classes: update(params)


class Smoke:
    ns_steps = 2


def newton_schulz(g, steps):
    x = g / (g.norm() + 1e-7)
    for _ in range(steps):
        x = 1.5 * x - 0.5 * x @ x.mT @ x
    return x


class Muon(torch.optim.Optimizer):
    def __init__(self, h, params):
        super().__init__(params, {})
        self.h = h

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                g = p.grad
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(g)
                g = state["momentum"].mul_(0.9).add_(g).clone()
                if self.h.row_norm:
                    g = g / (g.norm(dim=-1, keepdim=True) + 1e-7)
                if self.h.wd:
                    p.mul_(1 - self.h.lr * self.h.wd)
                p.add_(self.h.orthogonalize(g, self.h.ns_steps), alpha=-self.h.lr)
