"""Polar Express: Newton–Schulz with a quintic of its own for each step (arXiv:2505.16932; ported in PR #1344, used from PR #1787,
@nprime06).

The published table was made for g / 1.02‖g‖; the ports leave the 1.02 out, and so does this. Fewer than five steps take the
first. Products in the order of the banked scripts. The one isolated ablation (PR #1831) found it no better than five fixed steps.
"""

from golf.parts.muon import bf16_product


def polar_express(g, steps):
    table = (
        (8.156554524902461, -22.48329292557795, 15.878769915207462),
        (4.042929935166739, -2.808917465908714, 0.5000178451051316),
        (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
        (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
        (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
    )
    x = g.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.T
    for a, b, c in table[:steps]:
        gram = bf16_product(x, x.T)
        x = a * x + bf16_product(b * gram + c * bf16_product(gram, gram), x)
    return x.T if tall else x
