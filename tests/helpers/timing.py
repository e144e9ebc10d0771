"""Processor seconds of a small piece of work, as little disturbed as can be: bounds in tests are on these."""

import gc
import time
from collections.abc import Callable


def seconds_of(work: Callable[[], object], repeats: int = 3) -> float:
    """The least of several goes without garbage collection, which in a worker full of other tests' objects takes most of a second."""
    taken, was_on = [], gc.isenabled()
    gc.disable()
    try:
        for _ in range(repeats):
            begun = time.process_time()
            work()
            taken.append(time.process_time() - begun)
    finally:
        if was_on:
            gc.enable()
    return min(taken)
