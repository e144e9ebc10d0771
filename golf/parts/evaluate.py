"""Scoring: nats and bytes of every target, summed in float64 and divided once.

Reports are run in order, each on the model as the artifact holds it; the last one is the score. Prediction index p scores target
p + 1 of the stream from the tokens up to p.

An evaluator is `report(h, env, model, stream, keep) -> Trace`, a member of the chain `reports`.
"""

import math
import time

import torch
import torch.distributed as dist

from golf.parts.env import sent
from golf.parts.knobs import Chain, Slot


class Knobs:
    reports: Chain = ("plain",)  # evaluators; the last one is the score
    tilt: Slot = ""  # class (h, env, stream): (logits, targets, at) -> nats to learn from, nats to score
    eval_seq_len: "2 <= int <= 1048576" = 1024  # tokens
    val_batch_tokens: "8 <= int <= 1073741824" = 524_288  # over all ranks
    eval_tail: bool = False  # score the targets after the last whole window, too


class Smoke:
    eval_seq_len = 128
    val_batch_tokens = 4_096


PROGRESS_SECONDS = 10  # between two lines of progress


class Trace:
    """What an evaluator scored. With `keep`: nats, visits and time stamp of every target of the stream."""

    def __init__(self, env, stream, name, label, keep):
        self.name = name  # of the result line
        self.label = label  # of the log line
        self.stream = stream
        self.env = env
        self.sum = torch.zeros((), dtype=torch.float64, device=env.device)  # of nats; nobody reads it while windows run
        self.tokens = self.bytes = 0  # the host counts them
        self.nats = torch.zeros(len(stream.target_bytes), dtype=torch.float64) if keep else None
        self.visits = torch.zeros(len(stream.target_bytes), dtype=torch.int32) if keep else None
        self.order = torch.full((len(stream.target_bytes),), -1, dtype=torch.int64) if keep else None
        self.clock, self.own = 0, len(stream.target_bytes) / env.world_size  # targets of this rank
        self.begun = self.told = time.perf_counter()

    def add(self, nats, at):
        """nats: any shape; at: prediction indices of the same shape, on the CPU."""
        nats = nats.double()
        self.sum += nats.sum()
        self.tokens += nats.numel()
        self.bytes += int(self.stream.target_bytes[at].sum())
        if self.nats is not None:
            self.nats[at], self.order[at] = nats.cpu(), self.clock
            self.visits[at] += 1
        self.clock += 1
        self.tell()

    def tell(self):
        """Say how far rank 0 is, and what remains if the rest takes as long."""
        now = time.perf_counter()
        if self.env.rank == 0 and now - self.told > PROGRESS_SECONDS:
            self.told, elapsed_seconds = now, now - self.begun
            share = self.tokens / self.own
            print(
                f"eval_progress {self.name} {100 * share:.1f}% running_bpb:{self.bpb:.4f} elapsed:{elapsed_seconds:.0f}s "
                f"eta:{max(elapsed_seconds / share - elapsed_seconds, 0):.0f}s",
                flush=True,
            )

    def reduce(self):
        """Sum over the ranks, each of which scored its own targets."""
        if self.env.world_size > 1:
            sums = self.sum.new_tensor((self.sum, self.tokens, self.bytes))
            dist.all_reduce(sums)
            self.sum, self.tokens, self.bytes = sums[0], int(sums[1]), int(sums[2])
            if self.nats is not None:
                self.nats = gather(self.env, self.nats)
                self.visits, self.order = gather(self.env, self.visits), gather(self.env, self.order + 1) - 1
        return self

    @property
    def loss(self):
        """Nats per token."""
        return float(self.sum / self.tokens)

    @property
    def bpb(self):
        """Bits per byte."""
        return float(self.sum / self.bytes / math.log(2))


def gather(env, tensor):
    """The sum over the ranks of a tensor that lies on the CPU."""
    if env.world_size == 1:
        return tensor
    tensor = tensor.to(env.device)
    dist.all_reduce(tensor)
    return tensor.cpu()


def picked(env, values, mask):
    """values[mask]. The mask lies on the CPU: a device would have to be asked, and waited for, how many it picks."""
    return values.flatten(0, mask.dim() - 1)[sent(env, mask.flatten().nonzero()[:, 0])]


def share(env, count):
    """This rank's contiguous part of `count` things, as a range."""
    return range(count * env.rank // env.world_size, count * (env.rank + 1) // env.world_size)


def scored_targets(h, stream):
    """How many targets every evaluator scores: no tail shorter than a window, as the challenge counts, unless the recipe scores it."""
    windows = (len(stream.tokens) - 1) // h.eval_seq_len
    if not windows:
        raise ValueError(f"{len(stream.tokens)} validation tokens are fewer than one window of {h.eval_seq_len} + 1")
    if h.eval_tail:
        return len(stream.tokens) - 1
    return windows * h.eval_seq_len


def plain(h, env, model, stream, keep=False):
    """Windows of `eval_seq_len` side by side; attention runs over document boundaries."""
    trace = Trace(env, stream, "roundtrip", f"final_int{h.mlp_bits}_{h.coder.name}_roundtrip", keep)
    total = scored_targets(h, stream)
    windows = share(env, total // h.eval_seq_len)
    batch = max(h.val_batch_tokens // 8 // h.eval_seq_len, 1)
    with torch.no_grad(), env.autocast():
        for first in windows[::batch]:
            start, end = first * h.eval_seq_len, min(first + batch, windows.stop) * h.eval_seq_len
            ids = sent(env, stream.tokens[start:end]).view(-1, h.eval_seq_len)
            targets = sent(env, stream.tokens[start + 1 : end + 1]).view(-1, h.eval_seq_len)
            trace.add(model(ids, targets), torch.arange(start, end).view(-1, h.eval_seq_len))
        if h.eval_tail and env.rank == env.world_size - 1 and total % h.eval_seq_len:
            start = windows.stop * h.eval_seq_len
            ids = sent(env, stream.tokens[start:total])[None]
            targets = sent(env, stream.tokens[start + 1 : total + 1])[None]
            trace.add(model(ids, targets), torch.arange(start, total)[None])
    return trace.reduce()


@torch.no_grad()
def plain_gather(logits, first, second):
    """A slot for `two_log_probs`: softmax of everything, then two gathers."""
    log_p = torch.log_softmax(logits.float(), dim=-1)
    return log_p.gather(-1, first[:, None])[:, 0], log_p.gather(-1, second[:, None])[:, 0]
