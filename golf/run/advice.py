"""What to tell about a script that died: the lines that matter, and the way out where its last words name a known cause."""

import re
import signal
from collections.abc import Iterable
from itertools import islice, takewhile

from golf.run.lines import Progress
from golf.run.schema import Run

TAIL_LINES = 12
_RANK = re.compile(r"^\[(?:rank|default)?\d+\]:\s?")
_TRACEBACK = "Traceback (most recent call last)"
_LAUNCHER = "ChildFailedError"
_SIGNAL = re.compile(r"Signal (\d+) \(SIG\w+\) received by PID")  # torchrun, of the worker that failed first
_NCCL = ("ncclSystemError", "ncclInternalError", "ncclUnhandledCudaError", "ncclRemoteError")
_PASSING = (*_NCCL, "DistNetworkError", "EADDRINUSE")  # faults of a moment or of a machine, not of the script
MESSAGE_LINES = 6

# (words of the exception, the way out); the first that is found counts
_CAUSES = (
    (("CUDA out of memory", "OutOfMemoryError"), "the GPU's memory is full: is another process on it (`nvidia-smi`)? else lower `train_batch_tokens` or the width"),
    (("No space left on device",), "the disk is full: `golf clean --dry-run` shows what can go"),
    (("ModuleNotFoundError",), "a package is missing: `golf doctor` names it"),
    (("Address already in use", "EADDRINUSE"), "another torchrun holds the port: wait for it, or end it"),
    (("is damaged or no golf container",), "a file of the run is damaged: `--again` starts the seed over"),
    (_NCCL, "the GPUs cannot talk to each other: `golf doctor` looks at them"),
    (("no shards", "fineweb_train_", "fineweb_val_"), "look at the data: `golf data prove`"),
)  # fmt: skip


def last_words(lines: Iterable[str]) -> str | None:
    """The exception that ended a script, as Python prints it: the first one, the others follow from it. None without any."""
    said = exception_in(lines)
    return said[0] if said else None


def exception_in(lines: Iterable[str]) -> list[str]:
    """The first exception's line and the rest of its message; empty where no script's traceback is. torchrun's own, which only
    says that a worker failed, is none."""
    plain = [_RANK.sub("", line) for line in lines]
    for start in (i for i, line in enumerate(plain) if line.startswith(_TRACEBACK)):
        at = next(
            (i for i in range(start + 1, len(plain)) if plain[i].strip() and not plain[i].startswith((" ", "\t"))), None
        )
        if at is not None and _LAUNCHER not in plain[at]:
            more = takewhile(lambda line: line.strip() and not line.startswith((_TRACEBACK, "[")), plain[at + 1 :])
            return [plain[at], *islice(more, MESSAGE_LINES)]
    return []


def tail(lines: Iterable[str]) -> list[str]:
    """The last lines; of a traceback only the innermost frame, for the whole of it is in the log."""
    last = [_RANK.sub("", line) for line in lines if line.strip()]
    start = next((i for i, line in enumerate(last) if line.startswith(_TRACEBACK)), None)
    if start is None:
        return last[-TAIL_LINES:]
    end = next((i for i in range(start + 1, len(last)) if not last[i].startswith((" ", "\t"))), len(last))
    frames = [i for i in range(start + 1, end) if last[i].lstrip().startswith("File ")]
    inner = frames[-1] if frames else start + 1
    return [*last[max(start - 4, 0) : start], *last[inner : end + 1]]


def reason_of(exit_code: int | None, progress: Progress) -> str:
    """Why a script ended with this exit code: its own last words where it has some, else the signal that ended it or a worker."""
    words = last_words(progress.last)
    if exit_code is not None and exit_code < 0:
        return f"its script was ended by {_name_of(-exit_code)}"
    if words is None and (match := _first_signal(progress.last)):
        return f"a worker of its script was ended by {_name_of(int(match[1]))}"
    return f"its script ended with exit code {exit_code}" + (f": {words}" if words else "")


def concerns_every_seed(progress: Progress) -> bool:
    """Whether the next seed would meet what this script died of: an exception of its own code, or anything before its first
    step. A signal or a network fault need not come again."""
    said = "\n".join(exception_in(progress.last))
    return progress.step is None or (bool(said) and not any(word in said for word in _PASSING))


def _first_signal(lines: Iterable[str]) -> re.Match[str] | None:
    """The signal of the worker that failed first; torchrun lists those that it ended itself before it."""
    said = list(lines)
    root = next((i for i, line in enumerate(said) if "Root Cause" in line), 0)
    return next((match for line in said[root:] if (match := _SIGNAL.search(line))), None)


def _name_of(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "an unknown one"
    return f"signal {number} ({name}{', out of memory?' if number == signal.SIGKILL else ''})"


def way_on(submission: str | None, *, smoke: bool, foreign: bool) -> str:
    """What to type after a stop: `--resume` for golf's own scripts; an imported one knows no phases and starts again."""
    again = " ".join(["golf run", *([submission] if submission else []), *(["--smoke"] if smoke else [])])
    return f"start it again with `{again}`" if foreign else f"go on with `{again} --resume`"


def advice_for(run: Run, progress: Progress, trained: bool) -> str:
    """The hint for a failed run: its cause if it is known, its log, and how to go on."""
    words = "\n".join(exception_in(progress.last))
    known = [hint for causes, hint in _CAUSES if any(cause in words for cause in causes)]
    command = f"golf run {run.submission}{' --smoke' if run.smoke else ''} --resume"
    go_on = f"`{command}` goes on from its checkpoint" if trained else None
    return "; ".join([*known[:1], f"the whole log: {run.log}", *([go_on] if go_on else [])])
