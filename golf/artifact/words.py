"""Short words for export choices: `coder=lzma`, `bits=5`, `quantizer=gptq` mean knobs of `[quant]`."""

from collections.abc import Iterable

from golf.errors import GolfError
from golf.recipe.catalogue import did_you_mean

CODERS = {
    "zlib": "ZlibCoder",
    "lzma": "lzma_coder.LzmaCoder",
    "zstd": "zstd_coder.ZstdCoder",
    "brotli": "brotli_shuffle.BrotliCoder",
    "bitpack": "bitpack.BitpackCoder",
    "rans": "rans.RansCoder",
    "ransctx": "rans_context.ContextRansCoder",
}
QUANTIZERS = {
    "nearest": "sdclip.sdclip_rtn",
    "gptq": "gptq.gptq_sdclip",
    "gptq_lite": "gptq_lite.gptq_lite_matrix",
    "trellis": "trellis.gptq_trellis",
}
MATRICES = ("attn", "mlp")


def in_full(words: Iterable[str]) -> list[str]:
    """`key=value` words with the short ones written out; others, and values that are already a part's name, as they are.

    bits: of attention and MLP, 4 to 8. quantizer: of attention, MLP and embedding. GolfError: a short value that is not one.
    """
    full: list[str] = []
    for word in words:
        key, _, value = word.partition("=")
        if key == "coder" and value[:1].islower() and "." not in value:
            full.append(f"coder={_named(CODERS, key, value)}")
        elif key == "quantizer":
            full += [f"{role}_quantizer={_named(QUANTIZERS, key, value)}" for role in ("embed", *MATRICES)]
            full += ["levels=trellis.trellis_levels"] if value == "trellis" else []
        elif key == "bits":
            if value not in ("4", "5", "6", "7", "8"):
                raise GolfError(f"`{word}`: a weight has 4 to 8 bits", "write `bits=6`, or `embed_bits=7` for one role")
            full += [f"{role}_bits={value}" for role in MATRICES]
        else:
            full.append(word)
    return full


def _named(names: dict[str, str], key: str, value: str) -> str:
    if value not in names:
        known = list(names)
        raise GolfError(f"no {key} is called `{value}`", did_you_mean(value, known) or f"one of {', '.join(known)}")
    return names[value]
