"""Files of dictionaries: ours, and five layouts of others, told apart by what is inside. Nothing in a file is ever executed.

    ours                 sae_layer{LL}_{SNAPSHOT}.pt: {"format", "model_state", "config", "stats"}
    published (COLM)     the same names, in `model_state` or at the top, with or without a second bias
    dictionary_learning  ae.pt: bias, b_dec or decoder_bias, encoder.*, decoder.weight, or W_enc …; its config.json beside it
    OpenAI               pre_bias, encoder.weight, latent_bias, decoder.weight
    SAELens              cfg.json + sae_weights.safetensors: W_enc (d, F), b_enc or b_gate, W_dec (F, d), b_dec
    sparsify             cfg.json + sae.safetensors: encoder.weight (F, d), encoder.bias, W_dec (F, d), b_dec

A transcoder's file of ours says `transcodes` and `d_out` in its config.

Sources: SAELens 6.54 `saes/`, dictionary_learning 0.1 `dictionary.py` and `trainers/`, eai-sparsify 1.3 `sparse_coder.py`, OpenAI's
`sparse_autoencoder/model.py`, and the published measurement code of arXiv 2604.04037.
"""

import errno
import json
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from golf.errors import Exit, GolfError
from golf.files import parse_json, whole_file
from golf.sae.dictionary import Dictionary
from golf.sae.kinds import make
from golf.sae.layouts import State, translated

FORMAT = "golf-sae/1"
NAME = re.compile(r"sae_layer(\d+)_(.+)\.pt")


def file_name(layer: int, snapshot: str) -> str:
    """`sae_layer07_50M.pt`."""
    return f"sae_layer{layer:02d}_{snapshot}.pt"


def named_files(folder: Path) -> Iterator[tuple[int, str, Path]]:
    """(layer, snapshot, path) of the dictionaries in a run's folder, by name; none where it is no folder."""
    for path in sorted(folder.glob("sae_layer*.pt")) if folder.is_dir() else ():
        if match := NAME.fullmatch(path.name):
            yield int(match[1]), match[2], path


def save_dictionary(
    path: Path, state: Mapping[str, torch.Tensor], config: Mapping[str, Any], stats: list[dict[str, Any]]
) -> Path:
    """Write one dictionary, whole or not at all: tensors and plain values, so that `weights_only=True` reads it. Returns `path`."""
    # by way of JSON: pickle writes equal strings otherwise where they are one object, and a resumed run would differ in that
    said = json.loads(json.dumps({"config": dict(config), "stats": stats}))
    content = {
        "format": FORMAT,
        "model_state": {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()},
        **said,
    }
    return save_plain(path, content)


def save_plain(path: Path, content: Any) -> Path:
    """torch.save, whole or not at all, with equal bytes for equal content."""
    with whole_file(path) as file:  # a file object: a path's name would be written into the file
        try:
            torch.save(content, file)
        except RuntimeError as fault:  # what torch makes of a write that failed
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from fault
    return path


def refuse_full(folder: Path) -> None:
    """GolfError (10) where a folder that shall be written holds something already."""
    if folder.exists() and any(folder.iterdir()):
        raise GolfError(f"{folder} is there already", "name another folder: `--out`", Exit.REFUSED)


def load_plain(path: Path) -> Any:
    """What a .pt file of tensors and plain values holds, on the CPU; GolfError for a missing or damaged file, or one that wants more."""
    try:
        _check_sums(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise GolfError(f"no file {path}", "name a dictionary's file, or the folder of its run") from None
    except pickle.UnpicklingError as fault:
        if zipfile.is_zipfile(path):
            raise GolfError(f"{path} holds more than tensors and plain values: reading it would run its code",
                            "have its maker save tensors only, or a safetensors file", Exit.REFUSED) from fault  # fmt: skip
        raise GolfError(f"{path} is no file of tensors", "name a .pt or .safetensors file of a dictionary") from fault
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as fault:
        raise GolfError(f"{path} is damaged or no file of tensors: {str(fault).splitlines()[0][:120] if str(fault) else fault!r}",
                        "write it again") from fault  # fmt: skip


def _check_sums(path: Path) -> None:
    """ValueError where a zip's own checksums say that it was changed; torch does not look at them."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            if damaged := file.testzip():
                raise ValueError(f"{damaged} does not have its checksum")


def load_dictionary(place: str | Path) -> Dictionary:
    """The dictionary in a file or folder of any layout above, ready to encode (`.eval()`).

    `.config` has d_model, d_sae, arch, k and what the file says besides; `.config["layout"]` names the layout; `.stats` are its rows.
    GolfError: missing, damaged, of no known layout, with a step that golf would not reproduce, or with code inside.
    """
    path, config = _file_in(Path(place).expanduser())
    raw = _read_safetensors(path) if path.suffix == ".safetensors" else load_plain(path)
    if not isinstance(raw, dict):
        raise GolfError(f"{path} holds a {type(raw).__name__}, not the tensors of a dictionary", "name another file")
    own = raw.get("config")
    config = {**config, **(own if isinstance(own, dict) else {})}
    nested = raw.get("model_state")
    state, said = translated(nested if isinstance(nested, dict) else raw, config, path)
    stats = raw.get("stats")
    return _assembled(path, state, {**config, **said}, stats if isinstance(stats, list) else [])


def _assembled(path: Path, state: State, config: dict[str, Any], stats: list[dict[str, Any]]) -> Dictionary:
    shape, decoder = state["encoder.weight"].shape, state["decoder.weight"].shape
    transcodes = bool(config.get("transcodes")) and len(decoder) == 2
    out = decoder[0] if transcodes else shape[-1]
    if len(shape) != 2 or any(
        tuple(state[name].shape) != wanted for name, wanted in _shapes(shape[0], shape[1], out).items()
    ):
        found = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in sorted(state.items()))
        raise GolfError(f"the shapes in {path} are not those of one dictionary: {found}", "name another file")
    arch, k, groups = str(config.get("arch", "relu")), int(config.get("k") or 0), int(config.get("groups") or 1)
    made = make(
        arch,
        shape[1],
        shape[0],
        k=k,
        groups=groups,
        two_biases="decoder.bias" in state,
        out_dim=out if transcodes else None,
    )
    wanted = made.state_dict()
    if wanted.keys() != state.keys():
        raise GolfError(f"{path} is no `{arch}` dictionary: {', '.join(sorted(wanted.keys() ^ state.keys()))} too many or missing",
                        "name another file")  # fmt: skip
    made.load_state_dict({name: tensor.float().reshape(wanted[name].shape) for name, tensor in state.items()})
    made.config = {**config, **made.config}
    made.stats = stats
    made.eval()
    return made


def _shapes(features: int, width: int, out: int) -> dict[str, tuple[int, ...]]:
    return {"b_pre": (width,), "encoder.bias": (features,), "decoder.weight": (out, features)}


def _file_in(place: Path) -> tuple[Path, dict[str, Any]]:
    """The file with the tensors, and the configuration that lies beside it."""
    if place.is_dir():
        names = ("sae_weights.safetensors", "sae.safetensors", "ae.pt")
        found = next((place / name for name in names if (place / name).is_file()), None)
        if found is None:
            raise GolfError(f"{place} holds none of {', '.join(names)}", "name the file of one dictionary")
        place = found
    beside = {"ae.pt": "config.json"}.get(place.name, "cfg.json")
    sidecar = place.with_name(beside)
    if NAME.fullmatch(place.name) or not sidecar.is_file():
        return place, {}
    try:
        config = parse_json(sidecar.read_text())
    except ValueError as fault:
        raise GolfError(f"{sidecar} is not JSON: {fault}", "write it again") from fault
    return place, config if isinstance(config, dict) else {}


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: State = load_file(path, device="cpu")
    except FileNotFoundError:
        raise GolfError(f"no file {path}", "name a dictionary's file") from None
    except (SafetensorError, OSError, struct.error) as fault:
        raise GolfError(f"{path} is damaged or no safetensors file: {fault}", "write it again") from fault
    return state
