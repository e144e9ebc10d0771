"""Virtual layers: matrices belong to physical layers, learned scales to the places in the order that recurrence makes (PR #1204, Marko
Sisovic).

Gains, mixes, scales, norm factor, XSA and value embeddings go by the place in the order of 13: from a step on layers 4 and 5 run again, and
the scales behind them serve other matrices. The second passes have MLPs of their own: zero, then copies, from that step on; `eighths`
orthogonalises their updates as the public script's eight ranks did. Two lanes
from a physical layer on: attention reads the first, then the MLP the second, each adds to both by learned factors; a skip goes into
both. The first layer has no attention; its four matrices stay zero and untrained.
"""

import torch
from torch import nn

from golf.parts.attention import members, rotate
from golf.parts.layers import CastedLinear, norm
from golf.parts.route import UNet
from golf.parts.tags import tag
from golf.parts.techniques.banked import average_all
from golf.parts.techniques.recurrence import recurrent_layers


class Knobs:
    two_lanes_from: "0 <= int < 256" = 7  # first physical layer with two lanes


class Projections(nn.Module):
    """The four matrices of a layer's attention; the first layer's are never used."""

    def __init__(self, h, layer):
        super().__init__()
        kv_dim = h.num_kv_heads * (h.model_dim // h.num_heads)
        if layer:
            group, init = "matrix", h.linear_init
        else:
            group, init = "untrained", None
        self.c_q = CastedLinear(h, h.model_dim, h.model_dim, role="attn", init=init, group=group)
        self.c_k = CastedLinear(h, h.model_dim, kv_dim, role="attn", init=init, group=group)
        self.c_v = CastedLinear(h, h.model_dim, kv_dim, role="attn", init=init, group=group)
        self.proj = CastedLinear(h, h.model_dim, h.model_dim, role="attn", init=None, group=group)


class PhysicalLayer(nn.Module):
    """A slot for `block`: matrices only."""

    def __init__(self, h, layer):
        super().__init__()
        assert "Virtual" in str(h.route), (
            '`PhysicalLayer` holds matrices only: set route = "virtual_layers.VirtualLayers"'
        )
        assert not (h.adapters or h.head_gate or h.mlp_in or h.keep_first_value), (
            "virtual layers have no place for adapters, head_gate, mlp_in or keep_first_value"
        )
        self.attn = Projections(h, layer)
        self.mlp = h.mlp(h, layer)


class Place(nn.Module):
    """What a place in the order has of its own; `layer` is virtual."""

    def __init__(self, h, layer):
        super().__init__()
        self.h = h
        self.head_dim = h.model_dim // h.num_heads
        self.attn_scale = tag(nn.Parameter(torch.ones(h.model_dim)), group="scalar", role="control")
        self.mlp_scale = tag(nn.Parameter(torch.ones(h.model_dim)), group="scalar", role="control")
        mix = torch.zeros(2, h.model_dim)
        mix[0] = 1
        if h.mix_start:
            share = h.mix_start(h, layer)
            mix[0], mix[1] = share, 1 - share
        self.resid_mix = tag(nn.Parameter(mix), group="scalar", role="control")
        self.q_gain = tag(nn.Parameter(torch.full((h.num_heads,), h.qk_gain)), group="scalar", role="control")
        if h.value:
            self.value = members(h, h.value, layer)
        if h.attn_out:
            self.attn_out = members(h, h.attn_out, layer)
        if h.ln_scale:
            self.ln_gain = (layer + 1) ** -0.5

    def read(self, x):
        if self.h.ln_scale:
            return norm(x) * self.ln_gain
        return norm(x)

    def mixed(self, x, x0):
        mix = self.resid_mix.to(x.dtype)
        return mix[0] * x + mix[1] * x0

    def attention(self, matrices, u, flow):
        # u: (B, T, C), normed   ->   (B, T, C)
        B, T, C = u.shape
        q = matrices.c_q(u).view(B, T, self.h.num_heads, self.head_dim)
        k = matrices.c_k(u).view(B, T, self.h.num_kv_heads, self.head_dim)
        v = matrices.c_v(u).view(B, T, self.h.num_kv_heads, self.head_dim)
        if self.h.value:
            for hook in self.value.values():
                v = hook(v, u, flow)
        q, k = rotate(norm(q), flow.rope), rotate(norm(k), flow.rope)
        q = q * self.q_gain.to(q.dtype)[:, None]
        y = self.h.attend(q, k, v, flow.docs)
        if self.h.attn_out:
            for hook in self.attn_out.values():
                y = hook(y, u, flow._replace(v=v))
        return self.attn_scale.to(y.dtype) * matrices.proj(y.reshape(B, T, C))


class VirtualLayers(UNet):
    """A slot for `route`."""

    def __init__(self, h):
        super().__init__(h)
        assert "PhysicalLayer" in str(h.block), 'virtual layers want block = "virtual_layers.PhysicalLayer"'
        assert "recurrent" in str(h.order), 'virtual layers want order = "recurrence.recurrent"'
        assert not h.core, "virtual layers and a recycled core are two orders of the blocks: take `core` or `route` out"
        assert "copy_repeated" in str(h.at_loop) and h.loop_from_step, (
            'the MLPs of second passes start as zeros: set at_loop = "virtual_layers.copy_repeated" and loop_from_step'
        )
        assert h.num_layers // 2 <= h.two_lanes_from < h.num_layers and max(h.recur_layers) < h.two_lanes_from, (
            f"two_lanes_from = {h.two_lanes_from} is no layer of the second half, behind recur_layers = {h.recur_layers}"
        )
        self.places = nn.ModuleList(Place(h, layer) for layer in range(h.num_layers + len(h.recur_layers)))
        self.repeat = nn.ModuleList(h.mlp(h, layer) for layer in h.recur_layers)
        for param in self.repeat.parameters():
            param.tag, param.in_eighths = param.tag._replace(init=None), True
        self.lane_keep = tag(nn.Parameter(torch.full((h.num_layers, 2), 1.1**0.5)), group="scalar", role="control")
        self.lane_add = tag(nn.Parameter(torch.ones(h.num_layers, 2, 2)), group="scalar", role="control")

    def mlp_of(self, place, block, blocks, loop):
        """The MLP at a place: its own on a second pass."""
        again = place - max(self.h.recur_layers) - 1
        return self.repeat[again] if loop and 0 <= again < len(self.repeat) else blocks[block].mlp

    def forward(self, x, blocks, flow, loop):
        layers = recurrent_layers(self.h) if loop else list(range(self.h.num_layers))
        half = len(layers) // 2
        skips = []
        for at, layer in enumerate(layers):
            place, mlp = self.places[at], self.mlp_of(at, layer, blocks, loop)
            flow = flow.onward()
            if layer < self.h.two_lanes_from:
                if at >= half and skips:
                    x = self.merge(x, skips.pop(), at - half)
                x = place.mixed(x, flow.x0)
                if at:
                    x = x + place.attention(blocks[layer].attn, place.read(x), flow)
                x = x + place.mlp_scale.to(x.dtype) * mlp(place.read(x))
                if at < half:
                    skips.append(x)
                one = two = x
            else:
                if skips:
                    skip = skips.pop()
                    one, two = self.merge(one, skip, at - half), self.merge(two, skip, at - half)
                keep, add = self.lane_keep[layer].to(x.dtype), self.lane_add[layer].to(x.dtype)
                y = place.attention(blocks[layer].attn, place.read(place.mixed(one, flow.x0)), flow)
                one, two = keep[0] * one + add[0, 0] * y, keep[0] * two + add[0, 1] * y
                y = place.mlp_scale.to(x.dtype) * mlp(place.read(place.mixed(two, flow.x0)))
                one, two = keep[1] * one + add[1, 0] * y, keep[1] * two + add[1, 1] * y
        return (one + two) / 2


@torch.no_grad()
def copy_repeated(h, model):
    """The MLPs of the second passes begin as those of the first: a slot for `at_loop`."""
    for mlp, layer in zip(model.route.repeat, h.recur_layers):
        for own, first in zip(mlp.parameters(), model.blocks[layer].mlp.parameters()):
            own.copy_(first)


def average_with_idle(env, model):
    """A slot for `average_gradients`: matrices that the plain order leaves out get a gradient of zero, so Muon leaves them where they are."""
    for param in model.parameters():
        if param.grad is None and param.tag.group == "matrix":
            param.grad = torch.zeros_like(param)
    average_all(env, model)


def eighths(h, p, g, orthogonalize):
    """The MLPs of second passes, each eighth of their rows by itself, however many ranks there are: a slot for `in_parts`."""
    parts = g.chunk(8) if hasattr(p, "in_eighths") else (g,)
    return torch.cat([orthogonalize(part, h.ns_steps) for part in parts])
