"""Code bytes of every shipped recipe: as composed, packed, and packed densely.

    python -m benchmarks.packed_bytes                     print the table as TSV
    python -m benchmarks.packed_bytes --against FILE      … and the difference from a table that was printed before

Composes and packs anew, without the cache: about two seconds a recipe.
"""

import argparse
from pathlib import Path

from golf.compose import compose
from golf.compose.pack import pack
from golf.recipe import load_recipe, shipped_recipes

COLUMNS = ("recipe", "readable_bytes", "lines", "packed_bytes", "dense_bytes")


def measured(name: str) -> tuple[int, int, int, int]:
    """Bytes and lines of a recipe's composed file, and bytes of its two packed forms."""
    text = compose(load_recipe(name))
    return len(text.encode()), text.count("\n"), len(pack(text)), len(pack(text, dense=True))


def read_table(path: Path) -> dict[str, tuple[int, ...]]:
    """A table that this script printed: recipe → its numbers."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return {name: tuple(map(int, numbers[: len(COLUMNS) - 1])) for name, *numbers in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description="Code bytes of every shipped recipe.")
    parser.add_argument("--against", type=Path, help="a table that was printed before")
    against = parser.parse_args().against
    before = read_table(against) if against else {}
    print(*COLUMNS, *([f"{column}_change" for column in COLUMNS[1:]] if before else ()), sep="\t")
    for name in sorted(shipped_recipes()):
        now = measured(name)
        change = [f"{n - b:+d}" for n, b in zip(now, before[name], strict=True)] if name in before else []
        print(name, *now, *change, sep="\t", flush=True)


if __name__ == "__main__":
    main()
