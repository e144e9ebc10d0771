"""MuonEq-R: normalise every row of Muon's update before it is orthogonalised (PR #1285, @dexhunter).

Published effect: about −0.001 BPB.
"""


def row_norm(g):
    return g / g.norm(dim=-1, keepdim=True).clamp_min(1e-7)
