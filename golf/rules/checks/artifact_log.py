"""R48 by the logs: whether the final score can be that of the artifact, beside the round trip that the same log prints.

Quantization costs some BPB, and sliding windows gain a known number. A final score that gains its usual number over the float
weights, and more than any other run over the artifact, was not taken from the artifact (PR #1120).
"""

from collections.abc import Iterable, Iterator

from golf.logs import Score
from golf.logs.result import BEFORE_THE_ARTIFACT
from golf.rules.findings import Result, State
from golf.rules.runs import Run
from golf.rules.subject import Subject

# (length of a window, vocabulary) → least and largest gain of sliding over plain windows in BPB, on the same artifact: what the logs of
# the contest say (22 record folders, strides 16 to 256; 1024 with SP1024 from #50, #65 and #1388, SP8192 from #641)
SLIDING_GAINS = {(1024, 1024): (0.0319, 0.0355), (1024, 8192): (0.0277, 0.0277), (2048, 1024): (0.0213, 0.0247), (2048, 4096): (0.0183, 0.0187), (2048, 8192): (0.0167, 0.0169)}  # fmt: skip
OTHER_MODEL_BPB = 0.003  # that another model or stride may make of that
TELLING_BPB = 0.004  # a smaller loss by quantization tells nothing: the runs of a kind differ by as much
SAME_BPB = 5e-5


def final_line(subject: Subject) -> Iterable[Result]:
    """The claimed score of every run beside its log's plain scores from before packing and from the artifact."""
    told = [found for run in subject.scored_runs for found in _beside_the_round_trip(run)]
    broken = [result for result in told if result.state is State.FAIL]
    yield from broken or told[:1]


def _beside_the_round_trip(run: Run) -> Iterator[Result]:
    scores = [score for score in run.scores if score.alias_of is None]
    final = next((score for score in run.scores if score.line == run.val_line), None)
    trips = [score for score in scores if score.stage == "quantized" and score is not final]
    before = next(
        (score for stage in reversed(BEFORE_THE_ARTIFACT) for score in reversed(scores) if score.stage == stage), None
    )
    if final is None or run.val_bpb is None:
        return
    trip = next((score for score in reversed(trips) if score.digits >= 4), None)
    if final.before_the_artifact and trip is not None and trip.val_bpb > final.val_bpb + SAME_BPB:
        says = f"the claimed {final.val_bpb} is printed before packing (`{final.label}`); from the artifact it is {trip.val_bpb}"
        yield Result(State.FAIL, says, _lines(run, before, trip, final), run.file, final.line)
    elif before is not None and trip is not None and trip.val_bpb - before.val_bpb >= TELLING_BPB:
        yield from _by_gain(run, before, trip, final)


def _by_gain(run: Run, before: Score, trip: Score, final: Score) -> Iterator[Result]:
    """A plain score is the float weights' where it repeats theirs; a sliding one where it gains too much over the artifact's."""
    lines = _lines(run, before, trip, final)
    if final.stage == "sliding":
        usual = SLIDING_GAINS.get((run.train_seq_len or 0, run.vocab_size or 0))
        if usual is None:
            return
        over_artifact, over_floats = trip.val_bpb - final.val_bpb, before.val_bpb - final.val_bpb
        low, high = usual[0] - OTHER_MODEL_BPB, usual[1] + OTHER_MODEL_BPB
        shown = f"{over_artifact:.4f} BPB below the artifact's plain score, {over_floats:.4f} below the float weights'; sliding gains {usual[0]:.4f} to {usual[1]:.4f}"
        if over_artifact > high and low <= over_floats <= high:
            yield Result(
                State.FAIL, f"the final score is that of the float weights: {shown}", lines, run.file, final.line
            )
        elif over_artifact > high:
            yield Result(State.UNKNOWN, f"the final score is {shown}", lines, run.file, final.line)
        else:
            yield Result(State.CLEAN, f"the final score is {shown}", lines, run.file, final.line, weak=True)
    elif final.stage in ("quantized", "other", "loose") and abs(final.val_bpb - before.val_bpb) < SAME_BPB:
        says = f"the final score repeats that of the float weights, {before.val_bpb}; the artifact's is {trip.val_bpb}"
        yield Result(State.FAIL, says, lines, run.file, final.line)


def _lines(run: Run, *scores: Score | None) -> tuple[str, ...]:
    return tuple(f"{run.file}:{score.line} {score.label} {score.val_bpb}" for score in scores if score is not None)
