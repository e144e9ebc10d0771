"""The outlook of a run under way: its log so far and the finished runs beside it, as a forecast; and the judge that stops by it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from golf.files import parse_json
from golf.run.forecast import Curve, Forecast, Reference, Schedule, forecasts
from golf.run.lines import Progress
from golf.run.schema import Run
from golf.run.store import Store, has_store, open_store

MOST_REFERENCES = 8  # newest ones, of this script and of others
LEAST_STEPS = 2000  # of a run that is like those of the public logs
PRUNED = "pruned"  # the reason of a run that was stopped on purpose begins with it

Judge = Callable[[Progress], str | None]  # why the run is ended before its end; None while it is wanted


@dataclass
class Outlook:
    """Forecasts of one run. Reads the store once, when the first forecast is asked for."""

    run: Run
    root: Path
    _heard: int = 0
    _found: list[Forecast] = field(default_factory=list)

    def read(self, progress: Progress) -> list[Forecast]:
        """Every forecast by what the log has said, the surest first. Seconds and steps as in `Progress`."""
        heard = len(progress.losses) + len(progress.validations)
        if progress.phase in ("export", "eval"):
            return []
        if heard != self._heard:
            self._heard = heard
            curve = self._curve(progress)
            self._found = forecasts(curve, self._references, self._schedule(progress), stage_of(self._values)) if curve.share else []  # fmt: skip
        return self._found

    def note(self, progress: Progress) -> None:
        """Put the surest forecast where those who show progress find it."""
        found = self.read(progress)
        progress.forecast = said(found[0]) if found else None

    @cached_property
    def _values(self) -> Mapping[str, Any]:
        return values_of(self.run)

    @cached_property
    def _references(self) -> list[Reference]:
        if not has_store(self.root):
            return []
        with open_store(self.root) as store:
            alike: dict[str, Any] = {
                "smoke": int(self.run.smoke),
                "data_sha256": self.run.data_sha256,
                "tokenizer_sha256": self.run.tokenizer_sha256,
            }
            mine = store.runs(state="finished", newest=MOST_REFERENCES, script_sha256=self.run.script_sha256, **alike)
            others = store.runs(state="finished", newest=MOST_REFERENCES, **alike)
            runs = {run.id: run for run in (*mine, *others) if run.derived is None and run.id != self.run.id}
            found = [reference_of(store, run, run.script_sha256 == self.run.script_sha256) for run in runs.values()]
        return [one for one in found if one is not None]

    def _curve(self, progress: Progress) -> Curve:
        cap, steps = progress.cap_seconds, progress.iterations

        def share(step: int, seconds: float | None) -> float:
            by_clock = seconds / cap if cap and seconds is not None else 0.0
            return min(max(by_clock, step / steps if steps else 0.0), 1.0)

        known = next((one.curve.bpb_per_nat for one in self._references if one.curve.bpb_per_nat), None)
        own = progress.val_bpb / progress.val_loss if progress.val_bpb and progress.val_loss else None
        return Curve(
            tuple((step, share(step, seconds), loss) for step, seconds, loss in progress.losses),
            tuple((step, share(step, seconds), bpb) for step, seconds, bpb in progress.validations),
            own or known,
        )

    def _schedule(self, progress: Progress) -> Schedule | None:
        """The schedule; None for a small twin, a short run, and a schedule that is a technique of its own."""
        steps = progress.iterations or 0
        if progress.cap_seconds and progress.step_ms:
            steps = min(steps, int(progress.cap_seconds * 1000 / progress.step_ms))
        if self.run.smoke or steps < LEAST_STEPS:
            return None
        return schedule_of(self._values, steps)


def values_of(run: Run) -> Mapping[str, Any]:
    """The recipe's values that a run's row holds; empty for an imported script."""
    held = parse_json(run.recipe) if run.recipe else {}
    values = held.get("values") if isinstance(held, dict) else None
    return values if isinstance(values, dict) else {}


def schedule_of(values: Mapping[str, Any], steps: int) -> Schedule | None:
    """The learning rate's schedule of a recipe over so many steps; None where another function than golf's own makes it."""
    at = str(values.get("lr_at", "")).rpartition(".")[2]
    try:
        if at == "warmdown_by_iterations":
            return Schedule(float(values["warmdown_iters"]) / steps)
        if at in ("warmdown_by_fraction", "warmdown_after_changes"):
            return Schedule(float(values["warmdown_frac"]), float(values.get("min_lr") or 0.0))
        if at == "linear_warmdown":
            return Schedule(float(values["lr_warmdown_share"]))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        pass
    return None


def stage_of(values: Mapping[str, Any]) -> str:
    """How the score of a recipe is evaluated, as `golf.run.forecast.STAGES` has it: its last evaluator."""
    reports = values.get("reports") or ("plain",)
    last = str(reports[-1]).rpartition(".")[2]
    return "ttt" if last.startswith("ttt") else "quantized" if last == "plain" else "sliding"


def reference_of(store: Store, run: Run, is_same: bool) -> Reference | None:
    """A finished run as a reference; None without a score or a curve."""
    result = run.result or {}
    bpb, loss = result.get("val_bpb"), result.get("val_loss")
    points = store.metrics(run.id, "train_loss")
    if not bpb or not points:
        return None
    at = dict(store.metrics(run.id, "train_seconds"))
    seconds, steps = result.get("train_seconds"), result.get("steps") or points[-1][0]
    train = tuple(
        (step, at[step] / seconds if seconds and step in at else step / max(steps, 1), value) for step, value in points
    )
    values = values_of(run)
    return Reference(
        f"{run.submission} seed {run.seed}", Curve(train, (), bpb / loss if loss else None), float(bpb), is_same,
        schedule_of(values, int(steps)) if not run.smoke and steps else None, stage_of(values),
    )  # fmt: skip


def said(found: Forecast) -> str:
    """`1.0831 ± 0.0045 (the public logs)`: the error is one sd of forecasts on logs."""
    return f"{found.bpb:.4f} ± {found.sd:.4f} ({found.by})"


def to_json(found: Forecast) -> dict[str, Any]:
    """A forecast for `--json`."""
    return {"bpb": found.bpb, "sd": found.sd, "share": found.share, "by": found.by}


def stop_if_worse(outlook: Outlook, bound: float, dollars_per_hour: float | None = None) -> Judge:
    """The judge that ends a run in training when its final BPB would be above `bound` with 95 % confidence; the reason says what that saves."""

    def judge(progress: Progress) -> str | None:
        worse = next((one for one in outlook.read(progress) if one.is_worse_than(bound)), None)
        if worse is None or progress.step is None:
            return None
        return f"{PRUNED} at step {progress.step} of {progress.iterations}: the forecast is {said(worse)}, worse than {bound:g}; {saved(progress, dollars_per_hour)}"

    return judge


def saved(progress: Progress, dollars_per_hour: float | None) -> str:
    """What a stop now saves, in words: the rest of the training clock, and an evaluation of which nobody knows how long it would take."""
    left = None
    if progress.step is not None and progress.iterations and progress.step_ms:
        left = (progress.iterations - progress.step) * progress.step_ms / 1000
    if progress.cap_seconds and progress.train_seconds is not None:
        by_clock = progress.cap_seconds - progress.train_seconds
        left = by_clock if left is None else min(left, by_clock)
    if left is None:
        return "saves the rest of the run"
    dollars = "" if dollars_per_hour is None else f" (${left * dollars_per_hour / 3600:.2f})"
    return f"saves {left:.0f} s of training{dollars} and the evaluation"
