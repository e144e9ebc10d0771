"""The pictures of a record: training loss, BPB by stage, bytes, tensors."""

from collections.abc import Mapping
from pathlib import Path

from golf.figures.charts import Bars, Chart, Figure, Panel
from golf.figures.write import write_figures
from golf.record.evidence import Evidence
from golf.record.weights import largest, read_weights

CAPTIONS = {
    "loss": "Training loss against wallclock", "stages": "BPB by stage", "bytes": "Bytes of the worst seed",
    "tensors": "Quantized tensors before the coder, layers together",
}  # fmt: skip


def draw_all(folder: Path, drawn: Mapping[str, Figure]) -> dict[str, str]:
    """Write every chart as SVG, and as PNG where matplotlib is; SVG's name → caption, which the README shows."""
    write_figures(folder, drawn)
    return {f"{stem}.svg": CAPTIONS[stem] for stem in drawn}


def charts(evidence: Evidence) -> dict[str, Figure]:
    """The pictures, stem of the file name → figure; one without data is left out."""
    loss = {
        f"seed {seed.seed}": [(point.train_seconds, point.train_loss) for point in seed.run.curve
                              if point.train_seconds is not None and point.train_loss is not None]
        for seed in evidence.seeds
    }  # fmt: skip
    stages = {}
    for stage in ("pre_quant", "quantized", "sliding", "ttt"):
        scores = [getattr(seed.run, stage) for seed in evidence.seeds]
        if all(scores):
            stages[stage.replace("_", "-")] = sum(score.val_bpb for score in scores) / len(scores)
    if round(evidence.bpb.mean, 5) not in [round(value, 5) for value in stages.values()]:
        stages["final"] = evidence.bpb.mean
    sizes, tensors = weights_of(evidence)
    lines = {name: line for name, line in loss.items() if line}
    title = f"BPB by stage, mean of {len(evidence.seeds)} seeds"
    drawn: dict[str, Figure] = {
        "loss": Chart(CAPTIONS["loss"], [Panel("training clock, s", "nats per token", lines)]),
        "stages": Bars(title, "bits per byte", stages if len(stages) > 1 else {}, from_zero=False),
        "bytes": Bars(CAPTIONS["bytes"], "bytes", sizes, digits=0),
        "tensors": Bars(CAPTIONS["tensors"], "bytes", tensors, digits=0),
    }
    return {stem: figure for stem, figure in drawn.items() if not figure.empty}


def weights_of(evidence: Evidence) -> tuple[dict[str, float], dict[str, float]]:
    """(bytes on disk of the worst seed by what they are, its largest tensors as quantized before the coder)."""
    worst = max(evidence.seeds, key=lambda seed: evidence.total_bytes(seed) or 0)
    total, code = evidence.total_bytes(worst), evidence.shipped.code_bytes
    if total is None:
        return {}, {}
    weights = read_weights(worst.log.parent / "model.golf")
    if weights is None:
        return {"code": float(code), "compressed model": float(total - code)}, {}
    sizes = {"code": code, "manifest": weights.manifest_bytes, f"tensors ({weights.coder})": weights.payload_bytes}
    return {name: float(size) for name, size in sizes.items()}, largest(weights.tensors)
