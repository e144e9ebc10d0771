"""A grid of dictionaries from one harvest: several penalties or k, widths, architectures and places, trained on the same batches.

A grid is a folder with `grid.json` and a folder for every member, which is a run like any other. A member's dictionaries are those of a
run of its own with the same choices, to the byte: members share the activations and nothing else.
"""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError
from golf.files import parse_json
from golf.sae.kinds import KINDS
from golf.sae.settings import Settings

GRID_FORMAT, GRID_NAME = "golf-sae-grid/1", "grid.json"
AXES = {"place": "", "arch": "", "expansion": "x", "k": "k", "target_l0": "l0-", "l1": "l1-"}  # and how names call them
SHARED = ("tokens", "batch_tokens", "buffer_tokens", "seq_len", "seed")  # what the batches are made by
NUMBERS: dict[str, tuple[type, float, float]] = {
    "expansion": (int, 1, 4096), "k": (int, 1, 10**6), "target_l0": (float, 1e-3, 1e6), "l1": (float, 0, 1e6),
}  # type, least, most  # fmt: skip
MOST_MEMBERS = 256


def values_of(axis: str, text: str) -> list[Any]:
    """The values of an axis as the command line has them: `8,16,32`. GolfError for what is no number where one is wanted."""
    kind = NUMBERS[axis][0] if axis in NUMBERS else str
    found: list[Any] = []
    for word in text.split(","):
        try:
            value = kind(word.strip())
        except ValueError:
            value = None
        if value is None or value == "" or (axis in NUMBERS and not NUMBERS[axis][1] <= value <= NUMBERS[axis][2]):
            option = f"--{axis.replace('_', '-')}"
            least = f", {NUMBERS[axis][1]:g} to {NUMBERS[axis][2]:g}" if axis in NUMBERS else ""
            raise GolfError(
                f"`{word.strip()}` is no value of {option}", f"name one or several with commas between{least}"
            )
        found.append(value)
    if len(set(found)) < len(found):
        raise GolfError(f"{axis} names a value twice: {text}", "name each once")
    return found


def members_of(choices: Mapping[str, Any]) -> dict[str, Settings]:
    """{name: settings} of every combination; choices: fields of Settings, those of AXES may be lists. {"": settings} for a single one.

    Where several architectures are named, each takes of k and of the penalties what it has.
    """
    axes = {
        axis: value if isinstance(value := choices.get(axis), list) else [value] for axis in AXES if axis in choices
    }
    several = [axis for axis, values in axes.items() if len(values) > 1]
    found: dict[str, Settings] = {}
    for values in product(*axes.values()):
        one = dict(zip(axes, values, strict=True))
        if len(axes.get("arch", ())) > 1 and one["arch"] in KINDS:
            left_out = ("k",) if KINDS[one["arch"]].sparse_by == "penalty" else ("target_l0", "l1")
            one = {axis: value for axis, value in one.items() if axis not in left_out}
        name = "-".join(f"{AXES[axis]}{one[axis]:g}" if isinstance(one[axis], float) else f"{AXES[axis]}{one[axis]}"
                        for axis in several if axis in one)  # fmt: skip
        found.setdefault(name, Settings(**{**{key: value for key, value in choices.items() if key not in AXES}, **one}))
    if len(found) > MOST_MEMBERS:
        raise GolfError(f"the grid has {len(found)} members", f"{MOST_MEMBERS} at most: name fewer values")
    return found


def members_in(folder: Path) -> list[str] | None:
    """The names of a grid's members; None where the folder is none. GolfError (10) for a damaged list."""
    path = folder / GRID_NAME
    if not path.is_file():
        return None
    try:
        names = list(parse_json(path.read_text())["members"])
    except (ValueError, KeyError, TypeError) as fault:
        raise GolfError(f"{path} is no list of members: {fault!r}", "restore it", Exit.REFUSED) from None
    if any(not isinstance(name, str) or Path(name).name != name for name in names):
        raise GolfError(f"{path} names a folder outside of it", "restore it", Exit.REFUSED)
    return names
