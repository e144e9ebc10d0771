"""Selective pruning: zero the codes whose loss costs least squared error, so that the coder pays less for them (PR #609, #1089).

Larger codes than `prune_max_code` stay.

`prune_max_code` 1 takes ones only, as in #609 and #1089; 127 with 0.25 is the magnitude pruning of PR #740's defaults.
"""

import torch

from golf.parts.quant import log_values


class Knobs:
    prune_share: "0 <= float <= 1" = 0.0  # of the codes that may go, the cheapest first
    prune_max_code: "1 <= int <= 127" = 1  # largest magnitude that may go


def prune_cheapest(h, tensors):
    """Zero codes in place; a code q of a row with scale s costs (s q)². Of equal costs the first go."""
    names = [name for name in tensors if name.endswith(":q") and tensors[name].dtype == torch.int8]
    costs = torch.cat([code_costs(h, tensors, name).flatten() for name in names])
    count = int(h.prune_share * int(costs.isfinite().sum()))
    if count:
        dearest = costs.kthvalue(count).values
        goes, ties = costs < dearest, costs == dearest
        goes |= ties & (ties.cumsum(0) <= count - goes.sum())
        for name, gone in zip(names, goes.split([tensors[name].numel() for name in names])):
            tensors[name].masked_fill_(gone.view_as(tensors[name]), 0)


def code_costs(h, tensors, name):
    """(rows, columns) fp32; inf where a code is 0 or may not go."""
    scale = tensors[f"{name[:-2]}:s"]
    scale = log_values(scale) if h.log_scales else scale.float()
    codes = tensors[name].view(len(scale), -1).float()
    return (codes * scale[:, None]).square().masked_fill((codes == 0) | (codes.abs() > h.prune_max_code), torch.inf)
