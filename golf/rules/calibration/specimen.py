"""A legal record folder, written here, whose facts can be changed one by one: what planted faults start from.

Its numbers are invented, but consistent: three seeds on 8xH100, SP8192, a score that beats the frontier of its day.
"""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from golf.files import sha256_of
from golf.rules.calibration.scripts import LEGAL

VAL_BYTES = 151_078_000
DATE = "2026-04-12"  # the frontier is then #1530, whose seeds are known
NAME = f"{DATE}_Specimen"


@dataclass(frozen=True)
class Facts:
    """What the logs of a specimen say. bpb: one per seed; times in seconds; sizes in bytes."""

    seeds: tuple[int, ...] = (42, 314, 999)
    bpb: tuple[float, ...] = (1.07012345, 1.07034567, 1.06998765)
    train_seconds: float = 587.072
    calibration_seconds: float = 12.6
    eval_seconds: float = 366.0
    val_tokens: int = 40_540_160
    val_bytes: int = VAL_BYTES
    train_shards: int = 128
    model_bytes: int = 15_900_000
    world_size: int = 8
    caseops: bool = False
    vocab_size: int = 8192
    gates: str = ""
    other_configuration_of_last: bool = False
    log_of_last_ends_early: bool = False


def log_of(facts: Facts, index: int, code_bytes: int) -> str:
    """The training log of one seed, in the dialect of April 2026."""
    seed, bpb, last = facts.seeds[index], facts.bpb[index], index == len(facts.seeds) - 1
    loss = bpb * math.log(2) * facts.val_bytes / facts.val_tokens
    data = f"/data/fineweb10B_sp{facts.vocab_size}" + ("_lossless_caps_caseops_v1" if facts.caseops else "")
    lines = [
        "Hyperparameters:",
        f"  datasets_dir: {data}",
        "  gptq_reserve_seconds: 13.0",
        f"  matrix_lr: {0.03 if last and facts.other_configuration_of_last else 0.022}",
        "  max_wallclock_seconds: 600.0",
        f"  seed: {seed}",
        f"  vocab_size: {facts.vocab_size}",
        f"  world_size: {facts.world_size}",
        f"train_shards: {facts.train_shards}",
        f"val_tokens: {facts.val_tokens}",
        "model_params:35944602",
        "gptq:reserving 13s, effective=587000ms",
        "1/20000 train_loss: 9.0087 train_time: 0.0m tok/s: 8000000",
        f"4847/20000 val_loss: {loss * (1 + 0.012 / bpb):.4f} val_bpb: {bpb + 0.012:.4f}",
        f"stopping_early: wallclock_cap train_time: {1000 * facts.train_seconds:.0f}ms step: 4847/20000",
        "Serialized model: 135417533 bytes",
        f"Code size: {code_bytes} bytes",
        "GPTQ:collecting Hessians from calibration data...",
    ]
    if last and facts.log_of_last_ends_early:
        return "\n".join(lines) + "\n"
    lines += [
        f"GPTQ:collected 67 Hessians in {facts.calibration_seconds}s",
        f"Serialized model quantized+brotli: {facts.model_bytes} bytes",
        f"Total submission size quantized+brotli: {facts.model_bytes + code_bytes} bytes",
        *([facts.gates] if facts.gates else []),
        f"quantized val_loss:{loss * (1 + 0.008 / bpb):.8f} val_bpb:{bpb + 0.008:.8f} eval_time:7531ms",
        f"quantized_ttt val_loss:{loss:.8f} val_bpb:{bpb:.8f} eval_time:{1000 * facts.eval_seconds:.0f}ms",
    ]
    return "\n".join(lines) + "\n"


def claims_of(facts: Facts, code_bytes: int) -> dict[str, Any]:
    """The submission.json that these logs back."""
    seeds = facts.seeds[:3]
    mean = sum(facts.bpb[: len(seeds)]) / len(seeds)
    return {
        "author": "A. Specimen",
        "github_id": "specimen",
        "name": "Specimen",
        "date": DATE,
        "track": "10min_16mb",
        "val_bpb": round(mean, 8),
        "seeds": list(seeds),
        "seed_results": {
            str(seed): {"val_bpb": bpb, "artifact_bytes": facts.model_bytes + code_bytes}
            for seed, bpb in zip(seeds, facts.bpb, strict=False)
        },
        "hardware": "8xH100 80GB SXM",
    }


def write_specimen(
    base: Path, facts: Facts | None = None, script: str | None = None, name: str = NAME, **changes: Any
) -> Path:
    """Write the folder under `base`/records/track_10min_16mb and return it. changes: fields of submission.json."""
    facts = facts or Facts()
    folder = base / "records" / "track_10min_16mb" / name
    folder.mkdir(parents=True)
    text = script if script is not None else LEGAL["score-first TTT"]
    (folder / "train_gpt.py").write_text(text, encoding="utf-8")
    code_bytes = len(text.encode())
    claims = claims_of(facts, code_bytes) | changes
    (folder / "submission.json").write_text(json.dumps(claims, indent=2), encoding="utf-8")
    (folder / "README.md").write_text(
        f"# Specimen\n\n**val_bpb: {claims['val_bpb']}** (3-seed mean)\n", encoding="utf-8"
    )
    for index, seed in enumerate(facts.seeds):
        (folder / f"train_seed{seed}.log").write_text(log_of(facts, index, code_bytes), encoding="utf-8")
    return folder


def changed(**facts: Any) -> Facts:
    """The legal facts with some of them changed."""
    return replace(Facts(), **facts)


def write_package(record: Path, alone: dict[int, float]) -> Path:
    """Beside a specimen, in the same project, the package that it came from; its manifest. alone: seed → BPB of the artifact alone."""
    folder = record.parents[2] / "submissions" / "specimen" / "runs" / "0" / "package"
    contents = {"train_gpt.py": (record / "train_gpt.py").read_bytes()}
    contents |= {f"seed_{seed}/model.golf": f"artifact of seed {seed}".encode() for seed in alone}
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    manifest = {
        "files": [{"name": name, "sha256": sha256_of(content)} for name, content in contents.items()],
        "alone": [{"seed": seed, "val_bpb": bpb} for seed, bpb in alone.items()],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder / "manifest.json"
