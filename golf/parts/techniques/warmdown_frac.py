"""Warmdown over the last share of the training budget, down to a floor (PR #1218, Kevin Clark; the floor PR #1787, #1809).

A floor above 0 needs an average at the end: the raw weights of PR #1809 are 0.007 BPB worse than their EMA.
"""


class Knobs:
    warmdown_frac: "0 < float <= 1" = 0.667  # share of the budget
    min_lr: "0 <= float <= 1" = 0.0  # floor, as a factor on the base learning rates


def warmdown_by_fraction(h, clock):
    if h.min_lr:
        assert h.after_step, "a learning rate that ends above 0 needs an average: add `EMA` to `after_step`"
        return max(min((1 - clock.progress()) / h.warmdown_frac, 1.0), h.min_lr)
    return max(min((1 - clock.progress()) / h.warmdown_frac, 1.0), 0.0)
