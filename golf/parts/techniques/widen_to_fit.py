"""Wider steps where the artifact is over the cap, and only there (golf): all matrices are quantized once more, from the same weights and
Hessians, until code and model fit.

What an entropy coder saves on trained weights is known when they are packed, not before: a run whose prediction reaches over the cap is paid
for before anybody knows. A step wider by 2^b costs b bits a code less, so the bytes over tell the step, and the second look shows
whether they were told right. An artifact that fits is left as it is, to the bit.

It goes into the slot `refit`.
"""

import torch
import torch.distributed as dist

from golf.parts.quant import bytes_over, quantize


class Knobs:
    spare_bytes: "0 <= int <= 1000000" = 500  # what is left free where steps had to be wider
    fit_rounds: "1 <= int <= 20" = 6  # at most so many times


def widen_to_fit(h, env, log, tagged, weights, hessians, tensors):
    """A slot for `refit`: the tensors as they are, or in wider steps. All ranks call it."""
    codes = sum(tensors[f"{name}:q"].numel() for name in weights if f"{name}:q" in tensors)
    fewer_bits = 0.0
    for _ in range(h.fit_rounds):
        over_bytes = torch.tensor(bytes_over(h, tensors) if env.rank == 0 else 0, device=env.device)
        if env.distributed:
            dist.broadcast(over_bytes, 0)
        if over_bytes <= 0:
            break
        fewer_bits += 8 * float(over_bytes + h.spare_bytes) / codes
        log(f"artifact over the cap by {over_bytes} bytes: quantized again in steps wider by {2**fewer_bits - 1:.3%}")
        tensors = quantize(h, tagged, weights, hessians, env.rank, env.world_size, fewer_bits)
    return tensors
