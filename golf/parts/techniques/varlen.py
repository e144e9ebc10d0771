"""Attention within documents: a token attends to its own document only (FlashAttention's varlen; PR #1530, @samacqua).

FlashAttention 3 runs it where it is there, else PyTorch's own kernel on a GPU, else one masked product. Positions run on through a
row: attention knows differences only. Published effect: about 0.001 nats a token. One-token look-backs outside attention still cross
documents (R42).

`documents = "varlen.document_bounds"` trains so too, with documents cut at `train_seq_len` tokens.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from golf.parts.attention import causal_attention
from golf.parts.env import sent
from golf.parts.evaluate import Trace, scored_targets, share

try:
    from flash_attn_interface import flash_attn_varlen_func
except ImportError:
    flash_attn_varlen_func = None
try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:
    varlen_attn = None


def causal_words(version):
    """How a PyTorch's own kernel is asked for causal attention with shared heads."""
    if version < "2.11":
        return {"is_causal": True}
    return {"window_size": (-1, 0)} | ({"enable_gqa": True} if version >= "2.12" else {})


VARLEN_WORDS = causal_words(torch.__version__)


class Knobs:
    bounds_multiple: "1 <= int <= 65536" = 256  # bounds are padded to a multiple, so that one shape is compiled


class Smoke:
    bounds_multiple = 64


class Documents(NamedTuple):
    bounds: torch.Tensor  # (n,) int32 starts in the flattened batch, then its length, as often as padding needs it
    longest: int  # no document is longer

    def there(self, env):
        """The same on the device: counted by the host, which need not wait for how many there are."""
        return self._replace(bounds=sent(env, self.bounds))


def bounds_of(h, ids, longest, most=None):
    """Documents of ids (B, T): a start at every row and BOS, and every `longest` tokens from a document's start.

    most: what kernels are told is the longest, where documents are cut shorter for a while.
    """
    flat = ids.flatten()
    place = torch.arange(len(flat), device=ids.device)
    start = (flat == h.bos_id) | (place % ids.size(1) == 0)
    since = place - torch.where(start, place, 0).cummax(0).values
    starts = torch.nonzero(since % longest == 0).flatten()
    bounds = F.pad(starts, (0, h.bounds_multiple - len(starts) % h.bounds_multiple), value=len(flat)).int()
    return Documents(bounds, most or longest)


def document_bounds(h, ids, clock):
    """A slot for `documents`."""
    return bounds_of(h, ids, h.train_seq_len)


def varlen_attention(q, k, v, docs):
    # q: (B, T, H, D)   k v: (B, T, Hkv, D)   docs: Documents of B · T tokens, or None for rows whole   ->   (B, T, H, D)
    if docs is None:
        return causal_attention(q, k, v, docs)
    flat, longest = [x.flatten(0, 1) for x in (q, k, v)], docs.longest
    if flash_attn_varlen_func is not None and q.dtype == torch.bfloat16:
        return flash_attn_varlen_func(*flat, docs.bounds, docs.bounds, longest, longest, causal=True).view(q.shape)
    if varlen_attn is not None and q.is_cuda:
        return varlen_attn(*flat, docs.bounds, docs.bounds, longest, longest, **VARLEN_WORDS).view(q.shape)
    B, T = q.shape[:2]
    document = torch.searchsorted(docs.bounds, torch.arange(B * T, device=q.device, dtype=torch.int32), right=True)
    document = document.view(B, 1, T)  # a row starts a document, so that each row has a mask of its own
    mask = (document.mT == document).tril()[:, None]
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True).transpose(1, 2)


def varlen(h, env, model, stream, keep=False):
    """The stream in rows of many windows' tokens, attention within documents; needs `varlen_attention`."""
    assert "varlen_attention" in str(h.attend), "`attend` is not varlen_attention, so documents would not be kept apart"
    trace = Trace(env, stream, "roundtrip_varlen", f"final_int{h.mlp_bits}_varlen_roundtrip", keep)
    total = scored_targets(h, stream)
    windows = share(env, total // h.eval_seq_len)
    batch = max(h.val_batch_tokens // 8 // h.eval_seq_len, 1)
    with torch.no_grad(), env.autocast():
        for first in windows[::batch]:
            start, end = first * h.eval_seq_len, min(first + batch, windows.stop) * h.eval_seq_len
            if h.eval_tail and end == total // h.eval_seq_len * h.eval_seq_len:
                end = total
            ids, targets = stream.tokens[start:end][None], stream.tokens[start + 1 : end + 1][None]
            docs = bounds_of(h, ids, h.eval_seq_len).there(env)
            trace.add(model(sent(env, ids), sent(env, targets), docs=docs), torch.arange(start, end)[None])
    return trace.reduce()
