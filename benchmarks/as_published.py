"""The bytes of an artifact as the public scripts wrote it: the same codes, scales and small tensors through their own container.

All of them hand one `torch.save` to a compressor; what differs is what they do to the codes before and to the bytes after.
"""

import io
import lzma
import zlib
from collections.abc import Callable, Mapping

import brotli
import numpy as np
import torch
import zstandard


def packed(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """Codes of so many bits side by side, least significant first (#1573's `pack_int5`, `pack_int6`)."""
    values = codes.numpy().reshape(-1).astype(np.int16) + 2 ** (bits - 1)
    digits = (values[:, None] >> np.arange(bits) & 1).astype(np.uint8)
    return torch.from_numpy(np.packbits(digits, bitorder="little"))


def shuffled(blob: bytes) -> bytes:
    """#1394's byte shuffle with a stride of two."""
    return b"BSHF\2" + blob[::2] + blob[1::2]


def zstd_22(blob: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=22).compress(blob)


# recipe: what compressed its `torch.save`; those that extend one of them did the same
COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {
    "baseline": lambda blob: zlib.compress(blob, 9),
    "pr740": zstd_22,
    "pr414": zstd_22,
    "pr549": lambda blob: lzma.compress(blob, preset=6),
    "pr1019": lambda blob: lzma.compress(blob, preset=9),
    "pr1573": lambda blob: lzma.compress(blob, preset=9),
    "pr1394": lambda blob: brotli.compress(shuffled(blob), quality=11),
    "pr1493": lambda blob: brotli.compress(shuffled(blob), quality=11),
    "pr1809": lambda blob: brotli.compress(shuffled(blob), quality=11),
}


def published_bytes(name: str, tensors: Mapping[str, torch.Tensor], bits: Mapping[str, int]) -> int:
    """Bytes of what `quantize` made, as the script behind recipe `name` would have written it. bits: tensor → of its codes."""
    stored: dict[str, torch.Tensor] = {}
    for entry, tensor in tensors.items():
        tensor_name, _, kind = entry.partition(":")
        few = name == "pr1573" and kind == "q" and bits[tensor_name] in (5, 6)
        suffix = {"q": ".q", "s": ".scale"}.get(kind, "")
        stored[tensor_name + suffix] = packed(tensor, bits[tensor_name]) if few else tensor.contiguous()
    blob = io.BytesIO()
    torch.save({"w": stored, "m": {n: f"int{b}" for n, b in bits.items()}}, blob)
    return len(COMPRESSORS[name](blob.getvalue()))
