"""Token-only tilt: raise one hinted token's probability and renormalise exactly (PR #1514, @dexhunter; lawful since #1420's fix).

The hint is the most frequent token after the longest context known well enough, from the tokens before the target alone; never
gated by the target (R39). p'(v) = p(v) · exp(β · 1[v = hint]) / Z with Z = 1 + p(hint) · (exp(β) − 1) sums to 1. Contexts are
compared whole, where the PR had tables of 64-bit hashes. Published effect: −0.00014 BPB.
"""

import torch

from golf.parts.env import sent
from golf.parts.evaluate import Trace, picked, scored_targets
from golf.parts.grams import Groups, grams


class Knobs:
    tilt_contexts: "1 <= tuple[int] <= 1024" = (16, 14, 12, 10, 8)  # tokens, longest first
    tilt_shares: "0 < tuple[float] <= 1" = (0.5, 0.5, 0.6, 0.6, 0.7)  # per context, of the hint among what followed it
    tilt_counts: "1 <= tuple[int] <= 1000000" = (2, 2, 2, 2, 3)  # per context, how often it was seen
    tilt_beta: "0 <= float <= 100" = 2.0  # of a hint that always followed


def ngram_tilt(h, env, model, stream, keep=False):
    """The reader's windows, tilted towards what followed the same words before."""
    name = f"{h.reader.__name__}_tilt"
    trace = Trace(env, stream, name, f"final_int{h.mlp_bits}_{name}", keep)
    total = scored_targets(h, stream)
    hint, beta = (table.cpu() for table in hints(h, stream.tokens[: total + 1].to(env.device)))
    for ids, columns, targets, mask, at in h.reader(h, env, model, stream, total):
        with torch.no_grad(), env.autocast():
            log_p = torch.log_softmax(picked(env, model(ids, head_at=columns), mask).double(), dim=-1)
        target, hinted, tilt = picked(env, targets, mask)[:, None], sent(env, hint[at])[:, None], sent(env, beta[at])
        log_z = torch.log1p(log_p.gather(-1, hinted)[:, 0].exp() * torch.expm1(tilt))
        trace.add(log_z - tilt * (hinted == target)[:, 0] - log_p.gather(-1, target)[:, 0], at)
    return trace.reduce()


def hints(h, tokens):
    """Per target (all tokens but the first) the hinted token and its β; β is 0 where nothing is known well enough."""
    assert h.tilt_contexts and len(h.tilt_contexts) == len(h.tilt_shares) == len(h.tilt_counts), (
        "tilt_contexts, tilt_shares and tilt_counts go together: as many of each, and at least one"
    )
    hint = torch.zeros_like(tokens)
    beta = torch.zeros_like(tokens, dtype=torch.float64)
    spans = {1: tokens + 1}
    for length, least_share, least_count in zip(h.tilt_contexts, h.tilt_shares, h.tilt_counts):
        keys = torch.cat((torch.zeros_like(tokens[:1]), span_ids(spans, length)[:-1]))
        context = Groups(torch.argsort(keys, stable=True), keys)
        best, best_count = leaders(context, tokens, grams(context, tokens, h.vocab_size))
        seen = context.before(torch.ones_like(tokens))
        clear = best_count / seen.clamp(min=1)
        taken = (beta == 0) & (seen >= least_count) & (clear >= least_share)
        taken &= torch.arange(len(tokens), device=tokens.device) >= length
        hint = torch.where(taken, best, hint)
        beta = torch.where(taken, h.tilt_beta * clear, beta)
    return hint[1:], beta[1:]


def span_ids(spans, length):
    """Exact names of the `length` tokens that end at each position, from the names of two shorter spans."""
    if length not in spans:
        late = 1 << (length - 1).bit_length() - 1
        a, b = span_ids(spans, length - late), span_ids(spans, late)
        a = torch.cat((torch.zeros_like(a[:late]), a[:-late]))
        keys = a.long() * (len(b) + 2) + b
        spans[length] = Groups(torch.argsort(keys, stable=True), keys).ids
    return spans[length]


def leaders(context, tokens, gram):
    """Per position the token that most often followed its context before (the first to reach that count), and how often."""
    place = torch.arange(len(tokens), device=tokens.device)
    count = gram.before(torch.ones_like(tokens))[context.order] + 1
    base = context.head.long() * (len(tokens) + 1)
    top = (base + count).cummax(0).values - base
    before = torch.cat((torch.zeros_like(top[:1]), top[:-1]))
    before = torch.where(place == context.head, 0, before)
    leader = torch.where(count > before, place, 0).cummax(0).values
    leader = torch.cat((leader[:1], leader[:-1]))
    return context.unsorted(tokens[context.order[leader]]), context.unsorted(before)
