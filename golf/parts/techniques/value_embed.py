"""Value embeddings: a table of the tokens, shared by a few late layers, is added to their attention values (PR #374 line; from
modded-nanogpt).

The table is looked up once a forward.
"""

import torch
from torch import nn

from golf.parts.layers import CastedLinear, Embedding
from golf.parts.tags import tag


class Knobs:
    ve_dim: "1 <= int <= 16384" = 128
    ve_layers: "0 <= tuple[int] < 256" = (9, 10)
    ve_scale: "0 <= float <= 100" = 0.1  # start of the learned factor
    ve_proj_group: str = "matrix"  # optimizer of the projection | "scalar": Adam, as in the banked scripts


class Smoke:
    ve_dim = 16


def small_normal(h, weight, rng):
    weight.normal_(std=0.01, generator=rng)


class ValueTable(nn.Module):
    """(B, T) ids -> (B, T, Hkv · D), once for all layers: belongs into the chain `lookups`."""

    def __init__(self, h):
        super().__init__()
        kv_dim = h.num_kv_heads * (h.model_dim // h.num_heads)
        self.embed = Embedding(h.vocab_size, h.ve_dim, role="table", init=small_normal)
        assert h.ve_proj_group in ("matrix", "scalar"), "ve_proj_group is matrix or scalar"
        narrow = h.ve_dim != kv_dim
        self.proj = (
            CastedLinear(h, h.ve_dim, kv_dim, role="table", init=h.table_init, group=h.ve_proj_group)
            if narrow
            else nn.Identity()
        )
        self.scale = tag(nn.Parameter(torch.tensor(h.ve_scale)), group="scalar", role="control")

    def forward(self, ids):
        values = self.proj(self.embed(ids))
        return self.scale.to(values.dtype) * values


class ValueEmbed(nn.Module):
    """Belongs into the chain `value`, with ValueTable in `lookups`."""

    def __init__(self, h, layer):
        super().__init__()
        assert h.lookups, "`ValueEmbed` reads a table: add `ValueTable` to `lookups`"
        assert h.ve_layers and max(h.ve_layers) < h.num_layers, (
            f"ve_layers = {h.ve_layers} are not among num_layers = {h.num_layers} layers, counted from 0"
        )
        self.scale = tag(nn.Parameter(torch.ones(1)), group="scalar", role="control")

    @staticmethod
    def at(h, layer):
        return layer in h.ve_layers

    def forward(self, v, u, flow):
        # v: (B, T, Hkv, D)
        if flow.lookups is None:  # in a pass of a recycled core
            return v
        return v + self.scale.to(v.dtype) * flow.lookups["ValueTable"].view_as(v)
