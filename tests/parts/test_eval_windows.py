"""Plain and sliding evaluation: which target is scored when, how often, with how much context, and to which number."""

import json

import evaluation
import numpy as np
import pytest
import torch

from golf.parts.evaluate import plain, scored_targets, share
from golf.parts.techniques.doc_isolated import doc_isolated
from golf.parts.techniques.ngram_hash_740 import ngram_hash_740
from golf.parts.techniques.ngram_kneser_ney import ngram_kneser_ney
from golf.parts.techniques.ngram_tilt import ngram_tilt
from golf.parts.techniques.sliding import full_windows, legacy_ttt_windows, legacy_windows, sliding, window_batches
from golf.parts.techniques.ttt_sgd import ttt_sgd


def visits(h, rule, total):
    """How often each target is scored by a rule's windows."""
    count = np.zeros(total, dtype=np.int64)
    starts, first = rule(h, total)
    for start, column in zip(starts.tolist(), first.tolist(), strict=True):
        count[start + column : min(start + h.eval_seq_len, total)] += 1
    return count


@pytest.mark.parametrize(("length", "stride"), [(1024, 64), (2048, 64), (256, 32), (96, 40), (64, 64)])
def test_full_windows_score_every_target_once(length, stride):
    h = evaluation.knobs(eval_seq_len=length, eval_stride=stride)
    assert (visits(h, full_windows, 7 * length) == 1).all()


@pytest.mark.parametrize(("length", "most", "extra"), [(1024, 16, 960), (2048, 32, 1984)])
def test_legacy_windows_score_the_last_stride_again_and_again(length, most, extra):
    h = evaluation.knobs(eval_seq_len=length, eval_stride=64)
    total = 5 * length
    for rule in (legacy_windows, legacy_ttt_windows):
        count = visits(h, rule, total)
        assert (count[:-64] == 1).all()
        assert (count[-64:] == most).all() or count.max() == most
        assert count.sum() - total == extra


def test_every_window_but_the_first_gives_at_least_length_less_stride_of_context():
    h = evaluation.knobs(eval_seq_len=1024, eval_stride=64)
    starts, first = full_windows(h, 10 * 1024)
    assert first[0] == 0
    assert starts[0] == 0
    assert (first[1:] == 960).all()
    assert (starts.diff() == 64).all()


def test_window_counts_of_published_logs():
    h = evaluation.knobs(eval_seq_len=2048, eval_stride=64)
    assert len(legacy_ttt_windows(h, 62_021_632)[0]) == 969_088
    assert len(full_windows(h, 40_540_160)[0]) == 633_409


def test_sliding_gives_what_scoring_each_target_alone_gives():
    tokens = evaluation.tokens_of(161)
    trace = evaluation.scored(sliding, tokens)
    model, ids = evaluation.StubGPT(), torch.as_tensor(tokens)
    for target in range(1, 161):
        p = target - 1
        start = 0 if p < 32 else (p - 24) // 8 * 8
        alone = model(ids[None, start:target], ids[None, start + 1 : target + 1])[0, -1].detach()
        assert abs(float(alone) - float(trace.nats[p])) < 1e-12
    assert trace.tokens == 160
    assert (trace.visits == 1).all()
    assert (trace.order.diff() >= 0).all()


def test_sums_are_the_kept_nats_divided_once():
    tokens = evaluation.tokens_of(161)
    for report in (plain, sliding):
        trace = evaluation.scored(report, tokens)
        assert abs(trace.loss - float(trace.nats.mean())) < 1e-15
        assert abs(trace.bpb - float(trace.nats.sum()) / 160 / np.log(2)) < 1e-12
        assert trace.bytes == 160


def test_a_tail_shorter_than_a_window_is_not_scored():
    h = evaluation.knobs(**evaluation.SMALL)
    assert scored_targets(h, evaluation.stream_of(evaluation.tokens_of(161 + 20))) == 160
    with pytest.raises(ValueError, match="20 validation tokens are fewer than one window of 32"):
        scored_targets(h, evaluation.stream_of(evaluation.tokens_of(20)))


def test_sliding_sees_no_future_and_sums_to_one():
    tokens = evaluation.tokens_of(161)
    assert evaluation.future_dependence(sliding, tokens, (9, 40, 77, 130)) < 1e-12
    sums = evaluation.kraft_sums(sliding, tokens, (3, 31, 32, 33, 90, 160))
    assert abs(sums - 1).max() < 1e-12


def test_shares_are_contiguous_and_complete():
    env = evaluation.OneProcess()
    for world_size in (1, 2, 3, 8):
        env.world_size, parts = world_size, []
        for env.rank in range(world_size):
            parts += share(env, 29)
        assert parts == list(range(29))


@pytest.fixture(scope="module")
def golden_1809(shared):
    told = json.loads((shared / "golden/eval_pr1809.json").read_text())["results"]
    h, model = evaluation.golden_model(
        shared, "eval_pr1809", "pr1809", eval_stride=32, ttt_chunk_tokens=2048, windows="full_windows"
    )
    return h, model, evaluation.official_stream(shared, tokens=20_481), told


@pytest.mark.slow
def test_plain_equals_the_public_script(golden_1809):
    h, model, stream, told = golden_1809
    trace = plain(h, evaluation.OneProcess(), model, stream)
    assert abs(trace.loss / told["plain"]["val_loss"] - 1) < 1e-6
    assert abs(trace.bpb / told["plain"]["val_bpb"] - 1) < 1e-6


@pytest.mark.slow
def test_sliding_equals_the_public_script(golden_1809):
    h, model, stream, told = golden_1809
    trace = sliding(h, evaluation.OneProcess(), model, stream)
    assert abs(trace.loss / told["sliding"]["val_loss"] - 1) < 1e-7
    assert abs(trace.bpb / told["sliding"]["val_bpb"] - 1) < 1e-7


class HeadPlaces(evaluation.StubGPT):
    """Counts the places that scoring asks the head for; `whole` makes them all, and hands on those asked for."""

    def __init__(self, whole=False):
        super().__init__()
        self.whole, self.asked, self.all = whole, 0, 0

    def forward(self, ids, targets=None, *, head_at=None, **more):
        if head_at is not None:
            self.asked, self.all = self.asked + head_at.numel(), self.all + ids.numel()
        if head_at is None or not self.whole:
            return super().forward(ids, targets, head_at=head_at, **more)
        logits = super().forward(ids, **more).take_along_dim(head_at[..., None], 1)
        if targets is None:
            return logits
        return torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")


@pytest.mark.parametrize("rule", ["full_windows", "legacy_windows"])
@pytest.mark.parametrize("report", [sliding, doc_isolated, ttt_sgd, ngram_kneser_ney, ngram_tilt, ngram_hash_740])
def test_the_head_reads_a_stride_of_each_window_and_the_scores_stay(report, rule):
    tokens = evaluation.tokens_of(513, bos_every=90)
    few, all_of_them = HeadPlaces(), HeadPlaces(whole=True)
    values = {"windows": f"sliding.{rule}", "reader": "sliding.sliding_window"}
    a = evaluation.scored(report, tokens, few, **values)
    b = evaluation.scored(report, tokens, all_of_them, **values)
    assert torch.allclose(a.nats, b.nats, rtol=0, atol=1e-12) and (a.visits == b.visits).all()
    assert (
        0.25 < few.asked / few.all < 0.4
    )  # a stride is a quarter of a window; batches with a first window ask for all


@pytest.mark.parametrize("stride", [8, 20, 32, 64])
def test_windows_that_score_other_columns_than_a_stride_are_read_where_they_score(stride):
    h = evaluation.knobs(**{**evaluation.SMALL, "eval_stride": stride})
    stream, starts = evaluation.stream_of(evaluation.tokens_of(200)), torch.arange(0, 168, 16)
    for first in (16, 20, 28):  # the last columns, and 4 or 12 fewer than the windows lie apart
        firsts, ends, visits = torch.full_like(starts, first), (starts + 32).clamp(max=190), torch.zeros(200)
        for ids, columns, targets, mask, at in window_batches(h, evaluation.OneProcess(), stream, starts, firsts, ends):
            assert 0 <= int(columns.min()) and int(columns.max()) < ids.size(1)
            assert (stream.tokens[at] == ids.take_along_dim(columns, 1)[mask]).all()
            assert (stream.tokens[at + 1] == targets[mask]).all()
            visits[at] += 1
        wanted = torch.zeros(200)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            wanted[start + first : end] += 1
        assert (visits == wanted).all()


def test_a_batch_with_a_first_window_is_read_whole():
    h = evaluation.knobs(**evaluation.SMALL)
    stream, (starts, first) = evaluation.stream_of(evaluation.tokens_of(161)), full_windows(h, 160)
    shapes = [
        tuple(columns.shape)
        for _, columns, targets, mask, _ in window_batches(
            h, evaluation.OneProcess(), stream, starts, first, torch.full_like(starts, 160)
        )
        if columns.shape == targets.shape == mask.shape
    ]
    assert shapes == [(4, 32)] + [(4, 8)] * 4
