"""Asymmetric logit cap at evaluation: a learned bound for positive logits and one for negative (PR #1923, @jorge-asenjo; in PR #1945,
#1953, #2014, #2130 and #2135).

It does nothing: both bounds start at the constant of training, the training loss does not read them, no optimizer has them, and
test-time adapters train with the model frozen. Two parameters and two stored values, kept so that the rows have theirs.
"""

import torch
from torch import nn

from golf.parts.tags import tag


class AsymmetricCap(nn.Module):
    """A slot for `eval_cap`."""

    def __init__(self, h):
        super().__init__()
        self.up = tag(nn.Parameter(torch.tensor(h.softcap)), group="untrained", role="control")
        self.down = tag(nn.Parameter(torch.tensor(h.softcap)), group="untrained", role="control")

    def forward(self, z):
        bound = torch.where(z > 0, self.up.to(z.dtype), self.down.to(z.dtype))
        return bound * torch.tanh(z / bound)
