"""How near below its target `--fit` lands: kept checkpoints and simulated full shapes, each with a coder and a cap of its own.

    $ python benchmarks/fit.py --text fineweb_train_000001.bin --run baseline:1300000:runs/1337:coder=RansCoder …

A run is recipe:target bytes of the model:folder:key=value,… (`small` among the values takes the recipe's small twin; the folder
`simulated` the recipe's full shapes with random weights and no Hessians). With --text plans are chosen by loss on its end.
Prints a line for each: the plan that won, how far below the target its real artifact is, and how many artifacts were made.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from sizes import simulated

from golf.artifact.dials import Checkpoint, container_bytes, load_checkpoint, make_tensors
from golf.artifact.fit import PLANS, TOLERANCE_BYTES, fit, plans_for
from golf.artifact.predict import tensors_of
from golf.artifact.score import Scorer
from golf.parts.tags import Tag, Tagged
from golf.recipe import Recipe, load_recipe, smoke_recipe
from golf.recipe.namespace import namespace


def checkpoint_of(recipe: Recipe, folder: str) -> Checkpoint:
    if folder != "simulated":
        return load_checkpoint(recipe, Path(folder))
    tensors, _ = tensors_of(recipe)
    tagged = [Tagged(t.name, torch.empty(t.shape), Tag("", t.role, "", None)) for t in tensors]
    return Checkpoint(tagged, {t.name: simulated(t) for t in tensors}, {})


def measure(run: str, text: Path | None) -> Sequence[str]:
    name, target, folder, words = run.split(":")
    changes = [word for word in words.split(",") if word]
    recipe = load_recipe(name, [word for word in changes if word != "small"])
    recipe = smoke_recipe(recipe) if "small" in changes else recipe
    start, begun = checkpoint_of(recipe, folder), time.process_time()
    plans = PLANS[:1] if folder == "simulated" else plans_for(recipe, start)
    scorer = Scorer(namespace(recipe), text, 16_384) if text and folder != "simulated" else None
    found = fit(recipe, start, int(target), plans=plans, evaluate=scorer)
    again = container_bytes(*make_tensors(recipe, found.values, start))
    below = int(target) - again
    ways = {one.plan: [other for other in found.tried if other.plan == one.plan] for one in found.tried}
    landed = [
        min(one.target_bytes - one.model_bytes for one in made if one.fits)
        for made in ways.values()
        if any(one.fits for one in made)
    ]
    where = "simulated" if folder == "simulated" else "/".join(Path(folder).parts[-4:])
    return (where, f"{name} {words.replace(',', ' ')}", f"{int(target):,}", found.plan, f"{again:,}", f"{below:,}",
            f"{max(landed):,}", "yes" if 0 <= below <= TOLERANCE_BYTES else "NO", f"{len(ways)} / {len(found.tried)}",
            f"{time.process_time() - begun:.0f}")  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--run", nargs="+", required=True)
    options.add_argument("--text", type=Path, help="a shard of training text of the runs' vocabulary")
    given = options.parse_args()
    torch.set_num_threads(1)
    print(
        "| checkpoint | recipe | target | plan | real bytes | below | worst plan below | within 5,000 | plans / artifacts | CPU s |"
    )
    print("| --- | --- | ---: | --- | ---: | ---: | ---: | --- | ---: | ---: |", flush=True)
    for run in given.run:
        print("| " + " | ".join(measure(run, given.text)) + " |", flush=True)


if __name__ == "__main__":
    main()
