"""Depth recurrence: a segment of layers runs several times with the same weights (PR #1394, Kevin Clark; three layers from
PR #1493, @bigbag).

Two extra passes over layers 3 to 5 make 17 virtual layers of 11. Off until `loop_from` of the training budget is used, on in
evaluation and calibration. With `loop_whole_from` one extra pass runs first (PR #1412, Robby Sneiderman). Skips are sized for
the looped order. Published effect: about −0.003 BPB (PR #1285).
"""

from golf.parts.route import halves


class Knobs:
    loop_extra: "0 <= int <= 64" = 2  # passes over the segment beyond the first
    loop_first: "0 <= int < 256" = 3  # first layer of the segment
    loop_last: "0 <= int < 256" = 5  # its last layer


def looped(h, loop):
    assert not h.core, "loops and a recycled core are two recurrences: take `core` or `order` out"
    assert h.loop_first <= h.loop_last < h.num_layers, (
        f"loop_first = {h.loop_first} to loop_last = {h.loop_last} is no segment of num_layers = {h.num_layers} layers, counted from 0"
    )
    if not loop:
        return halves(h, loop)
    extra = h.loop_extra
    if h.loop_whole_from:
        extra = extra if loop is True else loop
    segment = list(range(h.loop_first, h.loop_last + 1))
    layers = list(range(h.loop_first)) + (extra + 1) * segment + list(range(h.loop_last + 1, h.num_layers))
    half = len(layers) // 2
    return layers[:half], layers[half:]
