"""A lawful mixture of the model with exact n-gram counts of the text scored so far, a distribution (R31, R40).

Interpolated Kneser–Ney (Kneser & Ney 1995) over the whole vocabulary, from the stream's own past. Its share in the mixture is
learned per bucket (how sure the model is, how long and how clear the known context) from targets that are already scored (R40).
Both parts sum to 1 and every count precedes its target, so the mixture is a prequential code.

`reader = "ttt_sgd.ttt_window"` mixes with a model that learns at test time.
"""

import torch

from golf.parts.env import sent
from golf.parts.evaluate import Trace, gather, picked, scored_targets, share
from golf.parts.grams import empty_context, grams


class Knobs:
    kn_context: "0 <= int <= 32" = 5  # tokens of the longest context
    kn_discount: "0 <= float <= 1" = 0.9  # taken off every count and given to the shorter context
    kn_start: "0 < float < 1" = 0.1  # share of the n-grams before anything is learned
    kn_start_tokens: "0 < float <= 1e9" = 10.0  # how many targets that start is worth, per bucket
    kn_chunk_tokens: "1 <= int <= 1073741824" = 4096  # scored before the shares learn from them


class Smoke:
    kn_chunk_tokens = 512


def ngram_kneser_ney(h, env, model, stream, keep=False):
    """The reader's windows, mixed with the n-grams of the stream so far."""
    name = f"{h.reader.__name__}_kneser_ney"
    trace = Trace(env, stream, name, f"final_int{h.mlp_bits}_{name}", keep)
    total = scored_targets(h, stream)
    nats, entropy = reader_scores(h, env, model, stream, total)
    chance, clarity = kneser_ney(h, stream.tokens[: total + 1].to(env.device))
    bucket = clarity * 4 + (entropy.to(env.device) / 1.2).long().clamp(max=3)  # tuned on a million tokens of FineWeb
    mix(h, env, trace, torch.exp(-nats.to(env.device)), chance, bucket)
    return trace.reduce()


def reader_scores(h, env, model, stream, total):
    """Nats and the model's entropy of every target, on the CPU, all ranks' shares put together."""
    nats, entropy = torch.zeros(2, total, dtype=torch.float64, device=env.device)
    for ids, columns, targets, mask, at in h.reader(h, env, model, stream, total):
        with torch.no_grad(), env.autocast():
            log_p = torch.log_softmax(picked(env, model(ids, head_at=columns), mask).double(), dim=-1)
        there = sent(env, at)
        nats[there] = -log_p.gather(-1, picked(env, targets, mask)[:, None])[:, 0]
        entropy[there] = -(log_p.exp() * log_p).sum(-1)
    return gather(env, nats), gather(env, entropy)


def kneser_ney(h, tokens):
    """For every target (all tokens but the first) its probability given the tokens before it, and the clarity of its context.

    tokens: (N + 1,) int64. Clarity numbers what the longest known context of the target left to the shorter ones.
    """
    context = empty_context(tokens)
    chance = torch.full((len(tokens),), 1 / h.vocab_size, dtype=torch.float64, device=tokens.device)
    clarity = torch.zeros_like(tokens)
    gram = grams(context, tokens, h.vocab_size)
    for order in range(h.kn_context + 1):
        if order < h.kn_context:
            longer_context = gram.next()
            longer = grams(longer_context, tokens, h.vocab_size)
            event = longer.before(torch.ones_like(tokens)) == 0  # a shorter gram counts once per word before it
        else:
            event = torch.ones_like(tokens, dtype=torch.bool)
        count, seen = gram.before(event).double(), context.before(event).double()
        kinds = context.before(event & (count == 0)).double()
        left = h.kn_discount * kinds / seen.clamp(min=1)
        known = seen > 0
        chance = torch.where(known, (count - h.kn_discount).clamp(min=0) / seen.clamp(min=1) + left * chance, chance)
        clarity = torch.where(known, 5 * order + ((1 - left) * 5).long().clamp(0, 4), clarity)
        if order < h.kn_context:
            context, gram = longer_context, longer
    return chance[1:], clarity[1:]


def mix(h, env, trace, model_chance, gram_chance, bucket):
    """Score (1 − w) · model + w · n-grams chunk by chunk; w of a bucket learns from the chunks before (online EM)."""
    buckets = int(bucket.max()) + 1
    targets = torch.full((buckets,), h.kn_start_tokens, dtype=torch.float64, device=env.device)
    won = targets * h.kn_start  # by the n-grams
    mine = share(env, len(bucket))
    for start in range(0, len(bucket), h.kn_chunk_tokens):
        chunk = slice(start, start + h.kn_chunk_tokens)
        weight = (won / targets)[bucket[chunk]]
        grams_part = weight * gram_chance[chunk]
        mixed = (1 - weight) * model_chance[chunk] + grams_part
        own = range(max(start, mine.start), min(start + len(mixed), mine.stop))
        if own:
            trace.add(-torch.log(mixed[own.start - start : own.stop - start]), torch.arange(own.start, own.stop))
        targets = targets.index_add(0, bucket[chunk], torch.ones_like(mixed))
        won = won.index_add(0, bucket[chunk], grams_part / mixed)
