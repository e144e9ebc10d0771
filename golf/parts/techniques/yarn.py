"""YaRN frequencies: slow pairs of a head turn as slowly as a longer training would have them, fast pairs stay (Peng et al.,
arXiv:2309.00071; from the first step in PR #640, Ciprian-Florin Ifrim).
"""

import torch


class Knobs:
    yarn_tokens: "2 <= int <= 1048576" = 2048  # length that the slow pairs are stretched to


class Smoke:
    yarn_tokens = 256


def yarn_frequencies(h, dims, device):
    """A slot for `frequencies`: between a quarter of the pairs, unchanged, and the last, fully stretched."""
    pair = torch.arange(0, dims, 2, dtype=torch.float32, device=device) / dims
    ramp = ((pair - 0.25) / 0.75).clamp(0, 1)
    return 1.0 / h.rope_base**pair / (1 + ramp * (h.yarn_tokens / h.train_seq_len - 1))
