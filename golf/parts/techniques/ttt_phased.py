"""Phased test-time training: adapters per document, and SGD on the documents scored so far (PR #1610, @romeerp).

In several phases: PR #1626, @dexhunter. The queue runs from the longest documents to the shortest. After each of the first
boundaries every weight is trained on the documents scored up to there, the shortest of them first, by SGD in chunks;
documents after it are scored by what that left. Accepted, contested: the order is not the stream's (R23), so nothing may be added
that follows the stream's (R47). Boundaries are counted in batches, not by who is first, so ranks do not change the result.
Published effect on PR #1530: −0.00056 BPB in one phase (#1610), −0.0008 more in three.
"""

import math
from itertools import accumulate

import torch

from golf.parts.evaluate import Trace
from golf.parts.techniques.ttt_lora import Adapters, adapt_documents, document_queue, own_targets
from golf.parts.techniques.ttt_sgd import learn_chunk, trainable


class Knobs:
    phased_docs: "1 <= int <= 1000000" = 2000  # the documents that every weight learns from
    phased_phases: "1 <= int <= 1000" = 1  # in how many steps


class Smoke:
    phased_docs = 8


def ttt_phased(h, env, model, stream, keep=False):
    """Adapters per document, on weights that learn from the longest documents once these are scored."""
    assert h.phased_phases <= h.phased_docs, (
        f"phased_docs = {h.phased_docs} documents are fewer than phased_phases = {h.phased_phases}"
    )
    trace = Trace(env, stream, "ttt_phased", "quantized_ttt_phased", keep)
    if h.tilt:
        trace.tilt = h.tilt(h, env, stream)
    queue, params, done = document_queue(h, stream), trainable(h, model), 0
    trace.own = own_targets(env, queue)
    scored = list(accumulate(len(starts) for starts, _ in queue))  # documents, after each batch
    boundaries = [h.phased_docs * (phase + 1) // h.phased_phases for phase in range(h.phased_phases)]
    for boundary in [*boundaries, None]:
        end = len(queue)
        if boundary is not None:  # looked at after each batch, so that every phase has one of its own
            end = min(max(sum(count < boundary for count in scored), done) + 1, end)
        adapters = Adapters(h, env, model)
        model.requires_grad_(False)
        for number in range(done, end):
            if number % env.world_size == env.rank:
                adapt_documents(h, env, model, stream, trace, adapters, *queue[number])
        model.requires_grad_(True)
        done = max(done, end)
        if boundary is not None and done < len(queue):
            learn_documents(h, env, model, stream, params, queue[:done], boundary)
    return trace.reduce()


def learn_documents(h, env, model, stream, params, batches, count):
    """SGD over the `count` shortest documents of the batches, each with its next BOS, in chunks; the last chunk is left out."""
    starts, lengths = (torch.cat(parts[::-1])[:count].tolist() for parts in zip(*batches))
    tokens = torch.cat([stream.tokens[start : start + length + 1] for start, length in zip(starts, lengths)])
    optimizer = torch.optim.SGD(params, lr=h.ttt_lr, momentum=h.ttt_momentum)
    chunks = math.ceil((len(tokens) - 1) / h.ttt_chunk_tokens)
    for chunk in range(chunks - 1):
        learn_chunk(h, env, model, tokens, params, optimizer, chunk, chunks)
    optimizer.zero_grad(set_to_none=True)
