"""Progressive context: documents are cut short at first and longer as training goes on (PR #2014, @simonbissonnette).

Tokens a step and positions stay; only the length at which attention cuts a document grows, up to `train_seq_len`. After each
change the learning rates rise again from almost 0. Part of PR #2014, which drops the two batches that its loader has fetched ahead
at a change; here none are. Never ablated alone.
"""

from golf.parts.techniques.varlen import bounds_of
from golf.parts.techniques.warmdown_frac import warmdown_by_fraction


class Knobs:
    context_tokens: "1 <= tuple[int] <= 1048576" = (1024, 2048, 3072)  # stages' lengths
    context_until: "0 <= tuple[float] <= 1" = (0.1, 0.7, 1.0)  # shares of the training budget up to which they hold
    context_warmup_steps: "0 <= int <= 10000" = 32  # after a change


class Smoke:
    context_tokens = (32, 64, 128)
    context_warmup_steps = 4


def context_length(h, clock):
    """Tokens at which a step cuts documents."""
    for tokens, until in zip(h.context_tokens, h.context_until):
        if clock.progress() <= until:
            return tokens
    return h.context_tokens[-1]


def growing_bounds(h, ids, clock):
    """A slot for `documents`."""
    assert len(h.context_tokens) == len(h.context_until), (
        "context_tokens and context_until go together: as many of each"
    )
    assert max(h.context_tokens) == h.train_seq_len, (
        f"train_seq_len = {h.train_seq_len} must be the longest of context_tokens = {h.context_tokens}"
    )
    tokens = context_length(h, clock)
    if clock.context is None:
        clock.context = tokens, -h.context_warmup_steps  # training starts at its full rate
    if clock.context[0] != tokens:
        clock.context = tokens, clock.step
    return bounds_of(h, ids, tokens, h.train_seq_len)


def warmdown_after_changes(h, clock):
    """A slot for `lr_at`: the fractional warmdown, times the rise after the last change of the context."""
    assert "growing_bounds" in str(h.documents), (
        'the context does not grow: set documents = "growing_context.growing_bounds"'
    )
    factor = warmdown_by_fraction(h, clock)
    if not h.context_warmup_steps or clock.context is None:
        return factor
    return factor * min((clock.step - clock.context[1] + 1) / h.context_warmup_steps, 1.0)
