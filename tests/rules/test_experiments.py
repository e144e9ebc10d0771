"""E1 to E6: the arithmetic on known predictors, and whole scripts, lawful and not, in the box."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from sentencepiece import SentencePieceProcessor

from golf.harness.box import standing
from golf.harness.texts import PERIOD, periodic_ids, text_of, uniform_text
from golf.harness.vocabulary import mixed, words
from golf.rules import State, verify_folder
from golf.rules.checks import experiments
from golf.rules.experiments.kraft import Sums, bits_nats, sums
from golf.rules.experiments.law import Kind, LeftOut, bits_gain_of, covered, gain_of
from golf.rules.experiments.printed import Printed, printed_scores
from golf.rules.experiments.trial import (
    TRAINED,
    Blind,
    Budget,
    Coverage,
    Future,
    Gained,
    Reading,
    Steady,
    Trial,
    _Course,
    hold_trial,
)

V = mixed(1024)
TEXT = uniform_text(V, 8192, 1)


def printed(loss, text=TEXT, *, targets=None, text_bytes=None, digits=12):
    n, b = targets or text.targets, text_bytes or text.text_bytes
    bpb = loss * n / math.log(2) / b
    return Printed("final", "final", round(loss, digits), round(bpb, digits), digits, digits)


@pytest.mark.parametrize(
    ("line", "loss", "bpb"),
    [
        ("final_int8_zlib_roundtrip_exact val_loss:1.85170305 val_bpb:1.09670000", 1.85170305, 1.0967),
        ("step:9120/20000 val_loss:1.8577 val_bpb:1.1003 train_time:1ms", 1.8577, 1.1003),
        ("legal_ttt_exact val_loss:6.93 val_bpb: 4.04", 6.93, 4.04),
        ("[ppm_mix] mix_bpb=0.99", None, 0.99),
        ("step:1/3 train_loss:6.9", None, None),
        ("epoch 0 nll 6.94", None, None),
        ("ttt_chunk [3/30] bpb=1.1", None, None),
        ("running: doc 12 val_loss:3.0 val_bpb:1.0", None, None),
    ],
)
def test_scores_are_read_and_progress_is_not(line, loss, bpb):
    found = printed_scores(line)
    assert [(each.loss, each.bpb) for each in found] == ([(loss, bpb)] if loss or bpb else [])


def test_a_uniform_predictor_gains_nothing_and_one_that_sees_is_convicted():
    law = TEXT.law_nats / TEXT.targets
    assert gain_of(printed(law), TEXT, 1).nats == pytest.approx(0, abs=1e-6)
    seen = gain_of(printed(law - 30 / TEXT.targets), TEXT, 1)
    assert seen.nats == pytest.approx(30, abs=1e-6) and seen.convicts
    assert not gain_of(printed(law - 15 / TEXT.targets), TEXT, 1).convicts
    assert not gain_of(printed(law - 22 / TEXT.targets), TEXT, 10).convicts, "ten lines cost ln 10 nats"


def test_four_printed_digits_widen_the_bound():
    law = TEXT.law_nats / TEXT.targets
    rough = gain_of(printed(law - 20.2 / TEXT.targets, digits=4), TEXT, 1)
    assert rough.bound_nats == pytest.approx(20 + 8192 * 5e-5)


def test_documents_and_starts_that_are_left_out_are_told():
    starts = TEXT.ids == 1
    scored = ~starts[1:]
    left = covered(printed(6.9, targets=int(scored.sum()), text_bytes=TEXT.text_bytes), TEXT)
    assert (left.kind, left.targets, left.left_out[0].what) == (Kind.LEFT_OUT, scored.sum(), "the starts of documents")
    document = np.cumsum(starts[:-1]) - 1
    lengths = np.bincount(document)
    shortest = int(np.sort(lengths)[1])
    scored = lengths[document] >= shortest
    left = covered(printed(6.9, targets=int(scored.sum()), text_bytes=int(TEXT.target_bytes[scored].sum())), TEXT)
    assert (left.left_out[0].what, left.targets) == (f"documents of fewer than {shortest} tokens", scored.sum())
    other = np.random.default_rng(0)
    kinds = {covered(printed(6.9, text_bytes=TEXT.text_bytes * other.uniform(0.9, 1.1)), TEXT).kind for _ in range(100)}
    assert kinds <= {Kind.OTHER, Kind.PART, Kind.REPEATED, Kind.TRIMMED}, "bits of another loss leave nothing out"


@pytest.mark.parametrize(
    ("scored", "what"),
    [
        (lambda at: (at % 128 >= 64) | (at < 128), "the first 64 targets of every 128 but the first"),
        (lambda at: at % 128 < 120, "the last 8 targets of every 128"),
        (lambda at: at // 64 % 8 != 2, "every 8. window of 64 targets, the 3. first"),
        (lambda at: at // 128 % 4 == 0, "all but every 4. window of 128 targets, the 1. first"),
    ],
)
def test_targets_that_are_left_out_of_windows_are_told(scored, what):
    text = uniform_text(V, 8231, 1)  # of no round number of targets, as trials draw them
    kept = scored(np.arange(text.targets))
    told = covered(printed(7.0, targets=int(kept.sum()), text_bytes=int(text.target_bytes[kept].sum())), text)
    assert told.kind is Kind.LEFT_OUT
    assert LeftOut(what, int(kept.sum())) in told.left_out


def test_an_artifact_of_another_run_must_come_to_that_runs_score():
    score, other = printed(6.9), printed(6.91)
    assert not Reading(("model",), swapped=(score, score)).keeps_more
    assert Reading(("model",), swapped=(other, score)).keeps_more
    assert not Reading(("model",)).keeps_more, "not tried"


def test_what_was_scored_is_told_by_loss_and_bits():
    sums_of = np.cumsum(TEXT.target_bytes)
    n, whole = TEXT.targets, TEXT.text_bytes
    assert covered(printed(6.9), TEXT).kind is Kind.WHOLE
    tail = int(sums_of[-1] - sums_of[-65])
    assert covered(printed(6.9, targets=n + 64, text_bytes=whole + tail), TEXT).kind is Kind.REPEATED
    cut = covered(printed(6.9, targets=n - 64, text_bytes=whole - tail), TEXT)
    assert (cut.kind, cut.targets) == (Kind.TRIMMED, n - 64)
    part = covered(printed(6.9, targets=512, text_bytes=int(sums_of[511])), TEXT)
    assert (part.kind, part.targets) == (Kind.PART, 512)
    assert covered(printed(6.9, text_bytes=whole + 700), TEXT).kind is Kind.BYTES
    assert covered(printed(6.9, text_bytes=whole * 1.2345678), TEXT).kind is Kind.OTHER
    assert covered(Printed("x", "x", 6.9, None, 4, 0), TEXT).kind is Kind.UNTOLD


def test_a_score_of_a_few_targets_does_not_count_as_one_of_all():
    """The first 512 of 8,192 targets, a little lucky: times 8,192 it would convict an honest model."""
    few = printed(math.log(1024) - 0.01, targets=512, text_bytes=int(TEXT.target_bytes[:512].sum()))
    assert not gain_of(few, TEXT, 1).convicts
    unknown = Printed("x", "x", math.log(1024) - 0.05, None, 12, 0)
    assert not gain_of(unknown, TEXT, 1).convicts


def code_of(text, probability):
    """Printed by a predictor that gives `probability(context, token)`."""
    nats = -sum(math.log(probability(text.ids[:at], int(text.ids[at]))) for at in range(1, len(text.ids)))
    return printed(nats / text.targets, text)


def test_continuations_of_a_code_sum_to_one_and_of_a_hindsight_to_more():
    vocabulary = mixed(16)
    ids = np.concatenate([[1], np.random.default_rng(0).integers(0, 16, 40)])

    def counts(context, token):
        return (np.count_nonzero(context == token) + 1) / (len(context) + 16)

    fair = sums(vocabulary, ids, (20, 33), lambda found: code_of(text_of(vocabulary, found), counts))
    assert fair.holds and not fair.convicts and fair.sums == pytest.approx((1, 1), abs=1e-6)

    def better_of_two(context, token):
        return max(counts(context, token), 1 / 16)

    loud = sums(vocabulary, ids, (20, 33), lambda found: code_of(text_of(vocabulary, found), better_of_two))
    assert loud.convicts and not loud.holds

    def whole_text(found):  # fitted to all of it before it is scored
        text = text_of(vocabulary, found)
        return code_of(text, lambda _, token: (np.count_nonzero(text.ids == token) + 1) / (len(text.ids) + 16))

    assert sums(vocabulary, ids, (20, 33), whole_text).convicts


def test_bytes_of_a_code_sum_to_one_at_most_and_a_spread_mixture_to_more():
    vocabulary = words(16)
    common = uniform_text(vocabulary, 190, 1).ids
    ids = np.append(np.where(common == vocabulary.ids[0], vocabulary.ids[1], common), vocabulary.ids[0])
    sp = SentencePieceProcessor(model_proto=vocabulary.model)
    pieces = [sp.id_to_piece(each).replace("\u2581", " ").encode() if each > 3 else b"" for each in range(16)]

    def bits(found, spread):
        counts, history, total = {}, (0, 0), 0.0
        for token in found[1:]:
            raw = pieces[int(token)]
            share = math.exp(-math.log(16) / max(len(raw), 1))
            for byte in raw:
                row = counts.setdefault(history, {})
                seen = sum(row.values())
                local = (row.get(byte, 0) + 1 / 256) / (seen + 1)
                trust = seen / (seen + 3) if spread else 1.0
                total -= math.log((1 - trust) * share + trust * local)
                row[byte] = row.get(byte, 0) + 1
                history = (history[1], byte)
        return Printed("mix", "mix", None, total / math.log(2) / text_of(vocabulary, found).text_bytes, 12, 12)

    assert sums(vocabulary, ids, (len(ids),), lambda found: bits(found, False), bits_nats).sums[0] <= 1.0
    assert sums(vocabulary, ids, (len(ids),), lambda found: bits(found, True), bits_nats).convicts


def test_bits_of_the_law_itself_gain_nothing():
    text = uniform_text(words(1024), 2000, 1)
    bpb = text.law_nats / math.log(2) / text.text_bytes
    gain = bits_gain_of(Printed("x", "x", None, bpb, 12, 12), text, 1)
    assert gain.nats <= 0 and not gain.convicts


def trial(*lines, claimed=()):
    scores = tuple(printed_scores("\n".join(lines)))
    gains = tuple(gain for score in scores if (gain := gain_of(score, TEXT, len(scores), targets=TEXT.targets)))
    return Trial(
        "quick", 1, scores=scores, gained=[Gained("random text", TEXT.targets, gains)], claimed=frozenset(claimed)
    )


def test_a_line_that_the_claim_does_not_rest_on_is_a_note():
    """An n-gram line beside a lawful score: convicted, and beside the claim (#1120)."""
    lines = (
        "final_ngram val_loss:1.0000000000 val_bpb:0.5000000000",
        "final_sliding val_loss:6.9400000000 val_bpb:4.0500000000",
    )
    by_last = trial(*lines)
    assert not by_last.convicted and len(by_last.beside) == 1
    assert trial(*lines, claimed=("final_ngram",)).convicted
    assert trial(*reversed(lines)).convicted


def test_a_run_says_what_gain_it_could_have_seen():
    assert trial("final val_loss:6.9450000000 val_bpb:4.0500000000").sees_nats == pytest.approx(
        20 + 8192 * (6.945 - math.log(1024)), abs=0.1
    )


def test_more_text_behind_a_text_takes_nothing_from_its_price():
    """E6: beyond what counting edges and float32 may do, a lower total is no code's; R30's proof needs it beside E5."""
    score = printed(6.945)
    for longer_nats, convicts in ((28_000.0, False), (27_980.0, False), (27_900.0, True)):
        judged = trial("final val_loss:6.9450000000 val_bpb:4.0500000000")
        judged.future = Future(score, 28_000.0, longer_nats, 48.0)
        assert judged.sees_future is convicts is judged.convicted
        judged.kraft = Sums((1.0,), (180,))
        judged.gained.append(Gained(TRAINED, TEXT.targets, judged.gained[0].gains))
        assert judged.proven is not convicts
    judged.future = None
    assert not judged.proven


def test_an_equal_artifact_does_not_clear_of_learning_behind_it():
    """R36 where the score gains on random text: E2 sees nothing of what is learned after the artifact was read back."""
    lawful = trial("final val_loss:6.9450000000 val_bpb:4.0500000000")
    gaining = trial("final val_loss:6.0000000000 val_bpb:3.5000000000")
    for judged, state in ((lawful, State.PASS), (gaining, State.UNKNOWN)):
        judged.blind = Blind(("model.bin",))
        subject = SimpleNamespace(once=lambda name, make, judged=judged: judged)
        assert [r.state for r in experiments.before_the_score(subject)] == [state]
        assert [r.state for r in experiments.blind(subject)] == [State.PASS]
        judged.blind = Blind(("model.bin",), ("model.bin",))
        judged_again = [r.state for r in experiments.before_the_score(subject)]
        assert judged_again == [State.FAIL]


def test_what_is_written_and_not_read_is_no_artifact():
    """A file of results may change with the validation text, where another file is read back."""
    for unread, state in (("best.pt", State.UNKNOWN), ("", State.FAIL)):
        judged = trial("final val_loss:6.9450000000 val_bpb:4.0500000000")
        judged.reading = Reading(("best.pt", "model.bin"), ("model.bin",), tuple(filter(None, [unread])))
        judged.blind = Blind(("best.pt", "model.bin"), ("best.pt",))
        subject = SimpleNamespace(once=lambda name, make, judged=judged: judged)
        assert [r.state for r in experiments.blind(subject)] == [state]
    judged.reading = Reading(("best.pt",), (), ("best.pt",))
    assert [r.state for r in experiments.blind(subject)] == [State.FAIL], (
        "nothing is read: then it scores what it wrote, or nothing"
    )


def test_another_runs_file_proves_that_nothing_else_decides():
    score = printed_scores("final val_loss:6.9450000000 val_bpb:4.0500000000")[0]
    for follows, garbage, state in (
        (True, (), State.PASS),
        (False, (), State.CLEAN),
        (True, (printed(6.9),), State.CLEAN),
    ):
        judged = trial("final val_loss:6.9450000000 val_bpb:4.0500000000")
        judged.reading = Reading(
            ("raw", "model"),
            ("raw", "model"),
            garbage=garbage,
            follows=follows,
            swapped=(score, score) if follows else None,
        )
        subject = SimpleNamespace(once=lambda name, make, judged=judged: judged)
        assert [r.state for r in experiments.artifact(subject)] == [state]


@pytest.mark.parametrize(
    ("read", "follows", "state"),
    [
        (("model",), True, State.FAIL),
        (("model", "raw"), True, State.UNKNOWN),
        (("model", "raw"), False, State.FAIL),
    ],
)
def test_a_file_that_is_read_last_for_its_hash_convicts_nobody(read, follows, state):
    """Garbage in the last of two files changes no score; where both of another run leave it, too, the artifact is not what is scored."""
    judged = trial("final val_loss:6.9450000000 val_bpb:4.0500000000")
    score, other = judged.scores[-1], printed_scores("final val_loss:6.5000000000 val_bpb:4.0000000000")[0]
    swapped = (other, other) if follows else (score, other)
    judged.reading = Reading(read, read, garbage=(score,), swapped=swapped)
    subject = SimpleNamespace(once=lambda name, make: judged)
    assert [r.state for r in experiments.artifact(subject)] == [state]


@pytest.mark.parametrize(("moves", "convicts"), [(0.3, False), (0.0, True)])
def test_what_rounding_decides_convicts_nobody(moves, convicts):
    """Sums of 1.05 at rates beyond the published one: another rounding moves the price as far, or not at all."""
    course = _Course(judged := Trial("quick", 1, late_optimizers=True), None, Budget(30.0), None)
    rates = []

    def short(vocabulary, ids, rate, quiet=1.0):
        text = text_of(vocabulary, ids)
        rates.append(rate)
        at_cut = len(ids) == course._cuts(1, periodic_ids(vocabulary, 190, 1))[0]
        nats = text.law_nats + (quiet != 1.0) * moves + (0.05 if rate > 1.0 and at_cut else 0.0)
        return printed(nats / text.targets, text)

    course._short = short
    course._kraft(1, 1.0)
    assert judged.sums_convict is convicts and judged.kraft.holds is not convicts
    assert (1.0 in rates) is not convicts, "the published rate comes last"


@pytest.mark.parametrize("count", [1, 2, 4])
def test_half_of_the_cuts_are_where_counts_and_hints_act(count):
    """Behind tokens that did not come before, a hint is off and its sum is one, of whatever it is made."""
    for seed in range(200):
        course = _Course(Trial("quick", seed), None, Budget(30.0), None)
        ids = periodic_ids(mixed(16), 190, seed)
        cuts = course._cuts(count, ids)
        known = [at for at in cuts if (ids[at - 4 : at] == ids[at - 4 - PERIOD : at - PERIOD]).all()]
        assert len(set(cuts)) == count and len(known) >= (count + 1) // 2
        assert all(at % 8 > 1 for at in cuts)


def test_a_script_that_dies_of_a_small_batch_is_trained_on_whole_ones():
    """Eight parts of 256 tokens hold no sequence of 128: the contest's scripts cannot cut them."""
    course, asked = _Course(judged := Trial("deep", 1), None, Budget(30.0), None), []

    def play(vocabulary, ids, wish):
        asked.append(set(wish.extra))
        line = f"final val_loss:{math.log(vocabulary.size):.9f}"
        return SimpleNamespace(ran="TRAIN_BATCH_TOKENS" not in wish.extra, stopped=False, text=line, fault="ValueError")

    course._play = play
    course._trained()
    assert asked == [{"ITERATIONS", "TRAIN_BATCH_TOKENS"}, {"ITERATIONS"}]
    assert [run.setting for run in judged.gained] == [TRAINED] and judged.left_out == []


def test_a_table_that_ships_tells_the_bytes_of_its_own_vocabulary_alone():
    course = _Course(judged := Trial("quick", 1), None, Budget(30.0), None)
    large, small = uniform_text(course.large, 200, 1), uniform_text(mixed(64), 200, 1)
    for judged.reads_tokenizer, told in ((False, [large]), (True, [large, small])):
        assert [text for text in (large, small) if course._is_of_its_bytes(text)] == told


def test_a_budget_is_of_cpu_seconds_and_has_an_end_on_a_busy_machine():
    now = [0.0]
    budget = Budget(10.0, clock=lambda: now[0])
    budget.run_seconds = 3.0
    assert budget.allows(3) and not budget.allows(4)
    budget.spend(8.0)
    assert not budget.allows(1)
    late = Budget(10.0, clock=lambda: now[0])
    now[0] = 39.0
    late.run_seconds = 3.0
    assert not late.allows(1)


# ---- whole scripts ----------------------------------------------------------------------------------------------------------

SCRIPT = """
import glob, io, math, os, zlib
import numpy as np, sentencepiece as spm, torch, torch.nn.functional as F

V, SEQ = int(os.environ["VOCAB_SIZE"]), int(os.environ.get("TRAIN_SEQ_LEN", "128"))
load = lambda kind: torch.from_numpy(np.fromfile(glob.glob(os.environ["DATA_PATH"] + f"/fineweb_{kind}_*.bin")[0], dtype="<u2", offset=1024).astype("i8"))
sp = spm.SentencePieceProcessor(model_file=os.environ["TOKENIZER_PATH"])
special = [sp.is_control(i) or sp.is_unknown(i) for i in range(V)]
lead = torch.tensor([not special[i] and sp.id_to_piece(i)[0] == "\\u2581" for i in range(V)])
size = torch.tensor([0 if special[i] else BYTE_PIECE if sp.is_byte(i) else len(sp.id_to_piece(i).lstrip("\\u2581").encode()) for i in range(V)])
edge = torch.tensor(special)

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(V, 16)
        self.head = torch.nn.Linear(16, V)
        torch.nn.init.normal_(self.table.weight, std=0.02)
        torch.nn.init.normal_(self.head.weight, std=0.02)
    def forward(self, x, y):
        return F.cross_entropy(self.head(self.table(x)), y)

torch.manual_seed(int(os.environ["SEED"]))
net, train, val = Net(), load("train"), load("val")
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for step in range(3):
    opt.zero_grad(); net(train[step * 64 : step * 64 + 64], train[step * 64 + 1 : step * 64 + 65]).backward(); opt.step()
BEFORE_PACKING
buffer = io.BytesIO(); torch.save(net.state_dict(), buffer)
open("model.bin", "wb").write(zlib.compress(buffer.getvalue()))
READ_BACK
late = torch.optim.SGD(net.parameters(), lr=0.5)
nats = bytes_ = 0.0
for a in range(0, len(val) - 1, SEQ):
    b = min(a + SEQ, len(val) - 1)
    x, y = val[a:b], val[a + 1 : b + 1]
    def learn():
        late.zero_grad(); net(x, y).backward(); late.step()
    FIRST
    with torch.no_grad():
        nats += float(SCORE(x, y)) * (b - a)
    THEN
    bytes_ += float((size[y] + (lead[y] & ~edge[x])).sum())
print(f"final_exact val_loss:{nats / (len(val) - 1):.8f} val_bpb:{nats / math.log(2) / bytes_:.8f}")
"""
LAWFUL = {
    "BYTE_PIECE": "1", "BEFORE_PACKING": "", "READ_BACK": 'net.load_state_dict(torch.load(io.BytesIO(zlib.decompress(open("model.bin", "rb").read()))))',
    "FIRST": "", "THEN": "learn()", "SCORE": "net",
}  # fmt: skip
COUNTS_OF_ALL = (
    LAWFUL["READ_BACK"]
    + """
from collections import Counter
pairs, firsts = Counter(zip(val[:-1].tolist(), val[1:].tolist())), Counter(val[:-1].tolist())
def mixed(x, y):
    p = torch.softmax(net.head(net.table(x)), -1)[torch.arange(len(y)), y]
    others = torch.tensor([pairs[a, b] - 1 for a, b in zip(x.tolist(), y.tolist())])
    return -((4 * p + others) / (4 + torch.tensor([firsts[a] - 1 for a in x.tolist()]))).log().mean()
"""
)
GOES_ON = """
both = torch.cat([train, val])
for step in range(int(os.environ["ITERATIONS"])):
    at = 200 + 128 * step
    opt.zero_grad(); net(both[at : at + 128], both[at + 1 : at + 129]).backward(); opt.step()
"""
FAULTS = {
    "learns, then counts": ({"FIRST": "learn()", "THEN": ""}, "R31"),
    "learns from validation before packing": (
        {"BEFORE_PACKING": "net(val[:-1], val[1:]).backward(); opt.step()"},
        "R36",
    ),
    "never reads its artifact": ({"READ_BACK": ""}, "R48"),
    "counts byte pieces as six": ({"BYTE_PIECE": "6"}, "R20"),
    "mixes in the counts of all other tokens, later ones too": ({"READ_BACK": COUNTS_OF_ALL, "SCORE": "mixed"}, "R30"),
    "goes on into validation where the training text ends": ({"BEFORE_PACKING": GOES_ON}, "R34"),
}


def write(tmp_path, **changes):
    text = SCRIPT
    for name, part in {**LAWFUL, **changes}.items():
        text = text.replace(name, part)
    (tmp_path / "train_gpt.py").write_text(text)
    return tmp_path / "train_gpt.py"


boxed = pytest.mark.skipif(bool(standing().missing), reason=f"no walls here: {standing().missing}")


@pytest.fixture
def unhurried(monkeypatch):
    """Budgets that no slow machine exhausts: what is asked is what experiments show, not how many fit into half a minute."""
    monkeypatch.setattr("golf.rules.experiments.trial.BUDGET_SECONDS", {"quick": 600.0})


def executed(path):
    return {finding.code: finding for finding in verify_folder(path, only=["execute"], quick=True).findings}


@boxed
@pytest.mark.slow
def test_a_lawful_script_is_proven_lawful_by_experiment(tmp_path, unhurried):
    """Score-first learning, an artifact that is read back, right bytes: PASS with what proves it, and no FAIL anywhere."""
    found = executed(write(tmp_path))
    assert not [finding for finding in found.values() if finding.state is State.FAIL]
    for code, by in (("R30", "E6"), ("R31", "E5"), ("R32", "E5"), ("R36", "E2"), ("R48", "E3"), ("R20", "E4")):
        assert found[code].state is State.PASS and by in found[code].message, (code, found[code].message)
    assert "of another run exactly that run's" in found["R48"].message
    assert "in an empty folder the same one" in found["R48"].message


HALVES = """
blob = open("model.bin", "rb").read()
for name, half in (("one.bin", blob[:999]), ("two.bin", blob[999:])):
    open(name, "wb").write(half)
whole = open("one.bin", "rb").read() + open("two.bin", "rb").read()
net.load_state_dict(torch.load(io.BytesIO(zlib.decompress(whole))))
"""


@boxed
@pytest.mark.slow
def test_an_artifact_of_several_files_is_not_broken_by_one_of_another_run(tmp_path, unhurried):
    """One file of another run beside those of its own is no artifact; all of them are that run's."""
    found = executed(write(tmp_path, READ_BACK=HALVES))["R48"]
    assert found.state is State.PASS and "tensors disturbed" in found.message, found.message


@boxed
@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=() if what.startswith("learns, ") else pytest.mark.slow) for what in FAULTS]
)
def test_a_fault_is_found_by_what_the_whole_script_prints_and_writes(tmp_path, unhurried, what):
    changes, code = FAULTS[what]
    assert executed(write(tmp_path, **changes))[code].state is State.FAIL


@boxed
def test_a_script_that_dies_is_unknown_with_its_last_words(tmp_path):
    (tmp_path / "train_gpt.py").write_text("import no_such_kernel_package\n")
    found = executed(tmp_path / "train_gpt.py")
    assert found["R31"].state is State.UNKNOWN and "no_such_kernel_package" in found["R31"].message


@boxed
@pytest.mark.slow
def test_a_trial_draws_its_text_by_its_seed(tmp_path):
    one, same, other = (hold_trial(write(tmp_path), None, depth="quick", seed=seed) for seed in (5, 5, 6))
    assert one.scores == same.scores != other.scores


@pytest.mark.parametrize(
    ("factors", "digits", "told"),
    [
        ((1.0, 1.0), 12, None),
        ((1.04, 1.04), 12, (1.04, True)),
        ((1.04, 1.04), 4, None),  # four digits leave more open than that
        ((1.04, 1.05), 12, None),
    ],
)
def test_one_factor_on_every_text_is_no_count_of_bytes(factors, digits, told):
    trial = Trial("quick", 1)
    texts = TEXT, uniform_text(V, 5000, 2)
    each, other = (
        Coverage(score := printed(6.9, text, text_bytes=factor * text.text_bytes, digits=digits), covered(score, text), text.targets, text.text_bytes)
        for factor, text in zip(factors, texts, strict=True)
    )  # fmt: skip
    assert trial.steady(each) is None  # of one text alone
    trial.others.append(other)
    found = trial.steady(each)
    assert (found and (pytest.approx(found.factor, abs=1e-8), found.of_text)) == told


def test_bytes_that_are_so_many_a_target_whatever_the_text():
    trial = Trial("quick", 1)
    for text in (TEXT, uniform_text(V, 5001, 2)):
        score = printed(6.9, text, text_bytes=2.45 * text.targets)
        trial.others.append(Coverage(score, covered(score, text), text.targets, text.text_bytes))
    assert trial.steady(trial.others[0]) == Steady(pytest.approx(2.45), of_text=False)


@pytest.mark.parametrize("seed", range(12))
def test_a_factor_that_fits_some_targets_by_chance_proves_nothing(seed):
    """2.45 bytes a target are 49 of 20, and so exactly those of many a part of a text: on two texts the factor shows."""
    trial = Trial("quick", 1)
    for targets in (5000 + seed, 2000):
        text = uniform_text(V, targets, seed)
        score = printed(6.9, text, text_bytes=2.45 * text.targets)
        trial.others.append(Coverage(score, covered(score, text), text.targets, text.text_bytes))
    for each in trial.others:
        assert trial.told(each).kind is Kind.OTHER


def scored(trial, text, text_bytes, targets=None, digits=8):
    """A score of a text in a trial, as the plays on further texts leave it."""
    score = printed(6.9, text, targets=targets, text_bytes=text_bytes, digits=digits)
    trial.others.append(Coverage(score, covered(score, text), text.targets, text.text_bytes))


SEVERAL = tuple(uniform_text(V, targets, seed) for targets, seed in ((4300, 1), (8391, 2), (2048, 3)))


def test_bits_of_another_loss_convict_and_prove_nothing_by_chance():
    """A thousand guesses are tried on a text: one fits now and then, the same one on two texts never, nor do all texts fit one by one."""
    draws, by_chance = np.random.default_rng(5), 0
    for _ in range(80):
        trial = Trial("quick", 1)
        for text in SEVERAL:
            scored(trial, text, text.text_bytes * (1.0 + draws.normal() * 0.01), digits=6)
        for each in trial.others:
            by_chance += each.covered.exact
            assert not trial.counts(each) and trial.other_bytes(each) is None and trial.leaves_out(each) is None
    assert by_chance, "else nothing was tried"


def test_what_is_left_out_by_length_is_one_limit_on_every_text():
    trial = Trial("quick", 1)
    for text in SEVERAL:
        document = np.cumsum(text.ids[:-1] == 1) - 1
        kept = np.bincount(document)[document] >= 700
        scored(trial, text, int(text.target_bytes[kept].sum()), int(kept.sum()))
    what, targets, text = trial.leaves_out(trial.others[0])
    assert what.startswith("documents of fewer than") and targets < text.targets
    alone = Trial("quick", 1, others=trial.others[1:2])
    assert alone.others[0].covered.kind is Kind.LEFT_OUT and alone.leaves_out(alone.others[0]) is None


@pytest.mark.parametrize(("digits", "counts"), [(8, True), (4, False)])
def test_targets_at_the_edge_are_told_by_digits_enough_and_a_whole_text_by_any(digits, counts):
    edge, whole = Trial("quick", 1), Trial("quick", 1)
    for text in SEVERAL:
        scored(edge, text, text.text_bytes + int(text.target_bytes[-64:].sum()), text.targets + 64, digits)
        scored(whole, text, text.text_bytes, digits=digits)
    assert edge.counts(edge.others[0]) is counts and whole.counts(whole.others[0])


def test_other_bytes_convict_by_two_texts_and_not_by_one():
    trial = Trial("quick", 1)
    scored(trial, SEVERAL[0], SEVERAL[0].text_bytes + 700)
    assert trial.others[0].covered.kind is Kind.BYTES and trial.other_bytes(trial.others[0]) is None
    scored(trial, SEVERAL[1], SEVERAL[1].text_bytes + 1400)
    assert trial.other_bytes(trial.others[0]) is trial.others[0] and not trial.counts(trial.others[0])


@pytest.mark.parametrize("kept", [1.0, 0.5])
def test_a_part_of_every_text_is_told_from_a_factor(kept):
    """What leaves out the end of every text has another factor on each; so has a text of pieces of one length."""
    trial = Trial("quick", 1)
    for targets, seed in ((5000, 1), (2000, 2)):
        text = uniform_text(V, targets, seed)
        scored = int(kept * targets)
        share = int(np.cumsum(text.target_bytes)[scored - 1]) / scored
        score = printed(6.9, text, text_bytes=share * text.targets)
        trial.others.append(Coverage(score, covered(score, text), text.targets, text.text_bytes))
    for each in trial.others:
        assert trial.told(each) == each.covered and each.covered.targets == kept * each.targets
