"""A project with finished runs, made without training: for tests of record, board and import."""

import hashlib
import json
from pathlib import Path

RESULT = {
    "schema": 1, "name": "mine", "phases": ["train", "export", "eval"], "device": "cpu", "world_size": 1, "torch": "2.13.0",
    "attention": "sdpa", "dtype": "float32", "params": 123456, "vocab_size": 1024, "train_seq_len": 128, "train_batch_tokens": 1024,
    "max_wallclock_seconds": 0.0, "iterations": 20, "steps": 20, "stop_reason": "iterations", "train_loss": 5.0, "setup_seconds": 1.0,
    "compile_seconds": None, "train_seconds": 3.25, "calibration_seconds": None, "serialization_seconds": 0.1, "eval_seconds": 2.5,
    "step_ms": 162.5, "peak_memory_mib": None, "val_tokens": 5000, "val_bytes": 12000, "pre_quant_val_loss": 5.0, "pre_quant_val_bpb": 3.0,
    "model_bytes": 4000,
}  # fmt: skip
SCRIPT = b'"""A stand-in for a composed script."""\nimport json\nimport torch\n\nprint(json, torch)\n'


def log_of(seed: int, val_bpb: float, **changes: object) -> str:
    """A finished run's log; the training curve depends on the seed."""
    result = {**RESULT, "seed": seed, "val_bpb": val_bpb, "val_loss": val_bpb * 1.66, "code_bytes": len(SCRIPT),
              "total_bytes": len(SCRIPT) + 4000, "reports": [{"name": "plain", "val_bpb": val_bpb}], **changes}  # fmt: skip
    rows = [f"seed:{seed}", "model_params:123456", "world_size:1 grad_accum_steps:8", "golf_phase train"]
    rows += [
        f"step:{step}/20 train_loss:{7 - step / 20 + seed % 97 / 1000:.4f} train_time:{step * 162}ms step_avg:162.50ms"
        for step in range(1, 21)
    ]
    rows += [
        f"step:20/20 val_loss:{(val_bpb - 0.01) * 1.66:.4f} val_bpb:{val_bpb - 0.01:.4f} train_time:3250ms step_avg:162.50ms",
        "golf_phase export",
    ]
    rows += [
        "Serialized model int8+zlib: 4000 bytes",
        f"Total submission size int8+zlib: {len(SCRIPT) + 4000} bytes",
        "golf_phase eval",
    ]
    rows += [f"final_int8_zlib_roundtrip_exact val_loss:{val_bpb * 1.66:.8f} val_bpb:{val_bpb:.8f}"]
    return "\n".join([*rows, "golf_result " + json.dumps(result)]) + "\n"


def make_project(root: Path, scores: dict[int, float], **changes: object) -> Path:
    """A project at `root` with the submission `mine` and one finished run per seed; the submission's folder."""
    folder = root / "submissions" / "mine"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(
        'extends = "baseline"\nname = "mine"\ntitle = "A small test"\ntrack = "local"\n'
    )
    (folder / "train_gpt.py").write_bytes(SCRIPT)
    runs = folder / "runs" / (hashlib.sha256(SCRIPT).hexdigest()[:12])
    runs.mkdir(parents=True)
    (runs / "train_gpt.py").write_bytes(SCRIPT)
    for seed, bpb in scores.items():
        place = runs / f"seed_{seed}"
        place.mkdir()
        (place / f"train_seed{seed}.log").write_text(log_of(seed, bpb, **changes))
        (place / "model.golf").write_bytes(b"x" * 4000)
    return folder
