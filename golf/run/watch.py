"""The watch from outside: follows a script's log, holds it to its clocks, and says how it ended."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from golf.run.clocks import Limits
from golf.run.lines import Follower, Progress
from golf.run.processes import Watched, end

POLL_SECONDS = 0.1
LINGER_SECONDS = 60.0  # what a script may take to end after its last result


@dataclass
class Ending:
    """How a script ended. `reason` is None when it ended by itself."""

    exit_code: int | None
    reason: str | None = None
    over_time: bool = False
    interrupted: bool = False
    wrong_seed: bool = False
    given_up: bool = False  # ended on purpose: its result was no longer wanted
    eval_wall: float | None = None  # seconds, from the start of the evaluation phase to the end
    remark: str | None = None


@dataclass
class Interrupts:
    """Whether the user asked to stop: SIGINT or SIGTERM, noted and acted on between two steps, never in the middle of one."""

    asked: bool = field(default=False)

    def note(self, number: int, frame: FrameType | None) -> None:
        """The first time only remembers; a second Ctrl-C interrupts at once."""
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True


def wanted(progress: Progress) -> str | None:
    """The judge of a run that is wanted to its end, whatever its log says."""
    return None


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Catch SIGINT and SIGTERM inside the block; a terminal that goes away (SIGHUP) does not stop a run that costs money."""
    noted = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    former = {number: signal.signal(number, noted.note) for number in (signal.SIGINT, signal.SIGTERM)}
    former[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield noted
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@dataclass
class Watch:
    """What to look at and whom to tell. `adopted`: the script was started by a golf that is gone.

    unwanted: asked of a log that grows; the reason why the run is ended before its end, None while it is wanted.
    """

    process: Watched
    follower: Follower
    progress: Progress
    seed: int
    limits: Limits
    stop: Interrupts
    on_progress: Callable[[Progress], None]
    on_phase: Callable[[str], None]
    adopted: bool = False
    unwanted: Callable[[Progress], str | None] = wanted
    grace_seconds: float = 10.0
    _phase: str = "set-up"
    _eval_since: float | None = None
    _eval_wall: float | None = None

    def until_end(self) -> Ending:
        """Follow the script to its end, or end it. Its processes are gone when this returns."""
        heard = time.monotonic()
        try:
            while (code := self.process.poll()) is None:
                if self._listen():
                    heard = time.monotonic()
                silent_seconds = time.monotonic() - heard
                if (ending := self._fault(silent_seconds)) is not None:
                    end(self.process, self.grace_seconds)
                    self._listen(to_end=True)
                    ending.exit_code = self.process.poll()
                    return ending
                if silent_seconds > LINGER_SECONDS and self._has_result():
                    end(self.process, self.grace_seconds)
                    remark = f"its script did not end within {LINGER_SECONDS:.0f} s of its result and was ended"
                    return Ending(-1, eval_wall=self._eval_wall, remark=remark)
                time.sleep(POLL_SECONDS)
        except BaseException:
            end(self.process, 0.0 if self.stop.asked else self.grace_seconds)
            raise
        self._listen(to_end=True)
        ending = self._seed_fault() or Ending(None)
        ending.exit_code, ending.eval_wall = code, self._eval_wall
        return ending

    def _listen(self, *, to_end: bool = False) -> bool:
        """Take in the new lines; whether there were any."""
        lines = self.follower.lines(to_end=to_end)
        for line in lines:
            self.progress.read(line)
            if self.progress.phase != self._phase:
                self._phase = self.progress.phase
                self._eval_since = time.monotonic() if self._phase == "eval" and not self.adopted else None
                self.on_phase(self._phase)
        if self._eval_since is not None and (lines or to_end):
            self._eval_wall = time.monotonic() - self._eval_since
        if lines or not to_end:
            self.on_progress(self.progress)
        return bool(lines)

    def _has_result(self) -> bool:
        """Whether everything has been said: a result line with the score."""
        result = self.progress.result()
        return result is not None and result.get("val_bpb") is not None

    def _fault(self, silent_seconds: float) -> Ending | None:
        if self.stop.asked:
            return Ending(None, "stopped by you", interrupted=True)
        if (wrong := self._seed_fault()) is not None:
            return wrong
        if (reason := self.unwanted(self.progress)) is not None:
            return Ending(None, reason, given_up=True)
        eval_wall = time.monotonic() - self._eval_since if self._eval_since is not None else None
        overrun = self.limits.overrun(self.progress.train_seconds, eval_wall, silent_seconds)
        return Ending(None, overrun, over_time=True) if overrun is not None else None

    def _seed_fault(self) -> Ending | None:
        printed = self.progress.seed
        if printed is None or printed == self.seed:
            return None
        return Ending(None, f"asked for seed {self.seed}, the script printed seed {printed}", wrong_seed=True)
