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
        ({"encoder.weight", "gate_bias", "mag_bias", "r_mag", "decoder.weight", "decoder_bias"}, _gated),
        ({"W_enc", "W_dec", "b_dec"}, _saelens if "architecture" in config or "threshold" not in tensors else _wide),
        ({"encoder.weight", "encoder.bias", "W_dec", "b_dec"}, _sparsify),
    ):
        if needed <= tensors.keys():
            return read(tensors, config, raw, path)
    raise GolfError(f"{path} has no layout that golf knows: {', '.join(sorted(tensors)[:6]) or 'no tensors'}",
                    "known: golf, the published Pythia dictionaries, dictionary_learning, OpenAI, SAELens, sparsify")  # fmt: skip


def _ours(tensors: State, config: Mapping[str, Any], raw: Any, path: Path) -> tuple[State, Said]:
    names = ("b_pre", "encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias", "threshold", "r_mag", "b_mag")
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
    """AutoEncoder, AutoEncoderTopK, BatchTopKSAE."""
    bias = tensors.get("b_dec", tensors.get("bias"))
    if bias is None:
        raise GolfError(
            f"{path} has neither `bias` nor `b_dec`", "golf reads AutoEncoder, AutoEncoderTopK and BatchTopKSAE"
        )
    state = {"b_pre": bias, **{n: tensors[n] for n in ("encoder.weight", "encoder.bias", "decoder.weight")}}
    k = int(tensors["k"]) if "k" in tensors else 0
    arch = "relu" if not k else "batchtopk" if _trainer(config).get("dict_class") == "BatchTopKSAE" else "topk"
    if arch == "batchtopk":
        state["threshold"] = tensors["threshold"]
    return state, {"arch": arch, "k": k, **_trained_by(config)}


def _gated(tensors: State, config: Mapping[str, Any], raw: Any, path: Path) -> tuple[State, Said]:
    """dictionary_learning's GatedAutoEncoder."""
    state = {"b_pre": tensors["decoder_bias"], "encoder.bias": tensors["gate_bias"], "b_mag": tensors["mag_bias"],
             **{name: tensors[name] for name in ("encoder.weight", "decoder.weight", "r_mag")}}  # fmt: skip
    return state, {"arch": "gated", "k": 0, **_trained_by(config)}


def _wide(tensors: State, config: Mapping[str, Any], raw: Any, path: Path) -> tuple[State, Said]:
    """dictionary_learning's JumpReluAutoEncoder and MatryoshkaBatchTopKSAE: (d, F) and (F, d), as SAELens has them."""
    state = {"encoder.weight": tensors["W_enc"].T, "encoder.bias": tensors["b_enc"], "decoder.weight": tensors["W_dec"].T,
             "threshold": tensors["threshold"]}  # fmt: skip
    if "group_sizes" in tensors:
        state["b_pre"] = tensors["b_dec"]
        said = {"arch": "matryoshka", "k": int(tensors["k"]), "groups": len(tensors["group_sizes"])}
        return state, said | _trained_by(config)
    return state | {"b_pre": torch.zeros_like(tensors["b_dec"]), "decoder.bias": tensors["b_dec"]}, {
        "arch": "jumprelu", "k": 0, **_trained_by(config),
    }  # fmt: skip


def _trainer(config: Mapping[str, Any]) -> Mapping[str, Any]:
    found = config.get("trainer")
    return found if isinstance(found, dict) else {}


def _trained_by(config: Mapping[str, Any]) -> Said:
    """What a dictionary_learning config says of the training."""
    trainer = _trainer(config)
    known = {"model_name": trainer.get("lm_name"), "target_layer": trainer.get("layer"), "lr": trainer.get("lr")}
    return {"layout": "dictionary_learning", **{name: value for name, value in known.items() if value is not None}}


SAELENS = {"standard": "relu", "topk": "topk", "jumprelu": "jumprelu", "gated": "gated", "transcoder": "relu",
           "jumprelu_transcoder": "jumprelu"}  # fmt: skip


def _saelens(tensors: State, config: Mapping[str, Any], raw: Any, path: Path) -> tuple[State, Said]:
    if config.get("normalize_activations") not in (None, "none", False):
        raise GolfError(
            f"{path} rescales activations at run time", "fold that into its weights before you export it", Exit.REFUSED
        )
    theirs = str(config.get("architecture", "standard"))
    if theirs not in SAELENS:
        raise GolfError(f"the architecture of {path} is `{theirs}`", f"golf reads {', '.join(SAELENS)}", Exit.REFUSED)
    arch, transcodes = SAELENS[theirs], theirs.endswith("transcoder")
    first = tensors["b_gate" if arch == "gated" else "b_enc"]
    norms = torch.ones_like(first)
    if config.get(
        "rescale_acts_by_decoder_norm"
    ):  # codes times the decoder's norms, and a decoder over them: the same by weights
        norms = tensors["W_dec"].norm(dim=1).clamp_min(1e-12)
    state = {
        "encoder.weight": tensors["W_enc"].T * norms[:, None],
        "encoder.bias": first * norms,
        "decoder.weight": tensors["W_dec"].T / norms,
    }
    if config.get("apply_b_dec_to_input", not transcodes):
        state["b_pre"] = tensors["b_dec"]
    else:
        state |= {"b_pre": torch.zeros_like(tensors["W_enc"][:, 0]), "decoder.bias": tensors["b_dec"]}
    if arch == "jumprelu":
        state["threshold"] = tensors["threshold"]
    if arch == "gated":
        state |= {"r_mag": tensors["r_mag"], "b_mag": tensors["b_mag"]}
    named = config.get("metadata") if isinstance(config.get("metadata"), dict) else {}
    assert isinstance(named, dict)
    said: dict[str, Any] = {"layout": "saelens", "arch": arch, "k": int(config.get("k") or 0)}
    if transcodes:
        said["transcodes"] = True
    if named.get("model_name"):
        said["model_name"] = named["model_name"]
    if layer := re.search(r"blocks\.(\d+)\.", str(named.get("hook_name"))):
        said["target_layer"] = int(layer[1])
    return state, said


def _sparsify(tensors: State, config: Mapping[str, Any], raw: Any, path: Path) -> tuple[State, Said]:
    if config.get("activation", "topk") != "topk" or "W_skip" in tensors:
        raise GolfError(
            f"{path} has a skip connection or another activation than topk",
            "golf reads sparsify's autoencoders and transcoders without one",
            Exit.REFUSED,
        )
    state = {"b_pre": tensors["b_dec"], "encoder.weight": tensors["encoder.weight"],
             "encoder.bias": tensors["encoder.bias"], "decoder.weight": tensors["W_dec"].T}  # fmt: skip
    if config.get("transcode"):  # nothing is taken off before the encoder
        state |= {"b_pre": torch.zeros(tensors["encoder.weight"].shape[1]), "decoder.bias": tensors["b_dec"]}
    features, k = len(tensors["encoder.bias"]), int(config.get("k", 32))
    said: dict[str, Any] = {
        "layout": "sparsify",
        "arch": "relu" if k >= features else "topk",
        "k": 0 if k >= features else k,
    }
    if config.get("transcode"):
        said["transcodes"] = True
    if layer := re.search(r"layers\.(\d+)", str(path.parent)):
        said["target_layer"] = int(layer[1])
    return state, said
