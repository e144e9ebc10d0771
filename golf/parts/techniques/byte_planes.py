"""Bytes laid out for general-purpose compressors: tensors of one type side by side, and in them first bytes first (PR #1089)."""

import math

import numpy as np
import torch

from golf.parts.artifact import DTYPES, check


def to_planes(tensors, order=str):
    """The tensors' bytes: type after type, of every tensor first all low bytes, then the next, and so on."""
    pieces = []
    for tensor in sorted(tensors, key=lambda t: order(t.dtype)):
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        pieces.append(values.reshape(-1, tensor.element_size()).T.tobytes())
    return b"".join(pieces)


def from_planes(data, specs, order=str):
    """The reverse of `to_planes`; specs: [(name, dtype, shape)] in the tensors' own order."""
    check(
        len(data) == sum(math.prod(shape) * DTYPES[dtype].itemsize for _, dtype, shape in specs), "has another length"
    )
    tensors, at = [None] * len(specs), 0
    for i in sorted(range(len(specs)), key=lambda i: order(DTYPES[specs[i][1]])):
        dtype, shape = DTYPES[specs[i][1]], specs[i][2]
        values = np.frombuffer(data, np.uint8, math.prod(shape) * dtype.itemsize, at)
        at += len(values)
        values = values.reshape(dtype.itemsize, -1).T.copy().reshape(-1)
        tensors[i] = torch.from_numpy(values).view(dtype).reshape(shape)
    return tensors
