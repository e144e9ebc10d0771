"""Sixteen toy evaluators, legal and illegal, with the verdict that each deserves: the table that the checks must reproduce.

Each is our own reading of a family of the contest: windows of 32 ids with stride 8, chunks of 64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from golf.rules.dynamic.scores import BOS, Evaluator, Ids, Scores
from golf.rules.dynamic.toy_mixing import MIXERS
from golf.rules.dynamic.toy_model import VOCAB, Floats, Toy, log_softmax
from golf.rules.dynamic.windows import CHUNK, RATE, WINDOW, windows


class Sheet:
    """Collects scores with their time stamps."""

    def __init__(self, targets: int) -> None:
        self.nll = np.zeros(targets)
        self.visits = np.zeros(targets, dtype=np.int64)
        self.order = np.zeros(targets, dtype=np.int64)
        self.clock = 0

    def add(self, positions: Ids, nll: Floats) -> None:
        self.nll[positions] = nll
        self.visits[positions] += 1
        self.order[positions] = self.clock
        self.clock += 1

    def done(self) -> Scores:
        return Scores(self.nll, self.visits, self.order)


def score_windows(model: Toy, stream: Ids, sheet: Sheet, first: int = 0, end: int | None = None) -> None:
    """The plain sliding evaluation of the targets whose window starts to score in [first, end)."""
    for start, stop, scored in windows(len(stream) - 1, first, end):
        log_probs = model.log_probs(model.hidden(stream[start:stop]))
        positions = np.arange(scored, stop)
        sheet.add(positions, -log_probs[positions - start, stream[positions + 1]])


def plain_sliding(stream: Ids) -> Scores:
    sheet = Sheet(len(stream) - 1)
    score_windows(Toy.make(), stream, sheet)
    return sheet.done()


def train_span(model: Toy, stream: Ids, first: int, end: int) -> None:
    """SGD over the windows of a span of prediction indices."""
    for start in range(first, end, WINDOW):
        stop = min(start + WINDOW, end)
        if stop > start:
            model.step(stream[start:stop], stream[start + 1 : stop + 1], RATE)


def score_first_ttt(stream: Ids) -> Scores:
    model, sheet = Toy.make(), Sheet(len(stream) - 1)
    for first in range(0, len(stream) - 1, CHUNK):
        end = min(first + CHUNK, len(stream) - 1)
        score_windows(model, stream, sheet, first, end)
        if end < len(stream) - 1:
            train_span(model, stream, first, end)
    return sheet.done()


def adapt_then_score_ttt(stream: Ids) -> Scores:
    model, sheet = Toy.make(), Sheet(len(stream) - 1)
    for first in range(0, len(stream) - 1, CHUNK):
        end = min(first + CHUNK, len(stream) - 1)
        train_span(model, stream, first, end)
        score_windows(model, stream, sheet, first, end)
    return sheet.done()


def pre_quant_ttt(stream: Ids) -> Scores:
    model, sheet = Toy.make(), Sheet(len(stream) - 1)
    for _ in range(3):
        train_span(model, stream, 0, len(stream) - 1)
    score_windows(model, stream, sheet)
    return sheet.done()


def two_pass_rescore(stream: Ids) -> Scores:
    """Counts of the whole stream are collected in a first pass and mixed into a second."""
    counts = np.full((VOCAB, VOCAB), 0.2)
    np.add.at(counts, (stream[:-1], stream[1:]), 1.0)
    cache = counts / counts.sum(1, keepdims=True)
    first = plain_sliding(stream)
    mixed = 0.5 * np.exp(-first.nll) + 0.5 * cache[stream[:-1], stream[1:]]
    return Scores(-np.log(mixed), first.visits, first.order)


def slot(stream: Ids, *, scored_columns: bool, shared: int = 1) -> Scores:
    """A delta on the hidden states, fitted per group of `shared` windows on the scored columns or on the context alone."""
    model, sheet = Toy.make(), Sheet(len(stream) - 1)
    every = list(windows(len(stream) - 1))
    for at in range(0, len(every), shared):
        group = every[at : at + shared]
        delta = np.zeros(model.head.shape[0])
        for _ in range(8):
            gradient = np.zeros_like(delta)
            for start, stop, scored in group:
                span = (scored, stop) if scored_columns else (start, scored)
                gradient += _slot_gradient(model, stream, start, span, delta)
            delta -= 0.5 * gradient
        for start, stop, scored in group:
            log_probs = model.log_probs(model.hidden(stream[start:stop]), delta)
            positions = np.arange(scored, stop)
            sheet.add(positions, -log_probs[positions - start, stream[positions + 1]])
    return sheet.done()


def _slot_gradient(model: Toy, stream: Ids, start: int, span: tuple[int, int], delta: Floats) -> Floats:
    positions = np.arange(*span)
    if not len(positions):
        return np.zeros_like(delta)
    hidden = model.hidden(stream[start : span[1]])[positions - start]
    error = np.exp(log_softmax((hidden + delta) @ model.head + model.bias))
    error[np.arange(len(positions)), stream[positions + 1]] -= 1.0
    result: Floats = (error @ model.head.T).mean(0)
    return result


def queue_ttt_with_stream_hints(stream: Ids, *, reverse: bool = True) -> Scores:
    """Hints counted in stream order, mixed into documents that are scored in a queue: here the last document first."""
    model, sheet = Toy.make(), Sheet(len(stream) - 1)
    counts = np.full((VOCAB, VOCAB), 0.2)
    hints = np.empty((len(stream) - 1, VOCAB))
    for p, (before, after) in enumerate(pairwise(stream)):
        hints[p] = counts[before] / counts[before].sum()
        counts[before, after] += 1.0
    starts = [*np.flatnonzero(stream[:-1] == BOS), len(stream) - 1]
    spans = list(pairwise(starts))
    for start, stop in reversed(spans) if reverse else spans:
        positions = np.arange(start, stop)
        probs = np.exp(model.log_probs(model.hidden(stream[start:stop])))
        mixed = 0.7 * probs + 0.3 * hints[positions]
        sheet.add(positions, -np.log(mixed[np.arange(len(positions)), stream[positions + 1]]))
        model.step(stream[start:stop], stream[start + 1 : stop + 1], RATE)
    return sheet.done()


@dataclass(frozen=True)
class Row:
    """A row of the table. caught_by: the checks that must fail; the others of D1, D1b and D2 must hold."""

    name: str
    score: Callable[[Ids], Scores]
    caught_by: frozenset[str]
    rules: tuple[str, ...]
    chunk: int | None = None
    documents: bool = False

    @property
    def evaluator(self) -> Evaluator:
        return Evaluator(self.name, VOCAB, self.score, self.chunk, self.documents)


def _row(
    name: str,
    score: Callable[[Ids], Scores],
    caught_by: str = "",
    rules: str = "",
    chunk: int | None = None,
    documents: bool = False,
) -> Row:
    return Row(name, score, frozenset(caught_by.split()), tuple(rules.split()), chunk, documents)


TABLE = (
    _row("plain sliding", plain_sliding),
    _row("score-first chunk TTT", score_first_ttt, chunk=CHUNK),
    _row("exact-count full-vocabulary mix", MIXERS["exact"]),
    _row("tilt, token-only", MIXERS["tilt"]),
    _row("SLOT context-only, per window", lambda stream: slot(stream, scored_columns=False)),
    _row("adapt-then-score TTT", adapt_then_score_ttt, "D1 D2", "R30 R32"),
    _row("pre-quant TTT", pre_quant_ttt, "D1 D2", "R32 R36"),
    _row("SLOT scored", lambda stream: slot(stream, scored_columns=True), "D1 D2", "R30 R37"),
    _row(
        "SLOT context-only, shared over 4 windows",
        lambda stream: slot(stream, scored_columns=False, shared=4),
        "D1 D2",
        "R30 R37",
    ),
    _row("two-pass rescore", two_pass_rescore, "D1 D2", "R30 R33"),
    _row("hashed cache, 64 buckets", MIXERS["hashed_64"], "D2", "R31 R38"),
    _row("hashed cache, 1 bucket, alpha 1", MIXERS["hashed_1"], "D2", "R31 R38"),
    _row("oracle minimum", MIXERS["oracle"], "D2", "R31 R33"),
    _row("tilt, target-gated", MIXERS["gated_tilt"], "D2", "R31 R39"),
    _row("byte-spread mixture", MIXERS["byte_spread"], "D2", "R31 R41"),
    _row("stream tilt + reversed-queue TTT", queue_ttt_with_stream_hints, "D1b", "R47", documents=True),
)
CONTROL = _row(
    "stream tilt + stream-order TTT", lambda stream: queue_ttt_with_stream_hints(stream, reverse=False), documents=True
)
