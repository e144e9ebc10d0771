"""Sliding windows: every target is scored with at least window − stride tokens of context (PR #50, Matthew Li).

Only the first window's targets have less. Published effect at 1,024 / 64: 1.2244 → 1.1925 BPB, for sixteen times the work.

`legacy_windows` scores the last `stride`
targets of the stream up to window / stride times, as the first records did; `full_windows` scores each target once.
"""

import torch

from golf.parts.env import sent
from golf.parts.evaluate import Trace, picked, scored_targets, share
from golf.parts.knobs import Slot


class Knobs:
    windows: Slot = "full_windows"  # (h, total) -> starts, first scored columns
    reader: Slot = "sliding_window"  # (h, env, model, stream, total) -> window batches that a mixture reads
    eval_stride: "1 <= int <= 1048576" = 64  # tokens
    eval_batch_windows: "1 <= int <= 65536" = 32  # per rank


class Smoke:
    eval_stride = 32
    eval_batch_windows = 16


def full_windows(h, total):
    """Starts of the windows and the first column that each scores; every target exactly once (PR #1394's rule)."""
    assert h.eval_stride <= h.eval_seq_len, (
        f"eval_stride = {h.eval_stride} is longer than a window of eval_seq_len = {h.eval_seq_len}: targets would be left out"
    )
    context = h.eval_seq_len - h.eval_stride
    starts = torch.arange(0, total - context, h.eval_stride)
    return starts, torch.where(starts > 0, context, 0)


def legacy_windows(h, total):
    """As PR #50 had them: a window from every stride on, cut at the end and scoring its last stride of columns there too."""
    assert h.eval_stride <= h.eval_seq_len, (
        f"eval_stride = {h.eval_stride} is longer than a window of eval_seq_len = {h.eval_seq_len}: targets would be left out"
    )
    starts = torch.arange(0, total, h.eval_stride)
    lengths = (total - starts).clamp(max=h.eval_seq_len)
    return starts, torch.where(starts > 0, (lengths - h.eval_stride).clamp(min=0), 0)


def legacy_ttt_windows(h, total):
    """As PR #549 had them: the legacy windows without those shorter than a stride."""
    starts, first = legacy_windows(h, total)
    whole = (total - starts >= h.eval_stride) | (starts == 0)
    return starts[whole], first[whole]


def window_batches(h, env, stream, starts, first, ends):
    """ids (batch, eval_seq_len), the columns that the head reads and their targets (batch, S) on the device; on the CPU the mask
    of those that are scored, and their prediction indices.

    starts, first, ends: per window its start, the first column it scores, and the index before which it ends. What lies beyond
    is padding, which causal attention never shows to a scored column. S is a stride where no window of the batch scores more, else
    the whole window: two shapes, two compiled graphs.
    """
    scored = (ends - starts).clamp(max=h.eval_seq_len) - first
    for begin in range(0, len(starts), h.eval_batch_windows):
        rows = torch.arange(begin, begin + h.eval_batch_windows)
        mask = (rows < len(starts))[:, None]
        rows = rows.clamp(max=len(starts) - 1)
        columns, last = torch.arange(h.eval_seq_len), ends[rows, None] - 1
        ids = stream.tokens[torch.minimum(starts[rows, None] + columns, last)]
        if int(scored[rows].max()) <= h.eval_stride:
            columns = columns[: h.eval_stride]
        columns = first[rows, None].clamp(max=h.eval_seq_len - len(columns)) + columns
        at = starts[rows, None] + columns
        mask = mask & (columns >= first[rows, None]) & (at <= last)
        targets = stream.tokens[torch.minimum(at, last) + 1]
        yield *(sent(env, part) for part in (ids, columns, targets)), mask, at[mask]


def sliding_window(h, env, model, stream, total):
    """This rank's windows in batches; the model stays as it is."""
    starts, first = h.windows(h, total)
    mine = share(env, len(starts))
    starts, first = starts[mine.start : mine.stop], first[mine.start : mine.stop]
    return window_batches(h, env, stream, starts, first, torch.full_like(starts, total))


def sliding(h, env, model, stream, keep=False):
    """Score every target in overlapping windows of `eval_seq_len`, `eval_stride` apart."""
    trace = Trace(env, stream, "sliding", f"final_int{h.mlp_bits}_sliding_window", keep)
    with torch.no_grad(), env.autocast():
        for ids, columns, targets, mask, at in sliding_window(h, env, model, stream, scored_targets(h, stream)):
            trace.add(picked(env, model(ids, targets, head_at=columns), mask), at)
    return trace.reduce()
