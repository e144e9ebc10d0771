"""Dictionaries in the layouts of other libraries, so that their own loaders read them and compute the same.

    saelens              layer_LL/{cfg.json, sae_weights.safetensors}
    dictionary_learning  layer_LL/trainer_0/{config.json, ae.pt}
    sparsify             layers.LL/{cfg.json, sae.safetensors}
    golf                 sae_layerLL_final.pt, for dictionaries that came from elsewhere

Exact in each: with two biases, one b_d + b_pre before and after the code and W_e b_d added to the encoder's do the same; a transcoder's
b_pre goes into the encoder's bias, for others take nothing off. A ReLU dictionary is a TopK one with k = all features (sparsify has
nothing else); a BatchTopK threshold is a JumpReLU (SAELens has no other). What a library has no class for is refused.
"""

from pathlib import Path
from typing import Any

import torch

from golf.errors import Exit, GolfError
from golf.files import json_text, write_atomically
from golf.models.places import RESID
from golf.sae.api import dictionaries_in
from golf.sae.dictionary import Dictionary
from golf.sae.files import file_name, load_dictionary, refuse_full, save_dictionary, save_plain
from golf.sae.kinds.matryoshka import widths
from golf.sae.settings import PLACES, hook_name

LAYOUTS = ("saelens", "dictionary_learning", "sparsify", "golf")
CLASSES = {"relu": ("AutoEncoder", "StandardTrainer"), "topk": ("AutoEncoderTopK", "TopKTrainer"),
           "batchtopk": ("BatchTopKSAE", "BatchTopKTrainer"), "gated": ("GatedAutoEncoder", "GatedSAETrainer"),
           "jumprelu": ("JumpReluAutoEncoder", "JumpReluTrainer"),
           "matryoshka": ("MatryoshkaBatchTopKSAE", "MatryoshkaBatchTopKTrainer")}  # fmt: skip


def export(place: Path, to: str, out: Path | None = None, snapshot: str = "final") -> list[Path]:
    """Write every layer of a run (or one file, of any layout) as `to`; the folders or files written.

    out: default `<place>/export/<to>`; what is there already is not overwritten. GolfError: an architecture that `to` cannot hold.
    """
    if to not in LAYOUTS:
        raise GolfError(f"golf writes no `{to}` layout", f"choose one of {', '.join(LAYOUTS)}")
    paths = dictionaries_in(place, snapshot if place.is_dir() else None)
    home = out or (place if place.is_dir() else place.parent) / "export" / to
    refuse_full(home)
    write = {
        "saelens": write_saelens,
        "dictionary_learning": write_dictionary_learning,
        "sparsify": write_sparsify,
        "golf": write_golf,
    }[to]
    return [write(home, made, int(made.config.get("target_layer") or 0)) for made in map(load_dictionary, paths)]


def one_bias(made: Dictionary) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """(the one bias b_dec, the encoder's and of gated the magnitudes' bias) that do what two or three biases do.

    b_dec stands before and after the code; of a transcoder only after it.
    """
    second, names = made.decoder.bias, ("encoder.bias", "b_mag") if made.arch == "gated" else ("encoder.bias",)
    biases = {name: made.get_parameter(name).detach() for name in names}
    if second is None:
        return made.b_pre.detach(), biases
    b_dec, moved = (second, -made.b_pre) if made.transcodes else (made.b_pre + second, second)
    shift = (made.encoder.weight @ moved).detach()
    slopes = {"encoder.bias": 1.0, "b_mag": made.get_parameter("r_mag").detach().exp() if "b_mag" in biases else 1.0}
    return b_dec.detach(), {name: bias + slopes[name] * shift for name, bias in biases.items()}


def write_saelens(home: Path, made: Dictionary, layer: int) -> Path:
    folder, config = home / f"layer_{layer:02d}", made.config
    kind = {"relu": "standard", "topk": "topk", "gated": "gated"}.get(made.arch, "jumprelu")
    if made.transcodes:
        if kind not in ("standard", "jumprelu"):
            raise GolfError(f"SAELens has no transcoder of the architecture `{made.arch}`",
                            "`--to sparsify`" if kind == "topk" else "keep it in golf's layout", Exit.REFUSED)  # fmt: skip
        kind = "transcoder" if kind == "standard" else "jumprelu_transcoder"
    bias, biases = one_bias(made)
    tensors = {"W_enc": made.encoder.weight.T, "W_dec": made.decoder.weight.T, "b_dec": bias}
    if kind == "gated":
        tensors |= {"b_gate": biases["encoder.bias"], "b_mag": biases["b_mag"], "r_mag": made.get_parameter("r_mag")}
    else:
        tensors["b_enc"] = biases["encoder.bias"]
    cfg: dict[str, Any] = {
        "architecture": kind,
        "d_in": made.model_dim, "d_sae": made.features, "dtype": "float32", "device": "cpu",
        "apply_b_dec_to_input": not made.transcodes, "normalize_activations": "none", "reshape_activations": "none",
        "metadata": {
            "model_name": config.get("model_name"), "hook_name": hook_of(made, layer),
            "context_size": config.get("context_size"), "prepend_bos": False, "dataset_path": None,
            "sae_lens_version": "6.0.0", "sae_lens_training_version": None, "exported_by": "golf",
        },
    }  # fmt: skip
    if made.transcodes:
        cfg["d_out"] = made.out_dim
        cfg["metadata"]["hook_name_out"] = f"blocks.{layer}.hook_mlp_out"
    if kind == "topk":
        cfg |= {"k": made.k, "rescale_acts_by_decoder_norm": False}
    if kind.startswith("jumprelu"):
        tensors["threshold"] = made.threshold.expand(made.features)
    _write_json(folder / "cfg.json", cfg)
    _write_safetensors(folder / "sae_weights.safetensors", tensors)
    return folder


def hook_of(made: Dictionary, layer: int) -> str:
    """The name that TransformerLens has for where the dictionary reads."""
    place = str(made.config.get("place", RESID))
    return hook_name(layer, place if place in PLACES else RESID)


def write_dictionary_learning(home: Path, made: Dictionary, layer: int) -> Path:
    if made.transcodes:
        raise GolfError(
            "dictionary_learning has no transcoders", "`--to saelens` for relu, `--to sparsify` for topk", Exit.REFUSED
        )
    folder, (bias, biases) = home / f"layer_{layer:02d}" / "trainer_0", one_bias(made)
    encoder, decoder, encoder_bias = made.encoder.weight, made.decoder.weight, biases["encoder.bias"]
    if made.arch == "gated":
        tensors = {"encoder.weight": encoder, "decoder.weight": decoder, "decoder_bias": bias, "gate_bias": encoder_bias,
                   "mag_bias": biases["b_mag"], "r_mag": made.get_parameter("r_mag")}  # fmt: skip
    elif made.arch == "jumprelu":  # nothing is taken off before this encoder
        first = made.encoder.bias - encoder @ made.b_pre
        tensors = {"W_enc": encoder.T, "b_enc": first, "W_dec": decoder.T, "b_dec": bias, "threshold": made.threshold}
    elif made.arch == "matryoshka":
        ends = widths(made.features, made.groups)
        sizes = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
        tensors = {"W_enc": encoder.T, "b_enc": encoder_bias, "W_dec": decoder.T, "b_dec": bias, "threshold": made.threshold,
                   "k": torch.tensor(made.k, dtype=torch.int), "group_sizes": torch.tensor(sizes)}  # fmt: skip
    else:
        tensors = {"encoder.weight": encoder, "encoder.bias": encoder_bias, "decoder.weight": decoder}
        if made.arch == "relu":
            tensors["bias"] = bias
        else:
            threshold = made.threshold if made.arch == "batchtopk" else torch.tensor(-1.0)
            tensors |= {"b_dec": bias, "k": torch.tensor(made.k, dtype=torch.int), "threshold": threshold}
    dict_class, trainer_class = CLASSES[made.arch]
    trainer = {"trainer_class": trainer_class, "dict_class": dict_class, "activation_dim": made.model_dim, "dict_size": made.features,
               "lr": made.config.get("lr"), "layer": layer, "lm_name": made.config.get("model_name"), "k": made.k or None,
               "submodule_name": hook_of(made, layer)}  # fmt: skip
    buffer = {"d_submodule": made.model_dim, "io": "out", "ctx_len": made.config.get("context_size")}
    _write_json(folder / "config.json", {"trainer": trainer, "buffer": buffer})
    save_plain(folder / "ae.pt", {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()})
    return folder


def write_sparsify(home: Path, made: Dictionary, layer: int) -> Path:
    if made.arch not in ("relu", "topk"):
        raise GolfError(
            f"sparsify has no activation like that of a `{made.arch}` dictionary", "`--to saelens`", Exit.REFUSED
        )
    if made.out_dim != made.model_dim:
        raise GolfError(
            "sparsify's transcoders rebuild as many dimensions as they read", "`--to saelens`", Exit.REFUSED
        )
    folder, (bias, biases) = home / f"layers.{layer}", one_bias(made)
    tensors = {
        "encoder.weight": made.encoder.weight,
        "encoder.bias": biases["encoder.bias"],
        "W_dec": made.decoder.weight.T,
        "b_dec": bias,
    }
    cfg = {"activation": "topk", "expansion_factor": max(made.features // made.model_dim, 1), "normalize_decoder": True,
           "num_latents": made.features, "k": made.k if made.arch == "topk" else made.features, "multi_topk": False, "skip_connection": False,
           "transcode": made.transcodes, "d_in": made.model_dim}  # fmt: skip
    _write_json(folder / "cfg.json", cfg)
    _write_safetensors(folder / "sae.safetensors", tensors)
    return folder


def write_golf(home: Path, made: Dictionary, layer: int) -> Path:
    config = {"target_layer": layer, **made.config}
    return save_dictionary(home / file_name(layer, "final"), made.state_dict(), config, made.stats)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json_text(content, 1) + "\n").encode())


def _write_safetensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    from safetensors.torch import save

    plain = {name: tensor.detach().float().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_atomically(path, save(plain))
