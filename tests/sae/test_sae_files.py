"""Files of dictionaries: ours round-trip and run nothing, five foreign layouts are read, three are written, each computing the same."""

import json
import struct

import numpy as np
import pytest
import torch

from golf.cli.sae import info
from golf.errors import Exit, GolfError
from golf.sae.dictionary import Dictionary, unscaled
from golf.sae.export import export
from golf.sae.files import file_name, load_dictionary, save_dictionary
from golf.sae.kinds import make, seeded

D, F = 6, 20
ARCHS = {"relu": {}, "topk": {"k": 3}, "batchtopk": {"k": 3}}


def made(arch="relu", two_biases=False, seed=1) -> Dictionary:
    torch.manual_seed(seed)
    one = make(arch, D, F, two_biases=two_biases, **ARCHS.get(arch, {}))
    with torch.no_grad():
        for param in one.parameters():
            if param.ndim == 1:
                param.normal_(std=0.3)
        if arch in ("batchtopk", "jumprelu"):
            one.threshold.fill_(0.2)
    return one.eval()


def saved(path, one, **config):
    return save_dictionary(
        path,
        one.state_dict(),
        {**one.config, "target_layer": 4, "model_name": "mine", **config},
        [{"tokens": 8, "l0": 1.5}],
    )


X = torch.randn(50, D, generator=torch.Generator().manual_seed(0))


def same(a, b, exact=False):
    (x, z), (y, w) = a(X), b(X)
    tolerance = 0.0 if exact else 1e-5
    return bool((x - y).abs().max() <= tolerance and (z - w).abs().max() <= tolerance)


@pytest.mark.parametrize("two_biases", [False, True])
@pytest.mark.parametrize("arch", ARCHS)
def test_ours_round_trips_exactly_and_is_tensors_and_plain_values(arch, two_biases, tmp_path):
    one = made(arch, two_biases)
    path = saved(tmp_path / file_name(4, "50M"), one)
    content = torch.load(path, weights_only=True)
    assert content["format"] == "golf-sae/1" and set(content) == {"format", "model_state", "config", "stats"}
    read = load_dictionary(path)
    assert same(one, read, exact=True) and read.arch == arch and read.stats == [{"tokens": 8, "l0": 1.5}]
    assert read.config["layout"] == "golf" and read.config["d_sae"] == F and read.config["target_layer"] == 4
    first = path.read_bytes()
    assert saved(path, one).read_bytes() == first


class Evil:
    def __reduce__(self):
        return (print, ("it ran",))


def test_a_file_with_code_inside_is_refused_and_not_run(tmp_path, capsys):
    torch.save({"model_state": made().state_dict(), "config": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(GolfError, match="more than tensors and plain values") as caught:
        load_dictionary(tmp_path / "evil.pt")
    assert caught.value.code == Exit.REFUSED and capsys.readouterr().out == ""


def test_damage_and_strangers_are_named(tmp_path):
    path = saved(tmp_path / "a.pt", made())
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2], whole[:50] + bytes(20) + whole[70:]):
        path.write_bytes(content)
        with pytest.raises(GolfError):
            load_dictionary(path)
    torch.save({"weight": torch.ones(3)}, path)
    with pytest.raises(GolfError, match="no layout that golf knows: weight"):
        load_dictionary(path)
    torch.save([1, 2], path)
    with pytest.raises(GolfError, match="holds a list"):
        load_dictionary(path)
    torch.save({"model_state": made().state_dict() | {"b_pre": torch.zeros(D + 1)}}, path)
    with pytest.raises(GolfError, match="shapes"):
        load_dictionary(path)
    with pytest.raises(GolfError, match="no file"):
        load_dictionary(tmp_path / "nothing.pt")
    (tmp_path / "b.safetensors").write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    with pytest.raises(GolfError, match="no safetensors file"):
        load_dictionary(tmp_path / "b.safetensors")


# -- the five foreign layouts, built here from their documented formats ------------------------------------------------------


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("two_biases", [True, False])
def test_the_published_pythia_layout(nested, two_biases, tmp_path):
    one = made(two_biases=two_biases)
    config = {
        "d_model": D,
        "d_sae": F,
        "expansion": 4,
        "l1_coeff": 3e-4,
        "lr": 3e-4,
        "target_layer": 7,
        "tokens_seen": 50_003_968,
        "model_name": "m",
    }
    state = dict(one.state_dict())
    torch.save(
        {"model_state": state, "config": config, "stats": [{"l0": 2.0}], "optimizer_state": {}} if nested else state,
        tmp_path / "a.pt",
    )
    read = load_dictionary(tmp_path / "a.pt")
    assert same(one, read, exact=True) and read.config["layout"] == "colm"
    assert not nested or (read.config["target_layer"], read.stats) == (7, [{"l0": 2.0}])


@pytest.mark.parametrize("arch", ARCHS)
def test_the_layout_of_dictionary_learning(arch, tmp_path):
    one = made(arch)
    state = {name: tensor for name, tensor in one.state_dict().items() if name not in ("b_pre", "threshold")}
    if arch == "relu":
        state["bias"] = one.b_pre.data
    else:
        state |= {"b_dec": one.b_pre.data, "k": torch.tensor(3, dtype=torch.int), "threshold": torch.tensor(0.2)}
    torch.save(state, tmp_path / "ae.pt")
    classes = {"relu": "AutoEncoder", "topk": "AutoEncoderTopK", "batchtopk": "BatchTopKSAE"}
    (tmp_path / "config.json").write_text(
        json.dumps({"trainer": {"dict_class": classes[arch], "layer": 2, "lm_name": "lm", "k": 3}, "buffer": {}})
    )
    for place in (tmp_path, tmp_path / "ae.pt"):
        read = load_dictionary(place)
        assert same(one, read, exact=True) and (read.arch, read.config["target_layer"], read.config["model_name"]) == (
            arch,
            2,
            "lm",
        )


@pytest.mark.parametrize("arch", ["relu", "topk"])
def test_the_layout_of_openai(arch, tmp_path):
    one = made(arch)
    state = {"pre_bias": one.b_pre.data, "encoder.weight": one.encoder.weight.data, "latent_bias": one.encoder.bias.data,
             "decoder.weight": one.decoder.weight.data, "stats_last_nonzero": torch.zeros(F, dtype=torch.long)}  # fmt: skip
    if arch == "topk":
        state |= {"activation": "TopK", "activation_state_dict": {"k": 3}}
    torch.save(state, tmp_path / "a.pt")
    assert same(one, load_dictionary(tmp_path / "a.pt"), exact=True)


def write_safetensors(path, tensors):
    """By hand: eight bytes of length, a JSON header, the values."""
    header, at = {}, 0
    for name, tensor in tensors.items():
        count = tensor.numel() * 4
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + count]}
        at += count
    text = json.dumps(header).encode()
    values = b"".join(tensor.detach().contiguous().numpy().astype("<f4").tobytes() for tensor in tensors.values())
    path.write_bytes(struct.pack("<Q", len(text)) + text + values)


@pytest.mark.parametrize("to_input", [True, False])
@pytest.mark.parametrize("arch", ["relu", "topk", "jumprelu"])
def test_the_layout_of_saelens(arch, to_input, tmp_path):
    one = made(arch, two_biases=not to_input)
    if not to_input:
        one.b_pre.data.zero_()
    tensors = {"W_enc": one.encoder.weight.T, "b_enc": one.encoder.bias, "W_dec": one.decoder.weight.T,
               "b_dec": one.b_pre if to_input else one.decoder.bias}  # fmt: skip
    if arch == "jumprelu":
        tensors["threshold"] = one.threshold
    write_safetensors(tmp_path / "sae_weights.safetensors", tensors)
    cfg = {"architecture": "standard" if arch == "relu" else arch, "d_in": D, "d_sae": F, "apply_b_dec_to_input": to_input, "k": 3,
           "normalize_activations": "none", "metadata": {"hook_name": "blocks.5.hook_resid_post", "model_name": "gpt2"}}  # fmt: skip
    (tmp_path / "cfg.json").write_text(json.dumps(cfg))
    read = load_dictionary(tmp_path)
    assert same(one, read) and read.config["target_layer"] == 5 and read.config["model_name"] == "gpt2"
    (tmp_path / "cfg.json").write_text(json.dumps(cfg | {"normalize_activations": "layer_norm"}))
    with pytest.raises(GolfError, match="rescales"):
        load_dictionary(tmp_path)


def test_the_norms_that_saelens_weighs_topk_codes_with_are_folded(tmp_path):
    """Its default: codes times the decoder's norms are compared, and decoded by rows over their norms."""
    rng = torch.Generator().manual_seed(3)
    encoder, decoder = torch.randn(D, F, generator=rng), torch.randn(F, D, generator=rng)
    b_enc, b_dec, x = torch.randn(F, generator=rng), torch.randn(D, generator=rng), torch.randn(50, D, generator=rng)
    write_safetensors(
        tmp_path / "sae_weights.safetensors", {"W_enc": encoder, "b_enc": b_enc, "W_dec": decoder, "b_dec": b_dec}
    )
    (tmp_path / "cfg.json").write_text(
        json.dumps({"architecture": "topk", "k": 3, "rescale_acts_by_decoder_norm": True})
    )
    norms = decoder.norm(dim=1)
    best = torch.relu(((x - b_dec) @ encoder + b_enc) * norms).topk(3)
    codes = torch.zeros(50, F).scatter(1, best.indices, best.values)
    rebuilt, found = load_dictionary(tmp_path)(x)
    assert torch.allclose(found, codes, atol=1e-4) and torch.allclose(
        rebuilt, codes / norms @ decoder + b_dec, atol=1e-4
    )


def test_sparsify_keeps_every_positive_code_of_a_relu_dictionary_whatever_k_its_file_names(tmp_path):
    sae = seeded(1, 8, 24, "relu", 3)  # the file of another tool may say a k that ReLU does not have
    assert sae.config["k"] == 3
    save_dictionary(tmp_path / file_name(0, "final"), sae.state_dict(), sae.config, [])
    (folder,) = export(tmp_path, "sparsify")
    assert json.loads((folder / "cfg.json").read_text())["k"] == 24


@pytest.mark.parametrize(("arch", "k"), [("topk", 3), ("relu", F)])
def test_the_layout_of_sparsify(arch, k, tmp_path):
    one, folder = made(arch), tmp_path / "layers.11"
    folder.mkdir()
    write_safetensors(folder / "sae.safetensors", {"encoder.weight": one.encoder.weight, "encoder.bias": one.encoder.bias,
                                                   "W_dec": one.decoder.weight.T, "b_dec": one.b_pre})  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps({"activation": "topk", "k": k, "d_in": D, "num_latents": F}))
    read = load_dictionary(folder)
    assert same(one, read) and (read.arch, read.config["target_layer"]) == (arch, 11)


# -- what we write -----------------------------------------------------------------------------------------------------------


def saelens(folder):
    """encode and decode by SAELens' documented formulas (standard, topk, jumprelu)."""
    from safetensors.numpy import load_file

    cfg, w = json.loads((folder / "cfg.json").read_text()), load_file(folder / "sae_weights.safetensors")
    x = X.numpy() - (w["b_dec"] if cfg["apply_b_dec_to_input"] else 0)
    before = x @ w["W_enc"] + w["b_enc"]
    z = np.maximum(before, 0)
    if cfg["architecture"] == "topk":
        z = np.where(before >= np.sort(before, axis=1)[:, -cfg["k"], None], z, 0)
    if cfg["architecture"] == "jumprelu":
        z = z * (before > w["threshold"])
    return z @ w["W_dec"] + w["b_dec"], z


@pytest.mark.parametrize("two_biases", [False, True])
@pytest.mark.parametrize("arch", ARCHS)
def test_exports_compute_the_same_by_the_others_formulas_and_come_back(arch, two_biases, tmp_path):
    one = made(arch, two_biases)
    saved(tmp_path / file_name(4, "final"), one)
    saved(tmp_path / file_name(4, "50M"), made(arch, seed=2))
    (folder,) = export(tmp_path, "saelens")
    assert folder == tmp_path / "export" / "saelens" / "layer_04"
    rebuilt, z = saelens(folder)
    wanted, code = (tensor.detach().numpy() for tensor in one(X))
    assert np.abs(rebuilt - wanted).max() <= 1e-5 and np.abs(z - code).max() <= 1e-5
    for layout in ("saelens", "dictionary_learning", "sparsify"):
        if (layout, arch) == ("sparsify", "batchtopk"):
            with pytest.raises(GolfError, match="no activation like that"):
                export(tmp_path, layout)
            continue
        (there,) = export(tmp_path, layout, tmp_path / "other" / layout)
        back = load_dictionary(there)
        assert same(one, back), layout
        (again,) = export(there, "golf", tmp_path / "back" / layout)
        assert same(one, load_dictionary(again)) and again.name == file_name(4, "final")


def test_an_export_overwrites_nothing_and_names_what_it_lacks(tmp_path):
    saved(tmp_path / file_name(0, "final"), made())
    export(tmp_path, "sparsify")
    with pytest.raises(GolfError, match="is there already"):
        export(tmp_path, "sparsify")
    with pytest.raises(GolfError, match="no snapshot `50M`"):
        export(tmp_path, "saelens", snapshot="50M")
    with pytest.raises(GolfError, match="no `gguf` layout"):
        export(tmp_path, "gguf")


def test_foreign_libraries_read_what_we_write(tmp_path):
    """Only where they are installed: golf does not need them."""
    sparsify = pytest.importorskip("sparsify")
    one = made("topk")
    saved(tmp_path / file_name(4, "final"), one)
    (folder,) = export(tmp_path, "sparsify")
    theirs = sparsify.SparseCoder.load_from_disk(folder)
    assert torch.allclose(theirs(X).sae_out, one(X)[0], atol=1e-5)


def test_unscaled_weights_do_on_the_stream_what_the_scaled_do_on_the_scaled():
    for arch, more in ARCHS.items():
        one, other = made(arch), seeded(3, D, F, arch, more.get("k", 0)).eval()
        other.load_state_dict(unscaled(one.state_dict(), 0.37))
        rebuilt, z = other(X)
        wanted, code = one(0.37 * X)
        assert torch.allclose(rebuilt, wanted / 0.37, atol=1e-5) and torch.allclose(z, code / 0.37, atol=1e-5)


def test_info_tells_a_run_by_layer_and_snapshot_and_a_parity_dictionary_before_it_is_trained(tmp_path, capsys):
    for label, tokens in (("50M", 50_000_000), ("100M", 100_000_000), ("final", 120_000_000)):
        saved(tmp_path / file_name(3, label), made(), tokens_seen=tokens)
    info(tmp_path, json=True)
    rows = json.loads(capsys.readouterr().out)["dictionaries"]
    assert (
        [row["snapshot"] for row in rows] == ["50M", "100M", "final"] and rows[0]["L0"] == 1.5 and rows[0]["k"] is None
    )
    info(dim=512, levels="9,16,0;13,32,256")
    assert "8,192" in capsys.readouterr().out
    with pytest.raises(GolfError, match="nothing is named"):
        info()
