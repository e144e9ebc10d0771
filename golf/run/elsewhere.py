"""What a run would cost and need on a machine that is not here: a prediction, answered from the recipe alone.

Training takes its clock (or its steps at the published pace); evaluation at most the contest's 600 s, set-up as measured on eight
H100. Other machines are scaled by the number of GPUs alone, which only says how many there are, not how fast.
"""

from dataclasses import dataclass
from typing import Any

from golf.challenge import EVAL_CAP_SECONDS
from golf.project import find_root, find_submission
from golf.recipe import Recipe, load_recipe
from golf.run.machine import Machine, machine_of
from golf.run.plan import (
    ARTIFACT_BYTES,
    ASSUMED_PARAMS,
    SETUP_SECONDS,
    Wishes,
    parse_seeds,
    refuse_ruling,
    refuse_world_size,
)  # fmt: skip
from golf.run.source import read_source

CONTEST_GPUS = 8


@dataclass(frozen=True)
class Elsewhere:
    """One seed's seconds, each with where the number is from."""

    machine: Machine
    nproc: int
    seeds: tuple[int, ...]
    training: tuple[float, str]
    evaluation: tuple[float, str]
    setup: tuple[float, str]
    needs: dict[str, str]

    @property
    def seconds_per_seed(self) -> float:
        return self.training[0] + self.evaluation[0] + self.setup[0]


def foresee(name: str | None, wishes: Wishes, on: str) -> Elsewhere:
    """The prediction for a submission; GolfError as for a start there, but without its data and its GPUs."""
    folder = find_submission(name)
    source, machine = read_source(folder, smoke=wishes.smoke), machine_of(on)
    nproc = wishes.nproc or len(machine.gpus)
    refuse_world_size(nproc, machine)
    refuse_ruling(source, wishes.allow)
    seeds = parse_seeds(wishes.seeds) if wishes.seeds is not None else source.seeds
    recipe = load_recipe(folder / "recipe.toml")
    needs = {
        "data": f"FineWeb shards and the tokenizer of {source.vocab_size:,} pieces in {find_root(folder) / 'data'}: not looked at here",
        "disk": f"{(ASSUMED_PARAMS * 12 + ARTIFACT_BYTES) * len(seeds) / 1e9:.1f} GB for {len(seeds)} seed(s), at most",
    }
    share = CONTEST_GPUS / nproc
    evaluation = (EVAL_CAP_SECONDS * share, f"the contest's cap on 8 GPUs × {share:g}: at most")
    setup = (SETUP_SECONDS, "set-up and compile, as on eight H100")
    return Elsewhere(machine, nproc, seeds, _training(recipe, wishes, share), evaluation, setup, needs)


def _training(recipe: Recipe, wishes: Wishes, share: float) -> tuple[float, str]:
    cap = (
        recipe.values.get("max_wallclock_seconds", 600.0)
        if wishes.max_wallclock_seconds is None
        else wishes.max_wallclock_seconds
    )
    if cap:
        return float(cap), "the training clock"
    step_ms = next((p["step_ms"] for p in _published(recipe) if "step_ms" in p), None)
    steps = wishes.iterations or int(recipe.values["iterations"])
    pace = next((p for p in _published(recipe) if "tokens_per_second" in p), None)
    if step_ms is None and pace is not None:
        tokens = steps * int(recipe.values["train_batch_tokens"])
        seconds = tokens / float(pace["tokens_per_second"])
        return (
            seconds,
            f"{tokens:,} tokens at {pace['tokens_per_second']:,} a second as published on {pace.get('machine', 'its machine')}",
        )
    if step_ms is None:
        return float("nan"), f"{steps:,} steps without a clock, and no pace is published: unknown"
    return steps * float(step_ms) / 1000 * share, f"{steps:,} steps of {step_ms} ms as published on 8 GPUs × {share:g}"


def _published(recipe: Recipe) -> list[Any]:
    return [recipe.published, *(load_recipe(name).published for name in recipe.chain[1:])]


def rows_and_report(
    found: Elsewhere, name: str, dollars_per_hour: float | None
) -> tuple[list[list[str]], dict[str, Any]]:
    """(rows of the table, the report as JSON): every number with its source."""
    parts = {"training": found.training, "evaluation": found.evaluation, "setup": found.setup}
    known = found.seconds_per_seed == found.seconds_per_seed

    def dollars(seconds: float) -> float | None:
        return None if dollars_per_hour is None or seconds != seconds else seconds * dollars_per_hour / 3600

    def cell(value: float | None, form: str) -> str:
        return "?" if value is None or value != value else form.format(value)

    total = found.seconds_per_seed * len(found.seeds)
    rows = [[what, cell(s, "{:.0f}"), cell(dollars(s), "{:.2f}"), why] for what, (s, why) in parts.items()]
    rows.append(
        [
            f"{len(found.seeds)} seed(s)",
            cell(total, "{:.0f}"),
            cell(dollars(total), "{:.2f}"),
            "predicted, not measured",
        ]
    )
    rows += [[what, "", "", text] for what, text in found.needs.items()]
    report = {
        "submission": name, "machine": found.machine.describe(found.nproc), "rate_dollars_per_hour": dollars_per_hour,
        "seeds": list(found.seeds), "predicted": True, "needs": found.needs,
        "seconds_per_seed": found.seconds_per_seed if known else None, "dollars": dollars(total),
        "parts": {what: {"seconds": s if s == s else None, "source": why} for what, (s, why) in parts.items()},
    }  # fmt: skip
    return rows, report
