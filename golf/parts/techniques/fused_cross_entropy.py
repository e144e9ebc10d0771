"""Fused softcapped cross-entropy: logits are read once and no capped copy is kept (Triton; PR #1787, @nprime06).

With s = σ(2x / c): z = 2c·s, nats = logsumexp(z) − z_y, dx = g · (softmax(z) − 1_y) · 4 s (1 − s). z is c·tanh(x / c) + c, so the
nats are those of the plain form, in fp32 from the logits as they are. While the weights train only.
"""

import torch
import torch.nn.functional as F

from golf.parts.kernels import constant, jit, tl

NATS_BLOCK = constant(1024)  # columns at a time


@jit
def capped_nats_kernel(logits, targets, nats, logsums, softcap, columns):
    softcap = tl.cast(softcap, tl.float32)  # a compiled model hands numbers over as fp64
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, NATS_BLOCK)
    top = -float("inf")
    total = 0.0
    for begin in range(0, columns, NATS_BLOCK):
        inside = begin + column < columns
        x = tl.load(logits + row * columns + begin + column, mask=inside, other=0.0).to(tl.float32)
        z = tl.where(inside, 2 * softcap * tl.sigmoid(2 * x / softcap), -float("inf"))
        higher = tl.maximum(top, tl.max(z, 0))
        total = total * tl.exp(top - higher) + tl.sum(tl.exp(z - higher), 0)
        top = higher
    logsum = top + tl.log(total)
    target = tl.load(targets + row)
    y = tl.load(logits + row * columns + target).to(tl.float32)
    tl.store(logsums + row, logsum)
    tl.store(nats + row, logsum - 2 * softcap * tl.sigmoid(2 * y / softcap))


@jit
def capped_grad_kernel(logits, targets, logsums, grads, out, softcap, columns):
    softcap = tl.cast(softcap, tl.float32)
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * NATS_BLOCK + tl.arange(0, NATS_BLOCK)
    inside = column < columns
    x = tl.load(logits + row * columns + column, mask=inside, other=0.0).to(tl.float32)
    s = tl.sigmoid(2 * x / softcap)
    p = tl.exp(2 * softcap * s - tl.load(logsums + row))
    p = tl.where(column == tl.load(targets + row), p - 1, p)
    dx = tl.load(grads + row) * p * 4 * s * (1 - s)
    tl.store(out + row * columns + column, dx.to(out.dtype.element_ty), mask=inside)


class FusedNats(torch.autograd.Function):
    """logits (N, V) before the softcap, targets (N,) -> nats (N,) fp32."""

    @staticmethod
    def forward(ctx, logits, targets, softcap):
        logits = logits.contiguous()
        nats = logits.new_empty(len(logits), dtype=torch.float32)
        logsums = torch.empty_like(nats)
        capped_nats_kernel[(len(logits),)](logits, targets, nats, logsums, softcap, logits.size(1), num_warps=4)
        ctx.save_for_backward(logits, targets, logsums)
        ctx.softcap = softcap
        return nats

    @staticmethod
    def backward(ctx, grads):
        logits, targets, logsums = ctx.saved_tensors
        out = torch.empty_like(logits)
        grid = (len(logits), -(-logits.size(1) // NATS_BLOCK.value))
        capped_grad_kernel[grid](
            logits, targets, logsums, grads.contiguous(), out, ctx.softcap, logits.size(1), num_warps=4
        )
        return out, None, None


def fused_cross_entropy(h, logits, targets):
    """A slot for `training_nats`: logits (B, T, V) before the softcap, targets (B, T) -> nats (B, T)."""
    assert h.cap_logits, "the fused cross-entropy caps the logits: set cap_logits = true"
    if logits.is_cuda:
        nats = FusedNats.apply(logits.flatten(0, 1), targets.flatten(), h.softcap)
    else:
        logits = h.softcap * torch.tanh(logits / h.softcap)
        nats = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
    return nats.view_as(targets)
