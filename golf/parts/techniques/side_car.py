"""Side-car: the bytes of every token are read from a file beside the validation shards, as CaseOps needs (PR #1729, @romeerp).

CaseOps writes words in lower case with markers for their capitals: lossless, but a marker stands for no byte of the text and a
piece does not say how many. The file has the shards' format, one count a token. Without it nothing is scored.
"""

import numpy as np
import torch

from golf.parts.data import load_shard, shard_paths


def side_car_bytes(h, env, tokens):
    """A slot for `target_bytes`: what `fineweb_val_bytes_*.bin` say of every token but the first."""
    counts = np.concatenate([load_shard(path) for path in shard_paths(env, "val_bytes")]).astype(np.int64)
    if len(counts) != len(tokens):
        raise ValueError(
            f"{len(counts)} counts in fineweb_val_bytes_*.bin for {len(tokens)} tokens: not of these shards"
        )
    return torch.from_numpy(counts[1:])
