"""`torch.nn.attention.flex_attention` by its definition, dense, on one CPU: masks and score functions of indices, without a compiler.

Source: the torch documentation of that module. q (B, H, T, D); k, v (B, G, S, D), G a divisor of H with `enable_gqa`.
"""

from typing import Any

import torch


def _indices(batch: int, heads: int, rows: int, columns: int) -> tuple[Any, Any, Any, Any]:
    """Batch, head, query and key, each an index tensor along its own dimension of (B, H, T, S)."""
    return (
        torch.arange(batch)[:, None, None, None], torch.arange(heads)[None, :, None, None],
        torch.arange(rows)[None, None, :, None], torch.arange(columns)[None, None, None, :],
    )  # fmt: skip


class BlockMask:
    """A mask as booleans (B, H, T, S): True where a query may look at a key."""

    def __init__(self, dense: Any, mask_mod: Any, block: tuple[int, int]) -> None:
        self.dense, self.mask_mod, self.BLOCK_SIZE = dense, mask_mod, block
        self.seq_lengths = tuple(dense.shape[2:])

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.dense.shape)

    @classmethod
    def from_kv_blocks(
        cls, kv_num_blocks: Any, kv_indices: Any, full_kv_num_blocks: Any = None, full_kv_indices: Any = None,
        BLOCK_SIZE: Any = 128, mask_mod: Any = None, seq_lengths: Any = None, **_: Any,
    ) -> "BlockMask":  # fmt: skip
        """From the blocks of keys that each block of queries looks at: some by `mask_mod`, some in full; (B, H, rows[, columns])."""
        block = BLOCK_SIZE if isinstance(BLOCK_SIZE, tuple) else (BLOCK_SIZE, BLOCK_SIZE)
        partial = _blocks(kv_num_blocks, kv_indices)
        rows, columns = seq_lengths or (partial.shape[2] * block[0], partial.shape[3] * block[1])
        dense = _spread(partial, block, rows, columns)
        if mask_mod is not None:
            dense = dense & mask_mod(*_indices(*dense.shape))
        if full_kv_num_blocks is not None:
            dense = dense | _spread(_blocks(full_kv_num_blocks, full_kv_indices), block, rows, columns)
        return cls(dense, mask_mod, block)

    def to_dense(self) -> Any:
        return self.dense

    def to(self, *_: Any, **__: Any) -> "BlockMask":
        return self

    def __getitem__(self, index: Any) -> "BlockMask":
        return BlockMask(self.dense[index], self.mask_mod, self.BLOCK_SIZE)

    def numel(self) -> int:
        return int(self.dense.numel())

    def sparsity(self) -> float:
        return 100.0 * (1.0 - float(self.dense.float().mean()))


def _blocks(counts: Any, indices: Any) -> Any:
    """Which blocks are looked at (B, H, rows, columns): the first `counts` of each row of `indices`."""
    columns = indices.shape[-1]
    taken = torch.arange(columns) < counts[..., None]
    found = torch.zeros(*indices.shape[:-1], columns + 1, dtype=torch.bool)
    found.scatter_(
        -1, torch.where(taken, indices.long(), columns), True
    )  # what is not taken goes to a column that is cut off
    return found[..., :columns]


def _spread(blocks: Any, block: tuple[int, int], rows: int, columns: int) -> Any:
    return blocks.repeat_interleave(block[0], 2).repeat_interleave(block[1], 3)[:, :, :rows, :columns]


def create_mask(mod: Any, B: Any, H: Any, Q_LEN: int, KV_LEN: int, device: Any = None, **_: Any) -> Any:
    """`mask_mod` at every index, (B, H, Q_LEN, KV_LEN)."""
    shape = (B or 1, H or 1, Q_LEN, KV_LEN)
    return torch.as_tensor(mod(*_indices(*shape))).bool().broadcast_to(shape)


def create_block_mask(
    mask_mod: Any, B: Any, H: Any, Q_LEN: int, KV_LEN: int, device: Any = None, BLOCK_SIZE: Any = 128, **_: Any
) -> BlockMask:
    """A `BlockMask` of `mask_mod(b, h, q_idx, kv_idx)`."""
    block = BLOCK_SIZE if isinstance(BLOCK_SIZE, tuple) else (BLOCK_SIZE, BLOCK_SIZE)
    return BlockMask(create_mask(mask_mod, B, H, Q_LEN, KV_LEN), mask_mod, block)


def noop_mask(*_: Any) -> Any:
    """Everything may look at everything."""
    return torch.ones((), dtype=torch.bool)


def and_masks(*mods: Any) -> Any:
    """A mask of what all masks let through."""

    def both(*at: Any) -> Any:
        found = noop_mask()
        for mod in mods:
            found = found & mod(*at)
        return found

    return both


def or_masks(*mods: Any) -> Any:
    """A mask of what any mask lets through."""

    def either(*at: Any) -> Any:
        found = ~noop_mask()
        for mod in mods:
            found = found | mod(*at)
        return found

    return either


def flex_attention(
    query: Any, key: Any, value: Any, score_mod: Any = None, block_mask: Any = None, scale: Any = None, enable_gqa: bool = False,
    return_lse: bool = False, **_: Any,
) -> Any:  # fmt: skip
    """softmax(score_mod(q kᵀ · scale)) v where the mask lets through; zeros for a query that may look at nothing."""
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        assert enable_gqa, "fewer heads of keys than of queries take enable_gqa"
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if score_mod is not None:
        scores = score_mod(scores, *_indices(*scores.shape))
    if block_mask is not None:
        rows, columns = scores.shape[2:]
        scores = scores.masked_fill(~block_mask.dense[..., :rows, :columns], float("-inf"))
    nothing = torch.isneginf(scores).all(-1, keepdim=True)
    found = scores.masked_fill(nothing, 0.0).softmax(-1).masked_fill(nothing, 0.0) @ value
    return (found, scores.logsumexp(-1)) if return_lse else found


CONTENT = {
    each.__name__: each
    for each in (BlockMask, create_mask, create_block_mask, noop_mask, and_masks, or_masks, flex_attention)
}
