"""Test-time training of low-rank adapters, every document its own (PR #77 and PR #1530, @samacqua).

A document is scored chunk by chunk; the gradient of a chunk's own scores then moves its adapters before the next chunk, so a
score never depends on what it scores. All documents start from the same adapters (B = 0), which makes the result independent
of their order and batching (R23); the public scripts draw A anew for each. Windows end where a whole chunk would, not at the
document's end: nothing looks ahead. With `lora_windows_from_end` the last one reaches back from the end, as in the public scripts.
Published effect: about −0.003 BPB (#1530); alpha 144, warm A and decay 1 another −0.0004 (PR #1767, @renqianluo); no adapters on
queries and values, longer windows −0.0006 (PR #1953, @andrewbaggio1); short chunks for short documents (PR #2014,
@simonbissonnette).
"""

import torch

from golf.parts.env import sent
from golf.parts.evaluate import Trace, picked, scored_targets
from golf.parts.techniques.doc_isolated import documents


class Knobs:
    lora_targets: tuple = ("q", "k", "v", "o", "mlp", "head")
    lora_rank: "1 <= int <= 4096" = 96
    lora_alpha: "0 < float <= 1e4" = 96.0  # what an adapter adds is scaled by alpha / rank
    lora_lr: "0 < float <= 1" = 1e-4  # of AdamW
    lora_beta1: "0 <= float < 1" = 0.0
    lora_beta2: "0 <= float < 1" = 0.999
    lora_wd: "0 <= float < 1000" = 0.5
    lora_chunk_tokens: "1 <= int <= 1073741824" = 32  # scored, then learned from
    lora_chunk_limits: "1 <= tuple[int]" = ()  # shorter chunks for batches whose longest document has at most so many tokens
    lora_short_chunks: "1 <= tuple[int]" = ()  # … and these chunks' tokens, one for each limit
    lora_windows_from_end: bool = False  # a document's last window ends with it: more context, known length
    lora_batch_docs: "1 <= int <= 65536" = 64  # documents side by side, of like length
    lora_warm_a: bool = (
        False  # A goes on from the documents that were in the row before (PR #1767); order then matters (R47)
    )


class Smoke:
    lora_rank = 4
    lora_chunk_tokens = 64
    lora_chunk_limits = ()
    lora_short_chunks = ()
    lora_batch_docs = 4


class Shapes:
    """Stands in for the adapters once, to learn which matrices the model has: {(name, layer): (inputs, outputs)}."""

    def __init__(self):
        self.found = {}

    def __call__(self, name, layer, u, y):
        self.found[name, layer] = u.size(-1), y.size(-1)
        return 0.0


class Adapters:
    """A (documents, rank, inputs) and B (documents, outputs, rank) of every matrix that is adapted."""

    def __init__(self, h, env, model):
        self.h = h
        assert h.adapters, (
            "`adapters` is off, so the model has no place for what is trained at test time: set adapters = true"
        )
        assert h.lora_targets and all(name in ("q", "k", "v", "o", "mlp", "head") for name in h.lora_targets), (
            f"lora_targets = {h.lora_targets} must be some of q, k, v, o, mlp, head"
        )
        shapes = Shapes()
        with torch.no_grad(), env.autocast(), torch.compiler.set_stance("force_eager"):
            model(torch.zeros((1, 8), dtype=torch.int64, device=env.device), lora=shapes)
        rng = torch.Generator().manual_seed(0)
        self.start, self.pairs, self.warm = {}, {}, False
        for (name, layer), (inputs, outputs) in shapes.found.items():
            if name in h.lora_targets:
                bound, rows = inputs**-0.5, h.lora_batch_docs
                start = sent(env, torch.empty(h.lora_rank, inputs).uniform_(-bound, bound, generator=rng))
                a = start.expand(rows, -1, -1).clone().requires_grad_()
                b = torch.zeros(rows, outputs, h.lora_rank, device=env.device).requires_grad_()
                self.start[name, layer], self.pairs[name, layer] = start, (a, b)
        self.params = [param for pair in self.pairs.values() for param in pair]

    def __call__(self, name, layer, u, y):
        if (name, layer) not in self.pairs:
            return 0.0
        a, b = self.pairs[name, layer]
        return self.h.lora_alpha / self.h.lora_rank * (u @ a.mT.to(u.dtype)) @ b.mT.to(u.dtype)

    @torch.no_grad()
    def reset(self, docs):
        """As before any document, for a batch of `docs` documents. Returns an optimizer that has seen nothing."""
        whole = docs == self.h.lora_batch_docs
        for key, (a, b) in self.pairs.items():
            if not (self.h.lora_warm_a and self.warm and whole):
                a.copy_(self.start[key].expand_as(a))
            b.zero_()
        self.warm = whole
        return torch.optim.AdamW(
            self.params,
            lr=self.h.lora_lr,
            betas=(self.h.lora_beta1, self.h.lora_beta2),
            eps=1e-10,
            weight_decay=self.h.lora_wd,
        )


def document_queue(h, stream):
    """Batches of documents (first prediction indices, lengths): cut from the shortest up, the longest first.

    Documents of a batch take about as many chunks; what is left over are the longest. Inside a batch the shortest come first.
    """
    starts, ends = documents(h, stream, scored_targets(h, stream))
    order = torch.argsort(ends - starts, stable=True)
    batches = list(zip(starts[order].split(h.lora_batch_docs), (ends - starts)[order].split(h.lora_batch_docs)))
    return sorted(batches, key=lambda batch: -int(batch[1][-1]))


def own_targets(env, queue):
    """Targets of this rank's batches, which documents of unlike length do not share out evenly."""
    return max(sum(int(lengths.sum()) for _, lengths in queue[env.rank :: env.world_size]), 1)


def ttt_lora(h, env, model, stream, keep=False):
    """Documents apart, each scored by the model with adapters that learned from the document's earlier chunks."""
    assert h.lora_chunk_tokens <= h.eval_seq_len, "a chunk of adapters' training is longer than a window"
    trace = Trace(env, stream, "ttt_lora", "quantized_ttt_lora", keep)
    if h.tilt:
        trace.tilt = h.tilt(h, env, stream)
    adapters = Adapters(h, env, model)
    model.requires_grad_(False)
    queue = document_queue(h, stream)
    trace.own = own_targets(env, queue)
    for starts, lengths in queue[env.rank :: env.world_size]:
        adapt_documents(h, env, model, stream, trace, adapters, starts, lengths)
    model.requires_grad_(True)
    return trace.reduce()


def adapt_documents(h, env, model, stream, trace, adapters, starts, lengths):
    """Score a batch of documents chunk by chunk; after each, one step of their adapters on its gradient."""
    optimizer = adapters.reset(len(starts))
    spare = h.lora_batch_docs - len(starts)
    starts = torch.cat((starts, starts.new_zeros(spare)))[:, None]
    lengths = torch.cat((lengths, lengths.new_zeros(spare)))[:, None]
    size = h.lora_chunk_tokens
    if h.lora_chunk_limits:
        size = short_chunk(h, int(lengths.max()) + 1)
    chunks = -(-int(lengths.max()) // size)
    for chunk in range(chunks):
        ids, targets, mask, at = chunk_batch(h, stream, starts, lengths, chunk, size)
        ids, targets, scored = sent(env, ids), sent(env, targets), sent(env, mask)
        with env.autocast():
            if h.tilt:
                nats, scores = trace.tilt(model(ids, lora=adapters), targets, at)
            else:
                nats = model(ids, targets, lora=adapters)
                scores = nats.detach()
        trace.add(picked(env, scores, mask), at[mask])
        goes_on = sent(env, lengths[:, 0] > (chunk + 1) * size)
        if chunk < chunks - 1:
            optimizer.zero_grad(set_to_none=True)
            ((nats * scored).sum(1) / scored.sum(1).clamp(min=1) * goes_on).sum().backward()
            optimizer.step()


def short_chunk(h, longest):
    """Tokens of a chunk where the longest document of the batch has `longest`, its BOS among them."""
    assert len(h.lora_chunk_limits) == len(h.lora_short_chunks), (
        "lora_chunk_limits and lora_short_chunks go together: as many of each"
    )
    for limit, size in sorted(zip(h.lora_chunk_limits, h.lora_short_chunks)):
        if longest <= limit:
            return size
    return h.lora_chunk_tokens


def chunk_batch(h, stream, starts, lengths, chunk, size):
    """ids, targets, mask of the chunk's columns, prediction indices (documents, T); T grows in four steps to eval_seq_len."""
    ends = torch.full_like(lengths, (chunk + 1) * size)
    if h.lora_windows_from_end:
        ends = torch.minimum(ends, lengths)
    begins = (ends - h.eval_seq_len).clamp(min=0)
    step = max(h.eval_seq_len // 4, 1)
    columns = begins + torch.arange(min(-(-int((ends - begins).max()) // step) * step, h.eval_seq_len))
    mask = (columns >= chunk * size) & (columns < ends) & (columns < lengths)
    at = starts + torch.minimum(columns, (lengths - 1).clamp(min=0))
    return stream.tokens[at], stream.tokens[at + 1], mask, at
