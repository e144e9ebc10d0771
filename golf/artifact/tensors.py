"""The tensor ledger: where an artifact's bytes go and what they buy.

One line for every tensor of codes, coded alone, with its distance to the order-0 entropy of its codes and the error that it
brings to the layer's outputs; one line each for the scales, the corrections, what stayed floating point, and the container.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.errors import GolfError


@dataclass(frozen=True)
class TensorLine:
    """Bytes of one tensor or group. What was not measured is None.

    coded_bytes: by the artifact's coder, alone. entropy_bytes: of its codes, each by its frequency in the tensor. output_error:
    tr(E H Eᵀ) / tr(W H Wᵀ), the share of the outputs' energy that quantization changed; weight_error: the same with H = 1.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    weights: int
    raw_bytes: int
    coded_bytes: int
    entropy_bytes: float | None = None
    output_error: float | None = None
    weight_error: float | None = None

    @property
    def bits_per_weight(self) -> float | None:
        return 8 * self.coded_bytes / self.weights if self.weights else None

    @property
    def above_entropy(self) -> float | None:
        """coded / entropy − 1; negative where a coder finds more than frequencies."""
        return self.coded_bytes / self.entropy_bytes - 1 if self.entropy_bytes else None


def weigh_tensors(
    h: Any, artifact: Path, checkpoint: Path | None = None, hessians: Path | None = None
) -> list[TensorLine]:
    """The ledger of an artifact that `h` reads; its lines add up to the file.

    checkpoint, hessians: `float.golf` and `hessians.golf`, for the errors. GolfError: a file that is damaged or another recipe's.
    """
    from golf.parts.artifact import HEADER

    tensors = read_tensors(artifact, h.coder)
    weights = read_tensors(checkpoint) if checkpoint else {}
    grams = read_tensors(hessians) if hessians else {}
    errors = output_errors(h, tensors, weights, grams) if weights else {}
    lines, groups = [], {"scales": ":s", "corrections": "", "floating point": ""}
    for name, tensor in tensors.items():
        if name.endswith(":q"):
            base = name[:-2]
            coded, (of_outputs, of_weights) = len(h.coder.encode([tensor])), errors.get(base, (None, None))
            lines.append(TensorLine(base, "codes", tuple(tensor.shape), tensor.numel(), tensor.numel(), coded,
                                    entropy_bytes(tensor), of_outputs, of_weights))  # fmt: skip
    for group in groups:
        members = [tensor for name, tensor in tensors.items() if _group(name) == group]
        if members:
            raw = sum(tensor.numel() * tensor.element_size() for tensor in members)
            numel = sum(tensor.numel() for tensor in members) if group == "floating point" else 0
            lines.append(TensorLine(group, group, (), numel, raw, len(h.coder.encode(members))))
    with artifact.open("rb") as file:
        head = HEADER.size + HEADER.unpack(file.read(HEADER.size))[3] + 4  # and the checksum
    lines.append(TensorLine("container", "container", (), 0, head, head))
    together = artifact.stat().st_size - sum(line.coded_bytes for line in lines)
    lines.append(TensorLine("coded together, not alone", "container", (), 0, 0, together))
    return lines


def _group(name: str) -> str:
    kind = name.partition(":")[2]
    return {"": "floating point", "q": "codes", "s": "scales"}.get(kind, "corrections")


def read_tensors(path: Path, coder: Any = None) -> dict[str, Any]:
    """{name: tensor} of a container; coder: what wrote it, the raw one without. GolfError: not there, or damaged."""
    from golf.parts.artifact import RawCoder, parse_container

    coder = coder or RawCoder
    try:
        tensors: dict[str, Any] = parse_container(path.read_bytes(), {coder.name: coder})[0]
    except (OSError, ValueError, RecursionError) as fault:
        raise GolfError(
            f"{path} is damaged or no golf container: {fault}", "`golf run --resume` and `golf package` write it again"
        ) from fault
    return tensors


def entropy_bytes(codes: Any) -> float:
    """Bytes of a tensor of integers when each value costs −log2 of its frequency in it."""
    counts = codes.flatten().int().unique(return_counts=True)[1].double()
    share = counts / counts.sum()
    bits: float = -(share * share.log2()).sum().item()
    return bits * int(codes.numel()) / 8


def output_errors(
    h: Any, tensors: Mapping[str, Any], weights: Mapping[str, Any], hessians: Mapping[str, Any]
) -> dict[str, tuple[float | None, float | None]]:
    """{parameter: (share of the outputs' energy, share of the weights' energy) that quantization changed}, corrections applied."""
    from golf.parts.quant import dequantize

    errors = {}
    for name, read in dequantize(h, dict(tensors)).items():
        if f"{name}:q" in tensors:
            w = weights[name].float().cpu().view_as(read)
            error, hessian = read - w, hessians.get(name)
            of_outputs = (
                _share((error @ hessian * error).sum(), (w @ hessian * w).sum()) if hessian is not None else None
            )
            errors[name] = (of_outputs, _share(error.square().sum(), w.square().sum()))
    return errors


def divergence_from_gradients(
    h: Any, tensors: Mapping[str, Any], weights: Mapping[str, Any], hessians: Mapping[str, Any]
) -> float | None:
    """½ Σ G · E H Eᵀ over all tensors: KL of the float model to the artifact's, up to one factor, without running either.

    None where a quantized tensor has no Hessian or no gradients (`name:fisher`, of a calibration for `steps`).
    """
    from golf.parts.quant import dequantize

    total = 0.0
    for name, read in dequantize(h, dict(tensors)).items():
        if f"{name}:q" in tensors:
            if name not in hessians or f"{name}:fisher" not in hessians:
                return None
            error = read - weights[name].float().cpu().view_as(read)
            total += float((hessians[f"{name}:fisher"] * (error @ hessians[name] * error).sum(1)).sum()) / 2
            if f"{name}:reads" in hessians:  # a tied embedding's rows are looked up, too
                total += float(hessians[f"{name}:reads"] @ (error.square() @ hessians[f"{name}:felt"])) / 2
    return total


def _share(part: Any, whole: Any) -> float | None:
    return float(part / whole) if float(whole) > 0 else None  # weights that are all zero have no share
