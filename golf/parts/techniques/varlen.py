"""Attention within documents: a token attends to its own document only (FlashAttention's varlen; PR #1530, @samacqua).

`docs` are the bounds of all documents of the flattened batch, padded to a multiple of 64 so that few shapes are compiled.
Published effect: about 0.001 nats a token. One-token look-backs outside attention still cross documents (R42).

`documents = "varlen.document_bounds"` trains so too.
"""

import torch
import torch.nn.functional as F

from golf.parts.attention import causal_attention
from golf.parts.evaluate import Trace, scored_targets, share

try:
    from flash_attn_interface import flash_attn_varlen_func
except ImportError:
    flash_attn_varlen_func = None


def document_bounds(h, ids):
    """Starts of the documents and rows of ids (B, T) in the flattened batch, then its length, as often as padding needs it."""
    flat = ids.flatten()
    starts = torch.nonzero(
        (flat == h.bos_id) | (torch.arange(len(flat), device=ids.device) % ids.size(1) == 0)
    ).flatten()
    return F.pad(starts, (0, 64 - len(starts) % 64), value=len(flat)).int()


def varlen_attention(q, k, v, docs):
    # q: (B, T, H, D)   k v: (B, T, Hkv, D)   docs: bounds in B · T, or None for rows whole   ->   (B, T, H, D)
    if docs is None:
        return causal_attention(q, k, v, docs)
    B, T = q.shape[:2]
    if flash_attn_varlen_func is not None and q.dtype == torch.bfloat16:
        flat = (x.flatten(0, 1) for x in (q, k, v))
        return flash_attn_varlen_func(*flat, docs, docs, T, T, causal=True).view(q.shape)
    document = torch.searchsorted(docs, torch.arange(B * T, device=q.device, dtype=docs.dtype), right=True).view(
        B, 1, T
    )
    mask = (document.mT == document).tril()[:, None]
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True).transpose(1, 2)


def varlen(h, env, model, stream, keep=False):
    """Windows of `eval_seq_len` side by side, attention within documents; needs `attend = "varlen.varlen_attention"`."""
    assert h.attend is varlen_attention, "`attend` is not varlen_attention, so documents would not be kept apart"
    trace = Trace(env, stream, "roundtrip_varlen", f"final_int{h.mlp_bits}_varlen_roundtrip", keep)
    windows = share(env, scored_targets(h, stream) // h.eval_seq_len)
    batch = max(h.val_batch_tokens // 8 // h.eval_seq_len, 1)
    with torch.no_grad(), env.autocast():
        for first in windows[::batch]:
            start, end = first * h.eval_seq_len, min(first + batch, windows.stop) * h.eval_seq_len
            ids = stream.tokens[start:end].to(env.device).view(-1, h.eval_seq_len)
            targets = stream.tokens[start + 1 : end + 1].to(env.device).view(-1, h.eval_seq_len)
            nats = model(ids, targets, docs=document_bounds(h, ids))
            trace.add(nats, torch.arange(start, end).view(-1, h.eval_seq_len))
    return trace.reduce()
