"""A pre-norm transformer with tied embedding and head: one forward for whatever runs the model.

Embedding → norm → blocks in the order of the route → norm → tied head → softcap.

Training, evaluation, test-time training, calibration and interpretation all run `GPT.forward`. Everything that is not here is a
technique at a named point.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from golf.parts.attention import Attention, adapt, members, rotary_tables
from golf.parts.knobs import Chain, Slot
from golf.parts.layers import CastedLinear, Embedding, norm
from golf.parts.tags import tag


class Knobs:
    num_layers: "1 <= int <= 256" = 9  # blocks with weights of their own
    model_dim: "2 <= int <= 16384" = 512  # residual width
    embed_dim: "0 <= int <= 16384" = 0  # width of the token table | 0 for model_dim
    mlp_mult: "0 < float <= 64" = 2.0  # MLP hidden width / model_dim
    tied_embed_init_std: "0 < float <= 10" = 0.005
    softcap: "0 < float <= 1e4" = 30.0  # logits are bounded by softcap · tanh(z / softcap)
    cap_logits: bool = True  # bound the logits by the softcap | off: as they are
    cap: Slot = ""  # (h) -> module (z) -> logits in place of the softcap
    z_loss: "0 <= float <= 1" = 0.0  # weight of the squared log-normaliser in what training minimises | 0 for off
    eval_cap: Slot = ""  # (h) -> module (z) -> logits, the cap outside training: without targets and with adapters
    product: Slot = (
        ""  # (h, x, weight, training) -> x Wᵀ of every linear, in place of the master cast to the activations
    )
    embed_init: Slot = "tied_normal"  # (h, weight, rng) of the token table
    embed_norm: bool = True  # norm the embedding
    output_norm: Slot = ""  # (h) -> module in place of the norm before the head
    mix_start: Slot = (
        ""  # (h, layer) -> share of the stream that a block starts with, the embedding has the rest | "": all of it
    )
    ln_scale: bool = False  # scale every normed block input by 1 / √(layer + 1)
    embed_pre: Chain = ()  # members change the embedding before its norm: (x, ids) -> x
    embed_post: Chain = ()  # … after its norm: (x, ids) -> x
    lookups: Chain = ()  # members look the ids up once for the hooks of many layers: (ids) -> anything
    table_init: Slot = "kaiming_uniform"  # (h, weight, rng) of the projections behind tables
    activation: Slot = "relu2"  # (h, z) -> z of the MLP
    mlp: Slot = "MLP"  # class (h, layer): (u) -> y, from the normed stream
    mlp_in: Chain = ()  # members change the MLP's normed input: (u, flow) -> u
    training_mlp: Slot = ""  # (h, u, up, down) -> y: an MLP's two products while its weights train, in one kernel
    training_nats: Slot = ""  # (h, logits, targets) -> nats while the weights train, from logits before the softcap
    adapters: bool = False  # test-time training may add low-rank adapters to every matrix
    embed_adapter: bool = False  # test-time training may add a table's rows to the normed embedding
    block: Slot = "Block"  # class or function (h, layer), of a module: (x, flow) -> x, flow
    route: Slot = "UNet"  # class (h): (x, blocks, flow, loop) -> x


class Smoke:
    model_dim = 64
    embed_dim = 24


class Flow(NamedTuple):
    """What travels with the residual stream and is the same for every block, or the block's own values for its hooks."""

    ids: torch.Tensor  # (B, T)
    docs: object  # document boundaries for masked attention, or None
    x0: torch.Tensor  # (B, T, C) the normed embedding
    rope: tuple  # cos, sin
    lora: object  # adapters of test-time training, (name, layer, input, output) -> change of the output, or None
    v0: object = None  # (B, T, Hkv, D) values of the first block that ran
    v: object = None  # (B, T, Hkv, D) values of this block, for attn_out hooks
    layer: int = -1  # how many blocks ran before this one
    lookups: object = None  # {technique: what its table says of the ids}, computed once

    def onward(self):
        return self._replace(layer=self.layer + 1)


def tied_normal(h, weight, rng):
    weight.normal_(std=h.tied_embed_init_std, generator=rng)


def relu2(h, z):
    return F.relu(z).square()


class MLP(nn.Module):
    def __init__(self, h, layer):
        super().__init__()
        self.h = h
        assert int(h.mlp_mult * h.model_dim) >= 1, (
            f"an MLP of mlp_mult = {h.mlp_mult} × model_dim = {h.model_dim} has no width"
        )
        assert not (h.training_mlp and h.product), (
            "`training_mlp` multiplies with the masters themselves: `product` would be left out"
        )
        hidden = int(h.mlp_mult * h.model_dim)
        self.fc = CastedLinear(h, h.model_dim, hidden, role="mlp", init=h.linear_init)
        self.proj = CastedLinear(h, hidden, h.model_dim, role="mlp", init=None)

    def forward(self, u):
        if self.h.training_mlp:
            if torch.is_grad_enabled() and self.fc.weight.requires_grad:
                return self.h.training_mlp(self.h, u, self.fc.weight.to(u.dtype), self.proj.weight.to(u.dtype))
        return self.proj(self.h.activation(self.h, self.fc(u)))


class Block(nn.Module):
    """Attention, then MLP, each reading the normed stream, of which the embedding is mixed in, and adding to it by learned scales."""

    def __init__(self, h, layer):
        super().__init__()
        self.h = h
        self.attn = Attention(h, layer)
        self.mlp = h.mlp(h, layer)
        if h.mlp_in:
            self.mlp_in = members(h, h.mlp_in, layer)
        self.attn_scale = tag(nn.Parameter(torch.ones(h.model_dim)), group="scalar", role="control")
        self.mlp_scale = tag(nn.Parameter(torch.ones(h.model_dim)), group="scalar", role="control")
        mix = torch.zeros(2, h.model_dim)
        mix[0] = 1
        if h.mix_start:
            share = h.mix_start(h, layer)
            mix[0], mix[1] = share, 1 - share
        self.resid_mix = tag(nn.Parameter(mix), group="scalar", role="control")
        if h.ln_scale:
            self.ln_gain = (layer + 1) ** -0.5

    def read(self, x):
        if self.h.ln_scale:
            return norm(x) * self.ln_gain
        return norm(x)

    def mixed(self, x, flow):
        mix = self.resid_mix.to(x.dtype)
        return mix[0] * x + mix[1] * flow.x0

    def attention_of(self, u, flow):
        y, flow = self.attn(u, flow)
        return self.attn_scale.to(y.dtype) * y, flow

    def mlp_of(self, u, flow):
        if self.h.mlp_in:
            for hook in self.mlp_in.values():
                u = hook(u, flow)
        y = self.mlp(u)
        if self.h.adapters:
            y = adapt(flow, "mlp", u, y)
        return self.mlp_scale.to(y.dtype) * y

    def forward(self, x, flow):
        x = self.mixed(x, flow)
        y, flow = self.attention_of(self.read(x), flow)
        x = x + y
        return x + self.mlp_of(self.read(x), flow), flow


class GPT(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.h = h
        self.tok_emb = Embedding(h.vocab_size, h.embed_dim or h.model_dim, role="embed", init=h.embed_init)
        if h.embed_pre:
            self.embed_pre = nn.ModuleDict({T.__name__: T(h) for T in h.embed_pre})
        if h.embed_post:
            self.embed_post = nn.ModuleDict({T.__name__: T(h) for T in h.embed_post})
        if h.lookups:
            self.lookups = nn.ModuleDict({T.__name__: T(h) for T in h.lookups})
        self.blocks = nn.ModuleList(h.block(h, layer) for layer in range(h.num_layers))
        self.route = h.route(h)
        if h.output_norm:
            self.output_norm = h.output_norm(h)
        if h.cap:
            self.cap = h.cap(h)
        if h.eval_cap:
            self.eval_cap = h.eval_cap(h)

    def forward(self, ids, targets=None, *, docs=None, loop=True, lora=None, head_at=None):
        """ids, targets: (B, T). Nats per position (B, T), or logits (B, T, V) without targets.

        docs: bounds for attention. loop: True for the looped order, False for the plain one.
        head_at: (B, S) columns of each row that the head reads, targets are theirs; all T without.
        """
        x = self.tok_emb(ids)
        if self.h.embed_pre:
            for hook in self.embed_pre.values():
                x = hook(x, ids)
        if self.h.embed_norm:
            x = norm(x)
        if self.h.embed_post:
            for hook in self.embed_post.values():
                x = hook(x, ids)
        if self.h.embed_adapter and lora is not None:
            x = x + lora("embed", -1, ids, x)
        rope = rotary_tables(self.h, ids.size(1), ids.device) if self.h.rotary else None
        found = {name: table(ids) for name, table in self.lookups.items()} if self.h.lookups else None
        flow = Flow(ids, docs, x0=x, rope=rope, lora=lora, lookups=found)
        if self.h.output_norm:
            x = self.output_norm(self.route(x, self.blocks, flow, loop))
        else:
            x = norm(self.route(x, self.blocks, flow, loop))
        if head_at is not None:
            x = x.take_along_dim(head_at[:, :, None], dim=1)
        logits = F.linear(x, self.tok_emb.weight.to(x.dtype))
        if self.h.adapters:
            logits = adapt(flow, "head", x, logits)
        if self.h.training_nats:
            if targets is not None and torch.is_grad_enabled() and self.tok_emb.weight.requires_grad:
                return self.h.training_nats(self.h, logits, targets)
        if self.h.eval_cap and (targets is None or lora is not None):
            logits = self.eval_cap(logits)
        elif self.h.cap:
            logits = self.cap(logits)
        elif self.h.cap_logits:
            logits = self.h.softcap * torch.tanh(logits / self.h.softcap)
        if targets is None:
            return logits
        nats = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
        if self.h.z_loss:
            if torch.is_grad_enabled() and self.tok_emb.weight.requires_grad:
                nats = nats + self.h.z_loss * logits.float().flatten(0, 1).logsumexp(dim=-1).square()
        return nats.view_as(targets)
