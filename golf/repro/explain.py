"""The gap between a published score and runs of it elsewhere, taken apart into shares that add up, and a verdict."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from golf.logs import RunResult
from golf.logs.agreement import LIMIT
from golf.logs.result import same_run
from golf.logs.runs import configuration
from golf.repro.differences import BYTES_OF_CODE, Difference, bytes_per_token, differences
from golf.repro.price import COMPRESSED, cut_price, trained_bpb
from golf.stats import Sample, t_quantile, t_sf

LEVEL = 0.05  # two-sided: a gap less likely than this by the spread of seeds alone is a gap
LEAST_STEPS = 0.003  # a relative difference in steps that is worth a word
TOO_WIDE_BPB = 0.01  # an interval as wide as several records: nothing can be said from it
# pooled sample sd of the seeds of the 40 official records with three or more (84 degrees of freedom), from the board
FIELD_SD, LEAST_DF = 0.00074, 4


class Verdict(StrEnum):
    """What the runs say of the record."""

    REPRODUCED = "REPRODUCED"
    HARDWARE = "HARDWARE"
    DATA = "DATA"
    CODE = "CODE"
    NOT_REPRODUCED = "NOT REPRODUCED"
    CANNOT_TELL = "CANNOT TELL"


@dataclass(frozen=True)
class Share:
    """A part of the gap, in BPB: obtained minus published. error: one standard error, None where none is known."""

    name: str
    bpb: float
    error: float | None
    says: str


@dataclass(frozen=True)
class Explanation:
    """verdict and why in one sentence; gap: obtained minus published, in BPB; error: its standard error from the spread of seeds.

    shares add up to the gap, the last is what nothing explains; sds: that share in its own errors. seeds: of both sides.
    """

    verdict: Verdict
    why: str
    published: Sample | None
    obtained: Sample | None
    gap: float | None = None
    error: float | None = None
    shares: tuple[Share, ...] = ()
    sds: float | None = None
    differences: tuple[Difference, ...] = ()
    seeds: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    steps: tuple[float | None, float | None] = (None, None)
    step_ms: tuple[float | None, float | None] = (None, None)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def explain(
    published: Mapping[str, RunResult],
    obtained: Mapping[str, RunResult],
    scripts: tuple[str | None, str | None] = (None, None),
    *,
    notes: Sequence[str] = (),
) -> Explanation:
    """Judge the runs `obtained` of a record whose own are `published`, each seed → run.

    A run of `obtained` that is one of the record's own, line for line, is no reproduction and is left out.
    """
    said = list(notes)
    ours = {seed: run for seed, run in obtained.items() if not any(_copied(run, one) for one in published.values())}
    if len(ours) < len(obtained):
        copies = ", ".join(seed for seed in obtained if seed not in ours)
        said.append(f"seed {copies}: its log prints the record's own run, so nothing was run again; left out")
    left = {seed: run for seed, run in published.items() if run.val_bpb is not None}
    right = {seed: run for seed, run in ours.items() if run.val_bpb is not None and run.complete}
    said += [f"seed {seed}: left out, {_why_no_score(run)}" for seed, run in ours.items() if seed not in right]
    apart = tuple(differences(list(left.values()), list((right or ours).values()), scripts))
    seeds = (tuple(left), tuple(right))
    if not left or not right:
        why = "the record's logs give no score" if not left else "no run of it elsewhere has a score of the artifact"
        sample = Sample.of([run.val_bpb or 0.0 for run in left.values()]) if left else None
        return Explanation(Verdict.CANNOT_TELL, why, sample, None, differences=apart, seeds=seeds, notes=tuple(said))
    return _Gap(left, right, apart, said, same_text=None not in scripts).explained()


def _copied(run: RunResult, own: RunResult) -> bool:
    """Whether it is the record's own run: equal in every number that a clock gives too; of a row of the board, in all eight digits."""
    if own.dialect == "board":
        return run.seed == own.seed and run.val_bpb == own.val_bpb
    return same_run(run, own) and run.train_seconds == own.train_seconds and len(run.curve) > 0


def _why_no_score(run: RunResult) -> str:
    return (
        f"it ended with {run.crash}"
        if run.crash
        else "its log is not whole"
        if run.val_bpb is not None
        else run.score_why
    )


class _Gap:
    """The measures of one gap, taken once."""

    def __init__(
        self,
        left: Mapping[str, RunResult],
        right: Mapping[str, RunResult],
        apart: tuple[Difference, ...],
        said: list[str],
        *,
        same_text: bool,
    ) -> None:
        self.left, self.right, self.apart, self.said, self.same_text = left, right, apart, said, same_text
        before, after = list(left.values()), list(right.values())
        ratios = bytes_per_token(before), bytes_per_token(after)
        self.factor = 1.0  # BPB of the obtained runs at the record's bytes per token
        if ratios[0] and ratios[1] and abs(ratios[1] / ratios[0] - 1) > LIMIT:
            self.factor = ratios[1] / ratios[0]
        self.published = Sample.of([run.val_bpb or 0.0 for run in before])
        self.obtained = Sample.of([run.val_bpb or 0.0 for run in after])
        self.gap = self.obtained.mean - self.published.mean
        self.sd, self.df = self._spread()
        self.error = self.sd * math.sqrt(1 / self.published.n + 1 / self.obtained.n)
        self.steps = _mean(before, lambda run: run.steps), _mean(after, lambda run: run.steps)
        self.step_ms = _mean(before, lambda run: run.step_ms), _mean(after, lambda run: run.step_ms)

    def _spread(self) -> tuple[float, float]:
        """Pooled sample sd of both sides and its degrees of freedom; where these are few, filled up with the field's."""
        known = [side for side in (self.published, self.obtained) if side.sd is not None]
        squares, df = sum((side.n - 1) * (side.sd or 0.0) ** 2 for side in known), sum(side.n - 1 for side in known)
        if df < LEAST_DF:
            self.said.append(
                f"few seeds: their spread is filled up with the official records' own, {FIELD_SD} BPB, to {LEAST_DF} degrees of freedom"
            )
            squares, df = squares + (LEAST_DF - df) * FIELD_SD**2, LEAST_DF
        return math.sqrt(squares / df), float(df)

    def within(self, gap: float, error: float) -> bool:
        """Whether seeds alone give a gap as large in one of twenty pairs or more."""
        return 2 * t_sf(abs(gap) / error, self.df) >= LEVEL if error > 0 else gap == 0

    # ---- the shares ----------------------------------------------------------------------------------------------------

    def explained(self) -> Explanation:
        shares = [
            share for share in (self._bytes(), self._seeds(), self._steps(), *self._stages()) if share is not None
        ]
        rest = self.gap - sum(share.bpb for share in shares)
        priced = [share.error for share in shares if share.error and share.name == "steps"]
        error = math.hypot(self.error, *priced)
        sds = rest / error if error else None
        verdict, why, cut = self._judged()
        if cut is not None:
            shares = [share for share in shares if share.name != "steps"] + [cut]
            rest = self.gap - sum(share.bpb for share in shares)
            sds = rest / self.error if self.error else None
        tail = "" if sds is None else f"{abs(sds):.1f} sds of what seeds and prices leave open"
        shares.append(Share("unexplained", rest, error, tail))
        return Explanation(
            verdict, why, self.published, self.obtained, self.gap, self.error, tuple(shares), sds, self.apart,
            (tuple(self.left), tuple(self.right)), self.steps, self.step_ms, tuple(self.said),
        )  # fmt: skip

    def _bytes(self) -> Share | None:
        """The same losses counted over other bytes."""
        if self.factor == 1.0:
            return None
        return Share(
            "bytes per token", self.obtained.mean * (1 - self.factor), 0.0,
            "the same losses in nats per token, counted over other bytes of text",
        )  # fmt: skip

    def _seeds(self) -> Share | None:
        """What comes of running some of the record's seeds and not the others."""
        common = [seed for seed in self.right if seed in self.left]
        if len(common) != len(self.right) or len(common) == len(self.left):
            return None
        mean = sum(self.left[seed].val_bpb or 0.0 for seed in common) / len(common)
        return Share(
            "choice of seeds", mean - self.published.mean, self.sd / math.sqrt(len(common)),
            f"the record's own mean over seed {', '.join(common)} is {mean:.5f}",
        )  # fmt: skip

    def _steps(self) -> Share | None:
        wanted, got = self.steps
        if not wanted or not got or abs(math.log(wanted / got)) < LEAST_STEPS:
            return None
        bpb, error = COMPRESSED.of(wanted, got)
        paces = [f"{ms:.1f} ms" for ms in self.step_ms if ms]
        pace = f" at {paces[1]} instead of {paces[0]}" if len(paces) == 2 else ""
        return Share(
            "steps", bpb, error,
            f"{got:,.0f} steps instead of {wanted:,.0f}{pace}; 1 % of the steps is {COMPRESSED.bpb / 100:.5f} ± {COMPRESSED.error / 100:.5f} BPB",
        )  # fmt: skip

    def _stages(self) -> list[Share]:
        """Quantization and evaluation: how far each stage moved the score on one side and on the other."""
        parts: list[Share] = []
        rows = (
            ("quantization", trained_bpb, _quantized),
            ("evaluation", _quantized, lambda run: run.val_bpb),
        )
        if any(_quantized(run) is None for run in (*self.left.values(), *self.right.values())):
            rows = (("quantization and evaluation", trained_bpb, lambda run: run.val_bpb),)  # type: ignore[assignment]
        seeds = [seed for seed in self.right if seed in self.left]
        left = [self.left[seed] for seed in seeds] if len(seeds) == len(self.right) else list(self.left.values())
        for name, start, end in rows:
            before, after = _moves(left, start, end), _moves(list(self.right.values()), start, end)
            if before is None or after is None:
                self.said.append(f"a log has no score before and after {name}: it is not set apart")
                continue
            after = Sample(after.n, after.mean * self.factor, after.sd)
            errors = [side.sd / math.sqrt(side.n) for side in (before, after) if side.sd is not None]
            says = f"it moves the score by {after.mean:+.5f} instead of {before.mean:+.5f}"
            parts.append(Share(name, after.mean - before.mean, math.hypot(*errors) if errors else None, says))
        return parts

    # ---- the verdict ---------------------------------------------------------------------------------------------------

    def _judged(self) -> tuple[Verdict, str, Share | None]:
        """(verdict, why, the share of steps at the price of a schedule cut short, where only that explains the gap)."""
        verdict, why, cut = self._by_kinds()
        if verdict in (Verdict.REPRODUCED, Verdict.HARDWARE) and not self._one_script():
            return Verdict.CANNOT_TELL, f"{why}; but nothing shows that the same script ran", cut
        return verdict, why, cut

    def _one_script(self) -> bool:
        """Whether both sides say anything of what ran: its text, its bytes, its parameters or its settings."""
        if self.same_text:
            return True
        stated = [
            {name for run in runs.values() for name in configuration(run)} - {"gpu", "world_size", "vocabulary"}
            for runs in (self.left, self.right)
        ]
        return bool(stated[0] & stated[1])

    def _by_kinds(self) -> tuple[Verdict, str, Share | None]:
        of = {kind: [one for one in self.apart if one.kind == kind] for kind in ("code", "data", "clock", "machine")}
        sure = [one for one in of["code"] if one.name != BYTES_OF_CODE]
        if sure:
            return Verdict.CODE, f"what ran is not what was published: {_texts(sure)}", None
        if of["data"]:
            return Verdict.DATA, f"it saw other data: {_texts(of['data'])}", None
        half = t_quantile(1 - LEVEL / 2, self.df) * self.error
        if self.within(self.gap, self.error):
            if half > TOO_WIDE_BPB:
                return Verdict.CANNOT_TELL, f"the gap is known to ± {half:.4f} BPB only: run more seeds", None
            return Verdict.REPRODUCED, f"the gap of {self.gap:+.5f} is within ± {half:.5f}, what seeds alone give", None
        if of["code"]:
            return Verdict.CODE, f"the script has another size, and the score is another: {_texts(of['code'])}", None
        return self._by_steps(of["clock"], half)

    def _by_steps(self, clock: list[Difference], half: float) -> tuple[Verdict, str, Share | None]:
        """Whether fewer or more steps give the gap, at the price of a compressed schedule or at most of one cut short."""
        share, choice = self._steps(), self._seeds()
        chosen = choice.bpb if choice else 0.0
        rest = self.gap - chosen
        missed = f"the gap of {self.gap:+.5f} is beyond ± {half:.5f}, what seeds alone give"
        if share is None or share.bpb * rest <= 0:
            where = "" if share is None else f", and the steps would give {share.bpb:+.5f}"
            if choice is not None and self.within(rest, self.error):
                return Verdict.REPRODUCED, f"the gap of {self.gap:+.5f} is that of the seeds that were run", None
            return Verdict.NOT_REPRODUCED, missed + where, None
        verdict = Verdict.CODE if clock else Verdict.HARDWARE
        because = f"another clock ({_texts(clock)})" if clock else "another pace"
        wanted, got = self.steps
        if self.within(rest - share.bpb, math.hypot(self.error, share.error or 0.0)):
            return (
                verdict,
                f"{because}: {got:,.0f} steps instead of {wanted:,.0f} give {share.bpb:+.5f} of {self.gap:+.5f}",
                None,
            )
        slope, missing = cut_price(list(self.left.values())), (wanted or 0.0) - (got or 0.0)
        most = (slope or 0.0) * missing
        if most * rest > 0 and (abs(rest) <= abs(most) or self.within(rest - most, self.error)):
            at = rest / missing
            cut = Share(
                "steps", rest, abs(most - share.bpb) / 2,
                f"{missing:,.0f} steps missing at {at:.2e} BPB each, between {share.bpb / missing:.2e} (a compressed schedule) and "
                f"{slope:.2e} (this record's warmdown, cut short)",
            )  # fmt: skip
            return (
                verdict,
                f"{because}: {missing:,.0f} missing steps give {rest:+.5f}, as where a schedule is cut short",
                cut,
            )
        return (
            Verdict.NOT_REPRODUCED,
            f"{missed}, and the steps give {share.bpb:+.5f} (at most {most:+.5f}) of it",
            None,
        )


def _quantized(run: RunResult) -> float | None:
    """BPB of the artifact before any sliding window or test-time training."""
    return run.quantized.val_bpb if run.quantized is not None else None


def _mean(runs: Sequence[RunResult], of: Callable[[RunResult], float | None]) -> float | None:
    found = [value for run in runs if (value := of(run)) is not None]
    return sum(found) / len(found) if found and len(found) == len(runs) else None


def _moves(
    runs: Sequence[RunResult], start: Callable[[RunResult], float | None], end: Callable[[RunResult], float | None]
) -> Sample | None:
    """How far a stage moves the score in each run; None where a run does not say."""
    found = []
    for run in runs:
        first, last = start(run), end(run)
        if first is None or last is None:
            return None
        found.append(last - first)
    return Sample.of(found) if found else None


def _texts(found: Sequence[Difference]) -> str:
    return "; ".join(one.text for one in found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
