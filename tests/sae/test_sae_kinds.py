"""The architectures: what is selected and minimised is what their papers say, and each is saved, read back and exported."""

from dataclasses import replace

import pytest
import torch
from sae_models import planted

from golf.errors import Exit, GolfError
from golf.sae.dictionary import unscaled, with_unit_columns
from golf.sae.export import export
from golf.sae.files import file_name, load_dictionary, save_dictionary
from golf.sae.kinds import ARCHITECTURES, KINDS, make
from golf.sae.kinds.jumprelu import KERNEL
from golf.sae.kinds.matryoshka import widths
from golf.sae.layer import LayerTraining
from golf.sae.settings import Settings

D, F, K = 6, 20, 3
CPU = torch.device("cpu")
X = torch.randn(40, D, generator=torch.Generator().manual_seed(1))


def made(arch, seed=1, **choices):
    torch.manual_seed(seed)
    sparse = {"k": K} if KINDS[arch].sparse_by == "k" else {}
    one = make(arch, D, F, groups=3, **sparse, **choices)
    with torch.no_grad():
        for param in one.parameters():
            if param.ndim == 1:
                param.normal_(std=0.3)
        if hasattr(one, "threshold"):
            one.threshold.fill_(0.2)
    return one


def test_a_gated_dictionary_is_the_one_of_its_paper_but_for_its_free_decoder():
    one = made("gated")
    gate = (X - one.b_pre) @ one.encoder.weight.T + one.encoder.bias
    sizes = (X - one.b_pre) @ (one.encoder.weight * one.r_mag.exp()[:, None]).T + one.b_mag
    wanted = (gate > 0) * torch.relu(sizes)
    codes = one.before_selection(X)
    z = one.select(codes)
    assert torch.allclose(z, wanted, atol=1e-5)
    loss, error = one.loss(codes, z, X)
    main = (wanted @ one.decoder.weight.T + one.b_pre - X).square().mean()
    aside = (torch.relu(gate) @ one.decoder.weight.T + one.b_pre - X).square().mean()
    assert torch.allclose(loss, main + aside, rtol=1e-5) and torch.allclose(error.square().mean(), main, rtol=1e-5)
    assert torch.allclose(one.sparsity(codes, z, 1.0), torch.relu(gate).sum(-1), rtol=1e-5)
    wanted = torch.autograd.grad(main + aside, one.decoder.weight, retain_graph=True)[0]
    assert torch.allclose(torch.autograd.grad(loss, one.decoder.weight)[0], wanted, atol=1e-6)
    norms = one.decoder.weight.norm(dim=0)
    assert torch.allclose(one.sparsity(codes, z, norms), (torch.relu(gate) * norms).sum(-1), rtol=1e-5)


def test_a_jump_has_the_derivative_of_its_kernel_in_the_threshold_alone():
    one = made("jumprelu").train()
    with torch.no_grad():
        one.threshold.uniform_(0.1, 0.6)
    codes = one.before_selection(X).detach().requires_grad_()
    active = one.sparsity(codes, one.select(codes), 1.0)
    assert torch.equal(active, (codes > one.threshold).float().sum(-1))
    active.sum().backward()
    near = ((codes - one.threshold).abs() < KERNEL / 2) & (codes > 0)
    assert torch.allclose(one.threshold.grad, -near.float().sum(0) / KERNEL) and codes.grad is None
    one.zero_grad()
    one.select(codes).sum().backward()
    assert torch.allclose(one.threshold.grad, -(one.threshold * near).sum(0) / KERNEL)
    assert torch.equal(codes.grad, (codes > one.threshold).float())
    assert torch.equal(one.eval().encode(X), codes * (codes > one.threshold))


def test_nested_dictionaries_each_rebuild():
    assert widths(512, 5) == [32, 64, 128, 256, 512] and widths(3, 5) == [1, 3] and widths(20, 1) == [20]
    one = made("matryoshka").train()
    codes = one.before_selection(X)
    z = one.select(codes)
    assert int((z != 0).sum()) <= K * len(X)
    loss, error = one.loss(codes, z, X)
    errors = [(z[:, :n] @ one.decoder.weight[:, :n].T + one.b_pre - X).square().mean() for n in (5, 10, 20)]
    assert torch.allclose(loss, sum(errors) / 3, rtol=1e-5) and torch.allclose(error, one.decode(z) - X, atol=1e-5)


@pytest.mark.parametrize("transcodes", [False, True])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_norms_and_scales_fold_into_the_weights_exactly(arch, transcodes):
    one, out = made(arch, out_dim=9 if transcodes else None), 3.0 if transcodes else 2.0
    with torch.no_grad():
        one.decoder.weight.mul_(torch.rand(F) + 0.5)
    folded, norms = made(arch, out_dim=9 if transcodes else None).eval(), one.decoder.weight.norm(dim=0)
    one.eval()
    wanted, codes = one(2.0 * X)
    if one.sparse_by == "penalty":  # others compare codes, so their norms are 1 while training
        folded.load_state_dict(unscaled(with_unit_columns(one.state_dict()), 2.0, out))
        assert torch.allclose(folded.decoder.weight.norm(dim=0), torch.ones(F), atol=1e-5)
        assert torch.allclose(folded.encode(X), codes * norms / out, atol=1e-5)
    else:
        folded.load_state_dict(unscaled(one.state_dict(), 2.0, out))
    assert torch.allclose(folded(X)[0], wanted / out, atol=1e-5)


@pytest.mark.parametrize("transcodes", [False, True])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_each_is_saved_read_back_and_exported_where_there_is_a_form(arch, transcodes, tmp_path):
    """What a library has no class for is refused with the way out; what it has comes back the same."""
    one = made(arch, out_dim=D if transcodes else None).eval()
    path = tmp_path / "run" / file_name(4, "final")
    path.parent.mkdir()
    config = {**one.config, "target_layer": 4, **({"groups": 3} if arch == "matryoshka" else {})}
    if transcodes:
        config["place"] = "transcoder"
    save_dictionary(path, one.state_dict(), config, [])
    read = load_dictionary(path)
    assert read.arch == arch and read.transcodes == transcodes and torch.equal(read(X)[0], one(X)[0])
    there = {"saelens": {*ARCHITECTURES}, "dictionary_learning": {*ARCHITECTURES}, "sparsify": {"relu", "topk"}}
    if transcodes:
        there |= {"saelens": {"relu", "jumprelu", "batchtopk", "matryoshka"}, "dictionary_learning": set()}
    for layout, archs in there.items():
        if arch not in archs:
            with pytest.raises(GolfError) as caught:
                export(path, layout, tmp_path / layout)
            assert caught.value.code == Exit.REFUSED
            continue
        (written,) = export(path, layout, tmp_path / layout)
        back = load_dictionary(written)
        assert back.transcodes == transcodes and back.config["target_layer"] == 4
        (x, z), (y, w) = one(X), back(X)
        assert torch.allclose(x, y, atol=1e-5) and torch.allclose(z, w, atol=1e-5)
        again = load_dictionary(export(written, "golf", tmp_path / f"{layout}-golf")[0])
        assert torch.allclose(again(X)[0], x, atol=1e-5)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_each_learns_and_its_dead_features_come_back(arch):
    """On 32 planted directions: the error falls, and of 30 features that were silenced most fire again."""
    batch, penalised = 64, KINDS[arch].sparse_by == "penalty"
    _, x = planted(16, 32, 0.1, 200 * batch, 1)
    settings = Settings(tokens=len(x), batch_tokens=batch, seq_len=8, buffer_tokens=256, expansion=4, arch=arch, k=3, lr=5e-3,
                        target_l0=4.0 if penalised else None, dead_tokens=640, groups=2)  # fmt: skip
    training = LayerTraining(settings, 16, CPU)
    training.begin(x)
    with torch.no_grad():
        training.sae.encoder.bias[:30] = -50.0
    for step, part in enumerate(x.split(batch)):
        training.step(part)
        if step == 159:
            training.row()
    row = training.row()
    # found: relu .78 (its codes shrink), jumprelu .25, gated .23, topk .28, batchtopk .25, matryoshka .27
    assert row["fvu"] < (0.85 if arch == "relu" else 0.4), row
    assert row["l0"] == pytest.approx(4.0 if penalised else 3.0, rel=0.5)
    if penalised:  # found: 15, 28, 30 of 30
        assert int((training.silent[:30] < 640).sum()) >= 10


def test_an_architecture_that_takes_a_penalty_takes_a_target_and_the_others_k():
    for arch, kind in KINDS.items():
        settings = Settings(arch=arch)
        assert settings.penalised == (kind.sparse_by == "penalty") and (settings.target is None) != settings.penalised
        if not settings.penalised:
            with pytest.raises(GolfError, match="no penalty"):
                replace(settings, l1=1.0)
