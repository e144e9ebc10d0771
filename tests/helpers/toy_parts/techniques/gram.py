"""Gram form of Newton–Schulz: iterate on the small side."""


def gram_ns(g, steps):
    x = g / (g.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.mT
    for _ in range(steps):
        gram = x @ x.mT
        x = 1.5 * x - 0.5 * gram @ x
    return x.mT if tall else x
