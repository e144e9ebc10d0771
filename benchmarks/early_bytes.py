"""The early and middle rows of the contest, and the non-record models, beside what golf predicts of their bytes: a page of the docs.

Published numbers are the authors' and stand in the recipes; parameters are counted on our model, the model's bytes are `golf size`'s
prediction. Some twenty seconds of one core.

    $ python benchmarks/early_bytes.py --write docs/early-rows.md
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from late_rows import deliver, unsaid

from golf.artifact.predict import predict, published_model_bytes
from golf.recipe import Recipe, load_recipe, shipped_recipes

ROWS = (
    "baseline", "lower_lr", "pr42", "pr39", "pr49", "pr52", "pr50", "pr77", "pr60", "pr65a", "pr65b", "pr63", "pr61", "pr86", "pr162",
    "pr180", "pr265", "pr287", "pr315", "pr640", "pr1060", "pr1120", "pr1204", "pr1218", "pr1285", "pr1334", "pr73", "pr641", "pr1388",
    "pr542", "pr2058",
)  # fmt: skip
HEAD = """# The early and middle rows

Written by `python benchmarks/early_bytes.py --write docs/early-rows.md`. BPB and published bytes are the authors', from their logs; the model is the
mean over seeds, without the code. Parameters are counted on our model. Predicted bytes are `golf size`'s, from shapes and settings; nothing
here was trained at full size. Seeds of one row differ by up to 1.4 % (#287), so a row of one seed cannot be told closer than that.

| row | published BPB | parameters | model, published | seeds | model, predicted | off | said ± | why |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |
"""


def cells(recipe: Recipe) -> list[str]:
    """One row of the table."""
    found, facts, published = predict(recipe), recipe.published, published_model_bytes(recipe)
    off = f"{found.estimate_bytes / published[0] - 1:+.2%}" if published and found.estimate_bytes else "unknown"
    why = facts.get("bytes_note") or ("" if published else "its code size is not on record")
    return [
        f"`{recipe.name}`", f"{facts['val_bpb']}", f"{found.params:,}", f"{published[0]:,.0f}" if published else "", str(published[1]) if published else "",
        f"{found.estimate_bytes or 0:,}", off, f"{found.within:.1%}", why,
    ]  # fmt: skip


def page() -> Iterator[str]:
    recipes = [load_recipe(shipped_recipes().get(name, name)) for name in ROWS]
    yield HEAD
    for recipe in recipes:
        yield "| " + " | ".join(cells(recipe)) + " |\n"
    yield from unsaid(recipes)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--write", type=Path, help="the page, instead of printing it")
    given = options.parse_args()
    deliver("".join(page()), given.write)


if __name__ == "__main__":
    main()
