"""Triton kernels by their own text on a CPU, against what they stand for."""

import sys
import types
from pathlib import Path

import pytest
import torch

import golf.parts.techniques as techniques
from golf.harness.inside import kernels

tl = types.SimpleNamespace(**kernels.LANGUAGE)


@pytest.fixture
def part(monkeypatch):
    """A technique's module with its kernels as the box gives them."""
    module = types.ModuleType("golf.parts.kernels")
    module.__dict__.update({"constant": kernels.Known, "jit": kernels.jit, "tl": tl})
    monkeypatch.setitem(sys.modules, "golf.parts.kernels", module)

    def read(name):
        content: dict[str, object] = {"__name__": name}
        exec((Path(techniques.__file__).parent / f"{name}.py").read_text(), content)
        return types.SimpleNamespace(**content, all=content)

    torch.manual_seed(0)
    return read


def test_the_fused_mlp_and_its_gradients(part):
    fused = part("fused_mlp")
    assert isinstance(fused.mlp_up_kernel, kernels.Kernel)
    fused.all.update(
        {"TILE_ROWS": kernels.Known(16), "TILE_COLUMNS": kernels.Known(32), "TILE_INPUTS": kernels.Known(8)}
    )
    u, up, down = (torch.randn(*shape, requires_grad=True) for shape in ((37, 30), (70, 30), (30, 70)))
    g = torch.randn(37, 30)
    fused.FusedMLP.apply(u, up, down, 0.5).backward(g)
    found = [each.grad.clone() for each in (u, up, down)]
    for each in (u, up, down):
        each.grad = None
    z = u @ up.T
    (torch.where(z > 0, z, 0.5 * z).square() @ down.T).backward(g)
    for one, each in zip(found, (u, up, down), strict=True):
        torch.testing.assert_close(one, each.grad, atol=1e-3, rtol=1e-4)


def test_the_fused_cross_entropy_and_its_gradient(part):
    fused = part("fused_cross_entropy")
    fused.all["NATS_BLOCK"] = kernels.Known(16)
    logits, targets = (3 * torch.randn(9, 50)).requires_grad_(), torch.randint(50, (9,))
    weights = torch.rand(9)
    nats = fused.FusedNats.apply(logits, targets, 7.0)
    (nats * weights).sum().backward()
    found, logits.grad = logits.grad.clone(), None
    wanted = torch.nn.functional.cross_entropy(7.0 * torch.tanh(logits / 7.0), targets, reduction="none")
    (wanted * weights).sum().backward()
    torch.testing.assert_close(nats, wanted)
    torch.testing.assert_close(found, logits.grad)


@kernels.heuristics({"EVEN": lambda given: given["n"] % given["BLOCK"] == 0})
@kernels.autotune(configs=[kernels.Config({"BLOCK": 16}, num_warps=4), kernels.Config({"BLOCK": 32})], key=["n"])
@kernels.jit
def softmax_rows(x_ptr, out_ptr, stride, n, BLOCK: tl.constexpr, EVEN: tl.constexpr):
    row, columns = tl.program_id(axis=0), tl.arange(0, BLOCK)
    places = x_ptr + row * stride + columns
    x = tl.load(places) if EVEN else tl.load(places, mask=columns < n, other=-float("inf"))
    x = tl.exp(x - tl.max(x, axis=0))
    tl.store(out_ptr + row * stride + columns, x / tl.sum(x, axis=0), mask=columns < n)


@kernels.jit
def double(x):
    return x + x


@kernels.jit
def by_descriptors(a, b, rows, columns, SIZE: tl.constexpr):
    corner = [tl.program_id(0) * SIZE, tl.program_id(1) * SIZE]
    b.store(corner, double(a.load(corner)))


@kernels.jit
def counts(x, table, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.atomic_add(table + tl.load(x + at, mask=at < n, other=0), 1, mask=at < n)


def test_settings_rules_descriptors_and_tables():
    torch.manual_seed(1)
    x = torch.randn(6, 13)[1:]  # its memory begins elsewhere
    out = torch.empty(5, 13)
    softmax_rows[lambda meta: (5,)](x, out, x.stride(0), 13)
    torch.testing.assert_close(out, x.softmax(1))
    a, b = torch.randn(10, 7), torch.zeros(10, 7)
    describe = kernels.TensorDescriptor.from_tensor
    by_descriptors[(3, 2)](describe(a, [4, 4]), describe(b, [4, 4]), 10, 7, SIZE=4)
    assert b.equal(a + a)
    ids, table = torch.randint(6, (40,)), torch.zeros(6, dtype=torch.int64)
    counts[(5,)](ids, table, 40, BLOCK=8)
    assert table.equal(torch.bincount(ids, minlength=6))


def test_what_the_interpreter_does_not_know_is_told_by_the_kernels_name():
    @kernels.jit
    def odd(x):
        tl.warp_shuffle(x)

    with pytest.raises(NotImplementedError, match=r"the Triton kernel odd has no twin here: .*warp_shuffle"):
        odd[(1,)](torch.zeros(1))
