"""CayleySAE: between a block's norm and its MLP stands a sparse code over a dictionary that is computed, not learned (arXiv:2607.20652).

Every MLP input is rewritten as the sum of the few parity features (`ParityTransform`) that it matches best: level by level,
where a kept feature opens which of the next level's features are looked at. Only a bias per feature is learned. An
interpretability row, not a leaderboard row: published at 202 M parameters and 20 B tokens it costs 0.31 nats.

The source code is not public. Ours, and contradicted by nothing that is published: A1 features are dual-BCH signs. A2 feature α of
a parent opens α xor g, g = 0, ω⁰, ω¹, …, in every row of the next level. A3 scores are standardized per feature by running
statistics (momentum 0.01, from mean 0 and variance 1; used, then updated; constants for the gradient). A4 selection is by |u|.
A5 every level reads the same input, outputs are summed, no norm follows. A6 the bias is added after standardization. A7 there
is one bias per output channel. A8 no loss for dead features.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from golf.parts.parity import ParityTransform, field_powers
from golf.parts.tags import tag


class Knobs:
    cayley_levels: tuple = (
        (9, 16, 0),
        (13, 32, 256),
    )  # (bits of a feature's index, kept a token, children opened; 0 for all)
    cayley_per_parent: bool = True  # that many children for each parent | off: for all parents together
    cayley_route: str = "cayley"  # "full" looks at every feature of every level
    cayley_standardize: str = "feature"  # scores by running statistics | "token": by the token's own, or "none"
    cayley_forward: str = "z"  # what a kept feature contributes: its standardized score | "raw": the score itself
    cayley_signed: bool = True  # select by |u|, so that a feature and its opposite are two
    cayley_bias: bool = True  # of every feature
    cayley_out_bias: bool = True  # of every channel
    cayley_momentum: "0 < float <= 1" = 0.01  # of the statistics, a micro-batch of all ranks together
    cayley_layers: "0 <= tuple[int] < 256" = ()  # layers that have it | () for all
    cayley_chunk_tokens: "1 <= int <= 1073741824" = 4096  # tokens whose scores are in memory at once


class Smoke:
    cayley_levels = ((6, 4, 0), (8, 8, 16))
    cayley_chunk_tokens = 1024  # two in evaluation


EPS = 1e-5  # of a score's variance


class Bottleneck(torch.autograd.Function):
    """The sum of the kept features. Keeps their indices and gains for the backward, nothing of the dictionary's size."""

    @staticmethod
    def forward(ctx, x, bias, codes, gain, index, sae):
        ctx.save_for_backward(gain, index)
        ctx.sae = sae
        return sae.decode(codes.to(x.dtype), index)

    @staticmethod
    def backward(ctx, grad):
        gain, index = ctx.saved_tensors
        to_codes = ctx.sae.read(grad, index)
        to_x = ctx.sae.decode((to_codes * gain).to(grad.dtype), index)
        to_bias = None
        if ctx.needs_input_grad[1]:
            to_bias = gain.new_zeros(ctx.sae.features).index_add_(0, index.flatten(), to_codes.flatten().to(gain.dtype))
        return to_x, to_bias, None, None, None, None


class CayleySAE(nn.Module):
    def __init__(self, h, layer):
        super().__init__()
        self.h = h
        self.levels = h.cayley_levels
        assert h.model_dim == 2 ** h.cayley_levels[0][0], (
            f"CayleySAE's first level has {h.cayley_levels[0][0]} bits, and model_dim is {h.model_dim}: the first of "
            "cayley_levels is forced to log2(model_dim), and model_dim to a power of two"
        )
        assert all(
            h.cayley_levels[i - 1][0] < h.cayley_levels[i][0] < 3 * h.cayley_levels[0][0]
            for i in range(1, len(h.cayley_levels))
        ), (
            f"the levels of CayleySAE must grow, to less than 3 · log2(model_dim) bits: cayley_levels is {h.cayley_levels}"
        )
        assert h.cayley_levels[0][2] == 0, "CayleySAE's first level has no parents: its third number is 0"
        assert all(k <= 2**bits for bits, k, _ in h.cayley_levels), (
            f"a level of CayleySAE keeps more features than it has candidates: cayley_levels is {h.cayley_levels}"
        )
        assert h.cayley_route == "full" or all(
            h.cayley_levels[i][2] == 0
            or h.cayley_levels[i][1]
            <= h.cayley_levels[i][2]
            // (1 if h.cayley_per_parent else h.cayley_levels[i - 1][1])
            // 2 ** (h.cayley_levels[i][0] - h.cayley_levels[0][0])
            * 2 ** (h.cayley_levels[i][0] - h.cayley_levels[0][0])
            <= 2 ** h.cayley_levels[i][0]
            for i in range(1, len(h.cayley_levels))
        ), (
            "a level of CayleySAE must find its features among the candidates that one parent opens, whole rows of "
            f"2^(bits − log2(model_dim)), since parents may share them: cayley_levels is {h.cayley_levels}"
        )
        assert h.cayley_route in ("cayley", "full"), "cayley_route is cayley or full"
        assert h.cayley_standardize in ("feature", "token", "none"), "cayley_standardize is feature, token or none"
        assert h.cayley_forward in ("z", "raw"), "cayley_forward is z or raw"
        assert all(layer < h.num_layers for layer in h.cayley_layers), (
            f"cayley_layers = {h.cayley_layers} are not among num_layers = {h.num_layers} layers, counted from 0"
        )
        t = self.levels[0][0]
        offsets = [0]
        for bits, _, _ in self.levels[1:]:
            offsets += range(2 ** (bits - t), 2 ** (bits - t + 1))  # the highest bit is the level's own
        self.features = len(offsets) << t
        self.parity = ParityTransform(t, offsets)
        self.register_buffer("steps", torch.tensor([0, *field_powers(t)]), persistent=False)
        if h.cayley_bias:
            self.bias = tag(nn.Parameter(torch.zeros(self.features)), group="bias", role="bias")
        if h.cayley_out_bias:
            self.out_bias = tag(nn.Parameter(torch.zeros(h.model_dim)), group="bias", role="bias")
        if h.cayley_standardize == "feature":
            mean, var = torch.zeros(self.features), torch.ones(self.features)
            self.score_mean = tag(nn.Parameter(mean, requires_grad=False), group="measured", role="measured")
            self.score_var = tag(nn.Parameter(var, requires_grad=False), group="measured", role="measured")
        self.eval()  # statistics move only between `model.train()` and `model.eval()`, which `train` calls

    @staticmethod
    def at(h, layer):
        return not h.cayley_layers or layer in h.cayley_layers

    def forward(self, u, flow):
        # u: (B, T, C), normed
        x = u.flatten(0, 1)
        codes, gain, index = self.encode(x, self.training and torch.is_grad_enabled())
        y = Bottleneck.apply(x, self.bias if self.h.cayley_bias else None, codes, gain, index, self)
        if self.h.cayley_out_bias:
            y = y + self.out_bias.to(y.dtype)
        return y.view_as(u)

    @torch.no_grad()
    def encode(self, x, observe=False):
        """x (n, d) to (n, kept): codes, how much a code moves with its score, and the features' indices."""
        kept, sums = [], []
        for part in x.split(self.h.cayley_chunk_tokens):
            scores = self.parity.scores(part)
            kept.append(self.keep(scores))
            if self.h.cayley_standardize == "feature" and observe:
                scores = scores.to(self.score_mean.dtype)
                sums.append(torch.stack((scores.sum(0), scores.square().sum(0))))
        if sums:
            self.measure(sum(sums), len(x))
        return [torch.cat(parts) for parts in zip(*kept)]

    def measure(self, sums, tokens):
        """Move the running statistics towards those of these tokens, of all ranks together. sums: Σ s and Σ s², (2, features)."""
        if dist.is_initialized():
            dist.all_reduce(sums)
            tokens = tokens * dist.get_world_size()
        mean, square = sums / tokens
        self.score_mean.lerp_(mean, self.h.cayley_momentum)
        self.score_var.lerp_(square - mean.square(), self.h.cayley_momentum)

    def keep(self, scores):
        # scores: (n, features)
        if self.h.cayley_standardize == "feature":
            gain = (self.score_var + EPS).rsqrt()
            u = (scores - self.score_mean) * gain
        elif self.h.cayley_standardize == "token":
            gain = (scores.var(1, correction=0, keepdim=True) + EPS).rsqrt()
            u = (scores - scores.mean(1, keepdim=True)) * gain
        else:
            u, gain = scores, torch.ones_like(scores[:, :1])
        if self.h.cayley_bias:
            u = u + self.bias
        index = self.select(u.abs() if self.h.cayley_signed else u)
        if self.h.cayley_forward == "raw":
            u, gain = scores + self.bias if self.h.cayley_bias else scores, torch.ones_like(gain)
        return u.gather(1, index), gain.expand_as(u).gather(1, index), index.int()

    def select(self, strength):
        """The indices of the strongest features, level by level: (n, kept)."""
        d, kept, first = 2 ** self.levels[0][0], [], 0
        for bits, k, children in self.levels:
            level = strength[:, first : first + 2**bits]
            if self.h.cayley_route == "cayley" and children:
                rows = level.unflatten(1, (-1, d))
                opened = children // rows.size(1)
                if not self.h.cayley_per_parent:
                    opened //= kept[-1].size(1)
                alpha = (kept[-1][:, :, None] % d ^ self.steps[:opened]).flatten(1).sort().values
                twice = F.pad(alpha[:, 1:] == alpha[:, :-1], (1, 0))
                found = rows.gather(2, alpha[:, None].expand(-1, rows.size(1), -1))
                best = found.masked_fill(twice[:, None], -torch.inf).flatten(1).topk(k).indices
                best = best // alpha.size(1) * d + alpha.gather(1, best % alpha.size(1))
            else:
                best = level.topk(k).indices
            kept.append(first + best)
            first += 2**bits
        return torch.cat(kept, 1)

    def decode(self, codes, index):
        """The sum of the features at `index`, each times its code: (n, kept) to (n, d)."""
        vectors = []
        for part, at in zip(codes.split(self.h.cayley_chunk_tokens), index.split(self.h.cayley_chunk_tokens)):
            whole = part.new_zeros(len(part), self.features).scatter_(1, at.long(), part)
            vectors.append(self.parity.vectors(whole))
        return torch.cat(vectors)

    def read(self, x, index):
        """The products of x (n, d) with its features at `index`: (n, kept)."""
        pairs = zip(x.split(self.h.cayley_chunk_tokens), index.split(self.h.cayley_chunk_tokens))
        return torch.cat([self.parity.scores(part).gather(1, at.long()) for part, at in pairs])


class FoldScores:
    """Belongs into `corrections`: what scores are multiplied by and what is added, 8 bits each, instead of mean, variance, bias."""

    @staticmethod
    def add(h, tensors, weights):
        assert h.cayley_forward == "z" and h.cayley_bias, (
            "FoldScores puts the mean into the bias: that needs z and a bias, else take it out of `corrections`"
        )
        for name in [name for name in tensors if name.endswith(".score_var")]:
            layer = name.removesuffix("score_var")
            mean, var, bias = (weights[layer + what].float().cpu() for what in ("score_mean", "score_var", "bias"))
            del tensors[name], tensors[layer + "score_mean"], tensors[layer + "bias"]
            gain = (var + EPS).rsqrt()
            vectors = torch.stack((gain, bias - mean * gain))
            scale = (vectors.abs().amax(1, keepdim=True) / 127).clamp_min(2.0**-24).half()
            tensors[layer + "bias:folded"] = torch.round(vectors / scale.float()).to(torch.int8)
            tensors[layer + "bias:scale"] = scale

    @staticmethod
    def apply(tensors, weights):
        for name in [name for name in tensors if name.endswith("bias:folded")]:
            layer = name.removesuffix("bias:folded")
            gain, shift = tensors[name].float() * tensors[layer + "bias:scale"].float()
            weights[layer + "score_var"] = gain.clamp_min(1e-6) ** -2 - EPS
            weights[layer + "score_mean"], weights[layer + "bias"] = torch.zeros_like(gain), shift
