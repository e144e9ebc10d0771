"""Tasks in order on this machine: as many as fit are held, and a worker that dies is said."""

import pytest
from dying import square, whose

from golf.engine import engine_named
from golf.engine.local import Died, in_order, run_all
from golf.errors import GolfError


def test_results_come_in_order_and_an_endless_source_is_read_only_as_far_as_needed() -> None:
    read = []

    def numbers():  # type: ignore[no-untyped-def]
        for n in range(1000):
            read.append(n)
            yield n

    found = in_order(square, numbers(), 2)
    assert [next(found) for _ in range(7)] == [n * n for n in range(7)] and max(read) <= 7 + 2 * 2
    found.close()
    assert list(in_order(square, range(5), 1)) == [n * n for n in range(5)]


def test_a_worker_that_dies_is_said() -> None:
    with pytest.raises(Died, match="a worker died"):
        list(in_order(square, [1, -1, 2, 3], 2))


def test_tasks_in_any_order_are_done_by_two_processes_to_the_end() -> None:
    found = dict(run_all(whose, range(40), 2))
    assert sorted(found) == [*range(40)] and len({*found.values()}) <= 2, "no worker is started twice"


def test_an_engine_is_one_of_two() -> None:
    assert engine_named("local").in_order is in_order
    with pytest.raises(GolfError, match="no engine `slurm`"):
        engine_named("slurm")
