"""The byte ledger: what the artifact of every seed weighs on disk, under three readings (rules R01, R02).

    shipped   the script that ships + every local file that it reads + the model file: what the contest counts
    raw       the same with the readable script
    claimed   what the run's own log says

The largest seed decides; the cap is decimal.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from golf.artifact.tensors import TensorLine
from golf.challenge import CAP_BYTES

COLUMNS = ("seed", "model", "code shipped", "total shipped", "total raw", "log claims", "headroom")


@dataclass(frozen=True)
class SeedBytes:
    """The bytes of one seed. `claimed_total` is None where the log says nothing."""

    seed: int
    model: int
    shipped_total: int
    raw_total: int
    claimed_total: int | None


@dataclass(frozen=True)
class Ledger:
    """The bytes of a set. `files`: local files beside the script that it reads, with their bytes."""

    shipped_code: int
    raw_code: int
    files: tuple[tuple[str, int], ...]
    seeds: tuple[SeedBytes, ...]

    @property
    def worst(self) -> SeedBytes:
        """The largest seed as shipped: it decides."""
        return max(self.seeds, key=lambda seed: seed.shipped_total)

    @property
    def headroom(self) -> int:
        """Bytes left under the cap by the worst seed; negative when over it."""
        return CAP_BYTES - self.worst.shipped_total

    @property
    def is_packed(self) -> bool:
        """Whether what ships is not the readable script."""
        return self.shipped_code != self.raw_code


def weigh(
    readable: bytes,
    shipped: bytes,
    files: Sequence[Path],
    models: Mapping[int, Path],
    claimed: Mapping[int, int | None],
) -> Ledger:
    """Weigh a set from disk. models: seed → model file; claimed: seed → the total that its log gives."""
    sizes = tuple((path.name, path.stat().st_size) for path in files)
    local = sum(size for _, size in sizes)
    seeds = tuple(
        SeedBytes(
            seed=seed,
            model=(model := path.stat().st_size),
            shipped_total=len(shipped) + local + model,
            raw_total=len(readable) + local + model,
            claimed_total=claimed.get(seed),
        )
        for seed, path in models.items()
    )
    return Ledger(len(shipped), len(readable), sizes, seeds)


def rows_of(ledger: Ledger) -> list[list[str]]:
    """The table's rows, one per seed."""
    code = ledger.shipped_code + sum(size for _, size in ledger.files)
    return [
        [
            str(seed.seed),
            *(f"{value:,}" for value in (seed.model, code, seed.shipped_total, seed.raw_total)),
            "?" if seed.claimed_total is None else f"{seed.claimed_total:,}",
            f"{CAP_BYTES - seed.shipped_total:,}",
        ]
        for seed in ledger.seeds
    ]


def remarks_of(ledger: Ledger) -> list[str]:
    """What the numbers mean: the worst seed against the cap, and readings that disagree."""
    worst, headroom = ledger.worst, ledger.headroom
    words = f"headroom {headroom:,}" if headroom >= 0 else f"{-headroom:,} over the cap"
    remarks = [f"worst seed {worst.seed}: {worst.shipped_total:,} of {CAP_BYTES:,} bytes ({words})"]
    if len(ledger.seeds) > 1:
        spread = statistics.stdev([seed.model for seed in ledger.seeds])
        sds = f", {headroom / spread:,.1f} sd of headroom" if spread and headroom >= 0 else ""
        remarks.append(f"models of {len(ledger.seeds)} seeds: sd {spread:,.0f} bytes{sds}")
    if ledger.is_packed:
        raw = CAP_BYTES - worst.raw_total
        verdict = f"headroom {raw:,}" if raw >= 0 else f"{-raw:,} over: only the packed code fits"
        remarks.append(f"with the readable code: {worst.raw_total:,} ({verdict})")
    for name, size in ledger.files:
        remarks.append(f"counted besides the script: {name}, {size:,} bytes")
    for seed in ledger.seeds:
        if seed.claimed_total not in (None, seed.shipped_total, seed.raw_total):
            remarks.append(f"seed {seed.seed}: its log claims {seed.claimed_total:,} bytes, the files weigh "
                           f"{seed.shipped_total:,}")  # fmt: skip
    return remarks


def to_json(ledger: Ledger) -> dict[str, Any]:
    """The ledger for `--json` and the manifest."""
    return {
        "cap_bytes": CAP_BYTES,
        "shipped_code_bytes": ledger.shipped_code,
        "raw_code_bytes": ledger.raw_code,
        "local_files": [{"name": name, "bytes": size} for name, size in ledger.files],
        "seeds": [asdict(seed) for seed in ledger.seeds],
        "worst_seed": ledger.worst.seed,
        "worst_bytes": ledger.worst.shipped_total,
        "headroom_bytes": ledger.headroom,
    }


@dataclass(frozen=True)
class FileLine:
    """A file of the submission. shipped, raw, log: whether that reading counts it; log: what scripts weigh of themselves."""

    name: str
    bytes: int
    shipped: bool
    raw: bool
    log: bool
    why: str


@dataclass(frozen=True)
class FullLedger:
    """tensors: (line of the deciding seed, sd of its coded bytes over the seeds; None for one seed)."""

    seed: int
    files: tuple[FileLine, ...]
    tensors: tuple[tuple[TensorLine, float | None], ...]
