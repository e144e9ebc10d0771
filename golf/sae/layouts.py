"""The layouts that dictionaries come in, told apart by the names of their tensors, and put into ours."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from golf.errors import Exit, GolfError

State = dict[str, torch.Tensor]
Said = dict[str, Any]  # what a layout says of the dictionary: arch, k, and what else it knows


def translated(raw: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> tuple[State, Said]:
    """Our names for the tensors of a file, and what its layout says of it."""
    tensors = {name: value for name, value in raw.items() if isinstance(value, torch.Tensor)}
    for needed, read in (
        ({"b_pre", "encoder.weight", "encoder.bias", "decoder.weight"}, _ours),
        ({"pre_bias", "encoder.weight", "latent_bias", "decoder.weight"}, _openai),
        ({"encoder.weight", "encoder.bias", "decoder.weight"}, _dictionary_learning),
        ({"W_enc", "b_enc", "W_dec", "b_dec"}, _saelens),
        ({"encoder.weight", "encoder.bias", "W_dec", "b_dec"}, _sparsify),
    ):
        if needed <= tensors.keys():
            return read(tensors, config, raw, path)
    raise GolfError(f"{path} has no layout that golf knows: {', '.join(sorted(tensors)[:6]) or 'no tensors'}",
                    "known: golf, the published Pythia dictionaries, dictionary_learning, OpenAI, SAELens, sparsify")  # fmt: skip


def _ours(tensors: State, config: Mapping[str, Any], raw: Any, path: Path) -> tuple[State, Said]:
    names = ("b_pre", "encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias", "threshold")
    return {n: tensors[n] for n in names if n in tensors}, {
        "layout": "golf" if raw.get("format") or "arch" in config else "colm"
    }


def _openai(tensors: State, config: Mapping[str, Any], raw: Any, path: Path) -> tuple[State, Said]:
    state = {"b_pre": tensors["pre_bias"], "encoder.weight": tensors["encoder.weight"],
             "encoder.bias": tensors["latent_bias"], "decoder.weight": tensors["decoder.weight"]}  # fmt: skip
    inner = raw.get("activation_state_dict")
    k = inner.get("k") if isinstance(inner, dict) else raw.get("activation_state_dict.k", config.get("k"))
    if raw.get("activation", "TopK" if k else "ReLU") not in ("ReLU", "TopK"):
        raise GolfError(f"the activation of {path} is `{raw['activation']}`", "golf reads ReLU and TopK", Exit.REFUSED)
    return state, {"layout": "openai", "arch": "topk" if k else "relu", "k": int(k or 0)}


def _dictionary_learning(tensors: State, config: Mapping[str, Any], raw: Any, path: Path) -> tuple[State, Said]:
    trainer = config.get("trainer") if isinstance(config.get("trainer"), dict) else {}
    assert isinstance(trainer, dict)
    bias = tensors.get("b_dec", tensors.get("bias"))
    if bias is None:
        raise GolfError(
            f"{path} has neither `bias` nor `b_dec`", "golf reads AutoEncoder, AutoEncoderTopK and BatchTopKSAE"
        )
    state = {"b_pre": bias, **{n: tensors[n] for n in ("encoder.weight", "encoder.bias", "decoder.weight")}}
    k = int(tensors["k"]) if "k" in tensors else 0
    arch = "relu" if not k else "batchtopk" if trainer.get("dict_class") == "BatchTopKSAE" else "topk"
    if arch == "batchtopk":
        state["threshold"] = tensors["threshold"]
    said = {"layout": "dictionary_learning", "arch": arch, "k": k}
    known = {"model_name": trainer.get("lm_name"), "target_layer": trainer.get("layer"), "lr": trainer.get("lr")}
    return state, said | {name: value for name, value in known.items() if value is not None}


def _saelens(tensors: State, config: Mapping[str, Any], raw: Any, path: Path) -> tuple[State, Said]:
    if config.get("normalize_activations") not in (None, "none", False):
        raise GolfError(
            f"{path} rescales activations at run time", "fold that into its weights before you export it", Exit.REFUSED
        )
    arch = str(config.get("architecture", "standard"))
    if arch not in ("standard", "topk", "jumprelu"):
        raise GolfError(
            f"the architecture of {path} is `{arch}`", "golf reads standard, topk and jumprelu", Exit.REFUSED
        )
    norms = torch.ones_like(tensors["b_enc"])
    if config.get(
        "rescale_acts_by_decoder_norm"
    ):  # codes times the decoder's norms, and a decoder over them: the same by weights
        norms = tensors["W_dec"].norm(dim=1).clamp_min(1e-12)
    state = {
        "encoder.weight": tensors["W_enc"].T * norms[:, None],
        "encoder.bias": tensors["b_enc"] * norms,
        "decoder.weight": tensors["W_dec"].T / norms,
    }
    if config.get("apply_b_dec_to_input", True):
        state["b_pre"] = tensors["b_dec"]
    else:
        state |= {"b_pre": torch.zeros_like(tensors["b_dec"]), "decoder.bias": tensors["b_dec"]}
    if arch == "jumprelu":
        state["threshold"] = tensors["threshold"]
    named = config.get("metadata") if isinstance(config.get("metadata"), dict) else {}
    assert isinstance(named, dict)
    said: dict[str, Any] = {
        "layout": "saelens",
        "arch": "relu" if arch == "standard" else arch,
        "k": int(config.get("k") or 0),
    }
    if named.get("model_name"):
        said["model_name"] = named["model_name"]
    if layer := re.search(r"blocks\.(\d+)\.", str(named.get("hook_name"))):
        said["target_layer"] = int(layer[1])
    return state, said


def _sparsify(tensors: State, config: Mapping[str, Any], raw: Any, path: Path) -> tuple[State, Said]:
    if config.get("activation", "topk") != "topk" or config.get("transcode") or "W_skip" in tensors:
        raise GolfError(
            f"{path} is a transcoder or has another activation than topk",
            "golf reads sparsify's autoencoders",
            Exit.REFUSED,
        )
    state = {"b_pre": tensors["b_dec"], "encoder.weight": tensors["encoder.weight"],
             "encoder.bias": tensors["encoder.bias"], "decoder.weight": tensors["W_dec"].T}  # fmt: skip
    features, k = len(tensors["encoder.bias"]), int(config.get("k", 32))
    said: dict[str, Any] = {
        "layout": "sparsify",
        "arch": "relu" if k >= features else "topk",
        "k": 0 if k >= features else k,
    }
    if layer := re.search(r"layers\.(\d+)", str(path.parent)):
        said["target_layer"] = int(layer[1])
    return state, said
