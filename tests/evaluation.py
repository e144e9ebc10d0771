"""What the tests of the evaluators share: an environment of one process, a stream, models small enough to reason about."""

import contextlib
import types

import numpy as np
import torch

from golf.namespace import namespace
from golf.recipe import changed, load_recipe


class OneProcess:
    """`Env` of a single CPU process, without reading the environment."""

    rank, world_size, distributed, cuda = 0, 1, False, False
    device = torch.device("cpu")
    dtype = torch.float32

    def autocast(self):
        return contextlib.nullcontext()

    def synchronize(self):
        pass


def stream_of(tokens, target_bytes=None):
    """A `Stream` of given tokens; a byte a target unless said otherwise."""
    tokens = torch.as_tensor(tokens, dtype=torch.int64)
    target_bytes = torch.ones(len(tokens) - 1, dtype=torch.int64) if target_bytes is None else target_bytes
    return types.SimpleNamespace(tokens=tokens, target_bytes=target_bytes)


def official_stream(shared, vocab_size=1024, tokens=None):
    """The first `tokens` of the official validation prefix with the bytes of its targets."""
    import sentencepiece

    from golf.parts.data import byte_tables, load_shard

    ids = torch.from_numpy(
        load_shard(str(shared / f"shards/fineweb10B_sp{vocab_size}/fineweb_val_000000.bin"))[:tokens].astype(np.int64)
    )
    sp = sentencepiece.SentencePieceProcessor(model_file=str(shared / f"tokenizers/fineweb_{vocab_size}_bpe.model"))
    token_bytes, space, boundary = (torch.from_numpy(table) for table in byte_tables(sp, vocab_size))
    return stream_of(ids, token_bytes[ids[1:]] + (space[ids[1:]] & ~boundary[ids[:-1]]))


def knobs(**values):
    """The baseline's `h` with other values."""
    return namespace(changed(load_recipe("baseline"), values))


class StubGPT(torch.nn.Module):
    """Two causal running means with learned tables, in float64, behind the one forward's signature."""

    def __init__(self, vocab_size=16, width=8, seed=0):
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        table = torch.randn(vocab_size, width, generator=rng, dtype=torch.float64)
        self.table = torch.nn.Parameter(table)
        self.blocks = torch.nn.ModuleList(torch.nn.Linear(width, width, dtype=torch.float64) for _ in range(2))
        self.head = torch.nn.Parameter(torch.randn(width, vocab_size, generator=rng, dtype=torch.float64))

    def forward(self, ids, targets=None, docs=None, loop=True, lora=None):
        x = self.table[ids]
        for layer, block in enumerate(self.blocks):
            mean = x.cumsum(1) / torch.arange(1, x.size(1) + 1, dtype=x.dtype)[:, None]
            y = block(mean)
            if lora is not None:
                y = y + lora("mlp", layer, mean, y)
            x = x + torch.tanh(y)
        logits = x @ self.head
        if lora is not None:
            logits = logits + lora("head", 0, x, logits)
        if targets is None:
            return logits
        return torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
