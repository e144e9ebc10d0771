"""The numbers that options take: one table, asked for every option of every verb before the verb is called.

An option that is not in the table takes a number above 0. `nan` and `inf` are no numbers anywhere.
"""

import math
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, NamedTuple

import typer

LARGEST = 2**63 - 1


class Bounds(NamedTuple):
    """least <= number <= most; with `open_`, the ends themselves are out."""

    least: float
    most: float = LARGEST
    open_: bool = False


ABOVE_0 = Bounds(0, open_=True)
FROM_0 = Bounds(0)
SHARE = Bounds(0, 1)
BOUNDS: Mapping[str, Bounds] = {
    "aa": Bounds(0, 1000),
    "aux": FROM_0,
    "bits": Bounds(4, 8),
    "iterations": Bounds(1, 10**9),
    "draw_seed": FROM_0,
    "features": FROM_0,
    "groups": Bounds(1, 32),
    "lr_decay_frac": SHARE,
    "margin_bytes": FROM_0,
    "max_wallclock_seconds": FROM_0,
    "nnodes": Bounds(1, 8),
    "node_rank": Bounds(0, 7),
    "nproc": Bounds(1, 1024),
    "parallel": Bounds(1, 1024),
    "power": Bounds(0, 1, open_=True),
    "processes": Bounds(1, 1024),
    "random": Bounds(1, 10_000),
    "save_seconds": FROM_0,
    "search": Bounds(1, 10_000),
    "seed": Bounds(0, 2**32 - 1),
    "seq_len": Bounds(1, 2**20),
    "shards": Bounds(0, 10_000),
    "threshold": SHARE,
    "tolerance": SHARE,
    "trials": Bounds(1, 10_000),
    "vocab": Bounds(1, 2**16),
}


def checked(verb: Callable[..., None]) -> Callable[..., None]:
    """`verb`, which is called only with numbers that its options take."""

    @wraps(verb)
    def called(*words: Any, **options: Any) -> None:
        for name, value in options.items():
            for number in value if isinstance(value, list | tuple) else (value,):
                if isinstance(number, int | float) and not isinstance(number, bool):
                    _check(name, number)
        verb(*words, **options)

    return called


def _check(name: str, number: float) -> None:
    bounds = BOUNDS.get(name, ABOVE_0)
    inside = bounds.least < number < bounds.most if bounds.open_ else bounds.least <= number <= bounds.most
    if (isinstance(number, float) and not math.isfinite(number)) or not inside:
        raise typer.BadParameter(f"{number} is not {_words(bounds)}", param_hint=f"--{name.replace('_', '-')}")


def _words(bounds: Bounds) -> str:
    least, most = f"{bounds.least:g}", f"{bounds.most:,.15g}"
    if bounds.most == LARGEST:
        return f"a number above {least}" if bounds.open_ else f"a number from {least} on"
    return f"a number between {least} and {most}" if bounds.open_ else f"a number from {least} to {most}"
