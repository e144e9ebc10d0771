"""Fused MLP: one kernel multiplies and squares, so the hidden values are written once (Triton; PR #1530, @samacqua).

Forward: pre = u Wupᵀ summed in fp32 and rounded to the activations' dtype, post = φ(pre) from the rounded value, both stored.
Backward: dpre = (g Wdown) ⊙ φ'(pre) in one kernel again; the other products are plain ones. φ is `leaky_relu2`. While the weights
train only: evaluation, calibration and adapters take the plain MLP. Not measured here on 8×H100.
"""

import torch
import torch.nn.functional as F

from golf.parts.kernels import constant, jit, tl

TILE_ROWS = constant(128)  # of the hidden values, and its columns; the inputs of a step; row tiles that share columns
TILE_COLUMNS = constant(256)
TILE_INPUTS = constant(64)
TILE_GROUP = constant(8)


@jit
def tile_place(rows, columns):
    """Which tile this program computes: a few rows of tiles after each other, so that their columns stay in the cache."""
    tiles = tl.cdiv(columns, TILE_COLUMNS)
    group = tl.program_id(0) // (TILE_GROUP * tiles)
    inside = tl.program_id(0) % (TILE_GROUP * tiles)
    height = tl.minimum(tl.cdiv(rows, TILE_ROWS) - group * TILE_GROUP, TILE_GROUP)
    row = (group * TILE_GROUP + inside % height) * TILE_ROWS + tl.arange(0, TILE_ROWS)
    return row, inside // height * TILE_COLUMNS + tl.arange(0, TILE_COLUMNS)


@jit
def tile_product(a, b, row, column, rows, columns, inputs, b_input_stride, b_column_stride):
    """a (rows, inputs), contiguous, times b[input, column] by its strides, fp32."""
    total = tl.zeros((TILE_ROWS, TILE_COLUMNS), tl.float32)
    k = tl.arange(0, TILE_INPUTS)
    a_at = a + row.to(tl.int64)[:, None] * inputs + k[None, :]
    b_at = b + k[:, None] * b_input_stride + column[None, :] * b_column_stride
    for begin in range(0, inputs, TILE_INPUTS):
        known = k < inputs - begin
        left = tl.load(a_at, mask=(row < rows)[:, None] & known[None, :], other=0.0)
        right = tl.load(b_at, mask=known[:, None] & (column < columns)[None, :], other=0.0)
        total = tl.dot(left, right, total)
        a_at += TILE_INPUTS
        b_at += TILE_INPUTS * b_input_stride
    return total


@jit
def mlp_up_kernel(u, up, pre, post, slope, rows, columns, inputs):
    slope = tl.cast(slope, tl.float32)  # a compiled model hands numbers over as fp64
    row, column = tile_place(rows, columns)
    z = tile_product(u, up, row, column, rows, columns, inputs, 1, inputs).to(pre.dtype.element_ty)
    at = row.to(tl.int64)[:, None] * columns + column[None, :]
    inside = (row < rows)[:, None] & (column < columns)[None, :]
    tl.store(pre + at, z, mask=inside)
    z = z.to(tl.float32)
    z = tl.where(z > 0, z, slope * z)
    tl.store(post + at, (z * z).to(post.dtype.element_ty), mask=inside)


@jit
def mlp_down_kernel(g, down, pre, dpre, slope, rows, columns, inputs):
    slope = tl.cast(slope, tl.float32)
    row, column = tile_place(rows, columns)
    dpost = tile_product(g, down, row, column, rows, columns, inputs, columns, 1)
    at = row.to(tl.int64)[:, None] * columns + column[None, :]
    inside = (row < rows)[:, None] & (column < columns)[None, :]
    z = tl.load(pre + at, mask=inside, other=0.0).to(tl.float32)
    dpost *= tl.where(z > 0, 2 * z, 2 * slope * slope * z)
    tl.store(dpre + at, dpost.to(dpre.dtype.element_ty), mask=inside)


def mlp_tiles(rows, columns):
    return (-(-rows // TILE_ROWS.value) * -(-columns // TILE_COLUMNS.value),)


class FusedMLP(torch.autograd.Function):
    """u (N, C), up (hidden, C), down (C, hidden), all of one dtype -> (N, C)."""

    @staticmethod
    def forward(ctx, u, up, down, slope):
        u = u.contiguous()
        pre = u.new_empty(len(u), len(up))
        post = torch.empty_like(pre)
        shape = (len(u), len(up), u.size(1))
        mlp_up_kernel[mlp_tiles(*shape[:2])](u, up, pre, post, slope, *shape, num_warps=8, num_stages=4)
        ctx.save_for_backward(u, up, down, pre, post)
        ctx.slope = slope
        return post @ down.mT

    @staticmethod
    def backward(ctx, g):
        u, up, down, pre, post = ctx.saved_tensors
        g = g.contiguous()
        dpre = torch.empty_like(pre)
        shape = (*pre.shape, g.size(1))
        mlp_down_kernel[mlp_tiles(*shape[:2])](g, down, pre, dpre, ctx.slope, *shape, num_warps=8, num_stages=3)
        return dpre @ up, dpre.mT @ u, g.mT @ post, None


def fused_mlp(h, u, up, down):
    """A slot for `training_mlp`: u (B, T, C), up (hidden, C), down (C, hidden) -> (B, T, C)."""
    assert "leaky_relu2" in str(h.activation), "the fused MLP computes `leaky_relu2`: choose it as the activation"
    if u.is_cuda:
        y = FusedMLP.apply(u.flatten(0, 1).bfloat16(), up.bfloat16(), down.bfloat16(), h.negative_slope)
        return y.view_as(u)
    return F.linear(h.activation(h, F.linear(u, up)), down)
