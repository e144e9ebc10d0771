"""MuonEq-R: normalise every row of Muon's update before it is orthogonalised (PR #1285, @dexhunter).

Published effect: about −0.001 BPB.
"""

import torch.nn.functional as F


def row_norm(g):
    return g / g.norm(dim=-1, keepdim=True).clamp_min(1e-7)


def row_rms(g):
    """Rows of mean square 1, with the norm's own guard against zero (NeoMuon; PR #640, Ciprian-Florin Ifrim)."""
    g = g.float()
    return F.rms_norm(g, (g.size(-1),))
