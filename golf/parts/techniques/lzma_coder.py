"""LZMA2 without a header and tuned to one-byte codes: no literal, position or pair context (PR #549's coder, 1.4 % smaller).

Bytes that are no codes want the contexts back: bit-packed ones grow by 3 to 5 % without them.
"""

import lzma

from golf.parts.artifact import check
from golf.parts.techniques.byte_planes import from_planes, to_planes

LZMA_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 0, "pb": 0}]


class LzmaCoder:
    name = "lzma"

    @staticmethod
    def encode(tensors):
        return lzma.compress(to_planes(tensors), lzma.FORMAT_RAW, filters=LZMA_FILTERS)

    @staticmethod
    def decode(payload, specs, unpacked_bytes):
        return from_planes(unlzma(payload, unpacked_bytes), specs)


def unlzma(data, unpacked_bytes, filters=LZMA_FILTERS):
    """The text of exactly `unpacked_bytes`; never unpacks more than one byte beyond them."""
    stream = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
    try:
        text = stream.decompress(data, unpacked_bytes + 1)
    except lzma.LZMAError as fault:
        raise ValueError(f"does not unpack: {fault}") from fault
    check(
        len(text) == unpacked_bytes and stream.eof and not stream.unused_data, "unpacks to another length than it says"
    )
    return text
