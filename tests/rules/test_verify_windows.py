"""R21 by the windows: what the first week's evaluators never score, found in scripts in several hands, without running them."""

import ast
import json
import re
from pathlib import Path

import pytest

from golf.reading.module import Module
from golf.rules.calibration.scripts import call, script
from golf.rules.checks.static_windows import Walk, left_out_windows
from golf.rules.code import Code
from golf.rules.findings import State
from golf.rules.pack import load_pack
from golf.rules.subject import Subject

# (starts, first scored column of a window that starts at ws) of each rule; wlen is a window's length
RULES = {
    "legacy (": ("[ws for ws in range(0, total_tokens, stride) if min(ws + seq_len, total_tokens) - ws >= 1]", "0 if ws == 0 else max(wlen - stride, 0)"),
    "legacy_whole": ("[ws for ws in range(0, total_tokens, stride) if min(ws + seq_len, total_tokens) - ws >= stride or ws == 0]", "0 if ws == 0 else max(wlen - stride, 0)"),
    "current": ("list(range(0, total_tokens - (seq_len - stride), stride))", "0 if ws == 0 else seq_len - stride"),
    "full_only_first_all": ("list(range(0, total_tokens - seq_len + 1, stride))", "0 if ws == 0 else seq_len - stride"),
    "ternary": ("[w for w in range(0, total_tokens - seq_len, stride)]", "0 if ws < 1 else wlen - stride"),
    "suffix_only (": ("list(range(0, total_tokens - seq_len + 1, stride))", "seq_len - stride"),
    "double_first": ("[0] + list(range(seq_len - stride, total_tokens - seq_len + 1, stride))", "0 if ws == 0 else seq_len - stride"),
}  # fmt: skip
HANDS = {
    # rows of a batch filled one by one, as most records do
    "batched": """
def eval_val_sliding(args, base_model, rank, world_size, device, val_tokens, base_bytes_lut, has_space, is_boundary, stride, batch_seqs=32):
    seq_len = args.train_seq_len
    total_tokens = val_tokens.numel() - 1
    window_starts = {starts}
    my_s = (len(window_starts) * rank) // world_size
    my_e = (len(window_starts) * (rank + 1)) // world_size
    my_windows = window_starts[my_s:my_e]
    loss_sum, token_count, byte_count = torch.zeros(()), torch.zeros(()), torch.zeros(())
    base_model.eval()
    with torch.inference_mode():
        for bi in range(0, len(my_windows), batch_seqs):
            batch_ws = my_windows[bi : bi + batch_seqs]
            bsz = len(batch_ws)
            x_batch = torch.zeros(bsz, seq_len, dtype=torch.int64, device=device)
            y_batch = torch.zeros(bsz, seq_len, dtype=torch.int64, device=device)
            wlens = []
            for i, ws in enumerate(batch_ws):
                end = min(ws + seq_len, total_tokens)
                wlen = end - ws
                wlens.append(wlen)
                chunk = val_tokens[ws : end + 1].to(dtype=torch.int64, device=device)
                x_batch[i, :wlen] = chunk[:-1]
                y_batch[i, :wlen] = chunk[1:]
            logits = base_model.forward_logits(x_batch)
            nll = F.cross_entropy(logits.reshape(-1, logits.size(-1)), y_batch.reshape(-1), reduction="none").reshape(bsz, seq_len)
            for i, ws in enumerate(batch_ws):
                wlen = wlens[i]
                s = {first}
                scored_nll = nll[i, s:wlen].to(torch.float64)
                loss_sum += scored_nll.sum()
                token_count += float(wlen - s)
    val_loss = (loss_sum / token_count).item()
    return val_loss, val_loss / math.log(2.0)
""",
    # one window after another
    "single": """
def eval_val_sliding(args, model, rank, world_size, device, val_tokens, base_bytes_lut, has_space, is_boundary, stride):
    seq_len, total_tokens = args.eval_seq_len, len(val_tokens) - 1
    total, count = 0.0, 0
    for ws in {starts}:
        wlen = min(seq_len, total_tokens - ws)
        first = {first}
        x = val_tokens[ws : ws + wlen].long().unsqueeze(0)
        y = val_tokens[ws + 1 : ws + wlen + 1].long()
        losses = F.cross_entropy(model(x)[0], y, reduction="none")
        kept = losses[first:]
        total += kept.double().sum().item()
        count += kept.numel()
    return total / count, total / count / math.log(2.0)
""",
    # pairs of a start and its first column, made before
    "pairs": """
def eval_val_sliding(args, model, rank, world_size, device, val_tokens, base_bytes_lut, has_space, is_boundary, stride):
    seq_len = args.train_seq_len
    total_tokens = val_tokens.size(0) - 1
    windows = []
    for ws in {starts}:
        wlen = min(ws + seq_len, total_tokens) - ws
        windows.append((ws, {first}))
    mine = windows[rank::world_size]
    bpb = 0.0
    for begin in range(0, len(mine), args.eval_batch_seqs):
        part = mine[begin : begin + args.eval_batch_seqs]
        ids = torch.stack([F.pad(val_tokens[w : min(w + seq_len, total_tokens) + 1], (0, seq_len)) for w, _ in part])
        nll = per_token(model, ids[:, :-1], ids[:, 1:])
        for row, (w, s) in enumerate(part):
            bpb += nll[row, s : min(seq_len, total_tokens - w)].sum()
    return bpb, bpb
""",
}
STACKED = """
def eval_val_sliding(args, model, rank, world_size, device, val_tokens, base_bytes_lut, has_space, is_boundary, stride):
    window, n = args.train_seq_len, val_tokens.numel() - 1
    positions, p = [], 0
    while p + window <= n:
        positions.append(p)
        p += stride
    nats = 0.0
    for b in range(0, len(positions), 32):
        x = torch.stack([val_tokens[q : q + window] for q in positions[b : b + 32]])
        y = torch.stack([val_tokens[q + 1 : q + window + 1] for q in positions[b : b + 32]])
        logits = model.forward_logits(x)
        nats += F.cross_entropy(logits[:, -stride:].flatten(0, 1), y[:, -stride:].flatten(), reduction="sum")
    return nats, nats
"""


def holes_of(text, count=1000, window=128, stride=16):
    (piece,) = Code([Module(Path("train_gpt.py"), text, ast.parse(text))])
    holes = Walk(piece, count, window, stride).holes()
    return None if holes is None else [i for start, stop in holes for i in range(start, stop)]


@pytest.fixture(scope="module")
def told(shared):
    return json.loads((shared / "golden" / "windows_early.json").read_text())


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("rule", RULES)
def test_what_is_never_scored_is_what_the_public_windows_leave_out(told, rule, hand):
    starts, first = RULES[rule]
    row = next(row for label, row in told["rows"].items() if label.startswith(rule))
    found = holes_of(HANDS[hand].format(starts=starts, first=first))
    assert found is not None and len(found) == row["n_never"]
    edges = [i for i in row["never"] if isinstance(i, int)]  # the list is cut in its middle
    assert set(edges) <= set(found)


def test_the_last_stride_of_stacked_windows(told):
    row = next(row for label, row in told["rows"].items() if label.startswith("suffix_only ("))
    assert len(holes_of(STACKED)) == row["n_never"]


def judged(tmp_path, text):
    (tmp_path / "train_gpt.py").write_text(text)
    return list(left_out_windows(Subject(tmp_path / "train_gpt.py", load_pack(), "script")))


def in_a_script(evaluator):
    """A whole script whose last score is of this evaluator."""
    return script(
        evaluator.replace("eval_val_sliding", "eval_val_windows"),
        evaluation=call("eval_val_windows", "0", "1", "'cpu'", "val_tokens", "*luts", "64").splitlines()[-1].strip(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (
            "double_first",
            r"896 targets after the first 1,024 and the last \d+ \(windows of 1,024 tokens, 64 apart\), whatever",
        ),
        ("suffix_only (", r"the first 960 targets and the last \d+ "),
        ("full_only_first_all", r"never scores the last \d+ \(windows"),
        ("legacy (", None),
        ("current", None),
    ],
)
def test_a_fixed_number_left_out_breaks_the_letter_only(tmp_path, rule, says):
    """By the letter the whole split is to be scored; records were merged without a tail of it."""
    starts, first = RULES[rule]
    found = judged(tmp_path, in_a_script(HANDS["batched"].format(starts=starts, first=first)))
    if says is None:
        assert not found
        return
    (result,) = found
    assert (result.state, result.strict) == (State.CLEAN, State.FAIL)
    assert re.search(says, result.message), result.message
    assert "nll[i, s:wlen]" in (tmp_path / "train_gpt.py").read_text().splitlines()[result.line - 1]


def test_a_share_of_the_stream_left_out_is_broken_by_any_reading(tmp_path):
    starts, first = "list(range(0, total_tokens - seq_len + 1, 2 * stride))", "0 if ws == 0 else seq_len - stride"
    (result,) = judged(tmp_path, in_a_script(HANDS["batched"].format(starts=starts, first=first)))
    assert result.state is State.FAIL and "more the longer the stream is" in result.message


def test_an_evaluator_that_is_not_called_or_not_understood_is_not_judged(tmp_path):
    starts, first = RULES["double_first"]
    hand = HANDS["batched"].format(starts=starts, first=first)
    assert not judged(tmp_path, script(hand.replace("eval_val_sliding", "eval_val_old")))
    vectors = hand.replace("x_batch[i, :wlen] = chunk[:-1]", "pass").replace(
        "val_tokens[ws : end + 1]", "val_tokens[ids[i]]"
    )
    assert not judged(tmp_path, in_a_script(vectors))
    assert not judged(tmp_path, script())  # golf's own skeleton of a public script
