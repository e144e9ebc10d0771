"""One-shot pruning: an artifact over the cap loses eight of the cheapest codes ±1 for every byte too many, once (PR #1334,
@aryanbhosale).

No second look: whether it fits then is left to luck. Cheapest is the smallest scale of a row; of equal ones the first go.
"""

import torch

from golf.parts.quant import bytes_over


class Knobs:
    codes_per_byte: "1 <= int <= 1000" = 8  # zeroed for every byte over


def prune_once(h, tensors):
    """A slot for `prune`: of the blocks' matrices."""
    zero_cheapest(tensors, h.codes_per_byte * max(bytes_over(h, tensors), 0))


def zero_cheapest(tensors, count):
    """Zero, in place, the `count` codes ±1 with the smallest scales, in the order of the tensors and then of the elements."""
    names = [name for name in tensors if name.startswith("blocks.") and name.endswith(":q")]
    ones = [tensors[name].view(len(tensors[f"{name[:-2]}:s"]), -1).abs() == 1 for name in names]
    costs = [tensors[f"{name[:-2]}:s"].float().square()[:, None].expand_as(one)[one] for name, one in zip(names, ones)]
    gone = torch.zeros(sum(map(len, costs)), dtype=torch.bool)
    gone[torch.argsort(torch.cat(costs), stable=True)[:count]] = True
    for name, one, part in zip(names, ones, gone.split(list(map(len, costs)))):
        one[one.clone()] = part
        tensors[name].masked_fill_(one.view_as(tensors[name]), 0)
