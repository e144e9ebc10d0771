"""`golf sae ckpt`: a training's state as the one file that the card of `cayley-large-2L` describes (`ckpt.pt`), and back.

    model              {name: tensor}, by golf's names: those of the card's private code are not public
    optimizer_states   one dictionary for Muon's and one for AdamW's tensors: {name: {"momentum": …}}, {name: {"exp_avg": …, …}}
    iter_num           optimizer steps
    best_val_loss      nats per token, the least that was validated
    config             the recipe's plain values

Read with `torch.load(path, weights_only=True)`. What golf needs besides to go on (seed, place in the data) is in config under `golf`.
"""

from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError
from golf.parts.artifact import RawCoder, read_container, write_container
from golf.run.layout import BEST, LAST, TRAINING
from golf.sae.files import load_plain, save_plain

KEYS = ("model", "optimizer_states", "iter_num", "best_val_loss", "config")


def write_checkpoint(place: Path, out: Path, name: str = BEST) -> Path:
    """Write the state `name` (best.golf, last.golf, resume.golf) of a seed's folder, or the file `place`, as `out`; returns it.

    GolfError: no such state; (10) `out` is there already, or the file is damaged.
    """
    path = place / name if place.is_dir() else place
    if not path.is_file():
        raise GolfError(
            f"{place} holds no {name}",
            f"states are {BEST}, {LAST} and, while it trains, {TRAINING}: `[checkpoints] keep_states`",
        )
    if out.exists():
        raise GolfError(f"{out} is there already", "name another file: `--out`", Exit.REFUSED)
    try:
        tensors, meta = read_container(str(path), RawCoder)
    except ValueError as fault:
        raise GolfError(f"{path} is damaged: {fault}", "take another state of the run", Exit.REFUSED) from fault
    states: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for entry, tensor in tensors.items():
        weight, _, key = entry.partition(":")
        if key:
            states[key != "momentum"].setdefault(weight, {})[key] = tensor
    content = {
        "model": {entry: tensor for entry, tensor in tensors.items() if ":" not in entry},
        "optimizer_states": list(states), "iter_num": meta.get("step"), "best_val_loss": meta.get("best_val_loss"),
        "config": {**_recipe_values(path.parent), "golf": meta},
    }  # fmt: skip
    return save_plain(out, content)


def read_checkpoint(path: Path, out: Path) -> Path:
    """Write a ckpt.pt as the state `out` in golf's container: named resume.golf in the folder of a seed, training goes on from it.

    GolfError: no checkpoint of this form (its names of weights are not checked here: the training does); (10) `out` is there already.
    """
    saved = load_plain(path)
    if missing := [key for key in KEYS if not isinstance(saved, dict) or key not in saved]:
        raise GolfError(
            f"{path} is no checkpoint of this form: it has no {', '.join(missing)}", f"it wants {', '.join(KEYS)}"
        )
    if out.exists():
        raise GolfError(f"{out} is there already", "name another file: `--out`", Exit.REFUSED)
    tensors = {}
    for name, tensor in saved["model"].items():
        tensors[name] = tensor
        for states in saved["optimizer_states"]:
            tensors |= {f"{name}:{key}": value for key, value in states.get(name, {}).items()}
    meta = {**saved["config"].get("golf", {}), "step": saved["iter_num"], "best_val_loss": saved["best_val_loss"]}
    write_container(str(out), tensors, {key: value for key, value in meta.items() if value is not None}, RawCoder)
    return out


def _recipe_values(folder: Path) -> dict[str, Any]:
    """The plain values of the script in a run's folder, one of its parents, or nothing where there is none."""
    from golf.run.definitions import load_script

    script = next(
        (one / "train_gpt.py" for one in (folder, *folder.parents[:4]) if (one / "train_gpt.py").is_file()), None
    )
    if script is None:
        return {}
    knobs = vars(load_script(script).h)
    return {
        name: value for name, value in knobs.items() if isinstance(value, bool | int | float | str) and name[:1] != "_"
    }
