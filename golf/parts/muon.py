"""Muon: momentum, then every matrix's update is replaced by the nearest orthogonal matrix (Keller Jordan, 2024)."""

import torch
import torch.distributed as dist

from golf.parts.knobs import Chain, Slot


class Knobs:
    orthogonalize: Slot = "newton_schulz"  # (g, steps) -> g
    ns_steps: "1 <= int <= 50" = 5
    in_parts: Slot = ""  # (h, p, g, orthogonalize) -> g of parameter p, where some matrices are orthogonalised in parts
    grad: Chain = ()  # members change the update before it is orthogonalised: (g) -> g
    muon_wd: "0 <= float < 10" = 0.0  # decoupled weight decay
    muon_wd_after: bool = False  # decay after the step, and so what it just added, too (PR #60, #86) | off: before it
    muon_wd_at: Slot = ""  # (h, clock) -> factor on Muon's weight decay
    bf16_momentum: bool = False  # momentum and gradient in bf16, as the banked scripts (PR #399 line) keep them


def bf16_product(a, b):
    """a @ b in bf16, summed in fp32 and rounded once; PyTorch's own takes ten times as long on a CPU."""
    return a @ b if a.is_cuda or a.dtype != torch.bfloat16 else (a.float() @ b.float()).bfloat16()


def newton_schulz(g, steps):
    """Five quintic steps move every singular value of g near 1, in bf16. g: (rows, cols)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.T
    for _ in range(steps):
        gram = bf16_product(x, x.T)
        x = a * x + bf16_product(b * gram + bf16_product(c * gram, gram), x)
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Rank r of `world_size` orthogonalises every world_size-th matrix; one all-reduce hands the updates to everybody."""

    def __init__(self, h, params, lr, env):
        super().__init__([{"params": params}], {"lr": lr, "base_lr": lr, "momentum": 0.0})
        self.h = h
        self.env = env
        self.orthogonalize = torch.compile(h.orthogonalize) if env.cuda else h.orthogonalize

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            params = group["params"]
            flat = torch.zeros(sum(p.numel() for p in params), dtype=torch.bfloat16, device=params[0].device)
            slots = flat.split([p.numel() for p in params])
            for i, (p, slot) in enumerate(zip(params, slots)):
                if i % self.env.world_size == self.env.rank:
                    slot.copy_(self.update(p, group["momentum"]).flatten())
            if self.env.world_size > 1:
                dist.all_reduce(flat)
            for p, slot in zip(params, slots):
                if self.h.muon_wd_after:
                    p.add_(slot.view_as(p).to(p.dtype), alpha=-group["lr"])
                if self.h.muon_wd:
                    decay = group["lr"] * self.h.muon_wd
                    if self.h.muon_wd_at:
                        decay *= group["wd_factor"]
                    p.mul_(1 - decay)
                if not self.h.muon_wd_after:
                    p.add_(slot.view_as(p).to(p.dtype), alpha=-group["lr"])

    def update(self, p, momentum):
        """The orthogonalised Nesterov update of one matrix, scaled so that tall matrices move as far as wide ones."""
        g = p.grad
        if self.h.bf16_momentum:
            g = g.bfloat16()
        if "momentum" not in self.state[p]:
            self.state[p]["momentum"] = torch.zeros_like(g)
        buffer = self.state[p]["momentum"]
        buffer.mul_(momentum).add_(g)
        g = g.add(buffer, alpha=momentum)
        if self.h.grad:
            for hook in self.h.grad:
                g = hook(g)
        if self.h.in_parts:
            g = self.h.in_parts(self.h, p, g, self.orthogonalize)
        else:
            g = self.orthogonalize(g, self.h.ns_steps)
        return g * max(1, g.size(0) / g.size(1)) ** 0.5
