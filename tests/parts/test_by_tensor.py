"""Steps by sensitivity: gradients are the loss's own, the allocation is the optimum, and nothing changes where nothing is known."""

import evaluation
import pytest
import torch
import torch.nn.functional as F
from checkpoints import SDCLIP, checkpoint
from quantizing import inputs_gram
from worlds import tiny

from golf.parts.artifact import RawCoder, read_container
from golf.parts.model import GPT
from golf.parts.quant import quantize, quantizer_of
from golf.parts.techniques.by_tensor import OutputGradients, fisher, rounding_cost
from golf.parts.techniques.calibrate import collect_hessians
from golf.parts.techniques.gptq import error_feedback, gptq_sdclip
from golf.recipe import changed, load_recipe
from golf.recipe.namespace import namespace

STEPS = ["steps=by_tensor.fisher", "calibrate=from_training_text"]
FELT = {"embed": 100.0, "attn": 1.0, "mlp": 10.0}


@pytest.fixture(scope="module")
def model():
    """A small model with loops and a cap, random enough that every matrix matters."""
    h = namespace(changed(tiny("pr1394"), {"steps": "by_tensor.fisher", "keep_float_numel": 0}))
    torch.manual_seed(1)
    found = GPT(h)
    with torch.no_grad():
        for param in found.parameters():
            param.copy_(torch.randn(param.shape) / 6)
    return h, found


def test_gradients_are_those_of_the_loss_at_the_outputs(model):
    h, gpt = model
    ids = torch.randint(2, h.vocab_size, (2, 16), generator=torch.Generator().manual_seed(2))
    name = "blocks.4.mlp.fc.weight"  # in the loop: it runs three times
    module, outputs = gpt.get_submodule(name.removesuffix(".weight")), []
    handle = module.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    logits = gpt(ids).flatten(0, 1)
    handle.remove()
    rng = torch.Generator().manual_seed(int(ids.sum()))
    targets = torch.multinomial(logits.detach().softmax(-1), 1, generator=rng).squeeze(1)
    each = torch.autograd.grad(F.cross_entropy(logits, targets, reduction="sum"), outputs)
    assert len(outputs) == 3
    expected = torch.cat([g.flatten(0, 1) for g in each]).square().mean(0)
    found = OutputGradients(h, evaluation.OneProcess(), gpt, ["tok_emb.weight", name])
    gpt.requires_grad_(False)
    found.learn(ids)
    found.close()
    gpt.requires_grad_(True)
    assert torch.allclose(found.total[name] / found.rows[name], expected, rtol=1e-4)
    assert found.rows[name] == 3 * ids.numel() and found.rows["tok_emb.weight"] == ids.numel()


def test_of_the_head_they_are_the_mean_over_all_targets(model):
    h, gpt = model
    ids = torch.randint(2, h.vocab_size, (1, 4), generator=torch.Generator().manual_seed(3))
    found = OutputGradients(h, evaluation.OneProcess(), gpt, ["tok_emb.weight"])
    gpt.requires_grad_(False)
    found.learn(ids)
    found.close()
    gpt.requires_grad_(True)
    capped = gpt(ids).detach().flatten(0, 1)
    raw = (h.softcap * torch.atanh(capped / h.softcap)).requires_grad_()
    share, expected = capped.softmax(-1), torch.zeros(h.vocab_size)
    for target in range(h.vocab_size):
        nats = F.cross_entropy(h.softcap * torch.tanh(raw / h.softcap), torch.full((4,), target), reduction="sum")
        (slope,) = torch.autograd.grad(nats, raw)
        expected += (share[:, target, None] * slope.square()).sum(0)
    assert torch.allclose(found.total["tok_emb.weight"], expected, rtol=1e-3)


def test_what_is_looked_up_is_felt_as_predicted(model):
    """½ Σ reads · felt · error² beside the KL of a model whose embedding is read with an error, and not written with it."""
    h, gpt = model
    ids = torch.randint(2, h.vocab_size, (16, 24), generator=torch.Generator().manual_seed(5))
    found = OutputGradients(h, evaluation.OneProcess(), gpt, ["tok_emb.weight"])
    gpt.requires_grad_(False)
    for row in ids.split(4):
        found.learn(row)
    found.close()
    gpt.requires_grad_(True)
    error = 1e-3 * torch.randn(gpt.tok_emb.weight.shape, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        was = gpt(ids).log_softmax(-1)
        read = gpt.tok_emb.register_forward_hook(lambda module, inputs, output: output + error[inputs[0]])
        now = gpt(ids).log_softmax(-1)
        read.remove()
    felt = found.felt / found.reads.sum()
    assert float((was.exp() * (was - now)).sum()) == pytest.approx(
        float(found.reads @ (error.square() @ felt)) / 2, rel=0.2
    )


def test_calibration_keeps_them_beside_the_hessians_and_leaves_the_model_as_it_was(model, tmp_path, monkeypatch):
    h, gpt = model
    monkeypatch.chdir(tmp_path)
    batches = [torch.randint(2, h.vocab_size, (1, 16), generator=torch.Generator().manual_seed(i)) for i in range(3)]
    env, told = evaluation.OneProcess(), []
    env.seed = 1
    log = type("Log", (), {"__call__": lambda self, text: told.append(text), "record": lambda self, **facts: None})()
    collect_hessians(h, env, log, gpt, iter(batches), 0.0)
    kept, _ = read_container("hessians.golf", RawCoder)
    matrices = {name for name in kept if ":" not in name}
    of_embedding = {"tok_emb.weight:reads", "tok_emb.weight:felt"}
    assert {f"{name}:fisher" for name in matrices} | of_embedding == {name for name in kept if ":" in name}
    seen = torch.bincount(torch.cat(batches[:2]).flatten(), minlength=h.vocab_size)
    assert torch.equal(kept["tok_emb.weight:reads"], seen / 2)  # a batch, as the Hessians
    shapes = {name: len(param) for name, param in gpt.named_parameters()}
    assert all(len(kept[f"{name}:fisher"]) == shapes[name] and (kept[f"{name}:fisher"] > 0).any() for name in matrices)
    assert all(param.requires_grad and param.grad is None for param in gpt.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in gpt.modules())
    assert any("gradients of 2 batches" in text for text in told)


def of(*more):
    return namespace(load_recipe("baseline", [*SDCLIP, *STEPS, *more]))


def known(seed=0):
    start = checkpoint(seed)
    return start, {**start.hessians, **{f"{n}:fisher": torch.full((len(start.weights[n]),), FELT[n]) for n in FELT}}


def test_the_cost_of_rounding_is_what_gptq_then_loses():
    """Σ 1 / u² Δ² / 12 beside the real error of GPTQ, in the metric of the Hessian."""
    h, rng = of(), torch.Generator().manual_seed(4)
    w, hessian = torch.randn(256, 96, generator=rng), inputs_gram(96, 5)
    codes, scale = gptq_sdclip(h, w, hessian, 6, "mlp")
    error = codes * scale[:, None] - w
    real = float((error @ hessian * error).sum()) / 2
    told = {"w": hessian, "w:fisher": torch.ones(256)}
    cost = rounding_cost(h, w, "w", told, 6, "mlp")
    assert cost == pytest.approx(real, rel=0.1)  # damping is in the factor, not in the Hessian
    reads, felt = torch.rand(256, generator=rng), 10 * torch.rand(96, generator=rng)
    looked_up = float(reads @ (error.square() @ felt)) / 2
    with_reads = rounding_cost(h, w, "w", told | {"w:reads": reads, "w:felt": felt}, 6, "mlp")
    assert with_reads - cost == pytest.approx(looked_up, rel=0.1)
    dead = hessian.clone()
    dead[:48] = dead[:, :48] = 0
    assert rounding_cost(h, w, "w", told | {"w": dead}, 6, "mlp") < cost
    assert error_feedback(h, dead)[2].sum() == 48


@pytest.mark.parametrize("octaves", [0.5, 8.0])
def test_steps_are_the_optimum_at_the_same_bytes(octaves):
    h, (start, hessians) = of(f"step_octaves={octaves}", "attn_bits=5", "mlp_bits=5", "embed_bits=5"), known()
    bits = fisher(h, start.tagged, start.weights, hessians)
    finer, sizes, costs = {}, {}, {}
    for name, _, tag in start.tagged:
        if name in bits:
            finer[name] = torch.log2(
                torch.tensor((2 ** (bits[name] - 1) - 1) / (2 ** (quantizer_of(h, tag.role)[1] - 1) - 1))
            )
            sizes[name] = start.weights[name].numel()
            costs[name] = rounding_cost(h, start.weights[name], name, hessians, 5, tag.role)
    assert set(bits) == set(FELT)
    assert abs(float(sum(sizes[n] * finer[n] for n in FELT))) < 0.02 * sum(sizes.values())
    assert all(abs(finer[n]) <= octaves + 1e-6 for n in FELT)
    if octaves == 8.0:  # the share of every weight in the loss is the same
        each = [costs[n] / 4 ** float(finer[n]) / sizes[n] for n in FELT]
        assert max(each) / min(each) == pytest.approx(1, rel=1e-3)
    else:
        assert finer["embed"] > finer["attn"]


def test_without_gradients_or_octaves_every_tensor_keeps_its_roles_step():
    start, hessians = known()
    plain = quantize(of("steps="), start.tagged, start.weights, start.hessians)
    for h, given in ((of(), start.hessians), (of("step_octaves=0"), hessians)):
        same = quantize(h, start.tagged, start.weights, given)
        assert all(torch.equal(plain[name], same[name]) for name in plain)
    with pytest.raises(AssertionError, match="set calibrate"):
        fisher(of("calibrate="), start.tagged, start.weights, hessians)


def test_a_step_never_needs_codes_of_more_than_eight_bits():
    start, hessians = known()
    hessians["embed:fisher"] = hessians["embed:fisher"] * 1e6
    h = of("step_octaves=8", "embed_bits=8")
    assert fisher(h, start.tagged, start.weights, hessians)["embed"] == 8.0
    tensors = quantize(h, start.tagged, start.weights, hessians)
    assert tensors["embed:q"].dtype == torch.int8 and int(tensors["embed:q"].abs().max()) <= 127
