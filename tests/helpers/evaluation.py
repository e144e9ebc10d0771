"""What the tests of the evaluators share: an environment of one process, a stream, models small enough to reason about."""

import contextlib
import importlib
import types

import numpy as np
import torch

from golf.recipe import changed, load_recipe
from golf.recipe.namespace import namespace


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
        for param in self.blocks.parameters():
            torch.nn.init.normal_(param, std=0.3, generator=rng)
        self.head = torch.nn.Parameter(torch.randn(width, vocab_size, generator=rng, dtype=torch.float64))

    def forward(self, ids, targets=None, docs=None, loop=True, lora=None, head_at=None):
        x = self.table[ids]
        for layer, block in enumerate(self.blocks):
            mean = x.cumsum(1) / torch.arange(1, x.size(1) + 1, dtype=x.dtype)[:, None]
            y = block(mean)
            if lora is not None:
                y = y + lora("mlp", layer, mean, y)
            x = x + torch.tanh(y)
        if head_at is not None:
            x = x.take_along_dim(head_at[:, :, None], dim=1)
        logits = x @ self.head
        if lora is not None:
            logits = logits + lora("head", 0, x, logits)
        if targets is None:
            return logits
        return torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")


LORA = {
    "adapters": True,
    "lora_rank": 2,
    "lora_lr": 0.05,
    "lora_chunk_tokens": 8,
    "lora_batch_docs": 2,
    "phased_docs": 2,
}
SMALL = {
    "vocab_size": 16,
    "eval_seq_len": 32,
    "eval_stride": 8,
    "eval_batch_windows": 4,
    "val_batch_tokens": 1024,
    "ttt_chunk_tokens": 64,
    "ttt_batch_seqs": 2,
    "ttt_lr": 0.05,
    "ngram_740_buckets": 64,
}


def tokens_of(count=513, vocab_size=16, seed=7, bos_every=0):
    """A stream with some structure: a noisy cycle, so that n-grams repeat."""
    rng = np.random.default_rng(seed)
    cycle = rng.integers(2, vocab_size, 37)
    tokens = np.where(rng.random(count) < 0.7, np.resize(cycle, count), rng.integers(2, vocab_size, count))
    tokens[0] = 1
    if bos_every:
        tokens[::bos_every] = 1
    return tokens


def scored(report, tokens, model=None, **values):
    """The kept trace of an evaluator on the stub, with everything small."""
    h = knobs(**{**SMALL, **values})
    return report(h, OneProcess(), StubGPT(h.vocab_size) if model is None else model, stream_of(tokens), keep=True)


def future_dependence(report, tokens, cuts, **values):
    """The largest change of any score whose target lies before a cut, when everything from the cut on is replaced."""
    base, worst = scored(report, tokens, **values), 0.0
    rng = np.random.default_rng(3)
    for cut in cuts:
        other = tokens.copy()
        other[cut:] = rng.integers(2, 16, len(other) - cut)
        trace = scored(report, other, **values)
        worst = max(worst, float((trace.nats[: cut - 1] - base.nats[: cut - 1]).abs().max()))
    return worst


def kraft_sums(report, tokens, positions, vocab_size=16, **values):
    """Per position the sum over the vocabulary of the probability that the evaluator would have given to each token there."""
    sums = []
    for position in positions:
        total = 0.0
        for token in range(vocab_size):
            other = tokens.copy()
            other[position] = token
            total += float(torch.exp(-scored(report, other, **values).nats[position - 1]))
        sums.append(total)
    return np.array(sums)


def run_ranks(work, world_size, folder):
    """Run `work(env) -> anything torch.save takes` in `world_size` processes; the results in order of rank."""
    torch.multiprocessing.spawn(run_rank, (work, world_size, str(folder)), nprocs=world_size)
    return [torch.load(f"{folder}/{rank}.pt", weights_only=False) for rank in range(world_size)]


def run_rank(rank, work, world_size, folder):
    torch.set_num_threads(1)
    importlib.import_module(
        "torch.distributed.nn.functional"
    )  # as the shipped entry: imported later it would keep the group
    env = OneProcess()
    env.rank, env.world_size, env.distributed = rank, world_size, True
    torch.distributed.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=world_size)
    torch.save(work(env), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def golden_model(shared, name, recipe, **values):
    """A recipe's model at the size of a golden evaluation, with its weights; and `h`."""
    from public_weights import from_public

    from golf.parts.model import GPT
    from golf.parts.quant import load_weights

    with np.load(shared / f"golden/{name}.npz") as arrays:
        weights = {key[6:]: torch.from_numpy(arrays[key]) for key in arrays.files if key.startswith("param/")}
    sizes = {"vocab_size": 1024, "model_dim": 64, "mlp_mult": 2.0, "num_heads": 4, "num_kv_heads": 2, "rope_dims": 8}
    h = namespace(changed(load_recipe(recipe), {**sizes, "eval_seq_len": 256, **values}))
    model = GPT(h)
    load_weights(model, from_public(weights))
    return h, model
