"""GELU of the MLP's hidden values, exact (Hendrycks and Gimpel, arXiv:1606.08415): a slot for `activation`."""

import torch.nn.functional as F


def gelu(h, z):
    return F.gelu(z)
