"""Windows over a stream of targets: the sizes that every toy evaluator shares."""

from collections.abc import Iterator

WINDOW, STRIDE, CHUNK, RATE = 32, 8, 64, 0.4


def windows(targets: int, first: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int]]:
    """(start, stop, first scored) in prediction indices: the first window scores all, every other its last `STRIDE`."""
    end = targets if end is None else end
    for start in range(0, targets, STRIDE):
        stop = min(start + WINDOW, targets)
        scored = start if start == 0 else start + WINDOW - STRIDE
        if scored >= targets:
            return
        if first <= scored < end:
            yield start, stop, scored
