"""What a missing training step costs, in BPB, measured from public logs.

Two prices, for two ways to lose steps. *Compressed*: the learning rate follows the clock, so a slower machine goes through the whole
schedule in fewer steps. Then the loss falls with the logarithm of the number of steps, and the price is a difference over
ln(steps), measured on pairs of public runs of one model and seed that ended at other numbers of steps. *Cut*: the run ended before
its schedule did. Then the price is the slope of the run's own validation losses in the warmdown, some ten times as high.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from golf.logs import RunResult, read_log
from golf.stats import Sample

# one model, one seed, another number of steps: (track, folder, log, folder of the other log or "", log). #1868 ran #1851's script
# again with a longer reserve (@Christopher-Lee-McClendon); the 4-hour runs are of the baseline (@pgut3's folder), H-Net's bytes
# and a LeWM-JEPA of 10 minutes and of 100,000 steps
RECORD, OTHER = "track_10min_16mb", "track_non_record_16mb"
SMEAR = f"{RECORD}/2026-04-29_SmearGateBOSFix_3Seed_1.06141"
LEWM = f"{OTHER}/2026-03-26_37M_LeWM_Jepa_Mamba2_10L_UNet_INT4FP8QAT_Brotli"
HNET = f"{OTHER}/2026-03-29_HNet_ByteVsSubword_Study"
PAIRS = (
    (f"{SMEAR}/train_seed42_pr1851_original.log", f"{SMEAR}/train_seed42_rerun_gptq8s.log"),
    (f"{SMEAR}/train_seed1234_original.log", f"{SMEAR}/train_seed1234_rerun_gptq8s.log"),
    (f"{SMEAR}/train_seed314_original.log", f"{SMEAR}/train_seed314_rerun_gptq8s.log"),
    (
        f"{RECORD}/2026-03-17_LoRA_TTT/train_v0.txt",
        f"{OTHER}/2026-03-18_Quasi10Bfrom50B_SP1024_9x512_KV4_4h_pgut3/train.log",
    ),
    (f"{LEWM}/train_log_bpe_10min.txt", f"{LEWM}/train_log_bpe_100k_steps.txt"),
    (f"{HNET}/train_byte260_best_10_min.log", f"{HNET}/train_byte260_4h.log"),
)


@dataclass(frozen=True)
class Price:
    """bpb: of one unit of ln(steps); error: of its mean, one standard error; n: pairs of runs that it was measured on."""

    bpb: float
    error: float
    n: int

    def of(self, wanted_steps: float, got_steps: float) -> tuple[float, float]:
        """(BPB that `got_steps` instead of `wanted_steps` cost, its error); negative where there were more steps."""
        missing = math.log(wanted_steps / got_steps)
        return self.bpb * missing, self.error * abs(missing)


# `python benchmarks/step_price.py RECORDS` measures it anew: six pairs give 0.0383, 0.0235, 0.0080, 0.0142, 0.0049 and 0.0255
COMPRESSED = Price(0.01906, 0.00508, 6)


def trained_bpb(run: RunResult) -> float | None:
    """BPB of the trained model before anything is quantized: the evaluation before export, else the last validation."""
    if run.pre_quant is not None:
        return run.pre_quant.val_bpb
    return next((point.val_bpb for point in reversed(run.curve) if point.val_bpb is not None and point.step > 0), None)


def measured(pairs: Iterable[tuple[RunResult, RunResult]]) -> Price:
    """The price from pairs of runs of one model and seed; ValueError where fewer than two pairs say steps and loss."""
    found = []
    for one, other in pairs:
        first, second = trained_bpb(one), trained_bpb(other)
        if first is not None and second is not None and one.steps and other.steps and one.steps != other.steps:
            found.append((first - second) / math.log(other.steps / one.steps))
    if len(found) < 2:
        raise ValueError("a price with an error needs two pairs of runs")
    sample = Sample.of(found)
    assert sample.sd is not None
    return Price(sample.mean, sample.sd / math.sqrt(sample.n), sample.n)


def public_pairs(records: Path) -> list[tuple[RunResult, RunResult]]:
    """The pairs of PAIRS whose logs lie in `records`, a clone's folder of that name."""
    found = []
    for pair in PAIRS:
        if all((records / name).is_file() for name in pair):
            one, other = (read_log(records / name).run for name in pair)
            if one is not None and other is not None:
                found.append((one, other))
    return found


def cut_price(runs: Sequence[RunResult]) -> float | None:
    """BPB a step over the last two validations of `runs`, the steepest of them: what a step costs where the schedule is cut short."""
    slopes = []
    for run in runs:
        points = [(point.step, point.val_bpb) for point in run.curve if point.val_bpb is not None and point.step > 0]
        if len(points) > 1 and points[-1][0] > points[-2][0]:
            slopes.append((points[-2][1] - points[-1][1]) / (points[-1][0] - points[-2][0]))
    return max(slopes) if slopes and max(slopes) > 0 else None
