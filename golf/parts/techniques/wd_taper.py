"""Tapered weight decay: towards the end of training Muon's decay falls linearly to a share of itself (PR #1729, @romeerp).

Adam's decay stays. Never ablated alone.
"""


class Knobs:
    wd_taper_from: "0 <= float < 1" = 0.7  # share of the training budget
    wd_taper_to: "0 <= float <= 100" = 0.5  # factor at its end


def wd_taper(h, clock):
    """A slot for `muon_wd_at`."""
    done = max((clock.progress() - h.wd_taper_from) / (1 - h.wd_taper_from), 0.0)
    return 1 + (h.wd_taper_to - 1) * done
