"""Scoring: nats and bytes of every target, summed in float64 and divided once.

An evaluator is `report(h, env, model, stream, keep) -> Trace`, and a recipe's `reports` are run in order, each on the model as
the artifact holds it; the last one is the score.
"""

import math

import torch
import torch.distributed as dist

from golf.parts.knobs import Chain


class Knobs:
    reports: Chain = ("plain",)  # evaluators; the last one is the score
    eval_seq_len: int = 1024  # tokens
    val_batch_tokens: int = 524_288  # over all ranks


class Smoke:
    eval_seq_len = 128
    val_batch_tokens = 16_384


class Trace:
    """What an evaluator scored. With `keep`: nats, visits and time stamp of every target of the stream."""

    def __init__(self, env, stream, label, keep):
        self.label = label  # of the log line
        self.stream = stream
        self.env = env
        self.sums = torch.zeros(3, dtype=torch.float64, device=env.device)  # nats, tokens, bytes
        self.nats = torch.zeros(len(stream.target_bytes), dtype=torch.float64) if keep else None
        self.visits = torch.zeros(len(stream.target_bytes), dtype=torch.int32) if keep else None
        self.order = torch.full((len(stream.target_bytes),), -1, dtype=torch.int64) if keep else None
        self.clock = 0

    def add(self, nats, at):
        """nats: any shape; at: prediction indices of the same shape (index p scores target p + 1 of the stream)."""
        nats = nats.double()
        self.sums += torch.stack(
            (nats.sum(), nats.new_tensor(nats.numel()), self.stream.target_bytes[at].sum().to(nats))
        )
        if self.nats is not None:
            self.nats[at], self.order[at] = nats.cpu(), self.clock
            self.visits[at] += 1
        self.clock += 1

    def reduce(self):
        """Sum over the ranks."""
        if self.env.world_size > 1:
            dist.all_reduce(self.sums)
        return self

    @property
    def tokens(self):
        return int(self.sums[1])

    @property
    def bytes(self):
        return int(self.sums[2])

    @property
    def loss(self):
        """Nats per token."""
        return float(self.sums[0] / self.sums[1])

    @property
    def bpb(self):
        """Bits per byte."""
        return float(self.sums[0] / self.sums[2] / math.log(2))


def plain(h, env, model, stream, keep=False):
    """Windows of `eval_seq_len` side by side; attention runs over document boundaries; a tail shorter than a window is dropped."""
    trace = Trace(env, stream, "roundtrip", keep)
    windows = (len(stream.tokens) - 1) // h.eval_seq_len
    batch = max(h.val_batch_tokens // 8 // h.eval_seq_len, 1)
    last = windows * (env.rank + 1) // env.world_size
    with torch.no_grad(), env.autocast():
        for first in range(windows * env.rank // env.world_size, last, batch):
            start, end = first * h.eval_seq_len, min(first + batch, last) * h.eval_seq_len
            ids = stream.tokens[start:end].to(env.device).view(-1, h.eval_seq_len)
            targets = stream.tokens[start + 1 : end + 1].to(env.device).view(-1, h.eval_seq_len)
            trace.add(model(ids, targets), torch.arange(start, end).view(-1, h.eval_seq_len))
    return trace.reduce()
