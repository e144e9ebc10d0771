"""R48 by the code alone: whether the model that gives the last score holds weights that were read back from what was packed."""

from collections.abc import Iterable

from golf.rules.findings import Result, State
from golf.rules.flow import flow_of
from golf.rules.subject import Subject


def scored_model(subject: Subject) -> Iterable[Result]:
    """The model behind the last printed score, followed through the main flow. Says nothing where that flow packs nothing.

    FAIL: no weights that were read after packing reach it. UNKNOWN: something is read back, and where it goes cannot be followed.
    """
    code = subject.code
    if code is None:
        return
    flow = flow_of(code)
    last = flow.scored
    if last is None or not flow.packed_at or not flow.whole:
        return
    names = " and ".join(sorted({f"`{name}`" for name, _ in last.value.models}))
    if any(restored for _, restored in last.value.models):
        yield Result(
            State.CLEAN, f"the last score is that of {names}, which was given what was read back", (), file=last.file, line=last.line, weak=True
        )  # fmt: skip
    elif flow.restored:
        name, file, line = flow.restored[-1]
        where = f"`{name}` ({file}:{line})" + (", and other weights after that" if f"`{name}`" in names else "")
        yield Result(
            State.FAIL, f"the last score is that of {names}; what was packed is read into {where}", file=last.file, line=last.line
        )  # fmt: skip
    elif flow.read_back:
        file, line = flow.read_back[-1]
        yield Result(
            State.UNKNOWN, f"the last score is that of {names}; what is read back ({file}:{line}) was not seen to reach it", file=last.file, line=last.line
        )  # fmt: skip
    else:
        yield Result(
            State.FAIL, f"the last score is that of {names}; what was packed is never read", file=last.file, line=last.line
        )  # fmt: skip
