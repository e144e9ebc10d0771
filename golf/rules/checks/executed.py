"""What the evaluator shows when it runs on a stub model: D1 to D8 as findings on the rules that they decide."""

from collections.abc import Iterable

from golf.rules.execution import Execution, execution_of
from golf.rules.findings import Result, State
from golf.rules.local_data import SIDE_CAR_SLACK
from golf.rules.subject import Subject


def _ran(subject: Subject) -> tuple[Execution | None, list[Result]]:
    """(the execution with outcomes, what to say when there are none)."""
    ran = execution_of(subject)
    if ran is None:
        return None, []
    if ran.suite is None:
        return None, [
            Result(State.UNKNOWN, f"executed checks say nothing: {ran.fault or 'no evaluator was found'}", weak=True)
        ]
    return ran, []


def _from_checks(subject: Subject, *checks: str, says: str) -> Iterable[Result]:
    """FAIL when one of `checks` failed, PASS when all that ran held."""
    ran, faults = _ran(subject)
    yield from faults
    if ran is None:
        return
    found = [outcome for check in checks if (outcome := ran.outcome(check))]
    name = ran.suite["evaluator"] if ran.suite else ""
    lines = tuple(f"{outcome['check']} on `{name}`: {outcome['detail']}" for outcome in found)
    broken = [outcome for outcome in found if not outcome["holds"]]
    if broken:
        yield Result(State.FAIL, f"{broken[0]['check']}: {broken[0]['detail']}", lines)
    elif found:
        yield Result(State.PASS, f"`{name}` {says} ({', '.join(outcome['check'] for outcome in found)})", lines)


def future(subject: Subject) -> Iterable[Result]:
    """D1: later tokens move no earlier score. Seen from outside only, valid code lengths (D2) say the same."""
    ran = execution_of(subject)
    if ran is not None and ran.suite is not None and ran.outcome("D1") is None:
        yield from clears(subject)
    else:
        yield from _from_checks(subject, "D1", says="does not look ahead")


def kraft(subject: Subject) -> Iterable[Result]:
    """D2: probabilities over the vocabulary sum to one."""
    yield from _from_checks(subject, "D2", says="gives a distribution over the vocabulary")


def clears(subject: Subject) -> Iterable[Result]:
    """D1 and D2 clear a script of every family that leaks; which family a failure is, the code must say."""
    for result in _from_checks(subject, "D1", "D2", says="neither looks ahead nor leaves the vocabulary's sum"):
        if result.state is State.FAIL:
            yield Result(State.UNKNOWN, f"the evaluator is broken (see R30, R31): {result.message}", result.evidence)
        else:
            yield result


def score_first(subject: Subject) -> Iterable[Result]:
    """D3 and D1: a chunk's scores come from what was known before it; D2 alone leaves it open."""
    ran = execution_of(subject)
    adapts = ran is not None and ran.outcome("D3") is not None
    if adapts:
        yield from _from_checks(subject, "D3", "D1", says="scores before it learns")
    else:
        yield from clears(subject)


def one_pass(subject: Subject) -> Iterable[Result]:
    """D5: one score per target; with D1 and D2, from one pass."""
    results = list(_from_checks(subject, "D5", says="scores every target once"))
    if any(result.state is State.FAIL for result in results):
        yield from results
    else:
        yield from clears(subject)


def coverage(subject: Subject) -> Iterable[Result]:
    """D5: every target exactly once."""
    yield from _from_checks(subject, "D5", says="scores every target once")


def boundary(subject: Subject) -> Iterable[Result]:
    """D4, for evaluators that isolate documents."""
    yield from _from_checks(subject, "D4", says="keeps documents apart")


def order(subject: Subject) -> Iterable[Result]:
    """Scoring that follows the stream; another order is accepted precedent, contested."""
    ran, faults = _ran(subject)
    yield from faults
    if ran is None or ran.suite is None:
        return
    if ran.suite["in_stream_order"] is None:
        yield Result(State.UNKNOWN, "the order of scoring cannot be seen from outside", weak=True)
    elif ran.suite["in_stream_order"]:
        yield Result(State.PASS, f"`{ran.suite['evaluator']}` scores in the order of the stream")
    else:
        yield Result(
            State.PASS,
            f"`{ran.suite['evaluator']}` scores in an order of its own: accepted precedent, contested",
            strict=State.FAIL,
        )


def common_order(subject: Subject) -> Iterable[Result]:
    """D1b; an evaluator that scores in stream order has that order."""
    ran, faults = _ran(subject)
    yield from faults
    if ran is None or ran.suite is None:
        return
    mutual = ran.outcome("D1b")
    if mutual is not None:
        yield Result(State.PASS if mutual["holds"] else State.FAIL, f"D1b: {mutual['detail']}")
    elif ran.suite["in_stream_order"]:
        yield Result(State.PASS, "scores follow the stream, which is a common order")


def network(subject: Subject) -> Iterable[Result]:
    """D8: nothing but the evaluator's own folder was touched; sockets and processes are refused and told."""
    ran, faults = _ran(subject)
    execution = execution_of(subject)
    if execution is not None:
        tried = [
            f"{kind}: {what}"
            for kind, found in execution.touched.items()
            if kind in ("network", "process")
            for what in found
        ]
        if tried:
            yield Result(State.FAIL, f"tried while it was loaded or scored: {tried[0]}", tuple(tried[:10]))
            return
    yield from faults
    if ran is not None:
        yield Result(State.PASS, "opened no socket and started no process while scoring")


def files(subject: Subject) -> Iterable[Result]:
    """D8: no training shard is opened while scoring."""
    execution = execution_of(subject)
    if execution is None:
        return
    opened = [path for path in execution.touched.get("read", []) if "fineweb_train" in path]
    if opened:
        yield Result(State.FAIL, f"opened {opened[0]} while scoring", tuple(opened[:10]))
    elif execution.suite is not None:
        yield Result(State.PASS, "opened no training shard while scoring")


def byte_count(subject: Subject) -> Iterable[Result]:
    """D6: the script's own byte count of the run's validation shards against the decoded text."""
    execution = execution_of(subject)
    counted = execution.byte_count if execution is not None else None
    if not counted:
        return
    line = (f"{counted['tokens']:,} tokens: {counted['counted']:,} bytes by its table, {counted['decoded']:,} decoded",)
    if counted["counted"] == counted["decoded"]:
        yield Result(State.PASS, "its table counts the bytes of the decoded text exactly", line)
    elif (
        counted.get("side_car") and abs(counted["counted"] - counted["decoded"]) <= SIDE_CAR_SLACK * counted["decoded"]
    ):
        yield Result(State.PASS, "its side-car counts the bytes of the text, up to what the normaliser folds", line)
    else:
        yield Result(
            State.FAIL, f"its table counts {counted['counted']:,} bytes where the text has {counted['decoded']:,}", line
        )


def timer(subject: Subject) -> Iterable[Result]:
    """D7: every read of the validation tokens lies inside the seconds that the script reports."""
    ran, faults = _ran(subject)
    yield from faults
    if ran is None:
        return
    if ran.timer is None:
        yield Result(State.UNKNOWN, "D7: the timer of a script that golf did not compose cannot be watched", weak=True)
    elif "outcome" not in ran.timer:
        yield Result(State.UNKNOWN, f"D7: its timer cannot be watched: {ran.timer.get('fault')}")
    else:
        outcome = ran.timer["outcome"]
        state = State.PASS if outcome["holds"] else State.FAIL
        yield Result(state, f"D7: {outcome['detail']}")
