"""`golf package --ledger`: every file with how each reading of the rules treats it, and every tensor of the seed that decides."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from golf.artifact.ledger import FileLine, FullLedger
from golf.artifact.manifest import Package
from golf.artifact.tensors import TensorLine, weigh_tensors
from golf.challenge import SCRIPT
from golf.recipe import load_recipe, smoke_recipe
from golf.recipe.knobs import assignments
from golf.recipe.namespace import namespace
from golf.run.layout import ARTIFACT, CHECKPOINTS
from golf.run.plan import Plan
from golf.run.schema import Run

FILE_COLUMNS = ("file", "bytes", "shipped", "raw", "log", "why")
TENSOR_COLUMNS = (
    "tensor",
    "shape",
    "bytes",
    "sd over seeds",
    "bits/weight",
    "above entropy",
    "output error",
    "weight error",
)
PREPARES = ("prepare", "download", "tokenize", "cached_challenge", "data")  # of a script that makes the data


def full_ledger(plan: Plan, package: Package) -> FullLedger:
    """Weigh all files and the tensors of all seeds, each coded alone. GolfError: an artifact that its recipe does not read."""
    worst = package.ledger.worst.seed
    h = namespace_of(plan, package.runs[0])
    lines = {run.seed: _lines(h, run, errors=run.seed == worst) for run in package.runs}
    coded = {seed: {line.name: line.coded_bytes for line in seed_lines} for seed, seed_lines in lines.items()}
    tensors = tuple(
        (line, _sd([one[line.name] for one in coded.values() if line.name in one])) for line in lines[worst]
    )
    return FullLedger(worst, tuple(_files(plan, package)), tensors)


def namespace_of(plan: Plan, run: Run) -> Any:
    """`h` of a kept run: the submission's recipe with what was derived, at the sizes that ran."""
    recipe = load_recipe(plan.source.folder / "recipe.toml", assignments(run.derived or {}))
    return namespace(smoke_recipe(recipe, plan.source.vocab_size) if run.smoke else recipe)


def _lines(h: Any, run: Run, *, errors: bool) -> list[TensorLine]:
    kept = [run.folder / name if (run.folder / name).is_file() else None for name in CHECKPOINTS]
    return weigh_tensors(h, run.folder / ARTIFACT, *(kept if errors else ()))


def _sd(values: Sequence[int]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def _files(plan: Plan, package: Package) -> list[FileLine]:
    ledger = package.ledger
    lines = [
        FileLine(
            SCRIPT, ledger.shipped_code, True, not ledger.is_packed, not ledger.is_packed, "the script as it ships"
        )
    ]
    if ledger.is_packed:
        lines.append(
            FileLine(f"{SCRIPT}, readable", ledger.raw_code, False, True, True, "what ran here; the same code unpacked")
        )
    lines += [
        FileLine(
            name, size, True, True, False, "the script imports, runs or reads it (R02); no script's own count has it"
        )
        for name, size in ledger.files
    ]
    worst = package.ledger.worst
    lines.append(FileLine(ARTIFACT, worst.model, True, True, True, f"the model of seed {worst.seed}, the largest"))
    lines.append(
        FileLine(plan.data.tokenizer.name, plan.data.tokenizer.stat().st_size, False, False, False,
                 "the tokenizer: no merged record counts it; a changed one must prove its bytes (R20)")
    )  # fmt: skip
    counted = {SCRIPT, *(name for name, _ in ledger.files)}
    return lines + [_uncounted(path) for path in _others(plan.source.folder) if path.name not in counted]


def _others(folder: Path) -> list[Path]:
    """Scripts and tokenizers beside the submission's script that it does not read."""
    kinds = (".py", ".model", ".vocab", ".sh", ".cpp", ".cu")
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in kinds)


def _uncounted(path: Path) -> FileLine:
    prepares = any(word in path.name.lower() for word in PREPARES)
    why = "prepares data before the run: not counted" if prepares else "the script does not read it: not counted"
    return FileLine(path.name, path.stat().st_size, False, False, False, why)


def file_rows(full: FullLedger) -> list[list[str]]:
    """The table of files, with the sum of each reading last."""
    marks = [[line.name, f"{line.bytes:,}", *("+" if on else "" for on in (line.shipped, line.raw, line.log)), line.why]
             for line in full.files]  # fmt: skip
    sums = [sum(line.bytes for line in full.files if getattr(line, reading)) for reading in ("shipped", "raw", "log")]
    return [*marks, ["all that is counted", "", *(f"{total:,}" for total in sums), "each reading's sum"]]


def tensor_rows(full: FullLedger) -> list[list[str]]:
    """The table of tensors, largest first within the artifact's order of kinds."""
    return [
        [
            line.name, "×".join(map(str, line.shape)), f"{line.coded_bytes:,}", "" if sd is None else f"{sd:,.0f}",
            _cell(line.bits_per_weight, "{:.3f}"), _cell(line.above_entropy, "{:+.2%}"),
            _cell(line.output_error, "{:.2e}"), _cell(line.weight_error, "{:.2e}"),
        ]
        for line, sd in full.tensors
    ]  # fmt: skip


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def to_json(full: FullLedger) -> Mapping[str, Any]:
    """For `--json`."""
    return {
        "seed": full.seed,
        "files": [asdict(line) for line in full.files],
        "tensors": [
            {
                **asdict(line),
                "bits_per_weight": line.bits_per_weight,
                "above_entropy": line.above_entropy,
                "sd_bytes": sd,
            }
            for line, sd in full.tensors
        ],
    }
