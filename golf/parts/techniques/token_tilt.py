"""Token tilt of order 16: after fifteen known tokens, raise the one that most often followed them (PR #2135; PR #2130's line).

It lies inside an evaluator: hints come from the stream's own past, are gated by their past share alone (R39), are made inside the
evaluator's clock, and the probabilities sum to 1: p'(v) = p(v) · exp(β · 1[v = hint]) / (1 + p(hint) · (exp(β) − 1)). What learns at
test time learns from the nats without the tilt. As in the PR, a context is its 64-bit key, so different contexts of one key
are one (28 more hints in 808,826 than with the words compared), and the stream begins with its first target twice.
"""

import math

import torch
import torch.nn.functional as F

from golf.parts.grams import Groups, grams
from golf.parts.knobs import Slot
from golf.parts.techniques.ngram_tilt import leaders

# of the oldest token … of the last one
KEY_FACTORS = (
    *(36313, 27191, 51647, 81929, 131071, 196613, 262147, 393241),
    *(524309, 655373, 786433, 917521, 1048583, 1179653, 1310729),
)


class Knobs:
    tilt_order: "2 <= int <= 16" = 16  # tokens, the hinted one included
    tilt_share: "0 < float <= 1" = 0.8  # of the hint among what followed the context before; one time is enough
    tilt_boost: "0 <= float <= 100" = 2.625  # nats
    two_log_probs: Slot = "plain_gather"  # (logits, first, second) -> log-probabilities of two ids a row


class TokenTilt:
    """A slot for `tilt`: what an evaluator asks once per batch, with the logits of its targets."""

    def __init__(self, h, env, stream):
        self.h = h
        self.hints = token_hints(h, stream.tokens.to(env.device))

    def __call__(self, logits, targets, at):
        """logits (…, V) after the softcap, targets (…) on the same device, and their prediction indices (…).

        Nats (…) to learn from, and nats (…) to score, which carry no gradient.
        """
        logits, ids = logits.float().flatten(0, -2), targets.flatten()
        hint = self.hints[at.to(self.hints.device, non_blocking=True)].flatten()
        log_p, log_q = self.h.two_log_probs(logits.detach(), ids, hint.clamp(min=0))
        log_z = torch.log1p(log_q.exp() * math.expm1(self.h.tilt_boost))
        scored = torch.where(hint < 0, 0.0, log_z - self.h.tilt_boost * (ids == hint)) - log_p
        nats = F.cross_entropy(logits, ids, reduction="none")
        return nats.view_as(targets), scored.view_as(targets)


def token_hints(h, tokens):
    """Per target (all tokens but the first) the hinted token, -1 where none is sure enough. tokens: (N + 1,) int64."""
    tokens = torch.cat((tokens[1:2], tokens[1:]))  # the stream before its first target is that target
    length = h.tilt_order - 1
    keys = torch.full_like(tokens, -1)
    if len(tokens) > length:
        keys[length:] = 0
        for back, factor in zip(range(length, 0, -1), KEY_FACTORS):
            keys[length:] ^= tokens[length - back : len(tokens) - back] * factor
    context = Groups(torch.argsort(keys, stable=True), keys)
    best, count = leaders(context, tokens, grams(context, tokens, h.vocab_size))
    clear = count / context.before(torch.ones_like(tokens)).clamp(min=1)
    return torch.where((keys >= 0) & (clear >= h.tilt_share), best, -1)[1:]
