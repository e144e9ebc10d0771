"""What a session says while it runs, and to whom: the words here, the terminal in `golf.cli.pages.live`."""

from typing import Protocol

from golf.run.lines import Progress
from golf.run.schema import Run


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
    if progress.forecast is not None and progress.phase == "train":
        parts.append(f"forecast {progress.forecast}")
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


class View(Protocol):
    """Whoever shows a session to the user."""

    def begin(self, run: Run, number: int, count: int, where: str) -> None:
        """A seed starts or goes on, on the machine that `where` names."""

    def progress(self, progress: Progress) -> None:
        """New lines were read."""

    def say(self, sentence: str) -> None:
        """A remark that stays."""

    def close(self) -> None:
        """The seed is over."""

    def beside(self) -> "View":
        """A view of one seed among several that run at a time."""


class Silent:
    """Nobody looks: what a library caller gets who names no view."""

    def begin(self, run: Run, number: int, count: int, where: str) -> None:
        """Say nothing."""

    def progress(self, progress: Progress) -> None:
        """Say nothing."""

    def say(self, sentence: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Say nothing."""

    def beside(self) -> "Silent":
        """Itself."""
        return self
