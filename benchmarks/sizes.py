"""Bytes of `model.golf` that `golf size` predicts, against real artifacts: full shapes with simulated weights, kept runs, published.

simulated   every tensor of the recipe at full shape, Gaussian rows whose scale differs by 8 %, columns by 10 %, the matrices'
            deviation as predicted from Muon's settings; the recipe's own quantizer (GPTQ rounds to nearest: there are no
            Hessians) and its own coder, written and weighed
as public   the simulated tensors through the public script's own container (`as_published.py`): ours must not be larger
whole       simulated model and the recipe's packed script, beside the published whole; over 16,000,000 bytes it says OVER
kept        run folders (`--runs`): the small twin's real artifact of the recipe that the submission is named after

    $ python benchmarks/sizes.py --recipes baseline pr1394 --runs projects/*/submissions/*/runs/*-smoke/seed_*
    $ python benchmarks/sizes.py --recipes pr1573 --whole
"""

import argparse
import statistics
import tempfile
import time
import zlib
from pathlib import Path

import torch
from as_published import COMPRESSORS, published_bytes

from golf.artifact.predict import Tensor, predict, tensors_of
from golf.challenge import CAP_BYTES
from golf.compose import compose
from golf.compose.pack import pack
from golf.parts.quant import quantize, save_artifact
from golf.parts.tags import Tag, Tagged
from golf.recipe import Recipe, load_recipe, shipped_recipes, smoke_recipe
from golf.recipe.namespace import namespace

# model bytes in the official logs, mean over seeds
PUBLISHED = {
    "baseline": [15_814_468],
    "pr1019": [15_774_460, 15_761_428, 15_883_000],
    "pr1493": [15_976_325, 15_975_300, 15_976_638],
    "pr1573": [15_807_340],
}
TABLE_DEVIATION = 0.2  # of embeddings and hashed tables, which Adam trains


def simulated(tensor: Tensor) -> torch.Tensor:
    rng = torch.Generator().manual_seed(zlib.crc32(tensor.name.encode()))
    w = torch.randn(tensor.shape, generator=rng)
    if w.ndim < 2:
        return w
    w *= 1 + 0.08 * torch.randn(*w.shape[:-1], 1, generator=rng)
    w *= 1 + 0.10 * torch.randn(w.shape[-1], generator=rng)
    return w * (tensor.deviation or TABLE_DEVIATION)


def simulated_tensors(recipe: Recipe) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    """What `quantize` makes of a recipe's simulated weights, and the bits of the codes of each."""
    tensors, _ = tensors_of(recipe)
    tagged = [Tagged(t.name, torch.empty(t.shape), Tag("", t.role, "", None)) for t in tensors]
    made = quantize(namespace(recipe), tagged, {t.name: simulated(t) for t in tensors}, {})
    return made, {t.name: t.bits for t in tensors if t.bits}


def artifact_bytes(recipe: Recipe, tensors: dict[str, torch.Tensor]) -> int:
    """The artifact, written and weighed."""
    with tempfile.TemporaryDirectory() as folder:
        return int(save_artifact(namespace(recipe), str(Path(folder) / "model.golf"), tensors)[0])


def real_bytes(name: str) -> int:
    """The artifact of a recipe at full shape."""
    recipe = load_recipe(name)
    return artifact_bytes(recipe, simulated_tensors(recipe)[0])


def whole(names: list[str]) -> None:
    """Whole artifacts at full shape: ours, the same tensors as the public script stored them, and what it published."""
    print(
        "| recipe | model, simulated | as public | ours / public | script, packed | whole | under the cap | published | CPU s |"
    )
    print("| --- |" + " ---: |" * 8, flush=True)
    for name in names:
        begun, recipe = time.process_time(), load_recipe(shipped_recipes().get(name, name))
        tensors, bits = simulated_tensors(recipe)
        ours, code = artifact_bytes(recipe, tensors), len(pack(compose(recipe)))
        public = published_bytes(name, tensors, bits) if name in COMPRESSORS else 0
        left = CAP_BYTES - ours - code
        said = recipe.published.get("artifact_bytes")
        cells = [name, f"{ours:,}", f"{public:,}" if public else "", f"{ours / public:.4f}" if public else "", f"{code:,}",
                 f"{ours + code:,}", f"{left:,}" if left >= 0 else f"**OVER by {-left:,}**", f"{said:,}" if said else "",
                 f"{time.process_time() - begun:.0f}"]  # fmt: skip
        print("| " + " | ".join(cells) + " |", flush=True)


def off(predicted: int | None, real: float) -> str:
    return "" if predicted is None or not real else f"{predicted / real - 1:+.2%}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--recipes", nargs="*", default=[n for n in shipped_recipes() if n.startswith(("pr", "base"))])
    options.add_argument("--runs", nargs="*", type=Path, default=[], help="run folders with a model.golf")
    options.add_argument("--no-simulation", action="store_true")
    options.add_argument(
        "--whole", action="store_true", help="the second table: whole artifacts beside the published ones"
    )
    given = options.parse_args()
    torch.set_num_threads(1)
    if given.whole:
        whole(given.recipes)
        return
    print(
        "| recipe | predicted | said ± | simulated | off | published | off | small twin predicted | real | off | CPU s |"
    )
    print("| --- |" + " ---: |" * 10, flush=True)
    for name in given.recipes:
        begun = time.process_time()
        full, twin = predict(load_recipe(name)), predict(smoke_recipe(load_recipe(name)))
        mine = [run / "model.golf" for run in given.runs if run.parts[-4] == name]
        kept = statistics.mean(path.stat().st_size for path in mine) if mine else 0
        made = 0 if given.no_simulation else real_bytes(name)
        known = statistics.mean(PUBLISHED.get(name, [0]))
        cells = [name, f"{full.estimate_bytes:,}", f"{full.within:.1%}", f"{made:,}" if made else "", off(full.estimate_bytes, made),
                 f"{known:,.0f}" if known else "", off(full.estimate_bytes, known), f"{twin.estimate_bytes:,}",
                 f"{kept:,.0f}" if kept else "", off(twin.estimate_bytes, kept), f"{time.process_time() - begun:.0f}"]  # fmt: skip
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
