"""Score-first test-time training by SGD: score a chunk in sliding windows, then train every weight on it (PR #549).

By @abaybektursun; in PR #1413 by @dexhunter, in PR #1493 by @bigbag.
A chunk's scores come from weights that saw earlier chunks only; the last chunk is never trained on. The learning rate falls as
a cosine over the chunks; momentum is kept throughout. Published effect: −0.0025 BPB on sliding windows (#549), −0.0021 (#1493).
"""

import math

import torch
import torch.distributed as dist

from golf.parts.env import sent
from golf.parts.evaluate import Trace, picked, scored_targets, share
from golf.parts.techniques.sliding import window_batches
from golf.parts.techniques.varlen import bounds_of


class Knobs:
    ttt_lr: "0 < float <= 1" = 0.005  # of the first chunk
    ttt_momentum: "0 <= float < 1" = 0.9
    ttt_epochs: "1 <= int <= 1000" = 3  # passes over a chunk after it is scored
    ttt_chunk_tokens: "1 <= int <= 1073741824" = 32_768
    ttt_batch_seqs: "1 <= int <= 65536" = 32  # sequences of eval_seq_len a step, over all ranks
    ttt_grad_clip: "0 < float <= 100" = 1.0  # norm of all gradients together
    ttt_freeze_blocks: "0 <= int <= 256" = 0  # the first blocks that keep their weights


class Smoke:
    ttt_chunk_tokens = 2048
    ttt_batch_seqs = 8


def ttt_window(h, env, model, stream, total):
    """This rank's windows in batches, chunk by chunk; who has scored a chunk's finds the model trained on it before the next."""
    yield from learning_windows(h, env, model, stream, total, trainable(h, model))
    model.requires_grad_(True)


def learning_windows(h, env, model, stream, total, params):
    starts, first = h.windows(h, total)
    chunks = math.ceil(total / h.ttt_chunk_tokens)
    chunk_of = ((starts + first) // h.ttt_chunk_tokens).clamp(max=chunks - 1)
    optimizer = torch.optim.SGD(params, lr=h.ttt_lr, momentum=h.ttt_momentum)
    for chunk in range(chunks):
        mine = torch.nonzero(chunk_of == chunk).flatten()
        part = share(env, len(mine))
        mine = mine[part.start : part.stop]
        yield from window_batches(h, env, stream, starts[mine], first[mine], torch.full_like(mine, total))
        if chunk < chunks - 1:
            learn_chunk(h, env, model, stream.tokens, params, optimizer, chunk, chunks)
    optimizer.zero_grad(set_to_none=True)


def ttt_sgd(h, env, model, stream, keep=False):
    """Sliding windows over a model that learns from each chunk once it is scored."""
    trace = Trace(env, stream, "ttt_sgd", "legal_ttt", keep)
    for ids, columns, targets, mask, at in ttt_window(h, env, model, stream, scored_targets(h, stream)):
        with torch.no_grad(), env.autocast():
            trace.add(picked(env, model(ids, targets, head_at=columns), mask), at)
    return trace.reduce()


def trainable(h, model):
    assert h.ttt_freeze_blocks <= h.num_layers, (
        f"ttt_freeze_blocks = {h.ttt_freeze_blocks} of num_layers = {h.num_layers} cannot be frozen"
    )
    if h.ttt_freeze_blocks:
        for block in model.blocks[: h.ttt_freeze_blocks]:
            block.requires_grad_(False)
    return [param for param in model.parameters() if param.requires_grad]


def learn_chunk(h, env, model, tokens, params, optimizer, chunk, chunks):
    """Train on the chunk's own tokens, in sequences side by side; all ranks take the steps that one would take."""
    assert h.ttt_chunk_tokens >= h.eval_seq_len, (
        f"a chunk of ttt_chunk_tokens = {h.ttt_chunk_tokens} holds no sequence of eval_seq_len = {h.eval_seq_len}: nothing would be learned"
    )
    for group in optimizer.param_groups:
        group["lr"] = h.ttt_lr * 0.5 * (1 + math.cos(math.pi * chunk / max(chunks - 1, 1)))
    start, length = chunk * h.ttt_chunk_tokens, h.eval_seq_len
    sequences = min(h.ttt_chunk_tokens, len(tokens) - 1 - start) // length
    for _ in range(h.ttt_epochs):
        for begin in range(0, sequences, h.ttt_batch_seqs):
            batch = min(h.ttt_batch_seqs, sequences - begin)
            mine = share(env, batch)
            optimizer.zero_grad(set_to_none=True)
            if mine:
                a, b = start + (begin + mine.start) * length, start + (begin + mine.stop) * length
                ids, targets = tokens[a:b].view(-1, length), tokens[a + 1 : b + 1].view(-1, length)
                with env.autocast():
                    if h.documents:
                        ids, targets = ids.view(1, -1), targets.view(1, -1)
                        docs = bounds_of(h, ids, length).there(env)
                        loss = model(sent(env, ids), sent(env, targets), docs=docs).sum() / (batch * length)
                    else:
                        loss = model(sent(env, ids), sent(env, targets)).sum() / (batch * length)
                loss.backward()
            if env.world_size > 1:
                for param in params:
                    if param.grad is None:
                        param.grad = torch.zeros_like(param)
                    dist.all_reduce(param.grad)
            torch.nn.utils.clip_grad_norm_(params, h.ttt_grad_clip)
            optimizer.step()
