"""Dual gather: the log-probabilities of two ids a row, without a table of all of them (Triton; PR #2130).

What a tilt needs of the model, the target's chance and the hint's. No gradient: adapters learn from the plain nats.
"""

import torch

from golf.parts.evaluate import plain_gather
from golf.parts.kernels import constant, jit, tl

GATHER_BLOCK = constant(1024)  # columns at a time


@jit
def dual_gather_kernel(logits, first, second, first_out, second_out, columns):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, GATHER_BLOCK)
    top = -float("inf")
    total = 0.0
    for begin in range(0, columns, GATHER_BLOCK):
        x = tl.load(logits + row * columns + begin + column, mask=begin + column < columns, other=-float("inf"))
        x = x.to(tl.float32)
        higher = tl.maximum(top, tl.max(x, 0))
        total = total * tl.exp(top - higher) + tl.sum(tl.exp(x - higher), 0)
        top = higher
    logsum = top + tl.log(total)
    a = tl.load(logits + row * columns + tl.load(first + row)).to(tl.float32)
    b = tl.load(logits + row * columns + tl.load(second + row)).to(tl.float32)
    tl.store(first_out + row, a - logsum)
    tl.store(second_out + row, b - logsum)


@torch.no_grad()
def dual_gather(logits, first, second):
    """A slot for `two_log_probs`: logits (N, V), ids (N,) and (N,) -> their log-probabilities, (N,) and (N,) fp32."""
    if not logits.is_cuda:
        return plain_gather(logits, first, second)
    logits = logits.contiguous()
    a = logits.new_empty(len(logits), dtype=torch.float32)
    b = torch.empty_like(a)
    dual_gather_kernel[(len(logits),)](logits, first, second, a, b, logits.size(1), num_warps=4)
    return a, b
