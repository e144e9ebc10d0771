"""What came before, counted exactly: for every position of a stream, sums over the earlier positions with the same context.

A table that is filled token by token would hold the same numbers. Here one stable sort groups equal contexts in order of time,
and prefix sums inside the groups give every position its past: no hashing, no collisions, and 62 million tokens are a few
seconds on a GPU. Position g stands for token g of the stream; its context of order k are the k tokens before it.
"""

import torch


class Groups:
    """Positions with equal keys, each group in order of time. order: the positions sorted so; keys: one a position."""

    def __init__(self, order, keys):
        ordered = keys[order]
        first = torch.ones_like(ordered, dtype=torch.bool)
        first[1:] = ordered[1:] != ordered[:-1]
        self.order = order.int()  # 32 bits everywhere: a stream of 62 million tokens needs a dozen such tensors
        place = torch.arange(len(order), dtype=torch.int32, device=order.device)
        self.head = torch.where(first, place, 0).cummax(0).values
        self.ids = self.unsorted(first.cumsum(0, dtype=torch.int32))  # dense names of the keys, from 1

    def unsorted(self, ordered):
        """Values in sorted order, put back to their positions."""
        values = torch.empty_like(ordered)
        values[self.order] = ordered
        return values

    def before(self, values):
        """Per position the sum of `values` over the earlier positions of its group."""
        ordered = values[self.order].int()
        running = ordered.cumsum(0, dtype=torch.int32) - ordered
        return self.unsorted(running - running[self.head])

    def next(self):
        """The same groups for the tokens that follow: what was a gram is their context. The first token's is empty."""
        ids = torch.cat((torch.zeros_like(self.ids[:1]), self.ids[:-1]))
        after = self.order[self.order < len(ids) - 1] + 1
        return Groups(torch.cat((torch.zeros_like(after[:1]), after)), ids)


def grams(context, tokens, vocab_size):
    """The groups of (context, token): grams one longer than their contexts."""
    keys = context.ids.long() * vocab_size + tokens
    return Groups(torch.argsort(keys, stable=True), keys)


def empty_context(tokens):
    """The groups of the context of order 0: all positions are one."""
    return Groups(torch.arange(len(tokens), device=tokens.device), torch.zeros_like(tokens))
