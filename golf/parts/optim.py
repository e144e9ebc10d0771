"""Optimizers from tags: Muon for the matrices, Adam for tables and scalars. Every group keeps its base learning rate."""

import torch

from golf.parts.muon import Muon
from golf.parts.tags import has_group


class Knobs:
    matrix_lr: "0 < float <= 10" = 0.04  # Muon
    scalar_lr: "0 < float <= 10" = 0.04  # Adam on gains, scales, mixes
    tied_embed_lr: "0 < float <= 10" = 0.05  # Adam on the tied embedding and other tables
    beta1: "0 <= float < 1" = 0.9
    beta2: "0 <= float < 1" = 0.95
    adam_eps: "0 < float <= 1" = 1e-8
    adam_wd: "0 <= float < 10" = 0.0  # decoupled weight decay of the scalars
    embed_wd: "0 <= float < 10" = 0.0  # … of the tables
    grad_clip_norm: "0 <= float <= 1e6" = 0.0  # of all gradients together | 0 for off


def build_optimizers(h, tagged, env):
    """[Adam, Muon] over every tagged parameter, each exactly once."""
    groups = {
        "embed": (h.tied_embed_lr, h.embed_wd),
        "scalar": (h.scalar_lr, h.adam_wd),
    }
    if has_group(tagged, "bias"):
        groups["bias"] = (h.scalar_lr, 0.0)  # never decayed
    params = {name: [entry.param for entry in tagged if entry.tag.group == name] for name in ("matrix", *groups)}
    assert {entry.tag.group for entry in tagged} <= {*params, "measured", "untrained"}, (
        "a parameter's group has no optimizer"
    )
    adam = torch.optim.AdamW(
        [
            {"params": params[name], "lr": lr, "base_lr": lr, "weight_decay": wd}
            for name, (lr, wd) in groups.items()
            if params[name]
        ],
        betas=(h.beta1, h.beta2),
        eps=h.adam_eps,
        fused=env.cuda,
    )
    return [adam, Muon(h, params["matrix"], h.matrix_lr, env)]
