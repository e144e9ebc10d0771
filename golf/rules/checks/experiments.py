"""What the whole script showed in the box: E1 to E6 as findings on the rules that they decide.

A gain on random text convicts: no predictor that fixes a distribution before it sees its target has it. That no gain was seen clears
nothing, it says how small a gain this run could have seen; a code's continuations that sum to one (E5) prove one, at that size.
"""

import math
from collections.abc import Callable, Iterable
from functools import wraps

from golf.rules.experiments.law import Covered, Kind
from golf.rules.experiments.printed import Printed
from golf.rules.experiments.trial import Coverage, Reading, Trial
from golf.rules.findings import Result, State
from golf.rules.subject import Subject
from golf.rules.trials import trial_of

THEOREM = "no predictor that fixes a normalised distribution before it sees its target gains that (Ville's inequality, p < 2e-9)"


def of_trial(judge: Callable[[Subject, Trial], Iterable[Result]]) -> Callable[[Subject], Iterable[Result]]:
    """A detector of what a trial showed: nothing where running was not asked for, UNKNOWN where the script does not run whole."""

    @wraps(judge)
    def detector(subject: Subject) -> Iterable[Result]:
        trial = trial_of(subject)
        if trial is not None and trial.fault is not None:
            yield Result(State.UNKNOWN, f"the script does not run whole here: {trial.fault}", weak=True)
        elif trial is not None:
            yield from judge(subject, trial)

    return detector


@of_trial
def distribution(subject: Subject, trial: Trial) -> Iterable[Result]:
    """R31: E1 and E5 on the score that is claimed."""
    if trial.convictions or trial.sums_convict:
        yield Result(State.FAIL, _conviction(trial), _lines(trial), file=_script(subject))
        return
    if trial.sees_future:
        yield Result(State.UNKNOWN, "the printed score is no code's (see R30)", _lines(trial))
        return
    for run, gain in trial.beside[:1]:
        yield Result(
            State.UNKNOWN,
            f"another printed score gains {gain.nats:,.0f} nats on random text ({run.setting}); the claim does not rest on it: {gain.score.shown}",
            _lines(trial),
        )
    yield from _innocent(trial)


@of_trial
def no_future(subject: Subject, trial: Trial) -> Iterable[Result]:
    """R30: E6 breaks it, E5 and E6 prove it; a conviction by others leaves open which of R30 and R31 is broken."""
    if trial.future is not None and trial.future.convicts:
        future = trial.future
        yield Result(
            State.FAIL,
            f"E6: a text costs {future.alone_nats:,.0f} nats, with more text behind it {future.longer_nats:,.0f}: later tokens change what earlier "
            "ones cost",
            _lines(trial),
            file=_script(subject),
        )
    else:
        yield from cleared(subject)


@of_trial
def cleared(subject: Subject, trial: Trial) -> Iterable[Result]:
    """The families of R30 to R46: E5 clears a script of all of them at its size; a conviction says that it is one of them."""
    if trial.convicted:
        where = "R31" if trial.convictions or trial.sums_convict else "R30"
        yield Result(State.UNKNOWN, f"the printed score is no code's (see {where}); by which family, the code must say")
    else:
        yield from _innocent(trial)


@of_trial
def stream_order(subject: Subject, trial: Trial) -> Iterable[Result]:
    """R47: in any other order than the text's own, neither the last token's prices sum to one nor does more text only add."""
    if trial.proven and not trial.own_text:
        yield Result(State.CLEAN, "E5 and E6 hold, as they do for a text that is priced in its own order", weak=True)


def _innocent(trial: Trial) -> Iterable[Result]:
    if trial.proven and trial.kraft is not None:
        cuts = ", ".join(map(str, trial.kraft.cuts))
        yield Result(
            State.PASS,
            f"proven by E5{'' if trial.own_text else ' and E6'}: the code lengths of all continuations after {cuts} tokens sum to {trial.kraft.shown}; no gain on random text, trained or not",
            _lines(trial),
        )
    elif (sees := trial.sees_nats) is not None:
        yield Result(
            State.CLEAN, f"no gain on random text; this run could have seen {sees:,.0f} nats", _lines(trial), weak=True
        )
    else:
        yield Result(State.UNKNOWN, "no printed loss could be tested", _lines(trial), weak=True)


def _conviction(trial: Trial) -> str:
    if trial.convictions:
        run, gain = max(trial.convictions, key=lambda pair: pair[1].nats)
        return (
            f"gains {gain.nats:,.1f} nats over the law of a random text of {run.targets:,} targets ({run.setting}, by its {gain.by}; "
            f"bound {gain.bound_nats:.1f}): {gain.score.shown}"
        )
    assert trial.kraft is not None
    return f"the code lengths of all continuations of a text sum to {trial.kraft.shown}, not to one: no distribution, or not fixed before its target"


def _lines(trial: Trial) -> tuple[str, ...]:
    lines = [f"whole script, {trial.depth}, seed {trial.seed}, {trial.plays} runs"]
    for run in trial.gained:
        for gain in run.gains:
            role = "" if trial.rests_on(gain.score) else ", beside the claim"
            lines.append(
                f"E1 {run.setting}: {gain.nats:+,.1f} nats by {gain.by}, {run.targets:,} targets, bound {gain.bound_nats:.1f}{role}: {gain.score.shown}"
            )
    if trial.kraft is not None:
        lines.append(f"E5: {trial.kraft.shown or trial.kraft.fault}")
    if trial.future is not None:
        lines.append(
            f"E6: {trial.future.alone_nats:,.1f} nats alone, {trial.future.longer_nats:,.1f} with the text once more behind it"
        )
    if trial.shown:
        lines.append(
            "taken from README, run scripts and logs: "
            + " ".join(f"{name}={value}" for name, value in sorted(trial.shown.items()))
        )
    if trial.convictions:
        lines.append(THEOREM)
    lines += [f"left out: {name}" for name in trial.left_out]
    return tuple(lines)


@of_trial
def blind(subject: Subject, trial: Trial) -> Iterable[Result]:
    """R34, R35: E2, the artifact is one and the same whatever the validation text is."""
    yield from _blind(trial)


@of_trial
def before_the_score(subject: Subject, trial: Trial) -> Iterable[Result]:
    """R36: E2 sees what is learned before packing; what is learned behind it, before the score, only a gain on random text tells."""
    for result in _blind(trial):
        if result.state is State.PASS and trial.convicted:
            yield from cleared(subject)
        else:
            yield result


def _blind(trial: Trial) -> Iterable[Result]:
    found = trial.blind
    if found is None:  # left out, which a slow machine may do: no result takes nothing from what the other checks say
        return
    steady = [name for name in found.differing if name not in found.unstable]
    if trial.own_text:
        yield Result(State.UNKNOWN, "E2: it draws its validation text itself", weak=True)
    elif steady and set(steady) <= _only_written(trial):
        yield Result(
            State.UNKNOWN,
            f"E2: {', '.join(steady)} changes with the validation text, but the run reads others of its files and never that: no part of what is scored",
        )
    elif steady:
        yield Result(
            State.FAIL,
            f"E2: {', '.join(steady)} changes with the validation text: same seed, same training data, same path",
            ("two runs on one validation text write the same bytes",),
        )
    elif found.differing:
        yield Result(State.UNKNOWN, f"E2: {', '.join(found.differing)} differs from run to run by itself")
    elif found.files:
        yield Result(
            State.PASS, f"proven by E2: {', '.join(found.files)} is the same, byte for byte, for two validation texts"
        )
    else:
        yield Result(State.UNKNOWN, "E2: it writes no artifact", weak=True)


def _only_written(trial: Trial) -> set[str]:
    """What a run that reads others of its products back never reads."""
    reading = trial.reading
    return set(reading.unread) if reading is not None and set(reading.unread) < set(reading.wrote) else set()


@of_trial
def artifact(subject: Subject, trial: Trial) -> Iterable[Result]:
    """R48: E3, what the run wrote is what it scores."""
    if trial.reading is not None:
        yield _artifact(trial, trial.reading)


def _artifact(trial: Trial, reading: Reading) -> Result:
    """What E3's twins show: disturbed tensors first, for they tell whether what is read decides; garbage tells that it is read."""
    claimed = [score for score in trial.scores if trial.rests_on(score)]
    files = ", ".join(reading.read or reading.wrote)
    if not reading.wrote:
        return Result(State.UNKNOWN, "E3: it writes no artifact")
    disturbed = _of_claim(trial, reading.disturbed)
    if reading.keeps_more and reading.swapped is not None:
        after, before = reading.swapped
        return Result(
            State.FAIL,
            f"E3: with {files} of another run in place of its own it does not come to that run's score: what it kept in memory decides too",
            (f"with the other's artifact: {after.shown}", f"the other run: {before.shown}"),
        )
    if disturbed and _is_among(disturbed[-1], claimed):
        return Result(
            State.FAIL, f"E3: with every tensor that it loads disturbed it prints the same score: {disturbed[-1].shown}"
        )
    if reading.read and reading.garbage is not None:
        garbage = _of_claim(trial, reading.garbage)
        if garbage and _is_among(garbage[-1], claimed):
            if len(reading.read) > 1:  # the last one may be read for its hash alone
                return Result(
                    State.UNKNOWN,
                    f"E3: with garbage in {reading.read[-1]}, the last of {files}, it prints the same score; the others may decide",
                )
            return Result(State.FAIL, f"E3: with garbage in {files} it prints the same score: {garbage[-1].shown}")
        alone = _of_claim(trial, reading.alone)
        if reading.alone is not None and not any(_is_among(score, claimed) for score in alone):
            what = f"another score: {alone[-1].shown}" if alone else "no score"
            return Result(
                State.UNKNOWN,
                f"E3: alone with {reading.read[-1]} in an empty folder it comes to {what}; more of what it wrote is its artifact than that file",
            )
        finite = [
            score
            for score in garbage
            if all(math.isfinite(each) for each in (score.loss, score.bpb) if each is not None)
        ]
        if (disturbed or reading.follows) and not finite:
            proof = f"with garbage in {files} there is no score, {_decides(reading)}; {_alone(reading)}"
            return Result(State.PASS, f"proven by E3: {proof}")
        told = "another score" if finite else "no score"
        return Result(State.CLEAN, f"E3: with garbage in {files} it prints {told}; what else decides was not tried")
    if reading.read or set(reading.unread) != set(reading.wrote):
        return Result(State.UNKNOWN, f"E3: {files} is read back, but by a route where no twin could read garbage")
    if disturbed:
        return Result(
            State.UNKNOWN, f"E3: {files} is not read back from disk; the tensors that it loads from memory decide"
        )
    if reading.used:
        return Result(State.UNKNOWN, f"E3: {files} is not read back from disk; tensors are unpacked from memory")
    return Result(State.FAIL, f"E3: it prints its score without reading {files} back")


def _decides(reading: Reading) -> str:
    """What shows that what is read decides the score."""
    if reading.follows and reading.swapped is not None:
        return f"with {reading.read[-1]} of another run exactly that run's ({reading.swapped[0].shown})"
    return "with its tensors disturbed another one"


def _alone(reading: Reading) -> str:
    """What else of its own products the run read, or what a twin did that had the last of them alone in an empty folder."""
    if reading.alone:
        return f"alone with {reading.read[-1]} in an empty folder the same one"
    if len(reading.read) == 1:
        return "nothing else that the run wrote is read"
    if reading.follows:
        return "nothing else that the run wrote or keeps in memory changes it"
    return "all of these are read, and all of them count"


def _is_among(score: Printed, scores: Iterable[Printed]) -> bool:
    """Whether the same numbers were printed under the same label."""
    return (score.label, score.loss, score.bpb) in {(each.label, each.loss, each.bpb) for each in scores}


def _of_claim(trial: Trial, scores: Iterable[Printed] | None) -> list[Printed]:
    return [score for score in scores or () if trial.rests_on(score)]


@of_trial
def byte_count(subject: Subject, trial: Trial) -> Iterable[Result]:
    """R20: E4, the bytes that loss and bits imply on a text with every kind of piece."""
    if trial.own_text or not trial.coverage:
        yield Result(State.UNKNOWN, "E4: its bytes are not those of a text that it is given", weak=True)
        return
    claimed = [each for each in trial.coverage if trial.rests_on(each.score)] or trial.coverage[-1:]
    last = claimed[-1]
    told = trial.told(last)
    other = trial.other_bytes(last)
    if other is not None and other.covered.implied_bytes is not None:
        if not trial.official_tokenizer and not trial.reads_tokenizer:
            yield Result(
                State.UNKNOWN,
                "E4: its byte table is not made from the tokenizer, and the official one is not here",
                weak=True,
            )
        else:
            more = other.covered.implied_bytes / other.text_bytes - 1.0
            yield Result(
                State.FAIL,
                f"E4: loss and bits imply {other.covered.implied_bytes:,.0f} bytes of a text that has {other.text_bytes:,} ({more:+.2%})",
                ("a text with every id of the vocabulary; the share is another on real text", other.score.shown),
            )
    elif trial.counts(last):
        own = "" if trial.official_tokenizer else ", with a vocabulary of golf's own"
        yield Result(
            State.PASS, f"proven by E4: loss and bits imply the bytes of {told.targets:,} targets, exactly{own}"
        )
    elif (share := trial.miscounts(last)) is not None and (trial.official_tokenizer or trial.reads_tokenizer):
        yield Result(
            State.FAIL,
            f"E4: an untrained model's bits count {share:.1%} more bytes than the text has",
            ("no loss is printed: the law of the text stands for it", last.score.shown),
        )
    elif told.kind is Kind.OTHER and (steady := trial.steady(last)) is not None:
        what = "the text has" if steady.of_text else "targets, whatever the text"
        yield Result(
            State.FAIL,
            f"E4: on every text loss and bits imply {steady.factor:.4f} times as many bytes as {what}",
            ("a factor that is no count of bytes", last.score.shown),
        )
    elif told.exact and told.kind is not Kind.BYTES:
        yield Result(State.CLEAN, f"E4: {_fits(trial, last, told)}", weak=True)
    elif told.kind is not Kind.UNTOLD:
        yield Result(
            State.UNKNOWN,
            "E4: loss and bits imply no whole number of bytes: the bits are not those of the printed loss",
            weak=True,
        )


@of_trial
def coverage(subject: Subject, trial: Trial) -> Iterable[Result]:
    """R21, R25: E4, how many targets loss and bits imply. At this size only: a limit on windows may lie above it."""
    if trial.own_text:
        return
    hurried = trial.hurried
    in_time = (Kind.WHOLE, Kind.REPEATED, Kind.TRIMMED, Kind.BYTES)
    claimed = [each for each in trial.coverage if trial.rests_on(each.score)]
    tells = hurried is not None and trial.steady(hurried) is None and all(map(trial.counts, claimed))
    if hurried is not None and tells and hurried.covered.kind not in in_time:
        told = hurried.covered
        what = (
            f"{told.targets:,} of {hurried.targets:,} targets" if told.exact else "other targets than all of the text's"
        )
        yield Result(
            State.FAIL,
            f"E4: when its clock runs out it stops scoring, and prints the score of what it reached: loss and bits imply {what}",
            ("the same run with a clock that runs faster once the artifact is written", hurried.score.shown),
        )
        return
    for each in claimed[-1:]:  # the last one counts
        told = trial.told(each)
        if (left := trial.leaves_out(each)) is not None:
            what, targets, text = left
            says = f"E4: loss and bits imply {targets:,} of {text.targets:,} targets, all but {what}"
            yield Result(State.FAIL, says, (text.score.shown, "so on more than one text"))
        elif told.kind in (Kind.WHOLE, Kind.TRIMMED):
            yield Result(
                State.CLEAN, f"E4: {told.targets:,} of {each.targets:,} targets are scored once at this size", weak=True
            )
        elif told.kind is Kind.REPEATED:
            yield Result(
                State.CLEAN,
                f"E4: the last {told.targets - each.targets} targets are scored twice, as legacy windows do",
                weak=True,
            )
        elif told.kind is Kind.PART:
            yield Result(
                State.UNKNOWN, f"E4: loss and bits imply the first {told.targets:,} of {each.targets:,} targets only"
            )
        elif told.kind is Kind.LEFT_OUT:
            guess = told.left_out[0]
            says = f"E4: on one text loss and bits imply {guess.targets:,} of {each.targets:,} targets, all but {guess.what}; on no other"
            yield Result(State.UNKNOWN, says, weak=True)
        else:
            yield Result(State.UNKNOWN, "E4: loss and bits do not tell how many targets are scored", weak=True)


def _fits(trial: Trial, each: Coverage, told: Covered) -> str:
    """Why a number of targets that fits proves nothing."""
    if len(trial.texts_of(each)) > 1 and not all(trial.told(one).exact for one in trial.texts_of(each)):
        return f"loss and bits imply the bytes of {told.targets:,} targets of one text, and of no number of targets of another"
    return f"loss and bits imply the bytes of {told.targets:,} targets; to the digits that are printed they would fit others too"


def programs(subject: Subject) -> Iterable[Result]:
    """R03: programs that it tried to start, and processes that it left."""
    trial = trial_of(subject)
    if trial is None or trial.fault is not None:
        return
    asked = [
        what
        for what in trial.programs
        if not any(word in what for word in ("nvidia-smi", "git ", "uname", "hostname", "lscpu"))
    ]
    if any("pip" in what and "install" in what for what in asked):
        yield Result(State.FAIL, f"installs packages when it runs: {asked[0]}", tuple(asked[:10]))
    if trial.processes_left:
        yield Result(State.UNKNOWN, f"leaves {trial.processes_left} processes behind")


def _script(subject: Subject) -> str | None:
    return subject.script.name if subject.script else None
