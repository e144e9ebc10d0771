"""A public artifact in PGRP as a script of golf reads it: the same codes and scales under our names, in our container."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError
from golf.reading.pgrp import read_pgrp
from golf.reading.public_weights import our_name

# a public key's ending: ours; gates and matrices are stored alike here
ENDINGS = {
    ".q": ":q", ".scale": ":s", ".gq": ":q", ".gs": ":s", ".lqA_a": ":a", ".lqAs_a": ":as", ".lqB_a": ":b", ".lqBs_a": ":bs",
    ".lqA": ":a", ".lqAs": ":as", ".lqB": ":b", ".lqBs": ":bs", ".awqg_start": ":g", ".awqg_s_hi": ":gs",
}  # fmt: skip
FLAT = (":s", ":as", ":bs", ":g", ":gs")
LEFT_OUT = (".awqg_size",)  # the recipe says it


def as_ours(public: Mapping[str, Any]) -> dict[str, Any]:
    """{our name: tensor} of what `read_pgrp` gives. GolfError names a weight that nothing here corresponds to."""
    ours = {}
    for name, tensor in public.items():
        if name.endswith(LEFT_OUT):
            continue
        ending = next((ending for ending in ENDINGS if name.endswith(ending)), "")
        kind = ENDINGS.get(ending, "")
        ours[our_name(name.removesuffix(ending)) + kind] = tensor.reshape(-1) if kind in FLAT else tensor
    return ours


def as_script_reads(artifact: Path, script: Path, to: Path) -> Path:
    """Write a public artifact as `script`, which golf composed, would have written its weights; returns `to`.

    GolfError: no artifact in PGRP, a weight of another recipe's, a script that golf did not compose.
    """
    from golf.models.golf_script import load_script

    tensors = as_ours(read_pgrp(artifact.read_bytes())[0])
    module = load_script(script)
    module.save_artifact(str(to), tensors)
    try:
        module.load_artifact(str(to), module.GPT())
    except ValueError as fault:
        raise GolfError(f"{artifact} and {script} are not of one recipe: {fault}",
                        "compose the recipe of that record: `golf new NAME --from PR`", Exit.REFUSED) from fault  # fmt: skip
    return to
