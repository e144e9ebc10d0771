"""Depth recurrence from a step on: a few layers run once more, with the same weights, from a step's number on (PR #1204, Marko
Sisovic; all shared in PR #1285, @dexhunter).

Layers 4 and 5 make 13 virtual layers of 11; before, the plain order runs. The skips are sized for the plain order, one fewer than
the recurrent order pops: #1285 reads its last row again, #1334 (@aryanbhosale) gives the last layer that pops none. Published effect:
about −0.003 BPB.
"""

from golf.parts.route import halves


class Knobs:
    recur_layers: "0 <= tuple[int] < 256" = (4, 5)  # run again, in this order, after the last of them


def recurrent_layers(h):
    """All layers in the recurrent order."""
    last = max(h.recur_layers) + 1
    return [*range(last), *h.recur_layers, *range(last, h.num_layers)]


def recurrent(h, loop):
    """A slot for `order`."""
    assert h.recur_layers and max(h.recur_layers) < h.num_layers, (
        f"recur_layers = {h.recur_layers} are not among num_layers = {h.num_layers} layers, counted from 0"
    )
    assert not h.core, "recurrence and a recycled core are two recurrences: take `core` or `order` out"
    if not loop:
        return halves(h, loop)
    layers = recurrent_layers(h)
    half = len(layers) // 2
    return layers[:half], layers[half:]


def last_row_again(h, row):
    """A slot for `skip_row` (PR #1285)."""
    return min(row, h.num_layers // 2 - 1)


def plain_rows(h, row):
    """A slot for `skip_row` (PR #1334)."""
    return row if row < h.num_layers // 2 else None
