"""Gradients reduced as in the banked scripts: each rank clips its own, then one all-reduce averages them (PR #399 line, PR #549).

No DDP, so a parameter that a forward leaves out is no fault. Not here: the banks themselves and the overlap of their
communication with Newton–Schulz; weights are per layer and the updates travel as in `Muon`, which rounds the
gradients after they are averaged (the banked scripts before).
"""

import torch
import torch.distributed as dist


def unwrapped(env, model):
    """A slot for `parallel`: the model as it is."""
    return model


def average_all(env, model):
    """A slot for `average_gradients`: one flat all-reduce per dtype, after each rank has clipped its own gradients."""
    if not env.distributed:
        return
    trained = [param for param in model.parameters() if param.tag.group != "untrained"]
    grads = [param.grad for param in trained if param.grad is not None]
    for dtype in {grad.dtype for grad in grads}:
        same = [grad for grad in grads if grad.dtype == dtype]
        flat = torch.cat([grad.flatten() for grad in same])
        dist.all_reduce(flat)
        flat /= env.world_size
        for grad, piece in zip(same, flat.split([grad.numel() for grad in same])):
            grad.copy_(piece.view_as(grad))
