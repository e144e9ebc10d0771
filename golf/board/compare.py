"""Two sides against each other: numbers with spread and tests in every unit, configuration, code."""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from golf.board.sides import Side
from golf.errors import GolfError
from golf.logs import RunResult
from golf.logs.runs import is_configuration
from golf.recipe.log_names import in_log_names, live_values, same_value
from golf.recipe.recipe import Recipe
from golf.stats import (
    MARGIN_NATS,
    Sample,
    Test,
    bytes_per_token_of,
    nats_per_byte_of,
    nats_per_token_of,
    one_sample,
    seeds_needed,
    welch,
)


def _loss_of(run: RunResult) -> float | None:
    """Nats per token of the score; of a log without any BPB those of its last validation."""
    return run.last_loss.val_loss if run.score is None and run.last_loss is not None else run.val_loss


MEASURES: tuple[tuple[str, Callable[[RunResult], float | None], int], ...] = (
    ("final bpb", lambda run: run.val_bpb, 5),
    ("val_loss, nats/token", _loss_of, 5),
    ("pre-quant bpb", lambda run: run.pre_quant.val_bpb if run.pre_quant else None, 5),
    ("quantized bpb", lambda run: run.quantized.val_bpb if run.quantized else None, 5),
    ("sliding bpb", lambda run: run.sliding.val_bpb if run.sliding else None, 5),
    ("TTT bpb", lambda run: run.ttt.val_bpb if run.ttt else None, 5),
    ("steps", lambda run: run.steps, 1),
    ("ms/step", lambda run: run.step_ms, 2),
    ("train s", lambda run: run.train_seconds, 1),
    ("eval s", lambda run: run.eval_seconds, 1),
    ("total bytes", lambda run: run.total_bytes, 0),
    ("parameters", lambda run: run.params, 0),
    ("peak MiB", lambda run: run.peak_memory_mib, 0),
)


@dataclass(frozen=True)
class Comparison:
    """B against A. delta: B − A, negative is better for B; the tests are one-sided, that B is lower."""

    a: Side
    b: Side
    a_bpb: Sample | None
    b_bpb: Sample | None
    delta_bpb: float | None
    delta_nats_per_token: float | None
    delta_nats_per_byte: float | None
    plain: Test | None
    strict: Test | None
    paired: Test | None
    config: Mapping[str, tuple[str | None, str | None]]
    code_lines: tuple[int, int] | None
    notes: tuple[str, ...]

    @property
    def seeds_for_this_gap(self) -> int | None:
        """Seeds on each side for 80 % power at p < 0.01, if the gap and the spread seen are the true ones."""
        if (
            self.delta_bpb is None
            or self.delta_bpb >= 0
            or not self.a_bpb
            or not self.b_bpb
            or not self.a_bpb.sd
            or not self.b_bpb.sd
        ):
            return None
        return seeds_needed(-self.delta_bpb, math.hypot(self.a_bpb.sd, self.b_bpb.sd) / math.sqrt(2))


def compare(a: Side, b: Side) -> Comparison:
    """Everything that can be said of B against A; what cannot is None, with a note."""
    a_bpb, b_bpb = _sample(a, 0), _sample(b, 0)
    notes = [f"{side.label}: {note}" for side in (a, b) for note in side.notes]
    delta = b_bpb.mean - a_bpb.mean if a_bpb and b_bpb else None
    per_token = (_bytes_per_token(b) or _bytes_per_token(a)) if _one_tokenizer(a, b) else None
    plain = strict = None
    if a_bpb and b_bpb:
        plain = welch(b_bpb, a_bpb) if a_bpb.n > 1 else one_sample(b_bpb, a_bpb.mean)
        if a_bpb.n == 1:
            notes.append(f"{a.label} is one number: the test is against it, without its spread")
        strict = _strict(a, b, a_bpb, b_bpb, notes)
        if plain is None:
            notes.append("no p-value: a side has fewer than two seeds, or no spread")
    else:
        notes.append("no scores on both sides: only configuration and code are compared")
    return Comparison(
        a, b, a_bpb, b_bpb, delta, nats_per_token_of(delta, per_token) if delta is not None and per_token else None,
        nats_per_byte_of(delta) if delta is not None else None, plain, strict, _paired(a, b, notes), config_diff(a, b),
        _code_lines(a, b), tuple(notes),
    )  # fmt: skip


def _sample(side: Side, index: int) -> Sample | None:
    values = [pair[index] for pair in side.seeds.values()]
    known = [value for value in values if value is not None]
    return Sample.of(known) if known and len(known) == len(values) else None


def _bytes_per_token(side: Side) -> float | None:
    return next((bytes_per_token_of(loss, bpb) for bpb, loss in side.seeds.values() if loss), None)


def _one_tokenizer(a: Side, b: Side) -> bool:
    """Whether nothing shows that the two score tokens of different lengths."""
    ratios = [ratio for ratio in (_bytes_per_token(a), _bytes_per_token(b)) if ratio]
    return not ratios or max(ratios) / min(ratios) < 1.005


def _strict(a: Side, b: Side, a_bpb: Sample, b_bpb: Sample, notes: list[str]) -> Test | None:
    """The README's test, on losses where the tokenizers agree; else on BPB with the margin in B's unit."""
    a_ratio, b_ratio = _bytes_per_token(a), _bytes_per_token(b)
    a_loss, b_loss = _sample(a, 1), _sample(b, 1)
    if a_ratio and b_ratio and abs(a_ratio / b_ratio - 1) < 0.005 and a_loss and b_loss and a_loss.n > 1:
        return welch(b_loss, a_loss, MARGIN_NATS)
    if not b_ratio:
        return None
    if a_ratio and abs(a_ratio / b_ratio - 1) >= 0.005:
        notes.append(
            f"the tokenizers differ ({a_ratio:.4f} and {b_ratio:.4f} bytes per token): losses in nats per token do not compare, so the gap is given in BPB; the margin is that of {b.label}"
        )
    margin = MARGIN_NATS / nats_per_token_of(1.0, b_ratio)
    return welch(b_bpb, a_bpb, margin) if a_bpb.n > 1 else one_sample(b_bpb, a_bpb.mean, margin)


def _paired(a: Side, b: Side, notes: list[str]) -> Test | None:
    """The test of the differences seed by seed: only where both ran the same seeds for the same number of steps."""
    common = [seed for seed in a.seeds if seed in b.seeds and seed in a.runs and seed in b.runs]
    if len(common) < 2 or len(common) < len(a.seeds):
        return None
    if any(a.runs[seed].steps != b.runs[seed].steps for seed in common):
        notes.append("the same seeds, but other step counts: a paired test would mean nothing")
        return None
    return one_sample(Sample.of([b.seeds[seed][0] - a.seeds[seed][0] for seed in common]), 0.0)


def config_diff(a: Side, b: Side) -> dict[str, tuple[str | None, str | None]]:
    """Name → (value in A, value in B) where they differ as values; None for a side that does not know the name.

    Two recipes differ in the knobs that their composed files read, and a member by any of its names is the same member. A recipe against a
    log is read through the map of names: of the log's hyper-parameters those for which golf has a knob.
    """
    if a.recipe is not None and b.recipe is not None:
        return _choices(a.recipe, b.recipe)
    left, right = _config(a, b), _config(b, a)
    if not left or not right:
        return {}
    names = [name for name in (*left, *(name for name in right if name not in left)) if is_configuration(name)]
    mapped = (a.recipe is None) != (b.recipe is None)
    return {
        name: (left.get(name), right.get(name))
        for name in names
        if not (name in left and name in right and same_value(left[name], right[name]))
        and not (mapped and name not in (left if b.recipe is None else right))
    }


def _choices(a: Recipe, b: Recipe) -> dict[str, tuple[str | None, str | None]]:
    """Knob → (value in A, value in B) of the choices that two recipes do not share; None where that recipe's file does not read it."""
    left, right = _read_values(a), _read_values(b)
    found = {}
    for name in (*left, *(name for name in right if name not in left)):
        pair = left.get(name), right.get(name)
        if None in pair or _members(a, name, pair[0]) != _members(b, name, pair[1]):
            found[name] = (None if pair[0] is None else str(pair[0]), None if pair[1] is None else str(pair[1]))
    return found


def _read_values(recipe: Recipe) -> Mapping[str, Any]:
    """The values that the composed file reads; where it does not compose, those of the techniques that the recipe uses."""
    from golf.compose.kept import kept_composition

    values = live_values(recipe)
    try:
        read = kept_composition(recipe).read
    except GolfError:
        return values
    return {name: value for name, value in recipe.values.items() if name in read and name != "name"}


def _members(recipe: Recipe, name: str, value: Any) -> Any:
    """A slot's or chain's entries by the definitions that they name; other values as they are."""
    knob = recipe.catalogue.knobs[name]
    if knob.kind not in ("Slot", "Chain") or not value:
        return value
    entries = (value,) if isinstance(value, str) else value
    return [
        (d.names[0], recipe.catalogue.part_of(d).stem) for d in (recipe.catalogue.find(one, name) for one in entries)
    ]


def _config(side: Side, other: Side) -> Mapping[str, str]:
    """A side's configuration; a recipe's in the names of the log that stands against it."""
    if side.recipe is not None and other.recipe is None and other.config:
        return in_log_names(side.recipe, other.config)
    return side.config


def unmatched(a: Side, b: Side) -> int:
    """How many hyper-parameters of a log stand against a recipe that has no knob for them."""
    log, recipe = (b, a) if a.recipe is not None else (a, b)
    if recipe.recipe is None or log.recipe is not None or not log.config:
        return 0
    return len(log.config.keys() - in_log_names(recipe.recipe, log.config).keys())


def code_diff(a: Side, b: Side, context: int = 3) -> list[str]:
    """The unified diff of the readable scripts; empty when a side has none or they are equal."""
    if a.script is None or b.script is None:
        return []
    return list(
        difflib.unified_diff(a.script.splitlines(), b.script.splitlines(), a.label, b.label, lineterm="", n=context)
    )


def _code_lines(a: Side, b: Side) -> tuple[int, int] | None:
    if a.script is None or b.script is None:
        return None
    lines = code_diff(a, b, 0)[2:]
    return sum(line.startswith("+") for line in lines), sum(line.startswith("-") for line in lines)


def measures(a: Side, b: Side) -> list[tuple[str, str, str, str]]:
    """(name, A, B, B − A) of everything that a side's logs measured: mean, with the sample sd where there is one."""
    rows = []
    for name, of, digits in MEASURES:
        left, right = _measured(a, of), _measured(b, of)
        if left or right:
            comparable = of is not _loss_of or _one_tokenizer(a, b)
            delta = f"{right.mean - left.mean:+,.{digits}f}" if left and right and comparable else ""
            rows.append((name, _shown(left, digits), _shown(right, digits), delta))
    if not a.runs or not b.runs:
        rows = [row for row in rows if row[0] != "final bpb"]
        left, right = _sample(a, 0), _sample(b, 0)
        delta = f"{right.mean - left.mean:+,.5f}" if left and right else ""
        rows.insert(0, ("final bpb", _shown(left, 5), _shown(right, 5), delta))
    return rows


def _measured(side: Side, of: Callable[[RunResult], Any]) -> Sample | None:
    values = [float(value) for run in side.runs.values() if (value := of(run)) is not None]
    return Sample.of(values) if values and len(values) == len(side.runs) else None


def _shown(sample: Sample | None, digits: int) -> str:
    if sample is None:
        return "unknown"
    spread = f" ± {sample.sd:,.{digits}f}" if sample.sd else ""
    return f"{sample.mean:,.{digits}f}{spread}"
