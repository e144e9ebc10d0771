"""The local engine: processes of this machine, each with a Python of its own; one that dies is replaced."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from golf.errors import GolfError

ATTEMPTS = 2  # of a task whose worker died
Argument = TypeVar("Argument")
Found = TypeVar("Found")


class Died(GolfError):
    """A task's worker died each time: out of memory, or killed."""


def run_all(
    task: Callable[[Argument], Found], arguments: Sequence[Argument], processes: int
) -> Iterator[tuple[int, Found | Died]]:
    """(place in `arguments`, result) as they come; `Died` for a task that its worker did not survive. task: importable, picklable.

    With one process the tasks run here, one after another, and a death is the caller's own.
    """
    if processes == 1:
        for at, argument in enumerate(arguments):
            yield at, task(argument)
        return
    attempts = [0] * len(arguments)
    waiting = list(range(len(arguments)))
    while waiting:
        # after a death nobody knows whose it was: those that were at work then go alone, so that only the guilty one dies again
        alone = [at for at in waiting if attempts[at]]
        batch, width = (alone[:1], 1) if alone else ([*waiting], processes)  # `waiting` shrinks as they come
        for at, found in _one_pool(task, arguments, batch, width, attempts):
            waiting.remove(at)
            yield at, found
        for at in [at for at in waiting if attempts[at] >= ATTEMPTS]:
            waiting.remove(at)
            yield at, Died("its worker died twice: out of memory, or killed")


def in_order(task: Callable[[Argument], Found], arguments: Iterable[Argument], processes: int) -> Iterator[Found]:
    """Results in the order of `arguments`, which may be endless: at most twice `processes` and one are held. `Died` where a worker died."""
    if processes == 1:
        yield from map(task, arguments)
        return
    waiting: deque[Future[Found]] = deque()
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        try:
            for argument in arguments:
                waiting.append(pool.submit(task, argument))
                if len(waiting) > 2 * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as fault:
            raise Died("a worker died: out of memory, or killed") from fault
        finally:
            pool.shutdown(cancel_futures=True)


def _one_pool(
    task: Callable[[Argument], Found],
    arguments: Sequence[Argument],
    batch: Sequence[int],
    width: int,
    attempts: list[int],
) -> Iterator[tuple[int, Found]]:
    """Run a batch until it is done or a worker dies; then those that were at work have one attempt more behind them."""
    # a server that has imported the task's module forks the workers: no thread of this process is copied, nothing is imported twice
    context = get_context("forkserver")
    context.set_forkserver_preload([task.__module__])
    pool = ProcessPoolExecutor(min(width, len(batch)), mp_context=context)
    todo, at_work = iter(batch), dict[Future[Found], int]()
    try:
        for at in todo:
            at_work[pool.submit(task, arguments[at])] = at
            if len(at_work) >= width:
                break
        while at_work:
            done, _ = wait(at_work, return_when=FIRST_COMPLETED)
            for future in done:
                at = at_work[future]
                found = future.result()
                del at_work[future]
                yield at, found
                following = next(todo, None)
                if following is not None:
                    at_work[pool.submit(task, arguments[following])] = following
    except BrokenProcessPool:
        for at in at_work.values():
            attempts[at] += 1
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
