"""What a session looks like: one live line on a terminal, a plain line every few seconds elsewhere. Always on stderr."""

import sys
import time
from typing import TYPE_CHECKING

from golf.run.lines import Progress
from golf.run.schema import Run

if TYPE_CHECKING:
    from rich.live import Live

PLAIN_SECONDS = 5.0
QUIET_SECONDS = 60.0  # a line that says nothing new


def describe(progress: Progress) -> str:
    """`train  step 120/200  12.3/600 s  101.2 ms/step  loss 3.2110  bpb 1.2300`: what is known, and nothing else."""
    parts = [f"{progress.phase:6}"]
    if progress.phase == "set-up" or (progress.phase == "train" and progress.step is None):
        parts += [f"warm-up {progress.warmup}"] if progress.warmup else []
    if progress.step is not None:
        parts.append(f"step {progress.step}/{progress.iterations}")
    if progress.train_seconds is not None:
        parts.append(f"{progress.train_seconds:.1f}{f'/{progress.cap_seconds:.0f}' if progress.cap_seconds else ''} s")
    if progress.step_ms is not None:
        parts.append(f"{progress.step_ms:.1f} ms/step")
    if progress.train_loss is not None:
        parts.append(f"loss {progress.train_loss:.4f}")
    if progress.scoring is not None:
        return "  ".join([*parts[:1], progress.scoring])
    bpb = progress.score_bpb if progress.score_bpb is not None else progress.val_bpb
    if bpb is not None:
        parts.append(f"{'final ' if progress.score_bpb is not None else ''}bpb {bpb:.4f}")
    return "  ".join(parts)


def part_done(progress: Progress) -> float | None:
    """How much of training is done, 0 … 1: by the clock where it has a cap, else by steps."""
    if progress.phase in ("export", "eval"):
        return 1.0
    by_clock = (progress.train_seconds or 0.0) / progress.cap_seconds if progress.cap_seconds else 0.0
    by_steps = progress.step / progress.iterations if progress.step is not None and progress.iterations else 0.0
    done = max(by_clock, by_steps)
    return min(done, 1.0) if progress.step is not None else None


class PlainView:
    """Lines for a pipe or a log: one when a phase starts, and one every five seconds."""

    def __init__(self) -> None:
        self._head = self._count = ""
        self._phase = self._line = ""
        self._since = 0.0

    def begin(self, run: Run, number: int, count: int, where: str) -> None:
        """Name the seed and where it runs."""
        self._head, self._phase, self._count = f"seed {run.seed}", "", f"{number}/{count}"
        self.say(f"seed {run.seed} ({number} of {count}) of {run.submission} on {where}")

    def progress(self, progress: Progress) -> None:
        """A line, unless one was printed a moment ago."""
        elapsed, line = time.monotonic() - self._since, describe(progress)
        patience = QUIET_SECONDS if line == self._line else PLAIN_SECONDS
        if progress.phase != self._phase or elapsed >= patience:
            self._phase, self._since, self._line = progress.phase, time.monotonic(), line
            self.say(f"{self._head}  {line}")

    def say(self, sentence: str) -> None:
        """A line on stderr; a terminal that went away does not stop a run."""
        try:
            print(sentence, file=sys.stderr, flush=True)
        except OSError:
            pass

    def close(self) -> None:
        """Nothing is held open."""


class LiveView(PlainView):
    """One line that renews itself, with a bar."""

    def __init__(self) -> None:
        super().__init__()
        self._live: Live | None = None

    def begin(self, run: Run, number: int, count: int, where: str) -> None:
        """Open the live line under a line that names the seed."""
        from rich.console import Console
        from rich.live import Live

        super().begin(run, number, count, where)
        self._live = Live(console=Console(stderr=True), refresh_per_second=4, transient=True)
        self._live.start()

    def progress(self, progress: Progress) -> None:
        """Renew the line."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        if self._live is None:
            return
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=1.0, completed=part_done(progress) or 0.0, width=20)
        grid.add_row(Text(f"{self._head} {self._count}", style="bold"), bar, Text(describe(progress)))
        self._live.update(grid)

    def say(self, sentence: str) -> None:
        """A line above the live one."""
        if self._live is not None:
            from rich.text import Text

            self._live.console.print(Text(sentence))
        else:
            super().say(sentence)

    def close(self) -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def view_for_terminal() -> PlainView:
    """The live view where stderr is a terminal, else the plain one."""
    return LiveView() if sys.stderr.isatty() else PlainView()
