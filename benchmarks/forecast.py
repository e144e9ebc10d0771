"""Fit the constants of `golf.run.forecast` on half of the public logs and test them on the other half.

python benchmarks/forecast.py DIR [--write]      # DIR: a copy of the challenge's records; --write renews golf/run/forecast.toml

The halves are of whole folders, by the sha256 of their names. A line of the table is the root mean square error in BPB of the forecast
made when that share of the run was over, each folder counted once, next to the last value seen and to a straight line through what
was seen. Then: what stopping by the forecast saves.
"""

import argparse
import math
from collections import Counter, defaultdict
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from golf.challenge import EVAL_CAP_SECONDS
from golf.files import sha256_of, write_atomically
from golf.logs import RunResult, counting, read_log
from golf.reading.folder import log_files
from golf.run import forecast as room
from golf.run.forecast import Curve, Forecast, Reference, Schedule, features, recent
from golf.stats import t_upper_quantile

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
VALIDATION_WEIGHT = 4.0  # of a whole validation next to one batch's training loss
LEAST_FOLDERS = 3  # pairs of folders that a share's slope and error are fitted on
RATE = 20.0  # dollars an hour of 8×H100, as an example
# warm-down of the folders whose logs do not print it, from their recipes: steps, or a share
WARMDOWN = {
    "2026-03-17_LoRA": 1200, "2026-03-18_Long": 1200, "2026-03-19_10L": 1200, "2026-03-19_Warm": 20000, "2026-03-19_smear": 3000,
    "2026-03-20_10L": 3000, "2026-03-20_11L": 3000, "2026-03-21_11L": 3000, "2026-03-25_Val": 4000, "2026-03-29_Load": 3500,
    "2026-03-31_Par": 3500, "2026-04-01_Vocab": 0.667, "2026-04-10_Var": 0.72, "2026-04-13_Var": 0.72,
}  # fmt: skip


@dataclass(frozen=True)
class Log:
    """One run of the public logs."""

    folder: str
    kept: bool  # aside: of the half that nothing was fitted on
    curve: Curve
    schedule: Schedule
    stage: str
    final_bpb: float
    seconds: float


def logs_of(top: Path, names: Container[str] | None = None) -> list[Log]:
    """The runs of the 10-minute track whose log has a curve, a validation and a score; a run printed in two folders counts once."""
    found, seen = list[Log](), set[tuple[object, ...]]()
    for folder in sorted(path for path in (top / "track_10min_16mb").iterdir() if path.is_dir()):
        if names is not None and folder.name not in names:
            continue
        for run in (run for path in log_files(folder) for run in counting(read_log(path))):
            key = (run.seed, run.val_bpb, run.steps)
            if run.score is None or key in seen or not (log := _log(folder.name, run)):
                continue
            seen.add(key)
            found.append(log)
    return found


def _log(folder: str, run: RunResult) -> Log | None:
    validations = [point for point in run.curve if point.val_loss and point.val_bpb]
    if not validations or not run.steps or not run.train_seconds or run.score is None:
        return None

    def share(step: int, seconds: float | None) -> float:
        return seconds / run.train_seconds if seconds is not None and run.train_seconds else step / (run.steps or 1)

    last = validations[-1]
    curve = Curve(
        tuple((p.step, share(p.step, p.train_seconds), p.train_loss) for p in run.curve if p.train_loss is not None),
        tuple((p.step, share(p.step, p.train_seconds), p.val_bpb) for p in validations if p.val_bpb is not None),
        (last.val_bpb or 0.0) / (last.val_loss or 1.0),
    )
    printed = run.hyperparameters.get("warmdown_frac")
    known = float(printed) if printed else next((v for k, v in WARMDOWN.items() if folder.startswith(k)), None)
    if known is None or not curve.train:
        return None
    schedule = Schedule(known if known <= 1 else known / run.steps, float(run.hyperparameters.get("min_lr") or 0.0))
    stage = run.score.stage if run.score.stage in room.STAGES else "quantized"
    kept = int(sha256_of(folder.encode()), 16) % 2 == 1
    return Log(folder, kept, curve, schedule, stage, run.score.val_bpb, run.train_seconds)


def fit_model(logs: list[Log]) -> list[float]:
    """The model's coefficients by least squares, each folder counted once."""
    rows, targets, weights = [], [], []
    folders = Counter(log.folder for log in logs)
    for log in logs:
        nats = [(s, loss * (log.curve.bpb_per_nat or 0.0), 1.0) for _, s, loss in log.curve.train]
        points = [
            one
            for one in (*nats, *((s, bpb, VALIDATION_WEIGHT) for _, s, bpb in log.curve.validations))
            if 0.05 <= one[0] < 1
        ]
        total = sum(weight for _, _, weight in points)
        for share, bpb, weight in points:
            rows.append(features(log.schedule, log.stage, share))
            targets.append(math.log(log.final_bpb / bpb))
            weights.append(math.sqrt(weight / total / folders[log.folder]))
    scale = np.array(weights)
    return [
        float(x) for x in np.linalg.lstsq(np.array(rows) * scale[:, None], np.array(targets) * scale, rcond=None)[0]
    ]


def model_table(coefficients: list[float]) -> dict[str, object]:
    return {
        "coefficients": coefficients,
        "train_weight": 1.0,
        "validation_weight": VALIDATION_WEIGHT,
        "sd": {"0.5": 0.0},
        "stop_sds": 0.0,
    }


def model_sd(logs: list[Log]) -> dict[str, float]:
    """Relative error by share, of forecasts made without the folder's own logs."""
    errors = defaultdict(list)
    for folder in sorted({log.folder for log in logs}):
        room.constants()["model"] = model_table(fit_model([log for log in logs if log.folder != folder]))
        mine = [log for log in logs if log.folder == folder]
        for share in SHARES:
            found = [(room.by_model(log.curve.until(share), log.schedule, log.stage), log.final_bpb) for log in mine]
            values = [math.log(one.bpb / final) ** 2 for one, final in found if one is not None]
            if values:
                errors[share].append(sum(values) / len(values))
    return {f"{share}": rms_of(errors[share]) for share in SHARES}


def rms_of(squares: list[float]) -> float:
    return math.sqrt(sum(squares) / len(squares))


def fit_pairs(logs: list[Log], *, same: bool, most_spread: float) -> dict[str, object]:
    """Slope (of another seed; 1 of another run) and error by share of finals on losses, over pairs of runs on the same batches; each
    pair of folders counted once."""
    table: dict[str, Any] = {"most_spread": most_spread, "slope": {"0.5": 1.0}, "sd": {"0.5": 0.0}, "stop_sds": 0.0}
    room.constants()["same" if same else "other"] = table
    slope, sd = dict[str, float](), dict[str, float]()
    for share in SHARES:
        pairs = defaultdict(list)
        for one in logs:
            for two in references_of(one, logs, same=same):
                found = room.by_reference(one.curve.until(share), two, one.schedule, one.stage)
                if found is not None:
                    moved, truth = (math.log(bpb / two.final_bpb) for bpb in (found.bpb, one.final_bpb))
                    pairs[one.folder, two.label].append((moved, truth))
        if len(pairs) >= LEAST_FOLDERS:
            up = sum(sum(x * y for x, y in group) / len(group) for group in pairs.values())
            down = sum(sum(x * x for x, _ in group) / len(group) for group in pairs.values())
            factor = min(max(up / down, 0.0), 1.0) if same else 1.0
            slope[f"{share}"] = factor
            sd[f"{share}"] = rms_of([sum((y - factor * x) ** 2 for x, y in g) / len(g) for g in pairs.values()])
    return {**table, "slope": slope, "sd": sd}


def last_value(curve: Curve) -> float | None:
    """The newest BPB that the log has said, of a validation or of a batch."""
    points = [(s, loss * (curve.bpb_per_nat or 0.0)) for _, s, loss in curve.train] + [
        (s, v) for _, s, v in curve.validations
    ]
    return max(points)[1] if points else None


def straight_line(curve: Curve) -> float | None:
    """The line through the later half of what was seen, at the end of the run."""
    points = [(s, loss * (curve.bpb_per_nat or 0.0)) for _, s, loss in recent(curve.train, curve.share)]
    if len(points) < 2:
        return None
    slope, at_zero = np.polyfit([s for s, _ in points], [v for _, v in points], 1)
    return float(slope + at_zero)


def references_of(log: Log, others: list[Log], *, same: bool) -> list[Reference]:
    return [
        Reference(o.folder, o.curve, o.final_bpb, same, o.schedule, o.stage)
        for o in others
        if o is not log and (o.folder == log.folder) == same
    ]


def best(found: list[Forecast | None]) -> Forecast | None:
    return min((one for one in found if one is not None), key=lambda one: one.sd, default=None)


def ways(log: Log, others: list[Log], share: float) -> dict[str, float | None]:
    """The forecasts of one run at one share, by what they lean on."""
    cut = log.curve.until(share)
    model = room.by_model(cut, log.schedule, log.stage)
    (model,), (run,), (seed,) = (_by(kind, log, others, share) for kind in ("model", "other", "same"))
    run = best([room.by_reference(cut, one, log.schedule, log.stage) for one in references_of(log, others, same=False)])
    return {
        "last value": last_value(cut), "straight line": straight_line(cut), "model": None if model is None else model.bpb,
        "another run": None if run is None else run.bpb, "another seed": None if seed is None else seed.bpb,
    }  # fmt: skip


def errors(logs: list[Log], others: list[Log]) -> list[list[str]]:
    """The table: share, then the error of each way with the number of its folders."""
    rows = []
    for share in SHARES:
        squares: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for log in logs:
            for name, bpb in ways(log, others, share).items():
                if bpb is not None:
                    squares[name][log.folder].append((bpb - log.final_bpb) ** 2)
        names = ("last value", "straight line", "model", "another run", "another seed")
        cells = [
            f"{rms_of([sum(v) / len(v) for v in squares[n].values()]):.4f} ({len(squares[n])})" if squares[n] else "–"
            for n in names
        ]
        rows.append([f"{share:.1f}", *cells])
    return rows


def stopped_at(log: Log, others: list[Log], worse_than: float, kind: str) -> float | None:
    """The share of the run at which it would have been stopped; None if never. Asked at every line, as `golf run` asks."""
    for _, share, _ in log.curve.train:
        (found,) = _by(kind, log, others, share)
        if found is not None and share < 0.999 and found.is_worse_than(worse_than):
            return share
    return None


def _by(kind: str, log: Log, others: list[Log], share: float) -> list[Forecast | None]:
    cut = log.curve.until(share)
    if kind == "model":
        return [room.by_model(cut, log.schedule, log.stage)]
    references = references_of(log, others, same=kind == "same")
    return [best([room.by_reference(cut, one, log.schedule, log.stage) for one in references])]


def fit_stop(logs: list[Log], kind: str) -> float:
    """The fewest sds (in tenths) above the bound for a stop at which 95 % of the runs that end at the bound are kept, asked at every line;
    wider by how much Student's quantile for so few folders is than the normal one. Infinite for another script: on the half that was
    kept aside such stops threw 6 of 15 good runs away."""
    if kind == "other":
        return math.inf
    most, folders = [], set[str]()
    for log in logs:
        found = [way for _, share, _ in log.curve.train if share < 0.999 for way in _by(kind, log, logs, share)]
        if sds := [(one.bpb - log.final_bpb) / one.sd for one in found if one is not None]:
            most.append(max(sds))
            folders.add(log.folder)
    once = t_upper_quantile(0.05, len(folders) - 1)
    return math.ceil(10 * max(once, once / t_upper_quantile(0.05, 1e6) * float(np.quantile(most, 0.95)))) / 10


def savings(logs: list[Log], others: list[Log], kind: str) -> list[list[str]]:
    """Of runs that end above the bound by so much: how many are stopped, where, what it saves; below it: how many are kept."""
    rows = []
    for gap in (-0.01, -0.001, 0.0, 0.001, 0.003, 0.01, 0.02, 0.05):
        mine = [log for log in logs if kind == "model" or any(one for s in SHARES for one in _by(kind, log, others, s))]
        found = [(log, stopped_at(log, others, log.final_bpb - gap, kind)) for log in mine]
        shares = [share for _, share in found if share is not None]
        saved = sum((1 - share) * log.seconds + EVAL_CAP_SECONDS for log, share in found if share is not None) / len(
            found
        )
        kept = f"{1 - len(shares) / len(found):.0%}"
        where = f"{median(shares):.2f}" if shares else "–"
        rows.append([f"{gap:+.3f}", f"{len(found)}", kept, where, f"{saved:.0f}", f"{saved / 3600 * RATE:.2f}"])
    return rows


def toml_of(tables: dict[str, dict[str, object]], source: str) -> str:
    lines = [
        f"# Fitted by benchmarks/forecast.py: {source}.",
        "# sd: of the logarithm of the forecast over the final, by share of the run.",
    ]
    for name, table in tables.items():
        lines.append(f"\n[{name}]")
        for key, value in table.items():
            text = (
                "{ " + ", ".join(f'"{k}" = {v:.6g}' for k, v in value.items()) + " }"
                if isinstance(value, dict)
                else str(value)
            )
            lines.append(f"{key} = {text}")
    return "\n".join(lines) + "\n"


def show(head: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("records", type=Path)
    parser.add_argument("--write", action="store_true", help="renew golf/run/forecast.toml")
    asked = parser.parse_args()
    logs = logs_of(asked.records)
    fitted, kept = [log for log in logs if not log.kept], [log for log in logs if log.kept]
    folders = [len({log.folder for log in half}) for half in (fitted, kept)]
    if asked.write:
        room.constants = lambda table={"model": {}}: table  # type: ignore[assignment] # what is fitted is not there yet
        sd = model_sd(fitted)
        coefficients = [round(c, 6) for c in fit_model(fitted)]
        room.constants()["model"] = {**model_table(coefficients), "sd": sd}
        tables = {
            "model": room.constants()["model"],
            "same": fit_pairs(fitted, same=True, most_spread=0.006),
            "other": fit_pairs(fitted, same=False, most_spread=0.006),
        }
        room.constants = lambda: tables  # type: ignore[assignment]
        for kind, table in tables.items():
            table["stop_sds"] = fit_stop(fitted, kind)
        source = (
            f"{len(fitted)} runs of {folders[0]} folders of github.com/openai/parameter-golf, records/track_10min_16mb"
        )
        write_atomically(room.CONSTANTS, toml_of(tables, source).encode())
        print(f"wrote {room.CONSTANTS.name}; run it again without --write to test")
        return
    head = ["share", "last value", "straight line", "model", "another run", "another seed"]
    for name, half, count in (("fitted on", fitted, folders[0]), ("kept aside", kept, folders[1])):
        print(f"{name}: {len(half)} runs of {count} folders; root mean square error in BPB (folders)")
        show(head, errors(half, half))
    for kind, words in (("model", "the model"), ("same", "another seed")):
        print(f"kept aside, stopped by {words} where the final is above the bound with 95 % confidence")
        show(
            ["final − bound", "runs", "kept", "stopped at", "seconds saved a run", f"$ at {RATE:g}/h"],
            savings(kept, kept, kind),
        )


if __name__ == "__main__":
    main()
