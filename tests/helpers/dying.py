"""A task for engines: squares, and dies where it is told to."""

import os
import signal


def square(number: int) -> int:
    if number < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def square_once_dead(pair: tuple[int, str]) -> int:
    """Dies at its first call, which the file of that name remembers."""
    number, mark = pair
    if mark and not os.path.exists(mark):  # noqa: PTH110
        with open(mark, "w"):  # noqa: PTH123
            os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def whose(_):
    """The process that works on it."""
    return os.getpid()
