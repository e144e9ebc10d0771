"""DDP around one compiled graph: Dynamo does not cut it at DDP's buckets (`optimize_ddp = False`, PR #1218 and its line).

Dynamo cuts it there so that averaging overlaps with the backward; whole, it compiles once and fuses across the cuts.
"""

import torch

from golf.parts.train import ddp


def ddp_one_graph(env, model):
    """A slot for `parallel`."""
    if env.cuda:  # nothing is compiled on a CPU, where only loading the compiler would take seconds
        torch._dynamo.config.optimize_ddp = False
    return ddp(env, model)
