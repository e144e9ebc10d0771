"""The axes of a sweep: `--over knob=values`, and the choices that a grid or random draws make of them."""

import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from golf.errors import GolfError

FROM = "from"  # the axis whose values are recipes to start from
MOST_TRIALS = 10_000
_NUMBER = r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(:log)?")
_TRIES = 50  # draws of a trial that was drawn before, until the axes count as used up

Choices = Mapping[str, str]  # axis → its value as one types it


@dataclass(frozen=True)
class Axis:
    """One thing that varies: named values, or a range of numbers. log: the range is drawn evenly by its logarithm."""

    name: str
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False  # a range of whole numbers
    log: bool = False

    @property
    def is_range(self) -> bool:
        """Whether it is a range, which random draws and a search take values from."""
        return not self.values

    def drawn(self, draw: random.Random) -> str:
        """One value, evenly."""
        if not self.is_range:
            return draw.choice(self.values)
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        if self.whole and not self.log:
            return str(draw.randint(int(low), int(high)))
        value = draw.uniform(low, high)
        return self.text_of(math.exp(value) if self.log else value)

    def text_of(self, value: float) -> str:
        """A number of the range as its trial says it: whole, or with six digits."""
        return str(min(max(round(value), int(self.low)), int(self.high))) if self.whole else f"{value:.6g}"


def parse_axes(texts: Sequence[str]) -> tuple[Axis, ...]:
    """The axes of `--over`. GolfError for a text of another form, an axis or a value that is named twice."""
    axes = tuple(map(_axis, texts))
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise GolfError(
                f"the axis `{name}` is given {names.count(name)} times", f"once, with all values: `--over {name}=A,B`"
            )
    return axes


def _axis(text: str) -> Axis:
    name, equals, rest = (part.strip() for part in text.partition("="))
    if not name or not equals or not rest:
        raise GolfError(f"`--over {text}` is no axis", "write `--over knob=A,B`, as in `--over matrix_lr=0.018,0.022`")
    if name in ("seed", "seeds"):
        raise GolfError("seeds are no axis: every trial runs all of them", "name them: `--seeds 1337,42,7`")
    if found := _RANGE.fullmatch(rest):
        low, high, log = float(found[1]), float(found[2]), bool(found[3])
        whole = all(re.fullmatch(r"[-+]?\d[\d_]*", number) for number in found.groups()[:2])
        if not low < high or not math.isfinite(high - low):
            raise GolfError(
                f"the range {rest} of `{name}` does not rise", f"the lower end first: `--over {name}=0.01..0.04`"
            )
        if log and low <= 0:
            raise GolfError(
                f"the range {rest} of `{name}` has no logarithm at its lower end", "begin above 0, or without `:log`"
            )
        return Axis(name, (), low, high, whole, log)
    values = tuple(split(rest))
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise GolfError(f"the axis `{name}` names `{twice}` twice", "each value once")
    return Axis(name, values)


def split(text: str) -> list[str]:
    """The values between the commas that stand outside brackets and quotes. GolfError for an empty one."""
    values, depth, quoted, begin = list[str](), 0, "", 0
    for at, letter in enumerate(f"{text},"):
        if quoted:
            quoted = "" if letter == quoted else quoted
        elif letter in "\"'":
            quoted = letter
        elif letter in "[(":
            depth += 1
        elif letter in "])":
            depth -= 1
        elif letter == "," and depth <= 0:
            values.append(text[begin:at].strip())
            begin = at + 1
    if quoted or depth or not all(values):
        raise GolfError(f"`{text}` is no list of values", "commas between them, lists in brackets: `[1,2],[1,2,3]`")
    return values


def grid(axes: Sequence[Axis]) -> list[Choices]:
    """Every combination, the last axis fastest. GolfError for a range of numbers that are not whole, and for too many."""
    every = [_whole_values(axis) for axis in axes]
    count = math.prod(map(len, every))
    if count > MOST_TRIALS:
        raise GolfError(
            f"the grid has {count:,} trials, more than {MOST_TRIALS:,}", "fewer values, or draw from it: `--random 50`"
        )
    return [dict(zip((axis.name for axis in axes), values, strict=True)) for values in itertools.product(*every)]


def _whole_values(axis: Axis) -> tuple[str, ...]:
    if not axis.is_range:
        return axis.values
    if not axis.whole or axis.log:
        raise GolfError(f"the range of `{axis.name}` has no grid", "name its values, or draw from it: `--random 20`")
    if axis.high - axis.low >= MOST_TRIALS:
        raise GolfError(
            f"the range of `{axis.name}` has more than {MOST_TRIALS:,} values", "draw from it: `--random 20`"
        )
    return tuple(map(str, range(int(axis.low), int(axis.high) + 1)))


def draws(axes: Sequence[Axis], count: int, seed: int) -> list[Choices]:
    """`count` different combinations, drawn at random; the first of a longer list are those of a shorter one.

    Fewer where the axes have no more.
    """
    if count > MOST_TRIALS:
        raise GolfError(f"{count:,} trials are more than {MOST_TRIALS:,}", "fewer: `--random 50`")
    return list(itertools.islice(_drawn(axes, random.Random(seed)), count))


def _drawn(axes: Sequence[Axis], draw: random.Random) -> Iterator[Choices]:
    seen = set[tuple[str, ...]]()
    tries = 0
    while tries < _TRIES * (1 + len(seen)):
        values = tuple(axis.drawn(draw) for axis in axes)
        tries += 1
        if values not in seen:
            seen.add(values)
            tries = 0
            yield dict(zip((axis.name for axis in axes), values, strict=True))
