"""A quantization step for every tensor by how much the loss feels it, at the same bytes (golf).

Rounding a matrix with step Δ inside GPTQ costs, in nats a token, about S = ½ Σ_r G_r · Δ_r² / 12 · Σ_i 1 / u_ii²: G_r is the mean
square of the loss's gradient at output r, with targets sampled from the model itself (the Fisher information), u the factor of the
inverse Hessian that GPTQ feeds errors along. A tied embedding's rows are also what the model reads: each costs ½ Σ_c F_c · E_c² more every
time its token occurs, F the mean square of the gradient at the looked-up row. A code costs log₂ Δ bits less, so the least total S at the
same bytes has steps as √(weights / S). Scales are stored anyway: it costs no byte of the artifact. Measured on small models (`benchmarks/allocation.py`).

It goes into the slot `steps`.
"""

import math

import torch
import torch.nn.functional as F

from golf.parts.layers import CastedLinear
from golf.parts.quant import quantizer_of
from golf.parts.techniques.gptq import error_feedback
from golf.parts.techniques.sdclip import sdclip_scale


class Knobs:
    fisher_batches: "1 <= int <= 1000000" = 16  # of the calibration's micro-batches, run backward too
    step_octaves: "0 <= float <= 8" = 4.0  # a tensor's step is at most so much finer or coarser than its role's


class Smoke:
    fisher_batches = 2


class OutputGradients:
    """Mean square of the gradient of the loss at every output of the matrices, over tokens; targets are the model's own samples.

    reads: how often every row of the embedding was looked up; felt: Σ of the squared gradient at what was looked up, by column.
    """

    def __init__(self, h, env, model, names):
        self.h = h
        self.model = model
        modules = {f"{name}.weight": module for name, module in model.named_modules()}
        self.total = {name: torch.zeros(len(modules[name].weight), device=env.device) for name in names}
        self.rows = {name: torch.zeros((), device=env.device) for name in names}
        self.reads, self.felt = (torch.zeros(size, device=env.device) for size in model.tok_emb.weight.shape)
        self.hooks = [model.tok_emb.register_forward_hook(self.look_up)]
        for name in names:
            if isinstance(modules[name], CastedLinear):
                self.hooks.append(modules[name].register_full_backward_hook(self.hook(name)))

    def look_up(self, module, inputs, output):
        self.reads += inputs[0].flatten().bincount(minlength=len(self.reads))
        output.requires_grad_().register_hook(self.feel)

    def feel(self, gradients):
        self.felt += gradients.detach().float().flatten(0, -2).square().sum(0)

    def hook(self, name):
        return lambda module, inputs, outputs: self.add(name, outputs[0])

    def add(self, name, gradients):
        gradients = gradients.detach().float().flatten(0, -2)
        self.total[name] += gradients.square().sum(0)
        self.rows[name] += len(gradients)

    @torch.enable_grad()
    def learn(self, ids):
        """One batch of ids, forward and backward."""
        logits = self.model(ids).float().flatten(0, 1)
        share = logits.detach().softmax(-1)
        rng = torch.Generator(ids.device).manual_seed(int(ids.sum()))  # the same samples on any number of ranks
        targets = torch.multinomial(share, 1, generator=rng).squeeze(1)
        F.cross_entropy(logits, targets, reduction="sum").backward()
        slope = 1 - (logits.detach() / self.h.softcap).square() if self.h.cap_logits else torch.ones_like(share)
        self.total["tok_emb.weight"] += (share * (1 - share) * slope.square()).sum(0)
        self.rows["tok_emb.weight"] += len(share)

    def close(self):
        for hook in self.hooks:
            hook.remove()


def fisher(h, tagged, weights, hessians):
    """{name: bits of its largest code, a real number} for the tensors with a Hessian and gradients; a step finer by half is a bit more.

    Where no gradients were collected every tensor keeps its role's step: the Hessian alone does not say what the loss feels.
    """
    assert h.calibrate, "steps by sensitivity need Hessians and gradients, and nothing collects them: set calibrate"
    least, sizes, found = {}, {}, {}
    for name, _, tag in tagged:
        quantizer, bits = quantizer_of(h, tag.role)
        w = weights[name].float().cpu()
        if quantizer is None or w.numel() <= h.keep_float_numel or f"{name}:fisher" not in hessians:
            continue
        cost = rounding_cost(h, w, name, hessians, bits, tag.role)
        if cost > 0:
            least[name] = math.log2(w.numel() / cost) / 2
            sizes[name], found[name] = w.numel(), bits
    octaves, mean = dict(least), 0.0
    for _ in range(20):  # what a bound takes from one tensor the others share
        mean += sum(sizes[name] * octaves[name] for name in octaves) / max(sum(sizes.values()), 1)
        octaves = {name: min(max(least[name] - mean, -h.step_octaves), h.step_octaves) for name in least}
    return {
        name: min(1 + math.log2(1 + (2 ** (bits - 1) - 1) / 2 ** octaves[name]), 8.0) for name, bits in found.items()
    }


def rounding_cost(h, w, name, hessians, bits, role):
    """Nats, up to one factor of all tensors, that GPTQ with SDClip's step of `bits` costs."""
    order, u, dead = error_feedback(h, hessians[name])
    alive = ~dead[order]
    felt = hessians[f"{name}:fisher"] * (1 / u.diagonal().square())[alive].sum()
    if f"{name}:reads" in hessians:
        errors = (u / u.diagonal()[:, None])[alive].square().sum(0)  # of each column, passed on to it and its own
        felt = felt + hessians[f"{name}:reads"] * (hessians[f"{name}:felt"][order] * errors).sum()
    return float((felt * sdclip_scale(h, w, hessians[name], bits, role).square()).sum() / 24)
