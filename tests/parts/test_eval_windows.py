"""Plain and sliding evaluation: which target is scored when, how often, with how much context, and to which number."""

import json

import evaluation
import numpy as np
import pytest
import torch

from golf.parts.evaluate import plain, scored_targets, share
from golf.parts.techniques.sliding import full_windows, legacy_ttt_windows, legacy_windows, sliding


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
