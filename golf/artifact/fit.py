"""`--fit`: the setting of the quantizers whose artifact lands just under a number of bytes at the least loss.

A plan is a way to spend bytes (as the recipe says, the embedding finer or coarser, with low-rank corrections, …) with one dial.
For each plan the dial is found on predicted bytes, corrected by real artifacts until one lands within the tolerance below the
target; of the plans the one with the least measured loss wins. Without an evaluation the first plan that fits wins: the error of
the layers' outputs, which needs none, was seen to mislead between plans (it prefers a coarse embedding, which loses most).
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from golf.artifact.dials import ROLES, Checkpoint, Dial, Plan, container_bytes, dial_of, make_tensors
from golf.artifact.tensors import output_errors
from golf.errors import Exit, GolfError
from golf.recipe import Recipe

MAX_TRIES = 10  # artifacts made for one plan
Evaluate = Callable[[dict[str, Any]], float]


@dataclass(frozen=True)
class Tried:
    """One artifact that was made. output_error: mean over matrices of tr(E H Eᵀ) / tr(W H Wᵀ); loss: None if not scored."""

    plan: str
    dial: float
    predicted_bytes: int
    model_bytes: int
    output_error: float | None
    loss: float | None
    seconds: float
    fits: bool


@dataclass(frozen=True)
class Fit:
    """The winner: knobs to set, its bytes, and everything that was tried."""

    plan: str
    values: Mapping[str, Any]
    model_bytes: int
    target_bytes: int
    tried: tuple[Tried, ...]


LOW_RANK = {"corrections": ("lqer.LQER",)}
TRELLIS = {"levels": "trellis.trellis_levels", **{f"{role}_quantizer": "trellis.gptq_trellis" for role in ROLES[:3]}}
PLANS = (
    Plan("as the recipe"),
    Plan("embedding finer", steps={"embed": 0.8}),
    Plan("attention coarser", steps={"attn": 1.15}),
    Plan("mlp coarser", steps={"mlp": 1.1}),
    Plan("low-rank corrections", changes=LOW_RANK),
)
TRELLIS_PLANS = (
    Plan("trellis", changes=TRELLIS),
    Plan("trellis, low-rank corrections", changes={**TRELLIS, **LOW_RANK}),
)


def fit(
    recipe: Recipe,
    checkpoint: Checkpoint,
    target_bytes: int | Callable[[Plan], int],
    *,
    plans: Sequence[Plan] = PLANS,
    tolerance_bytes: int = 5000,
    evaluate: Evaluate | None = None,
) -> Fit:
    """The best plan whose `model.golf` has at most `target_bytes`, and where its dial reaches, at most `tolerance_bytes` fewer.

    target_bytes: cap − code − helper files − a margin for the seeds to come; by plan where its code differs (a trellis adds 760
    bytes to a packed script, low-rank corrections 520). evaluate: {name: fp32 weight} → loss, lower is better: on training
    text (`golf.artifact.score.Scorer`). GolfError(OVER_BYTES): no plan gets below the target.
    """
    tried: list[Tried] = []
    landed: list[tuple[Tried, dict[str, Any], int]] = []
    for plan in plans:
        dial = dial_of(recipe, checkpoint, plan)
        target = target_bytes if isinstance(target_bytes, int) else target_bytes(plan)
        made = _turn(recipe, checkpoint, plan, dial, target, tolerance_bytes)
        fitting = [one for one in made if one.fits]
        if fitting:
            best = max(fitting, key=lambda one: one.model_bytes)
            scored = _scored(recipe, checkpoint, dial.settings(best.dial), best, evaluate)
            landed.append((scored, dial.settings(best.dial), target))
            made = [scored if one is best else one for one in made]
        tried.extend(made)
    if not landed:
        least = min(tried, key=lambda one: one.model_bytes)
        raise GolfError(
            f"{recipe.name} is {least.model_bytes - target:,} bytes over its target of {target:,} at the "
            f"coarsest setting tried ({least.plan})",
            "make the model smaller: `num_layers`, `model_dim`, `mlp_mult`",
            Exit.OVER_BYTES,
        )
    if evaluate is None:
        winner, values, target = landed[0]
    else:
        winner, values, target = min(landed, key=lambda way: way[0].loss if way[0].loss is not None else math.inf)
    return Fit(winner.plan, values, winner.model_bytes, target, tuple(tried))


def _turn(
    recipe: Recipe, checkpoint: Checkpoint, plan: Plan, dial: Dial, target_bytes: int, tolerance_bytes: int
) -> list[Tried]:
    """Make artifacts at better and better dials until one lands in the tolerance, or the dial is at its end."""
    made: list[Tried] = []
    aim, ratio = target_bytes - tolerance_bytes / 3, 1.0  # ratio: real / predicted bytes
    for _ in range(MAX_TRIES):
        over = min((one for one in made if not one.fits), key=lambda one: one.model_bytes, default=None)
        under = max((one for one in made if one.fits), key=lambda one: one.model_bytes, default=None)
        at = _between(over, under, aim) if over and under else _predicted_dial(dial, aim / ratio)
        if any(
            one.dial == at for one in made
        ):  # coders are not quite monotone: look elsewhere on the side that is missing
            at = dial.middle(at, over.dial if over else dial.least if made[-1].fits else dial.most)
        one = _make(recipe, checkpoint, plan, dial, at, target_bytes)
        made.append(one)
        ratio = one.model_bytes / max(one.predicted_bytes, 1)
        if 0 <= target_bytes - one.model_bytes <= tolerance_bytes or at == (dial.least if one.fits else dial.most):
            break
    return made


def _between(over: Tried, under: Tried, aim: float) -> float:
    """The dial that hits `aim` on the line through two artifacts, kept off their own dials."""
    share = (over.model_bytes - aim) / max(over.model_bytes - under.model_bytes, 1)
    return over.dial + min(max(share, 0.1), 0.9) * (under.dial - over.dial)


def _predicted_dial(dial: Dial, target_bytes: float) -> float:
    """The smallest dial whose predicted bytes are at most the target; the largest there is where none is."""
    low, high = dial.least, dial.most
    if dial.predicted_bytes(low) <= target_bytes:
        return low
    if dial.predicted_bytes(high) > target_bytes:
        return high
    for _ in range(24):
        middle = dial.middle(low, high)
        low, high = (low, middle) if dial.predicted_bytes(middle) <= target_bytes else (middle, high)
    return high


def _make(recipe: Recipe, checkpoint: Checkpoint, plan: Plan, dial: Dial, at: float, target_bytes: int) -> Tried:
    """One real artifact, weighed."""
    begun = time.perf_counter()
    h, tensors = make_tensors(recipe, dial.settings(at), checkpoint)
    weight_bytes = container_bytes(h, tensors)
    errors = output_errors(h, tensors, checkpoint.weights, checkpoint.hessians)
    known = [of_outputs for of_outputs, _ in errors.values() if of_outputs is not None]
    error = sum(known) / len(known) if known else None
    seconds = time.perf_counter() - begun
    return Tried(
        plan.name, at, round(dial.predicted_bytes(at)), weight_bytes, error, None, seconds, weight_bytes <= target_bytes
    )


def _scored(
    recipe: Recipe, checkpoint: Checkpoint, values: dict[str, Any], one: Tried, evaluate: Evaluate | None
) -> Tried:
    from golf.parts.quant import dequantize

    if evaluate is None:
        return one
    h, tensors = make_tensors(recipe, values, checkpoint)
    return replace(one, loss=evaluate(dequantize(h, tensors)))
