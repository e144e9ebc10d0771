"""How long the hints of the token tilt take on one core: the whole table of a stream, as every rank makes it in its evaluation.

    $ python benchmarks/tilt.py --targets 47851520
    $ python benchmarks/tilt.py --shard data/fineweb_val_000000.bin

Without a shard the stream is drawn: documents of frequent and rare tokens, a part of them repeated, as boilerplate is.
"""

import argparse
import resource
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from golf.data.shards import read_shard
from golf.parts.techniques.token_tilt import token_hints

WHOLE = 47_851_520  # targets of the CaseOps validation split


def drawn(count: int) -> torch.Tensor:
    rng = np.random.default_rng(0)
    tokens = np.minimum(rng.zipf(1.2, count + 1), 8191).astype(np.int64)
    for start in range(40_000, count - 100, 2000):  # a run of 60 tokens in 2,000 that stood before
        source = int(rng.integers(0, start - 100))
        tokens[start : start + 60] = tokens[source : source + 60]
    return torch.from_numpy(tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--targets", type=int, default=4_000_000)
    parser.add_argument("--shard", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    tokens = torch.from_numpy(read_shard(args.shard).astype(np.int64)) if args.shard else drawn(args.targets)
    h = SimpleNamespace(tilt_order=16, tilt_share=0.8, vocab_size=8192)
    begun, cpu = time.perf_counter(), time.process_time()
    hints = token_hints(h, tokens)
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu
    count = len(hints)
    print(f"targets {count:,}  gates {int((hints >= 0).sum()):,}  hits {int((hints == tokens[1:]).sum()):,}")
    print(f"{cpu_seconds:.1f} s of one core ({seconds:.1f} s by the clock), {count / cpu_seconds:,.0f} targets/s")
    print(f"{WHOLE:,} targets at that rate: {WHOLE * cpu_seconds / count:.0f} s (prediction)")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")


if __name__ == "__main__":
    main()
