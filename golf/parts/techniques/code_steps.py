"""Codes in steps: some layers' codes are rounded to multiples of a step, so that a coder finds fewer levels (PR #39, Nan Liu; all
layers in PR #86, @aruniyer).

Steps of 2, 4, 8 and 16 leave 7, 6, 5 and 4 of 8 bits. Scales stay.
"""

import torch


class Knobs:
    code_step: "1 <= int <= 64" = 4
    code_step_layers: "0 <= tuple[int] < 256" = (3, 4, 5, 6)  # layers whose matrices have it
    code_step_low: "-128 <= int <= 0" = -127  # smallest code
    code_step_high: "0 <= int <= 127" = 127  # largest


def codes_in_steps(h, tensors):
    """A slot for `prune`."""
    assert max(h.code_step_layers, default=0) < h.num_layers, (
        f"code_step_layers = {h.code_step_layers} are not among num_layers = {h.num_layers} layers, counted from 0"
    )
    stems = tuple(f"blocks.{layer}." for layer in h.code_step_layers)
    for name, codes in tensors.items():
        if name.startswith(stems) and name.endswith(":q"):
            stepped = h.code_step * torch.round(codes.float() / h.code_step)
            codes.copy_(stepped.clamp(h.code_step_low, h.code_step_high))
