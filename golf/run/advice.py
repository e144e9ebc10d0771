"""What to tell about a script that died: the lines that matter, and the way out where its last words name a known cause."""

from collections.abc import Iterable

from golf.run.lines import Progress
from golf.run.schema import Run

TAIL_LINES = 12

# (words of the last lines, the way out); the first that is found counts
_CAUSES = (
    (("CUDA out of memory", "OutOfMemoryError"), "the GPU's memory is full: is another process on it (`nvidia-smi`)? else lower `train_batch_tokens` or the width"),
    (("No space left on device",), "the disk is full: `golf clean --dry-run` shows what can go"),
    (("ModuleNotFoundError",), "a package is missing: `golf doctor` names it"),
    (("Address already in use", "EADDRINUSE"), "another torchrun holds the port: wait for it, or end it"),
    (("is damaged or no golf container",), "a file of the run is damaged: `--again` starts the seed over"),
    (("NCCL",), "the GPUs cannot talk to each other: `golf doctor` looks at them"),
    (("no shards", "fineweb_train_", "fineweb_val_"), "look at the data: `golf data prove`"),
)  # fmt: skip


def tail(lines: Iterable[str]) -> list[str]:
    """The last lines, from the last traceback on where there is one, and not more than fit on a screen."""
    last = [line for line in lines if line.strip()]
    return last[-TAIL_LINES:]


def advice_for(run: Run, progress: Progress, trained: bool) -> str:
    """The hint for a failed run: its cause if it is known, its log, and how to go on."""
    words = "\n".join(progress.last)
    known = [hint for causes, hint in _CAUSES if any(cause in words for cause in causes)]
    go_on = f"`golf run {run.submission} --resume` goes on from its checkpoint" if trained else None
    return "; ".join([*known[:1], f"the whole log: {run.log}", *([go_on] if go_on else [])])
