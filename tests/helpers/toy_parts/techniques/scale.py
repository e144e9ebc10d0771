"""Scale: make the embedding larger."""


class Knobs:
    embed_scale: "-100 <= float <= 100" = 2.0


def scaled_up(h, x):
    return h.embed_scale * x
