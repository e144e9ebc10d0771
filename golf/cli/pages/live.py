"""What a session looks like: one live line on a terminal, a plain line every few seconds elsewhere. Always on stderr."""

import sys
import time
from typing import TYPE_CHECKING

from golf.run.lines import Progress
from golf.run.schema import Run
from golf.run.view import describe, part_done

if TYPE_CHECKING:
    from rich.live import Live

PLAIN_SECONDS = 5.0
QUIET_SECONDS = 60.0  # a line that says nothing new


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

    def beside(self) -> "PlainView":
        """Plain lines, each with its seed in front: a live line shows one seed."""
        return PlainView()


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
