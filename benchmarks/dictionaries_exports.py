"""Exports as the libraries' own loaders read them: by how much their codes and outputs differ from golf's.

    python benchmarks/dictionaries_exports.py

Every architecture is trained for a moment on planted data, so that no weight is at its start, written by `golf sae export`, loaded by the
class that the library itself names in the file, and run on tokens that it was not trained on. Libraries that are not installed, and what
a library has no class for, are left out.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from dictionaries import planted
from dictionaries_contestants import Problem

from golf.errors import GolfError
from golf.sae.dictionary import Dictionary
from golf.sae.export import CLASSES, export
from golf.sae.files import file_name, load_dictionary, save_dictionary
from golf.sae.kinds import ARCHITECTURES
from golf.sae.layer import LayerTraining
from golf.sae.settings import Settings

PROBLEM = Problem(features=256, width=32, batch=256, steps=200)
LIBRARIES = {"saelens": ("sae_lens", "sae-lens"), "dictionary_learning": ("dictionary_learning", "dictionary-learning"),
             "sparsify": ("sparsify", "eai-sparsify")}  # layout: module, package  # fmt: skip
Codes = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]  # tokens -> codes, outputs


def trained(arch: str, home: Path) -> Dictionary:
    """A dictionary in a golf file, read back."""
    settings = Settings(
        tokens=PROBLEM.steps * PROBLEM.batch, expansion=PROBLEM.features // PROBLEM.width, arch=arch, lr=PROBLEM.rate,
        batch_tokens=PROBLEM.batch, seq_len=PROBLEM.batch, k=5,
    )  # fmt: skip
    training = LayerTraining(settings, PROBLEM.width, torch.device("cpu"))
    x = planted(PROBLEM, 0)[1] * 3.0 + 0.5  # neither centred nor of the scale that training has
    training.begin(x)
    for batch in x.split(PROBLEM.batch):
        training.step(batch)
    home.mkdir()
    config = {**training.sae.config, "target_layer": 4, "groups": settings.groups}
    path = save_dictionary(home / file_name(4, "final"), training.weights(), config, [])
    return load_dictionary(path)


def loaded(layout: str, arch: str, folder: Path) -> Codes:
    """What the library makes of an export."""
    if layout == "saelens":
        from sae_lens import SAE  # noqa: PLC0415

        theirs = SAE.load_from_disk(str(folder), device="cpu")
        return lambda x: (theirs.encode(x), theirs.decode(theirs.encode(x)))
    if layout == "dictionary_learning":
        from dictionary_learning.utils import load_dictionary as load  # noqa: PLC0415

        theirs, config = load(str(folder), device="cpu")
        assert config["trainer"]["dict_class"] == CLASSES[arch][0] == type(theirs).__name__
        return lambda x: (theirs.encode(x), theirs.decode(theirs.encode(x)))
    from sparsify import SparseCoder  # noqa: PLC0415

    coder = SparseCoder.load_from_disk(folder, device="cpu")

    def run(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = coder(x)
        codes = torch.zeros(len(x), coder.num_latents).scatter(1, found.latent_indices, found.latent_acts)
        return codes, found.sae_out

    return run


def rows() -> Iterator[str]:
    """A line per architecture and library."""
    x = planted(PROBLEM, 1)[2] * 3.0 + 0.5
    with tempfile.TemporaryDirectory() as place, torch.no_grad():
        for arch in ARCHITECTURES:
            home = Path(place) / arch
            with torch.enable_grad():
                one = trained(arch, home)
            out, codes = one(x)
            for layout, (module, _) in LIBRARIES.items():
                if not find_spec(module):
                    continue
                with contextlib.suppress(GolfError):  # no form of this architecture there
                    (folder,) = export(home, layout)
                    z, y = loaded(layout, arch, folder)(x)
                    same = float(((z != 0) == (codes != 0)).float().mean())
                    yield (f"| {arch} | {layout} | {float((z - codes).abs().max()):.1e} | {float((y - out).abs().max()):.1e} "
                           f"| {100 * same:.4f} % | {float((codes != 0).sum(1).float().mean()):.1f} |")  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    there = ", ".join(f"{name} {version(name)}" for module, name in LIBRARIES.values() if find_spec(module))
    print(
        f"# Exports, read by the libraries' own loaders\n\n{there or 'no library installed'}; largest differences over 8,192 tokens.\n"
    )
    print(
        "| architecture | library | codes | outputs | same features active | L0 |\n| --- | --- | ---: | ---: | ---: | ---: |"
    )
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
