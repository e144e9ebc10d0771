"""R20, R21, R22, R24, R39: what the logs say about bytes, tokens, shards and gates."""

import math
from collections.abc import Iterable

from golf.rules.findings import Result, State
from golf.rules.runs import Run
from golf.rules.subject import Subject

TRIM_TOKENS = 66_000  # sequences of up to 65,536 tokens cut the tail
LOCAL_SHARDS = 1499  # CaseOps prepared at home in shards of 10 M tokens (issue 2127)
CLEAN_SHARDS = 300  # shards of 100 M tokens: the published data has at most 195
EARLY_EXPORT_TOKENS = 63_779_840  # the first validation export, of the naive baseline alone
EARLY_EXPORT_BYTES = 155_770_000
MAX_BYTES_PER_TOKEN = 4.0
FOREIGN_BYTES_PER_TOKEN = 0.01  # two SP8192 models of the contest differ by less


def implied_bytes(subject: Subject) -> Iterable[Result]:
    """tokens * loss / (ln 2 * bpb) is the size of the validation text, whatever the tokenizer."""
    runs = [run for run in subject.scored_runs or subject.runs if run.val_tokens and run.val_bpb and run.val_loss]
    if not runs:
        yield from _bytes_per_token(subject)
        return
    if subject.track == "local":
        yield from _local_bytes(runs)
        return
    low, high = subject.limits["implied_bytes"]
    for run in runs:
        implied, tolerance = implied_of(run)
        line = (
            f"{run.name}: {implied / 1e6:.3f} M bytes from {run.val_tokens:,} tokens, {run.val_loss} nats, {run.val_bpb} bpb",
        )
        if run.val_tokens == EARLY_EXPORT_TOKENS and abs(implied - EARLY_EXPORT_BYTES) < 100_000:
            yield Result(
                State.PASS,
                "the first validation export of the challenge (155.77 M bytes)",
                line,
                run.file,
                run.val_line,
            )
        elif _short(run, subject):
            continue  # R21 says so; the bytes of a part are no evidence
        elif implied < low - tolerance - _trimmed_bytes(run, subject) or implied > high + tolerance:
            yield Result(
                State.FAIL,
                f"implies {implied / 1e6:.2f} M bytes of validation text; it has 151.08 M",
                line,
                run.file,
                run.val_line,
            )
        else:
            yield Result(
                State.PASS,
                "the implied size of the validation text is right: 151.08 M bytes",
                line,
                run.file,
                run.val_line,
            )


def implied_of(run: Run) -> tuple[float, float]:
    """(bytes that a run's tokens, loss and BPB imply, what rounding of the printed numbers may add)."""
    assert run.val_tokens and run.val_loss and run.val_bpb
    implied = run.val_tokens * run.val_loss / (math.log(2) * run.val_bpb)
    relative = 0.5 * (10.0 ** -_decimals(run.val_loss) / run.val_loss + 10.0 ** -_decimals(run.val_bpb) / run.val_bpb)
    return implied, implied * relative


def _decimals(value: float) -> int:
    return len(repr(value).partition(".")[2])


def _trimmed_bytes(run: Run, subject: Subject) -> float:
    """What the tail that a long sequence cuts off may weigh."""
    canonical = [tokens - (run.val_tokens or 0) for tokens in _canonical(run, subject)]
    return MAX_BYTES_PER_TOKEN * min((cut for cut in canonical if 0 <= cut < TRIM_TOKENS), default=0)


def _bytes_per_token(subject: Subject) -> Iterable[Result]:
    """No token count in the logs: loss / (ln 2 * bpb) against what the tokenizer of that vocabulary gives."""
    low, high = subject.limits["implied_bytes"]
    table = subject.pack.canonical_val_tokens
    if subject.track == "local":
        return
    for run in subject.scored_runs:
        expected = [
            0.5 * (low + high) / tokens
            for key, counts in table.items()
            for tokens in counts
            if key.split()[0] == str(run.vocab_size)
        ]
        if not (run.val_bpb and run.val_loss and expected):
            continue
        ratio = run.val_loss / (math.log(2) * run.val_bpb)
        near = min(expected, key=lambda value: abs(value - ratio))
        line = (
            f"{run.name}: {ratio:.4f} bytes per token; the official tokenizer of {run.vocab_size} gives {near:.4f}",
        )
        if abs(ratio / near - 1) > FOREIGN_BYTES_PER_TOKEN:
            yield Result(
                State.FAIL,
                f"{ratio:.3f} bytes per token where the vocabulary of {run.vocab_size} gives {near:.3f}",
                line,
                run.file,
                run.val_line,
            )
        else:
            yield Result(
                State.PASS, f"{ratio:.3f} bytes per token, as its vocabulary gives", line, run.file, run.val_line
            )


def _short(run: Run, subject: Subject) -> bool:
    canonical = [tokens for counts in subject.pack.canonical_val_tokens.values() for tokens in counts]
    return not any(0 <= tokens - (run.val_tokens or 0) < TRIM_TOKENS for tokens in canonical)


def _local_bytes(runs: list[Run]) -> Iterable[Result]:
    """Without the canonical text every seed must at least imply the same bytes per token."""
    ratios = {round(implied_of(run)[0] / (run.val_tokens or 1), 4) for run in runs}
    if len(ratios) == 1:
        yield Result(State.PASS, f"every seed counts {ratios.pop()} bytes per token (local text)", file=runs[0].file)
    else:
        yield Result(State.FAIL, f"the seeds count different bytes per token: {sorted(ratios)}", file=runs[0].file)


def token_count(subject: Subject) -> Iterable[Result]:
    """val_tokens against the canonical counts of the known tokenizers, up to the trim to whole sequences."""
    for run in subject.scored_runs or subject.runs:
        if run.val_tokens is None:
            continue
        canonical = _canonical(run, subject)
        line = (f"{run.name}: {run.val_tokens:,} tokens",)
        if run.val_tokens == EARLY_EXPORT_TOKENS:
            yield Result(State.PASS, "the first validation export of the challenge", line, run.file)
        elif _is_thinned(run, canonical):
            least = min(tokens - run.val_tokens for tokens in canonical if tokens >= run.val_tokens)
            yield Result(
                State.UNKNOWN, f"{run.val_tokens:,} tokens, {least:,} fewer than the full set: more than a cut to sequences of {_sequence(run):,} takes",
                line, run.file,
            )  # fmt: skip
        elif any(0 <= tokens - run.val_tokens < TRIM_TOKENS for tokens in canonical):
            yield Result(State.PASS, f"{run.val_tokens:,} tokens: the full validation set", line, run.file)
        elif run.val_tokens < min(canonical, default=0) - TRIM_TOKENS or _is_ten_thousand_documents(run):
            yield Result(State.FAIL, f"{run.val_tokens:,} tokens; the full set has {max(canonical):,}", line, run.file)
        else:
            yield _by_bytes(run, subject, line)


def agreement(subject: Subject) -> Iterable[Result]:
    """Every evaluation of a log implies the same bytes per token: loss over BPB is one number, to 2e-4."""
    from golf.logs.agreement import agreement as agreement_of

    for run in subject.scored_runs or subject.runs:
        found = agreement_of(run)  # type: ignore[arg-type]  # it asks for the scores alone
        if found.agrees is False:
            odd = found.departing[0].score
            yield Result(
                State.FAIL, f"the log does not agree with itself: {found.why}", (run.name,), run.file, odd.line
            )
        elif found.agrees:
            yield Result(State.PASS, f"the log agrees with itself: {found.why}", (run.name,), run.file, weak=True)
        for each in found.excepted:
            yield Result(
                State.UNKNOWN, f"`{each.score.label}` has bytes per token of its own ({each.bytes_per_token:.4f}): a mixture, or part of the text",
                (run.name,), run.file, each.score.line, weak=True,
            )  # fmt: skip


def _sequence(run: Run) -> int:
    """The longest sequence that the log names; 0 where it names none."""
    named = [
        run.config.get(key, "")
        for key in ("train_seq_len", "eval_seq_len", "seq_len", "val_seq_len", "ttt_eval_seq_len")
    ]
    return max((int(value) for value in named if value.isdigit()), default=0)


def _is_thinned(run: Run, canonical: list[int]) -> bool:
    """Whether more tokens are gone than a cut to whole sequences can take."""
    longest = _sequence(run)
    gone = [tokens - (run.val_tokens or 0) for tokens in canonical]
    near = [each for each in gone if 0 <= each < TRIM_TOKENS]
    return bool(longest and near) and min(near) > max(2 * longest, 8192)


def _canonical(run: Run, subject: Subject) -> list[int]:
    table = subject.pack.canonical_val_tokens
    key = f"{run.vocab_size} caseops" if run.caseops else str(run.vocab_size)
    return table.get(key) or [tokens for counts in table.values() for tokens in counts]


def _is_ten_thousand_documents(run: Run) -> bool:
    return 9_000_000 < (run.val_tokens or 0) < 13_000_000


def _by_bytes(run: Run, subject: Subject, line: tuple[str, ...]) -> Result:
    """An unknown tokenizer: the implied bytes say whether the whole text was scored."""
    if run.val_loss and run.val_bpb:
        implied, tolerance = implied_of(run)
        low, high = subject.limits["implied_bytes"]
        if low - tolerance <= implied <= high + tolerance:
            return Result(
                State.PASS, "an unknown tokenizer; the implied bytes are those of the full set", line, run.file
            )
    return Result(State.UNKNOWN, "an unknown tokenizer: no canonical token count to compare with", line, run.file)


def train_shards(subject: Subject) -> Iterable[Result]:
    """The fingerprint of the train/validation overlap of issue 2127: shards prepared at home with 10,000 validation documents."""
    for run in subject.scored_runs or subject.runs:
        if run.train_shards is None:
            continue
        line = (f"{run.name}: train_shards {run.train_shards}, val_tokens {run.val_tokens}",)
        if run.caseops and run.train_shards == LOCAL_SHARDS:
            yield Result(
                State.FAIL, f"{run.train_shards} shards: prepared with 10,000 validation documents, so the train shards hold the rest",
                line, run.file,
            )  # fmt: skip
        elif run.caseops and run.train_shards > CLEAN_SHARDS:
            yield Result(
                State.UNKNOWN,
                f"{run.train_shards} train shards: prepared at home, overlap with validation unknown",
                line,
                run.file,
            )
        elif run.train_shards <= CLEAN_SHARDS:
            yield Result(State.PASS, f"{run.train_shards} train shards of the published kind", line, run.file)


def gate_counters(subject: Subject) -> Iterable[Result]:
    """Counters of n-gram gates in the logs: those that look at the target must be zero."""
    for run in subject.runs:
        for gate in ("within_gate", "word_gate"):
            if run.gates.get(gate):
                yield Result(
                    State.FAIL, f"{gate}={run.gates[gate]:,}: hints gated by the target", (run.name,), run.file
                )
        if run.gates and not any(run.gates.get(gate) for gate in ("within_gate", "word_gate")):
            yield Result(State.PASS, "the target-dependent gates counted 0", (run.name,), run.file)


def local_data(subject: Subject) -> Iterable[Result]:
    """golf's own data: disjointness is proven where the shards are made."""
    if subject.track == "local" and subject.kind != "script":
        from golf.rules.local_data import disjoint

        yield from disjoint(subject)


def local_tokenizer(subject: Subject) -> Iterable[Result]:
    """The official tokenizers and golf's own undo their encoding, up to the official normalisation."""
    if subject.kind == "script":
        return
    runs = subject.scored_runs or subject.runs
    official = [
        run
        for run in runs
        if str(run.vocab_size) in subject.pack.canonical_val_tokens and run.val_tokens in _canonical(run, subject)
    ]
    if runs and len(official) == len(runs):
        kind = "CaseOps, which can be undone" if runs[0].caseops else "an official tokenizer"
        yield Result(State.PASS, f"canonical token counts of {kind}", file=runs[0].file)
    elif subject.track == "local":
        from golf.rules.local_data import lossless

        yield from lossless(subject)
