"""Every coder on three sets of codes: bytes, distance to the order-0 entropy, processor seconds, and the script bytes that it costs.

    trained    the matrices of a run folder (`float.golf`, `hessians.golf`), quantized by GPTQ with SDClip scales
    gaussian   the full shapes of PR #1394 (11 layers, 512 wide, 8,192 tokens: 35,913,728 codes), Gaussian rows
    heavy      the same shapes with Student-t rows (9 to 30 degrees of freedom) and columns that differ in scale by 10 %
    whole      the gaussian set with its scales as a file: as the records wrote it (torch.save, bytes shuffled by 2, brotli-11)
               against this container with brotli and with rANS, with fp16 scales and with 8-bit logarithmic ones

The entropy is the sum over tensors of what each tensor's own code frequencies cost. Scales and small tensors are left out.

    $ python benchmarks/coders.py --trained runs/1337 --sets trained gaussian --share 0.1
"""

import argparse
import io
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import brotli
import numpy as np
import torch

from golf.artifact.tensors import entropy_bytes
from golf.compose import compose
from golf.compose.pack import pack
from golf.parts.artifact import RawCoder, ZlibCoder, read_container, write_container
from golf.parts.quant import log_codes, log_values, quantize
from golf.parts.tags import Tag, Tagged
from golf.parts.techniques.bitpack import BitpackCoder
from golf.parts.techniques.brotli_shuffle import BrotliCoder
from golf.parts.techniques.lzma_coder import LzmaCoder
from golf.parts.techniques.rans import RansCoder
from golf.parts.techniques.rans_context import ContextRansCoder
from golf.parts.techniques.zstd_coder import ZstdCoder
from golf.recipe import load_recipe
from golf.recipe.namespace import namespace

CODERS = (ZlibCoder, BitpackCoder, LzmaCoder, ZstdCoder, BrotliCoder, RansCoder, ContextRansCoder)
SDCLIP = ["embed_quantizer=gptq_sdclip", "attn_quantizer=gptq_sdclip", "mlp_quantizer=gptq_sdclip", "attn_bits=6",
          "mlp_bits=6"]  # fmt: skip


def shapes() -> Iterator[tuple[str, str, int, int]]:
    """(name, role, rows, columns) of PR #1394's matrices."""
    yield "tok_emb", "embed", 8192, 512
    for layer in range(11):
        for name, role, rows, columns in (
            ("c_q", "attn", 512, 512), ("c_k", "attn", 256, 512), ("c_v", "attn", 256, 512), ("proj", "attn", 512, 512),
            ("fc", "mlp", 2048, 512), ("down", "mlp", 512, 2048),
        ):  # fmt: skip
            yield f"{layer}.{name}", role, rows, columns


def simulated(heavy: bool, share: float) -> dict[str, torch.Tensor]:
    """Codes of SDClip at #1394's settings; share: of the layers and of the embedding's rows."""
    rng, codes = np.random.default_rng(0), {}
    for name, role, rows, columns in shapes():
        if name[0].isdigit() and int(name.split(".")[0]) >= max(round(11 * share), 1):
            continue
        rows = max(round(rows * share), 256) if role == "embed" else rows  # noqa: PLW2901
        w = rng.standard_t(rng.uniform(9, 30), (rows, columns)) if heavy else rng.standard_normal((rows, columns))
        w = w * (1 + 0.1 * rng.standard_normal(columns)) if heavy else w
        step = (20.0 / 127 if role == "embed" else 12.85 / 31) * w.std(axis=1, ddof=1, keepdims=True)
        codes[name] = torch.from_numpy(np.clip(np.round(w / step), -127, 127).astype(np.int8))
    return codes


def file_of(log_scales: bool) -> dict[str, torch.Tensor]:
    """The gaussian set with its scales, as `quantize` would name them."""
    rng, tensors = np.random.default_rng(0), {}
    for name, role, rows, columns in shapes():
        w = torch.from_numpy(rng.standard_normal((rows, columns), dtype=np.float32))
        step = (20.0 / 127 if role == "embed" else 12.85 / 31) * 0.05 * w.std(dim=1)
        scale = log_codes(step) if log_scales else step.half()
        read = log_values(scale) if log_scales else scale.float()
        tensors[f"{name}:q"] = torch.round(0.05 * w / read[:, None]).clamp(-127, 127).to(torch.int8)
        tensors[f"{name}:s"] = scale
    return tensors


def as_the_records_did(tensors: dict[str, torch.Tensor]) -> int:
    """Bytes of torch.save, shuffled by 2, brotli-11 (PR #1394 and its line)."""
    blob = io.BytesIO()
    torch.save({"w": tensors, "m": {name: "gptq (int6)" for name in tensors if name.endswith(":q")}}, blob)
    data = blob.getvalue()
    return len(brotli.compress(b"BSHF\2" + data[::2] + data[1::2], quality=11))


def whole() -> None:
    """Files against files, the coder's script bytes counted."""
    halves, logs = file_of(log_scales=False), file_of(log_scales=True)
    reference = as_the_records_did(halves) + script_bytes(BrotliCoder)
    print(f"\nwhole file: {reference:,} bytes as the records wrote it, brotli's script bytes counted\n")
    print(
        "| container | scales | bytes | script bytes | net, against the records' |\n| --- | --- | ---: | ---: | ---: |"
    )
    for coder, tensors, scales in (
        (BrotliCoder, halves, "fp16"), (RansCoder, halves, "fp16"), (RansCoder, logs, "log, 8 bits"),
    ):  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            size = write_container(str(Path(folder) / "model.golf"), tensors, {}, coder)
        script = script_bytes(coder)
        print(
            f"| ours, {coder.name} | {scales} | {size:,} | {script:+,} | {(size + script) / reference - 1:+.2%} |",
            flush=True,
        )


def trained(folder: Path) -> dict[str, torch.Tensor]:
    """GPTQ's codes of a run's matrices; roles by their names in the checkpoint."""
    weights, hessians = (read_container(str(folder / name), RawCoder)[0] for name in ("float.golf", "hessians.golf"))
    tagged = [
        Tagged(name, w, Tag("", "embed" if "tok_emb" in name else "mlp" if ".mlp." in name else "attn", "", None))
        for name, w in weights.items() if w.ndim == 2 and name in hessians
    ]  # fmt: skip
    h = namespace(load_recipe("baseline", [*SDCLIP, "keep_float_numel=2048"]))
    tensors = quantize(h, tagged, weights, hessians)
    return {name[:-2]: tensor for name, tensor in tensors.items() if name.endswith(":q")}


def script_bytes(coder: Any) -> int:
    """What the coder adds to PR #1394's packed script, next to zlib."""
    sizes = [len(pack(compose(load_recipe("pr1394", [f"coder={c.__name__}"])))) for c in (coder, ZlibCoder)]
    return sizes[0] - sizes[1]


def table(title: str, codes: dict[str, torch.Tensor], coders: list[Any]) -> None:
    tensors = list(codes.values())
    specs = [(name, "int8", list(tensor.shape)) for name, tensor in codes.items()]
    count, ideal = sum(t.numel() for t in tensors), sum(entropy_bytes(t) for t in tensors)
    print(f"\n{title}: {count:,} codes, order-0 entropy {ideal:,.0f} bytes ({8 * ideal / count:.4f} bits a code)\n")
    print("| coder | bytes | above entropy | encode CPU s | decode CPU s | script bytes | net of script |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for coder in coders:
        begun = time.process_time()
        payload = coder.encode(tensors)
        encoded = time.process_time()
        read = coder.decode(payload, specs, count)
        decoded = time.process_time()
        assert all(torch.equal(a, b) for a, b in zip(tensors, read, strict=True)), coder.name
        script = script_bytes(coder)
        print(f"| {coder.name} | {len(payload):,} | {100 * (len(payload) / ideal - 1):+.3f} % | {encoded - begun:.1f} "
              f"| {decoded - encoded:.1f} | {script:+,} | {len(payload) + script:,} |", flush=True)  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--sets", nargs="*", default=["gaussian", "heavy"], choices=["trained", "gaussian", "heavy", "whole"]
    )
    options.add_argument("--trained", type=Path, help="a run folder")
    options.add_argument("--share", type=float, default=1.0, help="of the full shapes; brotli at 1 takes minutes")
    options.add_argument("--coders", nargs="*", default=[coder.name for coder in CODERS])
    given = options.parse_args()
    torch.set_num_threads(1)
    coders = [coder for coder in CODERS if coder.name in given.coders]
    for name in given.sets:
        if name == "whole":
            whole()
            continue
        codes = trained(given.trained) if name == "trained" else simulated(name == "heavy", given.share)
        table(f"{name} (share {given.share})" if name != "trained" else name, codes, coders)


if __name__ == "__main__":
    main()
