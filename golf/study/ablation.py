"""An ablation: the base with one technique left out, put in, or a pair left out; which differences are real, paired by seed.

Every row's differences to the base are taken seed by seed. The rows have few seeds each, so their variances are moderated together
(`golf.stats.moderated`), the noise floor among them: A/A pairs, the base against itself on other seeds, where nothing differs. Verdicts
are by Holm's adjusted p over the rows, so that the chance of calling any idle technique real is 5 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from golf.board.asked import asked_recipe
from golf.compose.kept import kept_composition
from golf.errors import GolfError
from golf.figures.charts import Chart, Panel
from golf.figures.svg import draw
from golf.recipe import load_recipe
from golf.recipe.techniques import find_technique, techniques
from golf.stats import Sample, holm, moderated, pairs_needed, t_upper_quantile, two_sided_p
from golf.study.make import base_of, source_of
from golf.study.results import Standing, standings
from golf.study.study import Study, Trial
from golf.study.sweep import Asked, find_begun, seeds_of, settled

ALPHA = 0.05
AGAIN = 100_000  # what is added to a seed for its A/A pair
BASE = "the base"
AA = "A/A: the base on other seeds"


@dataclass(frozen=True)
class Wanted:
    """What to leave out and to put in. drop None: every technique of the base that can be left out."""

    drop: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    pairs: bool = False
    aa: int | None = None  # A/A pairs; None: as many as seeds


@dataclass(frozen=True)
class Paired:
    """A two-sided test of paired differences. delta: their mean, negative is better; sd and df: moderated over all rows; extra_df: what
    the other rows add to its own n - 1; interval: 95 %, of this row alone."""

    n: int
    delta: float
    sd: float
    df: float
    extra_df: float
    p: float
    p_holm: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One row against the base. beyond: of a pair, its difference minus the sum of the two single ones."""

    label: str
    trial: str
    test: Paired
    step_ms: float | None
    bytes_: int | None
    verdict: str
    more_seeds: int | None = None
    dollars: float | None = None
    beyond: float | None = None


@dataclass(frozen=True)
class Table:
    """The rows, the noise floor and what is missing. floor: the mean difference of the A/A pairs; least: the smallest difference that
    these seeds can call real."""

    rows: tuple[Row, ...]
    floor: Row | None
    least: float | None
    base: Standing
    missing: tuple[str, ...]


def find_ablation(asked: Asked, wanted: Wanted, root: Path) -> tuple[Study, bool, list[str]]:
    """The study, whether it was begun before, and remarks: techniques that cannot be left out alone.

    GolfError: a technique that is not in the base, or is already; fewer than two seeds.
    """
    if asked.resume and not (asked.base or wanted.drop or wanted.add):
        return find_begun(asked, root, "ablation"), True, []
    base = base_of(asked.base, root, asked_recipe)
    seeds, remarks = seeds_of(asked), list[str]()
    if len(seeds) < 2:
        raise GolfError(
            "one seed has no spread: nothing could be called real", "two at least, better five: `--seeds 1,2,3,4,5`"
        )
    drops = [_name(base, one) for one in wanted.drop]
    if not drops and not wanted.add:
        drops, remarks = _removable(base)
    adds = list(wanted.add)
    if not drops and not adds:
        raise GolfError(f"{base} has no technique that can be left out alone", "put one in: `--add TECHNIQUE`")
    if wanted.pairs and len(drops) < 2:
        raise GolfError("a pair needs two techniques that are left out", "`--drop A --drop B --pairs`")
    names = [(one,) for one in drops] + (list(combinations(drops, 2)) if wanted.pairs else [])
    count = len(seeds) if wanted.aa is None else wanted.aa
    if count not in (0, len(seeds)):
        raise GolfError(f"{count} A/A pairs beside rows of {len(seeds)} seeds would not be judged with them", f"as many as seeds, or none: `--aa {len(seeds)}`, `--aa 0`")  # fmt: skip
    again = tuple((seed + AGAIN) % (1 << 32) for seed in seeds[:count])
    trials = [
        Trial("", {BASE: ""}, base, seeds=(*seeds, *again)),
        *(Trial("", {f"− {' − '.join(one)}": ""}, base, without=one) for one in names),
        *(Trial("", {f"+ {one}": ""}, base, with_=(one,)) for one in adds),
    ]
    what = {"drop": drops, "add": adds, "pairs": wanted.pairs, "aa": count}
    study, begun = settled(asked, root, "ablation", what, lambda _: trials)
    return study, begun, remarks


def _name(base: str, technique: str) -> str:
    """The technique's own name; GolfError where the base does not use it."""
    recipe = load_recipe(source_of(base))
    found = find_technique(recipe.catalogue, technique)
    if not found.used_in(recipe):
        using = [t.name for t in techniques(recipe.catalogue).values() if t.used_in(recipe)]
        raise GolfError(f"{recipe.name} does not use `{found.name}`", f"it uses {', '.join(using) or 'none'}")
    return found.name


def _removable(base: str) -> tuple[list[str], list[str]]:
    """The techniques of a base without which it still composes, and a remark on those that cannot go alone."""
    source = source_of(base)
    recipe = load_recipe(source)
    kept, bound = list[str](), list[str]()
    for name in [t.name for t in techniques(recipe.catalogue).values() if t.used_in(recipe)]:
        try:
            varied = load_recipe(source, without=[name])
            kept_composition(varied)
        except GolfError:
            bound.append(name)
        else:
            (kept if varied.values != recipe.values else bound).append(name)
    return kept, [
        f"not left out, for the base needs them or nothing takes their place: {', '.join(bound)}"
    ] if bound else []


def table_of(study: Study, root: Path, rate: float | None) -> Table:
    """The verdicts on what has run so far. rate: dollars an hour, for what more seeds would cost."""
    found = {one.trial.name: one for one in standings(study, root)}
    base, others = found[study.trials[0].name], [found[trial.name] for trial in study.trials[1:]]
    pairs = {one.trial.name: differences(base, one, study.seeds) for one in others}
    again = [
        base.scores[other] - base.scores[seed]
        for seed in study.seeds
        if (other := (seed + AGAIN) % (1 << 32)) in base.scores and seed in base.scores
    ]
    missing = tuple(one.trial.label for one in others if len(pairs[one.trial.name]) < len(study.seeds))
    judged = [one for one in others if len(pairs[one.trial.name]) == len(study.seeds)]
    floor = again if len(again) == len(study.seeds) else []
    if not judged:
        return Table((), None, None, base, missing)
    tests = judge([pairs[one.trial.name] for one in judged], floor)
    seconds = [s for one in [base, *judged] for s in _seconds(one)]
    cost = None if rate is None or not seconds else 2 * sum(seconds) / len(seconds) / 3600 * rate
    rows = [_row(one, base, study, test, len(judged), cost) for one, test in zip(judged, tests, strict=False)]
    aa = None
    if floor:
        verdict = "within noise" if tests[-1].p >= ALPHA else "the noise floor itself differs"
        aa = Row(AA, base.trial.name, tests[-1], None, None, verdict)
    widest, df = max(test.sd for test in tests[: len(judged)]), tests[0].df
    least = t_upper_quantile(ALPHA / 2 / len(judged), df) * widest / math.sqrt(len(study.seeds))
    return Table(tuple(_with_sums(study, rows)), aa, least, base, missing)


def judge(pairs: Sequence[Sequence[float]], floor: Sequence[float] = ()) -> list[Paired]:
    """The paired test of every row's differences, all of one length of two at least; then that of the A/A pairs, if there are any."""
    samples = [Sample.of(row) for row in [*pairs, *([floor] if floor else [])]]
    own_df = samples[0].n - 1.0
    variances, df = moderated([(sample.sd or 0.0) ** 2 for sample in samples], own_df)
    found = []
    for sample, variance in zip(samples, variances, strict=True):
        error = math.sqrt(variance / sample.n)
        t = sample.mean / error if error else math.inf if sample.mean else 0.0
        half = t_upper_quantile(ALPHA / 2, df) * error
        found.append(
            Paired(
                sample.n,
                sample.mean,
                math.sqrt(variance),
                df,
                df - own_df,
                two_sided_p(t, df),
                1.0,
                (sample.mean - half, sample.mean + half),
            )
        )
    adjusted = [*holm([one.p for one in found[: len(pairs)]]), *(one.p for one in found[len(pairs) :])]
    return [replace(one, p_holm=p) for one, p in zip(found, adjusted, strict=True)]


def differences(base: Standing, other: Standing, seeds: Sequence[int]) -> list[float]:
    """BPB of a trial minus that of the base, for every seed that both have."""
    left, right = base.scores, other.scores
    return [right[seed] - left[seed] for seed in seeds if seed in left and seed in right]


def _mean_of(one: Standing, base: Standing, seeds: Sequence[int], name: str) -> float | None:
    """The mean difference of a number of the results; None where a seed lacks it."""
    values = [(side.runs[seed].result or {}).get(name) for side in (one, base) for seed in seeds]
    known = [float(value) for value in values if value is not None]
    return (sum(known[: len(seeds)]) - sum(known[len(seeds) :])) / len(seeds) if len(known) == len(values) else None


def _row(one: Standing, base: Standing, study: Study, test: Paired, rows: int, cost: float | None) -> Row:
    """cost: dollars of one more seed of a row and of the base; None without a rate."""
    bytes_ = _mean_of(one, base, study.seeds, "total_bytes")
    verdict, more, dollars = "within noise", None, None
    if test.p_holm < ALPHA:
        verdict = "real"
    elif test.p < ALPHA:
        needed = pairs_needed(test.delta, test.sd, ALPHA / rows, test.extra_df)
        more = None if needed is None else max(needed - test.n, 1)
        dollars = None if more is None or cost is None else more * cost
        verdict = "needs over 200 seeds" if more is None else f"needs {more} more seed{'s' * (more > 1)}"
        verdict += "" if dollars is None else f" (${dollars:,.2f})"
    step_ms = _mean_of(one, base, study.seeds, "step_ms")
    return Row(
        one.trial.label,
        one.trial.name,
        test,
        step_ms,
        None if bytes_ is None else round(bytes_),
        verdict,
        more,
        dollars,
    )


def _with_sums(study: Study, rows: Sequence[Row]) -> list[Row]:
    """The rows, those of pairs with how far they lie from the sum of the two single ones."""
    single = {
        study.trial(row.trial).without[0]: row.test.delta for row in rows if len(study.trial(row.trial).without) == 1
    }
    found = []
    for row in rows:
        names = study.trial(row.trial).without
        known = len(names) == 2 and all(name in single for name in names)
        found.append(replace(row, beyond=row.test.delta - sum(single[name] for name in names)) if known else row)
    return found


def _seconds(one: Standing) -> list[float]:
    from golf.study.drive import duration_of

    return [seconds for run in one.runs.values() if (seconds := duration_of(run)) is not None]


def figure(table: Table) -> Chart:
    """Each row's mean difference with its 95 % interval, the smallest real one as marks."""
    rows = [*table.rows, *([table.floor] if table.floor else [])]
    lines = {
        row.label: [(row.test.interval[0], float(-i)), (row.test.delta, float(-i)), (row.test.interval[1], float(-i))]
        for i, row in enumerate(rows)
    }
    return Chart(
        "Difference to the base, with 95 % intervals",
        [Panel("Δ BPB, left of 0 is better", "", lines, dots=True, marks={"0": 0.0}, rows=True)],
    )


def figure_svg(table: Table) -> str:
    """The figure as SVG."""
    return draw(figure(table))


def to_json(table: Table) -> dict[str, Any]:
    """The table for `--json`."""
    base = table.base
    return {
        "base_bpb": None if base.bpb is None else {"n": base.bpb.n, "mean": base.bpb.mean, "sd": base.bpb.sd},
        "alpha": ALPHA, "least_real": table.least, "missing": list(table.missing),
        "floor": None if table.floor is None else _plain(table.floor), "rows": [_plain(row) for row in table.rows],
    }  # fmt: skip


def _plain(row: Row) -> dict[str, Any]:
    return {
        "what": row.label, "submission": row.trial, "n": row.test.n, "delta_bpb": row.test.delta, "interval": list(row.test.interval), "sd": row.test.sd,
        "df": row.test.df, "p": row.test.p, "p_holm": row.test.p_holm, "delta_step_ms": row.step_ms, "delta_bytes": row.bytes_,
        "verdict": row.verdict, "more_seeds": row.more_seeds, "dollars": row.dollars, "beyond_the_sum": row.beyond,
    }  # fmt: skip
