"""A product of bf16 matrices on a CPU: fp32 sums rounded once, as a GPU computes it."""

import pytest
import torch

from golf.parts.muon import bf16_product


@pytest.mark.parametrize("shape", [(3, 5, 4), (64, 128, 64)])
def test_a_product_in_bf16_is_rounded_once(shape):
    rng = torch.Generator().manual_seed(0)
    rows, inner, columns = shape
    a, b = (torch.randn(*s, generator=rng).bfloat16() for s in ((rows, inner), (inner, columns)))
    found, exact = bf16_product(a, b), a.double() @ b.double()
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, bf16_product(a[None], b[None])[0])
    # half a unit in the last place of bf16's 8 digits, and what fp32's sums of these magnitudes may be off
    bound = exact.abs() * 2.0**-8 + (a.double().abs() @ b.double().abs()) * inner * 2.0**-23
    assert (found.double() - exact).abs().le(bound).all()


def test_other_dtypes_are_multiplied_as_they_are():
    a = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(bf16_product(a, a), a @ a)
