"""What a session found: a row per seed, mean and sample deviation, clocks under both readings, bytes against the cap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from golf.challenge import CAP_BYTES
from golf.errors import Exit
from golf.run.clocks import Verdict, as_json, clocks_of, is_overrun, judge, readings_differ
from golf.run.schema import Run
from golf.run.store import Store
from golf.stats import Sample

NOT_A_RESULT = "not a challenge result"
COLUMNS = ("seed", "steps", "ms/step", "pre-quant bpb", "final bpb", "bytes", "train s", "eval s")


def sample_of(values: Sequence[float]) -> Sample | None:
    """The sample of the values; None where there is none."""
    return Sample.of(values) if values else None


@dataclass(frozen=True)
class Report:
    """The finished runs of one set, judged."""

    runs: tuple[Run, ...]
    verdicts: dict[int, list[Verdict]]  # by seed
    eval_walls: dict[int, float | None]

    @property
    def bpb(self) -> Sample | None:
        """The final bits per byte over the seeds."""
        return sample_of([run.result["val_bpb"] for run in self.runs if run.result])

    @property
    def worst_bytes(self) -> int | None:
        """The largest artifact of any seed, code included, as the script counted it."""
        totals = [run.result["total_bytes"] for run in self.runs if run.result and run.result.get("total_bytes")]
        return max(totals, default=None)

    @property
    def exit_code(self) -> Exit:
        """Over bytes before over time; 0 when neither."""
        if self.worst_bytes is not None and self.worst_bytes > CAP_BYTES:
            return Exit.OVER_BYTES
        return Exit.OVER_TIME if any(is_overrun(verdicts) for verdicts in self.verdicts.values()) else Exit.OK


def make_report(store: Store, runs: Sequence[Run]) -> Report:
    """Judge finished runs."""
    walls = {}
    for run in runs:
        measured = store.metrics(run.id, "eval_wall_seconds")
        walls[run.seed] = measured[-1][1] if measured else None
    verdicts = {run.seed: judge(clocks_of(run.result or {}, walls[run.seed]), run.track) for run in runs}
    return Report(tuple(runs), verdicts, walls)


def rows_of(report: Report) -> list[list[str]]:
    """The table's rows: one per seed, then mean and sd where there are several seeds."""
    names = ("steps", "step_ms", "pre_quant_val_bpb", "val_bpb", "total_bytes", "train_seconds", "eval_seconds")
    forms = ("{:,.0f}", "{:.2f}", "{:.5f}", "{:.5f}", "{:,.0f}", "{:.1f}", "{:.1f}")

    def cell(value: Any, form: str) -> str:
        return form.format(value) if value is not None else "?"

    rows = [
        [str(run.seed), *(cell((run.result or {}).get(name), form) for name, form in zip(names, forms, strict=True))]
        for run in report.runs
    ]
    if len(report.runs) > 1:
        every = [
            sample_of([run.result[name] for run in report.runs if run.result and run.result.get(name) is not None])
            for name in names
        ]
        pairs = list(zip(every, forms, strict=True))
        rows.append(["mean", *(cell(found and found.mean, form) for found, form in pairs)])
        rows.append(["sd", *(cell(found and found.sd, form) for found, form in pairs)])
    return rows


def remarks_of(report: Report) -> list[str]:
    """What to know about the table: the track, the machine, clocks and bytes."""
    if not report.runs:
        return []
    first = report.runs[0]
    device = (first.result or {}).get("device", first.device)
    where = f"{first.world_size} {'process' if first.world_size == 1 else 'processes'} on {device}"
    what = f"{'small twin (--smoke), ' if first.smoke else ''}track {first.track}, {where}"
    remarks = [f"{what}: {NOT_A_RESULT}" if first.track == "local" else what]
    if report.worst_bytes is not None:
        headroom = CAP_BYTES - report.worst_bytes
        words = f"headroom {headroom:,}" if headroom >= 0 else f"{-headroom:,} over the cap"
        remarks.append(f"bytes of the worst seed: {report.worst_bytes:,} of {CAP_BYTES:,} ({words})")
    for run in report.runs:
        remarks += [f"seed {run.seed}: {remark}" for remark in (run.result or {}).get("remarks", ())]
    for seed, verdicts in report.verdicts.items():
        for verdict in verdicts:
            if verdict.state in ("FAIL", "UNKNOWN"):
                seconds = "not measured" if verdict.seconds is None else f"{verdict.seconds:.1f} s"
                remarks.append(f"seed {seed}: {verdict.clock} {verdict.state} as read {verdict.reading}: "
                               f"{seconds} of {verdict.limit_seconds:.0f} s")  # fmt: skip
        for clock in readings_differ(verdicts):
            remarks.append(
                f"seed {seed}: whether {clock} kept its clock depends on the reading; a clean record does not"
            )
    return remarks


def to_json(report: Report) -> dict[str, Any]:
    """The report for `--json`."""
    seeds = [
        {
            "seed": run.seed,
            "run": run.id,
            "folder": str(run.folder),
            "result": run.result,
            "clocks": as_json(clocks_of(run.result or {}, report.eval_walls[run.seed]), report.verdicts[run.seed]),
        }
        for run in report.runs
    ]
    first = report.runs[0] if report.runs else None
    bpb = report.bpb
    return {
        "submission": first.submission if first else None,
        "set": first.set_id if first else None,
        "track": first.track if first else None,
        "smoke": first.smoke if first else None,
        "challenge_result": bool(first and first.track != "local"),
        "val_bpb": {"n": bpb.n, "mean": bpb.mean, "sd": bpb.sd} if bpb else None,
        "worst_bytes": report.worst_bytes,
        "cap_bytes": CAP_BYTES,
        "seeds": seeds,
    }
