"""What to tell about a script that died: the lines that matter, and the way out where its last words name a known cause."""

import re
from collections.abc import Iterable

from golf.run.lines import Progress
from golf.run.schema import Run

TAIL_LINES = 12
_RANK = re.compile(r"^\[(?:rank|default)?\d+\]:\s?")
_TRACEBACK = "Traceback (most recent call last)"

# (words of the last lines, the way out); the first that is found counts
_CAUSES = (
    (("CUDA out of memory", "OutOfMemoryError"), "the GPU's memory is full: is another process on it (`nvidia-smi`)? else lower `train_batch_tokens` or the width"),
    (("No space left on device",), "the disk is full: `golf clean --dry-run` shows what can go"),
    (("ModuleNotFoundError",), "a package is missing: `golf doctor` names it"),
    (("Address already in use", "EADDRINUSE"), "another torchrun holds the port: wait for it, or end it"),
    (("is damaged or no golf container",), "a file of the run is damaged: `--again` starts the seed over"),
    (("ncclSystemError", "ncclInternalError", "ncclUnhandledCudaError"), "the GPUs cannot talk to each other: `golf doctor` looks at them"),
    (("no shards", "fineweb_train_", "fineweb_val_"), "look at the data: `golf data prove`"),
)  # fmt: skip


def last_words(lines: Iterable[str]) -> str | None:
    """The exception that ended a script, as Python prints it: the first one, the others follow from it. None without any."""
    plain = [_RANK.sub("", line) for line in lines]
    start = next((i for i, line in enumerate(plain) if line.startswith(_TRACEBACK)), None)
    if start is None:
        return None
    return next((line for line in plain[start + 1 :] if line.strip() and not line.startswith((" ", "\t"))), None)


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
    """Why a script ended with this exit code: its own last words where it has some."""
    words = last_words(progress.last)
    if exit_code is not None and exit_code < 0:
        return f"its script was ended by signal {-exit_code}" + (" (out of memory?)" if exit_code == -9 else "")
    return f"its script ended with exit code {exit_code}" + (f": {words}" if words else "")


def way_on(submission: str | None, *, smoke: bool, foreign: bool) -> str:
    """What to type after a stop: `--resume` for golf's own scripts; an imported one knows no phases and starts again."""
    again = " ".join(["golf run", *([submission] if submission else []), *(["--smoke"] if smoke else [])])
    return f"start it again with `{again}`" if foreign else f"go on with `{again} --resume`"


def advice_for(run: Run, progress: Progress, trained: bool) -> str:
    """The hint for a failed run: its cause if it is known, its log, and how to go on."""
    words = "\n".join(progress.last)
    known = [hint for causes, hint in _CAUSES if any(cause in words for cause in causes)]
    command = f"golf run {run.submission}{' --smoke' if run.smoke else ''} --resume"
    go_on = f"`{command}` goes on from its checkpoint" if trained else None
    return "; ".join([*known[:1], f"the whole log: {run.log}", *([go_on] if go_on else [])])
