"""What a session looks like: one live line on a terminal, a plain line every few seconds elsewhere. Always on stderr."""

import sys
import time
from typing import TYPE_CHECKING

from golf.cli.output import talk
from golf.run.lines import Progress
from golf.run.schema import Run
from golf.run.view import describe, part_done

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

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
        """A line on stderr, folded at a terminal's width; a terminal that went away does not stop a run."""
        try:
            talk(sentence)
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


STUDY_SECONDS = 30.0


class StudyView(PlainView):
    """Lines of a study in a pipe: what the driver says, and of every run at work one line each half minute."""

    def begin(self, run: Run, number: int, count: int, where: str) -> None:
        """The driver has named the run."""
        self._head, self._since = f"{run.submission} seed {run.seed}", time.monotonic()

    def progress(self, progress: Progress) -> None:
        """A line, unless one was printed a moment ago."""
        if time.monotonic() - self._since >= STUDY_SECONDS:
            self._since = time.monotonic()
            self.say(f"{self._head}  {describe(progress)}")

    def beside(self) -> "StudyView":
        """Lines of one run."""
        return StudyView()

    def end(self) -> None:
        """Nothing is held open."""


class LiveStudy(StudyView):
    """A live table on a terminal, one row for every run at work, under the lines that stay."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__()
        self._rows: dict[str, tuple[float, str]] = {}
        self._table = Live(
            console=Console(stderr=True), refresh_per_second=4, transient=True, get_renderable=self._shown
        )
        self._table.start()

    def say(self, sentence: str) -> None:
        """A line above the table."""
        from rich.text import Text

        self._table.console.print(Text(sentence))

    def end(self) -> None:
        """Take the table away."""
        self._table.stop()

    def beside(self) -> "StudyView":
        """A row of the table."""
        return _LiveRow(self)

    def show(self, head: str, row: tuple[float, str] | None) -> None:
        """Renew a row, or take it away."""
        rows = {**self._rows, head: row or (0.0, "")}
        self._rows = {name: held for name, held in rows.items() if name != head or row is not None}

    def _shown(self) -> "Table":
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 1))
        for head, (done, line) in self._rows.items():
            grid.add_row(Text(head, style="bold"), ProgressBar(total=1.0, completed=done, width=20), Text(line))
        return grid


class _LiveRow(StudyView):
    def __init__(self, table: LiveStudy) -> None:
        super().__init__()
        self._of = table

    def progress(self, progress: Progress) -> None:
        self._of.show(self._head, (part_done(progress) or 0.0, describe(progress)))

    def say(self, sentence: str) -> None:
        self._of.say(sentence)

    def close(self) -> None:
        self._of.show(self._head, None)


def study_view_for_terminal() -> StudyView:
    """The live table where stderr is a terminal, else lines."""
    return LiveStudy() if sys.stderr.isatty() else StudyView()
