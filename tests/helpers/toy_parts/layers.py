"""The layer everything is made of."""

import torch
import torch.nn.functional as F
from torch import nn

LIMIT = 0.3
UNUSED = 4  # nothing reads it


def norm(x):
    return F.rms_norm(x, (x.size(-1),))


class Linear(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-LIMIT, LIMIT))

    def forward(self, x):
        return F.linear(x, self.weight)
