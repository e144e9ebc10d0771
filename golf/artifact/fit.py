"""`--fit`: the setting of the quantizers whose artifact lands just under a number of bytes at the least loss.

A plan is a way to spend bytes (as the recipe says, the embedding finer or coarser, with low-rank corrections, …) with one dial.
For each plan the dial is found on predicted bytes, corrected by real artifacts until one lands within the tolerance below the
target; of the plans the one with the least measured KL to the float model wins. Where calibration kept the loss's gradients they say
beforehand which three plans are worth measuring. Without an evaluation the first plan that fits wins: the error of the layers' outputs,
which needs none, was seen to mislead between plans (it prefers a coarse embedding, which loses most).
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from golf.artifact.dials import (
    ROLES,
    Checkpoint,
    Dial,
    Plan,
    StepDial,
    container_bytes,
    dial_of,
    is_stepped,
    make_tensors,
    stepped_roles,
)
from golf.artifact.tensors import divergence_from_gradients, output_errors
from golf.errors import Exit, GolfError
from golf.recipe import Recipe, changed
from golf.recipe.namespace import namespace

MAX_TRIES = 10  # artifacts made for one plan
MEASURED_PLANS = 3  # where gradients rank them
TOLERANCE_BYTES = 5000
Evaluate = Callable[[dict[str, Any]], float]
Target = Callable[[Mapping[str, Any]], int]


@dataclass(frozen=True)
class Tried:
    """One artifact that was made, and the bytes that its settings leave for it.

    output_error: mean over matrices of tr(E H Eᵀ) / tr(W H Wᵀ); from_gradients: its KL predicted, up to one factor of all plans, None
    without gradients; kl_nats: measured, nats per token, None if not scored.
    """

    plan: str
    dial: float
    predicted_bytes: int
    model_bytes: int
    target_bytes: int
    output_error: float | None
    from_gradients: float | None
    kl_nats: float | None
    seconds: float

    @property
    def fits(self) -> bool:
        """Whether it is not above its target."""
        return self.model_bytes <= self.target_bytes


@dataclass(frozen=True)
class Coded:
    """The recipe's own artifact by one coder, and the bytes that the coder's script leaves for it."""

    coder: str
    values: Mapping[str, Any]
    model_bytes: int
    target_bytes: int

    @property
    def left_bytes(self) -> int:
        """What stays below the target, net of the decoder: the more, the better the coder."""
        return self.target_bytes - self.model_bytes


@dataclass(frozen=True)
class Fit:
    """The winner: knobs to set, its bytes, and everything that was tried.

    not_tried: plans that this checkpoint leaves out, and why. curves: plan → (bytes predicted, square of the step over the landed one's) along its dial; a rounding error goes with that square.
    """

    plan: str
    values: Mapping[str, Any]
    model_bytes: int
    target_bytes: int
    tried: tuple[Tried, ...]
    coders: tuple[Coded, ...] = ()
    not_tried: str = ""
    curves: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)

    def landed(self, plan: str) -> Tried | None:
        """The largest artifact of a plan that fits."""
        return max(
            (one for one in self.tried if one.plan == plan and one.fits), key=lambda one: one.model_bytes, default=None
        )


LOW_RANK = {"corrections": ("lqer.LQER",)}
TRELLIS = {"levels": "trellis.trellis_levels", **{f"{role}_quantizer": "trellis.gptq_trellis" for role in ROLES[:3]}}
PLANS = (
    Plan("as the recipe"),
    Plan("embedding finer", steps={"embed": 0.8}),
    Plan("attention coarser", steps={"attn": 1.15}),
    Plan("mlp coarser", steps={"mlp": 1.1}),
    Plan("low-rank corrections", changes=LOW_RANK),
)
EMBEDDING_PLANS = (
    Plan("embedding finer by a bit", steps={"embed": 0.5}),
    Plan("embedding coarser by a bit", steps={"embed": 2.0}),
)
PRUNED = Plan("cheapest codes pruned", prunes=True)
TRELLIS_PLANS = (
    Plan("trellis", changes=TRELLIS),
    Plan("trellis, low-rank corrections", changes={**TRELLIS, **LOW_RANK}),
)
TENSORS = {"steps": "by_tensor.fisher"}
TENSOR_PLANS = (
    Plan("a step for every tensor", changes=TENSORS),
    Plan("a step for every tensor, low-rank corrections", changes={**TENSORS, **LOW_RANK}),
)
BOTH_PLANS = (Plan("a step for every tensor, trellis", changes={**TENSORS, **TRELLIS}),)
CODERS = ("rans.RansCoder", "rans_context.ContextRansCoder")  # tried beside the recipe's own
CURVE_STEPS = (0.6, 0.7, 0.8, 0.9, 1.0, 1.12, 1.25, 1.4, 1.6)  # over the landed one, for the picture
LOG_SCALES = Plan("logarithmic scales", changes={"log_scales": True})


def plans_for(recipe: Recipe, checkpoint: Checkpoint, *, keep_public: bool = False) -> tuple[Plan, ...]:
    """The ways that are worth trying: of a recipe whose steps do not follow its rows, also SDClip's grids in their place.

    A trellis where there are Hessians for all that it codes, a step for every tensor where there are gradients too. keep_public: only
    what does not change how the artifact is read.
    """
    stepped = stepped_roles(recipe)
    plain = tuple(plan for plan in (*PLANS, *EMBEDDING_PLANS) if set(plan.steps) <= set(stepped))
    if keep_public:
        return tuple(plan for plan in (*(plain if stepped else PLANS[:1]), PRUNED) if not plan.changes)
    if is_stepped(recipe):
        trellis = bool(checkpoint.hessians) and not recipe.values["wide_groups"] and not recipe.values["assign_bits"]
        tensors = any(name.endswith(":fisher") for name in checkpoint.hessians)
        more: tuple[Plan, ...] = TENSOR_PLANS if tensors else ()
        more += TRELLIS_PLANS if trellis else ()
        more += BOTH_PLANS if trellis and tensors else ()
        more = tuple(replace(plan, changes=_of_steps(recipe, plan.changes)) for plan in more)
        every = (*plain, LOG_SCALES, *more, PRUNED)
        return tuple(
            plan for plan in every if plan.prunes or plan.steps or not plan.changes or _differs(recipe, plan.changes)
        )
    grid = "gptq.gptq_sdclip" if checkpoint.hessians and recipe.values["calibrate"] else "sdclip.sdclip_rtn"
    grids = {f"{role}_quantizer": grid for role in ROLES if recipe.values.get(f"{role}_quantizer")}
    return (
        PLANS[0],
        Plan("SDClip grids", changes=grids),
        Plan("SDClip grids, embedding finer", changes=grids, steps={"embed": 0.8}),
        Plan("SDClip grids, low-rank corrections", changes={**grids, **LOW_RANK}),
    )


def not_tried(checkpoint: Checkpoint) -> str:
    """The plans that `plans_for` leaves out for want of what calibration keeps, and how to get it; empty where there is all."""
    if not checkpoint.hessians:
        return "not tried for want of calibration data: trellis, a step for every tensor (set `calibrate`, train again)"
    if not any(name.endswith(":fisher") for name in checkpoint.hessians):
        return (
            "not tried for want of the loss's gradients: a step for every tensor "
            '(`steps = "by_tensor.fisher"` under [quant], train again)'
        )
    return ""


def _differs(recipe: Recipe, changes: Mapping[str, Any]) -> bool:
    """Whether a plan's knobs are not the recipe's own already."""
    return changed(recipe, changes).values != recipe.values


def weigh_coders(recipe: Recipe, checkpoint: Checkpoint, target: Target) -> tuple[Coded, ...]:
    """The recipe's artifact at its own settings by its coder and by rANS with and without contexts, the best net of its script first."""
    _, tensors = make_tensors(recipe, {}, checkpoint)
    weighed: dict[str, Coded] = {}
    for values in ({}, *({"coder": coder} for coder in CODERS)):
        h = namespace(changed(recipe, values))
        coded = Coded(h.coder.name, values, container_bytes(h, tensors), target(values))
        weighed.setdefault(coded.coder, coded)
    return tuple(sorted(weighed.values(), key=lambda one: -one.left_bytes))


def _of_steps(recipe: Recipe, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes without quantizers of roles that have no steps: what is kept in fp16 stays so."""
    stepped = {f"{role}_quantizer" for role in stepped_roles(recipe)}
    return {knob: value for knob, value in changes.items() if not knob.endswith("_quantizer") or knob in stepped}


def fit(
    recipe: Recipe,
    checkpoint: Checkpoint,
    target_bytes: int | Target,
    *,
    plans: Sequence[Plan] = PLANS,
    tolerance_bytes: int = TOLERANCE_BYTES,
    evaluate: Evaluate | None = None,
    on_tried: Callable[[Tried], None] = lambda tried: None,
) -> Fit:
    """The best plan whose `model.golf` has at most `target_bytes`, and where its dial reaches, at most `tolerance_bytes` fewer.

    target_bytes: cap − code − helper files − a margin for the seeds to come; by the settings where their code differs (a trellis
    adds 760 bytes to a packed script, low-rank corrections 520). evaluate: {name: fp32 weight} → KL to the float model, lower is better:
    on training text (`golf.artifact.score.Scorer.against`). GolfError(OVER_BYTES): no plan gets below the target.
    """
    target = (lambda values: target_bytes) if isinstance(target_bytes, int) else target_bytes
    tried: list[Tried] = []

    def measure(one: Tried, settings: dict[str, Any], made: tuple[Any, dict[str, Any]], evaluate: Evaluate) -> None:
        scored = _scored(one, made, evaluate)
        tried[tried.index(one)] = scored
        measured.append((scored, settings))
        on_tried(scored)

    landed: list[tuple[Tried, dict[str, Any]]] = []
    measured: list[tuple[Tried, dict[str, Any]]] = []
    curves: dict[str, Sequence[tuple[float, float]]] = {}
    for plan in plans:
        turning = _Turning(recipe, checkpoint, plan, dial_of(recipe, checkpoint, plan), target, tolerance_bytes)
        for one in turning.makes(_ratio(tried)):
            tried.append(one)
            on_tried(one)
        if turning.best is not None:
            settings = turning.dial.settings(turning.best.dial)
            landed.append((turning.best, settings))
            curves[plan.name] = turning.curve()
            if evaluate is not None and turning.best.from_gradients is None and turning.made is not None:
                measure(
                    turning.best, settings, turning.made, evaluate
                )  # nothing ranks plans beforehand: all are measured
    if not landed:
        least = min(tried, key=lambda one: one.model_bytes - one.target_bytes)
        raise GolfError(
            f"no plan fits: the model of {recipe.name} has {least.model_bytes:,} bytes at the coarsest setting tried ({least.plan}), "
            f"{least.model_bytes - least.target_bytes:,} over its target of {least.target_bytes:,}",
            "make the model smaller and train it: `num_layers`, `model_dim`, `mlp_mult`",
            Exit.OVER_BYTES,
        )
    winner, values = landed[0]
    if evaluate is not None:
        for one, settings in _worth_measuring(landed):
            if one in tried:  # not measured yet
                measure(one, settings, make_tensors(recipe, settings, checkpoint), evaluate)
        winner, values = min(measured, key=lambda way: way[0].kl_nats if way[0].kl_nats is not None else math.inf)
    return Fit(winner.plan, values, winner.model_bytes, winner.target_bytes, tuple(tried), curves=curves)


def _worth_measuring(landed: list[tuple[Tried, dict[str, Any]]]) -> list[tuple[Tried, dict[str, Any]]]:
    """The plans that the loss's gradients find best, where there are gradients; else all."""
    known = [(one.from_gradients, at) for at, (one, _) in enumerate(landed) if one.from_gradients is not None]
    return [landed[at] for _, at in sorted(known)[:MEASURED_PLANS]] if len(known) == len(landed) else landed


def _ratio(tried: Sequence[Tried]) -> float:
    """Real / predicted bytes of the last artifact that was made: the next plan's are likely off as much."""
    return tried[-1].model_bytes / max(tried[-1].predicted_bytes, 1) if tried else 1.0


class _Turning:
    """One plan's dial, turned until an artifact lands in the tolerance, or the dial is at its end."""

    def __init__(
        self, recipe: Recipe, checkpoint: Checkpoint, plan: Plan, dial: Dial, target: Target, tolerance_bytes: int
    ) -> None:
        self.recipe, self.checkpoint, self.plan, self.dial = recipe, checkpoint, plan, dial
        self.target, self.tolerance_bytes = target, tolerance_bytes
        self.all: list[Tried] = []
        self.made: tuple[Any, dict[str, Any]] | None = None  # (h, tensors) of the best

    @property
    def best(self) -> Tried | None:
        """The largest artifact that fits."""
        return max((one for one in self.all if one.fits), key=lambda one: one.model_bytes, default=None)

    def curve(self) -> Sequence[tuple[float, float]]:
        """(bytes predicted, square of the step over the landed one's) around what landed; a share of pruned codes is no step."""
        best, dial = self.best, self.dial
        if best is None or not isinstance(dial, StepDial):
            return ()
        ratio = best.model_bytes / max(dial.predicted_bytes(best.dial), 1)
        steps = [step for step in CURVE_STEPS if dial.least <= best.dial * step <= dial.most]
        return [(ratio * dial.predicted_bytes(best.dial * step), step**2) for step in steps]

    def makes(self, ratio: float) -> Iterator[Tried]:
        """Make artifacts at better and better dials. ratio: real / predicted bytes to start with."""
        dial = self.dial
        target = self.target(dial.settings(max(dial.least, min(1.0, dial.most))))
        for _ in range(MAX_TRIES):
            over = min((one for one in self.all if not one.fits), key=lambda one: one.model_bytes, default=None)
            aim = target - self.tolerance_bytes / 3
            at = _between(over, self.best, aim) if over and self.best else _predicted_dial(dial, aim / ratio)
            if any(one.dial == at for one in self.all):
                # coders are not quite monotone: look elsewhere on the side that is missing
                end = dial.least if self.all[-1].fits else dial.most
                at = dial.middle(at, over.dial if over and self.all[-1].fits else end)
            one = self._make(at)
            self.all.append(one)
            yield one
            target, ratio = one.target_bytes, one.model_bytes / max(one.predicted_bytes, 1)
            if 0 <= target - one.model_bytes <= self.tolerance_bytes or at == (dial.least if one.fits else dial.most):
                break

    def _make(self, at: float) -> Tried:
        """One real artifact, weighed."""
        begun, settings = time.perf_counter(), self.dial.settings(at)
        h, tensors = make_tensors(self.recipe, settings, self.checkpoint)
        model_bytes = container_bytes(h, tensors)
        errors = output_errors(h, tensors, self.checkpoint.weights, self.checkpoint.hessians)
        known = [of_outputs for of_outputs, _ in errors.values() if of_outputs is not None]
        one = Tried(
            plan=self.plan.name,
            dial=at,
            predicted_bytes=round(self.dial.predicted_bytes(at)),
            model_bytes=model_bytes,
            target_bytes=self.target(settings),
            output_error=sum(known) / len(known) if known else None,
            from_gradients=divergence_from_gradients(h, tensors, self.checkpoint.weights, self.checkpoint.hessians),
            kl_nats=None,
            seconds=time.perf_counter() - begun,
        )
        if one.fits and (self.best is None or one.model_bytes > self.best.model_bytes):
            self.made = h, tensors
        return one


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


def _scored(one: Tried, made: tuple[Any, dict[str, Any]], evaluate: Evaluate) -> Tried:
    """An artifact with its measured KL; made: (h, its tensors)."""
    from golf.parts.quant import dequantize

    begun = time.perf_counter()
    return replace(one, kl_nats=evaluate(dequantize(*made)), seconds=one.seconds + time.perf_counter() - begun)
