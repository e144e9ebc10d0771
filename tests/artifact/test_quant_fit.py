"""`--fit` lands just under its target on real bytes, whatever the checkpoint, quantizer, coder and cap."""

import itertools
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import SDCLIP, checkpoint

from golf.artifact.dials import Checkpoint, Plan, StepDial, container_bytes, dial_of, load_checkpoint, make_tensors
from golf.artifact.fit import (
    EMBEDDING_PLANS,
    MEASURED_PLANS,
    PLANS,
    TRELLIS_PLANS,
    Fit,
    Tried,
    fit,
    not_tried,
    plans_for,
    weigh_coders,
)
from golf.artifact.fit_plot import (
    CHOSEN,
    FRONT,
    OTHERS,
    envelope,
    kl_factor,
    pareto_front,
    picture,
    predicted_points,
    save_picture,
)
from golf.errors import Exit, GolfError
from golf.parts.artifact import RawCoder, write_container
from golf.parts.model import GPT
from golf.parts.quant import dequantize
from golf.parts.tags import initialize
from golf.recipe import Recipe, changed, load_recipe
from golf.recipe.namespace import namespace


def recipe(*overrides: str) -> Recipe:
    return load_recipe("baseline", [*SDCLIP, "calibrate=from_training_text", *overrides])


@pytest.mark.parametrize(
    "seed", [0, 4, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3, 5, 6, 7, 8, 9))]
)
def test_it_lands_within_the_tolerance_and_never_above(seed: int) -> None:
    rng = random.Random(seed)
    coder = ["RansCoder", "ZlibCoder", "LzmaCoder", "ZstdCoder", "BrotliCoder"][seed % 5]
    target = rng.randrange(42_000, 78_000)
    found = fit(recipe(f"coder={coder}"), checkpoint(seed), target, plans=PLANS[:2], tolerance_bytes=300)
    assert target - 300 <= found.model_bytes <= target
    h, tensors = make_tensors(recipe(f"coder={coder}"), found.values, checkpoint(seed))
    assert container_bytes(h, tensors) == found.model_bytes
    assert all(one.fits == (one.model_bytes <= target) and one.target_bytes == target for one in found.tried)


def test_a_recipe_without_steps_is_pruned_until_it_fits() -> None:
    plain = load_recipe(
        "baseline", ["keep_float_numel=256", "attn_bits=5", "mlp_bits=5", "embed_bits=6", "coder=RansCoder"]
    )
    whole = fit(plain, checkpoint(1), 10**9, plans=PLANS[:1])
    assert "prune" not in whole.values and len(whole.tried) == 1
    target = whole.model_bytes - 3000
    found = fit(plain, checkpoint(1), target, plans=PLANS[:1], tolerance_bytes=200)
    assert found.values["prune"] == "prune.prune_cheapest" and target - 200 <= found.model_bytes <= target


def test_the_plan_with_the_least_measured_loss_wins() -> None:
    def evaluate(weights: dict[str, Any]) -> float:
        return float((weights["embed"] - start.weights["embed"]).square().sum())

    start = checkpoint(2)
    found = fit(recipe("coder=RansCoder"), start, 60_000, plans=PLANS[:3], tolerance_bytes=300, evaluate=evaluate)
    assert found.plan == "embedding finer"
    assert sum(one.kl_nats is not None for one in found.tried) == 3


@pytest.mark.slow
def test_without_an_evaluation_the_first_plan_that_fits_wins_and_each_plan_pays_for_its_code() -> None:
    found = fit(recipe("coder=RansCoder"), checkpoint(2), lambda values: 60_000 - 2000 * ("corrections" in values),
                plans=(PLANS[-1], PLANS[0]), tolerance_bytes=300)  # fmt: skip
    assert found.plan == "low-rank corrections" and 57_700 <= found.model_bytes <= 58_000 == found.target_bytes


def test_a_recipe_without_steps_may_also_take_sdclips_grids() -> None:
    bare = ["keep_float_numel=256", "coder=RansCoder"]
    for hessians, grid, words in (
        ({}, "sdclip.sdclip_rtn", bare),
        (checkpoint(1).hessians, "sdclip.sdclip_rtn", bare),  # the script could not make them again
        (checkpoint(1).hessians, "gptq.gptq_sdclip", [*bare, "calibrate=calibrate.from_training_text"]),
    ):
        plain = load_recipe("baseline", words)
        start = Checkpoint(checkpoint(1).tagged, checkpoint(1).weights, hessians)
        plans = plans_for(plain, start)
        found = fit(plain, start, 50_000, plans=plans[:2], tolerance_bytes=300, on_tried=(seen := []).append)
        assert found.plan == "SDClip grids" and found.values == {
            **{f"{role}_quantizer": grid for role in ("embed", "attn", "mlp")},
            **{key: value for key, value in found.values.items() if key.endswith(("_bits", "_clip_sigmas"))},
        }
        assert 49_700 <= found.model_bytes <= 50_000 and [one.plan for one in seen if one.fits][-1] == found.plan
    assert {plan.name for plan in plans_for(recipe(), start)} >= {"as the recipe", "cheapest codes pruned"}


@pytest.mark.slow
def test_a_trellis_is_fitted_like_any_grid() -> None:
    found = fit(recipe("coder=RansCoder"), checkpoint(2), 50_000, plans=TRELLIS_PLANS[1:], tolerance_bytes=300)
    assert 49_700 <= found.model_bytes <= 50_000
    assert found.values["levels"] == "trellis.trellis_levels" and found.values["corrections"] == ("lqer.LQER",)


def with_gradients(seed: int) -> Checkpoint:
    """A checkpoint whose embedding the loss feels a hundred times as much as its attention."""
    start = checkpoint(seed)
    felt = {"embed": 100.0, "attn": 1.0, "mlp": 10.0}
    gradients = {f"{name}:fisher": torch.full((len(start.weights[name]),), felt[name]) for name in felt}
    return Checkpoint(start.tagged, start.weights, {**start.hessians, **gradients})


@pytest.mark.slow
def test_a_step_for_every_tensor_is_fitted_and_gradients_choose_what_is_measured() -> None:
    base, start, asked = recipe("coder=RansCoder", "calibrate=from_training_text"), with_gradients(2), []

    def evaluate(weights: dict[str, Any]) -> float:
        asked.append(weights)
        felt = {"embed": 100.0, "attn": 1.0, "mlp": 10.0}
        errors = {name: weights[name] - start.weights[name] for name in felt}
        return sum(float((felt[n] * e @ start.hessians[n] * e).sum()) for n, e in errors.items())

    plans = [plan for plan in plans_for(base, start) if "corrections" not in plan.changes and not plan.prunes]
    assert {"trellis", "a step for every tensor", "a step for every tensor, trellis", "logarithmic scales"} <= {
        plan.name for plan in plans
    }
    found = fit(base, start, 60_000, plans=plans, tolerance_bytes=500, evaluate=evaluate)
    assert found.plan == "a step for every tensor, trellis" and 59_500 <= found.model_bytes <= 60_000
    assert len(asked) == MEASURED_PLANS == sum(one.kl_nats is not None for one in found.tried) < len(plans)
    pairs = [(one.from_gradients, one.kl_nats) for one in found.tried if one.kl_nats is not None]
    assert all(2 * predicted == pytest.approx(measured, rel=0.01) for predicted, measured in pairs)


def test_without_gradients_no_plan_wants_them_and_what_is_public_stays_readable() -> None:
    assert not any("steps" in plan.changes for plan in plans_for(recipe(), checkpoint(1)))
    assert all(not plan.changes for plan in plans_for(recipe(), with_gradients(1), keep_public=True))
    kept = recipe("attn_quantizer=", "calibrate=from_training_text")
    assert not any("attn_quantizer" in plan.changes for plan in plans_for(kept, with_gradients(1)))
    start = with_gradients(1)
    grams = {name: grid for name, grid in start.hessians.items() if ":" not in name}
    assert not_tried(start) == "" and "gradients" in not_tried(replace(start, hessians=grams))
    assert "trellis" in not_tried(replace(start, hessians={})) and "trellis" not in not_tried(
        replace(start, hessians=grams)
    )


def test_what_cannot_fit_is_refused_with_the_bytes_that_are_too_many() -> None:
    with pytest.raises(
        GolfError, match=r"no plan fits: the model of \S+ has ([\d,]+) bytes .*, ([\d,]+) over its target of 2,000"
    ) as fault:
        fit(recipe("coder=RansCoder"), checkpoint(0), 2000, plans=PLANS[:1])
    assert fault.value.code == Exit.OVER_BYTES


@pytest.mark.slow
def test_predicted_bytes_are_the_real_ones_within_two_percent_of_even_small_matrices() -> None:
    start = checkpoint(3)
    for overrides in ([], ["attn_quantizer=gptq_trellis", "mlp_quantizer=gptq_trellis", "levels=trellis_levels"]):
        base = recipe("coder=RansCoder", *overrides)
        dial = StepDial(base, start, Plan("as is"))
        for at in (0.7, 1.0, 1.6):
            h, tensors = make_tensors(base, dial.settings(at), start)
            real = container_bytes(h, tensors)
            assert abs(dial.predicted_bytes(at) / real - 1) < 0.02, (overrides, at)


def weighing(start: Checkpoint, base: Recipe, contexts_cost: int) -> tuple:
    costs = {"rans.RansCoder": 2000, "rans_context.ContextRansCoder": contexts_cost}
    return weigh_coders(base, start, lambda values: 70_000 - costs.get(str(values.get("coder")), 0))


@pytest.mark.slow
def test_the_coder_is_chosen_net_of_what_its_script_costs() -> None:
    start, base = checkpoint(2), recipe("coder=ZlibCoder")
    dear, free = weighing(start, base, 10**6), weighing(start, base, 0)
    assert dear[0].coder == "rans" and {one.coder for one in dear} == {"zlib", "rans", "ransctx"}
    sizes = {one.coder: one.model_bytes for one in dear}
    assert sizes == {one.coder: one.model_bytes for one in free} and sizes["rans"] + 2000 < sizes["zlib"]
    assert all(a.left_bytes >= b.left_bytes for found in (dear, free) for a, b in itertools.pairwise(found))
    for one in free:
        h, tensors = make_tensors(base, one.values, start)
        assert container_bytes(h, tensors) == one.model_bytes
    assert [one.coder for one in weighing(start, recipe("coder=RansCoder"), 0)].count("rans") == 1


def test_embedding_bits_are_plans_where_the_embedding_has_steps_and_no_plan_is_what_the_recipe_does() -> None:
    def names(*overrides: str, **more: bool) -> set[str]:
        return {plan.name for plan in plans_for(recipe(*overrides), checkpoint(1), **more)}

    by_a_bit = {"embedding finer by a bit", "embedding coarser by a bit"}
    assert by_a_bit < names() and by_a_bit < names(keep_public=True)
    assert not any(name.startswith("embedding") for name in names("embed_quantizer="))
    assert "logarithmic scales" in names() and "logarithmic scales" not in names("log_scales=true")
    finer = EMBEDDING_PLANS[0]
    base, start = recipe("embed_bits=6", "embed_clip_sigmas=9.0"), checkpoint(1)
    values, own = (dial_of(base, start, plan).settings(1.0) for plan in (finer, PLANS[0]))
    assert (own["embed_bits"], values["embed_bits"]) == (6, 7)
    assert values["embed_clip_sigmas"] / 63 == pytest.approx(own["embed_clip_sigmas"] / 31 / 2, rel=1e-4)


@pytest.mark.slow
def test_the_picture_has_every_plan_predicted_and_what_was_measured(tmp_path: Path) -> None:
    start, base = checkpoint(2), recipe("coder=RansCoder")
    found = fit(base, start, 60_000, plans=PLANS[:2], tolerance_bytes=500,
                evaluate=lambda weights: float((weights["embed"] - start.weights["embed"]).square().sum()))  # fmt: skip
    predicted = predicted_points(found)
    assert predicted.keys() == {PLANS[0].name, PLANS[1].name}
    for plan, line in predicted.items():
        one = found.landed(plan)
        assert one is not None and one.kl_nats is not None
        assert min(abs(size - one.model_bytes) + abs(nats - one.kl_nats) for size, nats in line) < 1e-6
        assert all(a[0] > b[0] and a[1] < b[1] for a, b in itertools.pairwise(line))
    real = {
        round(step, 2): size
        for step, (size, _) in zip((0.8, 1.25), [predicted[PLANS[0].name][2], predicted[PLANS[0].name][6]], strict=True)
    }
    at = found.landed(PLANS[0].name)
    for step, size in real.items():
        made = container_bytes(*make_tensors(base, dial_of(base, start, PLANS[0]).settings(at.dial * step), start))
        assert size == pytest.approx(made, rel=0.03)
    panel = picture(found).panels[0]
    assert pareto_front([(1, 5.0), (2, 6.0), (3, 4.0), (2, 4.5)]) == [(1, 5.0), (2, 4.5), (3, 4.0)]
    assert panel.scatter.keys() == {CHOSEN, OTHERS} and panel.lines.keys() == {*predicted, FRONT}
    assert panel.scatter[CHOSEN] == [(float(found.model_bytes), min(one.kl_nats for one in found.tried if one.kl_nats))]
    front = panel.lines[FRONT]
    assert all(a[0] < b[0] and a[1] > b[1] for a, b in itertools.pairwise(front))
    assert envelope([[(1.0, 4.0), (4.0, 1.0)], [(2.0, 8.0), (4.0, 0.5)]])[-1] == (4.0, pytest.approx(0.5))
    crossing = dict(envelope([[(1.0, 4.0), (4.0, 4.0)], [(1.0, 8.0), (4.0, 2.0)]]))
    assert (
        max(crossing.values()) == pytest.approx(4.0)
        and min(crossing.values()) == pytest.approx(2.0)
        and envelope([]) == []
    )
    save_picture(found, tmp_path / "fit.svg")
    assert "What a byte buys" in (tmp_path / "fit.svg").read_text()
    for name, why in (("fit.pdf", "no picture"), ("none/fit.svg", "no folder")):
        with pytest.raises(GolfError, match=why):
            save_picture(found, tmp_path / name)


def test_gradients_are_scaled_to_the_measured_nats() -> None:
    def tried(plan: str, gradients: float, kl: float | None) -> Tried:
        return Tried(plan, 1.0, 10, 10, 12, None, gradients, kl, 0.1)

    curves = {plan: [(9.0, 1.21), (10.0, 1.0)] for plan in "abc"}
    found = Fit("a", {}, 10, 12, (tried("a", 0.5, 1.0), tried("b", 1.0, 2.2), tried("c", 4.0, None)), curves=curves)
    assert kl_factor(found) == pytest.approx(2.1)
    assert predicted_points(found)["c"] == [(9.0, pytest.approx(4.0 * 2.1 * 1.21)), (10.0, pytest.approx(8.4))]
    assert predicted_points(Fit("c", {}, 10, 12, (tried("c", 4.0, None),), curves=curves)) == {}


def test_a_checkpoint_of_another_recipe_and_lost_calibration_are_refused(tmp_path: Path) -> None:
    base = load_recipe("baseline", ["num_layers=3", "model_dim=64", "num_heads=2", "num_kv_heads=1", "vocab_size=256"])
    h = namespace(base)
    model = GPT(h)
    initialize(h, model, 1)
    weights = dict(model.state_dict())
    write_container(str(tmp_path / "float.golf"), weights, {"seed": 1}, RawCoder)
    assert load_checkpoint(base, tmp_path).weights.keys() == weights.keys()
    with pytest.raises(GolfError, match=r"is not baseline's: tok_emb.weight is 256 × 64 in it, 512 × 64 in the recipe"):
        load_checkpoint(changed(base, {"vocab_size": 512}), tmp_path)
    with pytest.raises(GolfError, match=r"blocks.3.attn.c_k.weight is not there in it, 32 × 64 in the recipe"):
        load_checkpoint(changed(base, {"num_layers": 4}), tmp_path)
    calibrated = changed(base, {"calibrate": "calibrate.from_training_text"})
    with pytest.raises(
        GolfError, match=r"no calibration data: hessians.golf, which baseline quantizes by, is not in "
    ) as fault:
        load_checkpoint(calibrated, tmp_path)
    assert fault.value.code == Exit.REFUSED and "golf run --again" in str(fault.value.hint)
    for width, fits in ((64, True), (32, False)):
        name = "blocks.0.attn.c_q.weight"
        write_container(
            str(tmp_path / "hessians.golf"), {name: torch.eye(width), f"{name}:fisher": torch.ones(64)}, {}, RawCoder
        )
        if fits:
            assert load_checkpoint(calibrated, tmp_path).hessians.keys() == {name, f"{name}:fisher"}
        else:
            with pytest.raises(GolfError, match=rf"{name} does not fit"):
                load_checkpoint(calibrated, tmp_path)


def test_what_is_measured_without_gradients_is_not_quantized_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    made, order = [], []

    def counted(*asked: Any) -> Any:
        made.append(asked)
        return make_tensors(*asked)

    monkeypatch.setattr("golf.artifact.fit.make_tensors", counted)
    for start, again in ((checkpoint(2), 0), (with_gradients(2), 2)):
        made.clear()
        order.clear()
        found = fit(
            recipe("coder=RansCoder", "calibrate=from_training_text"), start, 60_000, plans=PLANS[:2],
            evaluate=lambda weights: float(weights["embed"].square().sum()), on_tried=order.append,
        )  # fmt: skip
        assert len(made) == len(found.tried) + again and len(order) == len(found.tried) + 2
        assert sum(one.kl_nats is not None for one in found.tried) == 2
        h, tensors = make_tensors(recipe("coder=RansCoder", "calibrate=from_training_text"), found.values, start)
        assert min(one.kl_nats for one in found.tried if one.kl_nats) == float(
            dequantize(h, tensors)["embed"].square().sum()
        )


def test_what_a_part_refuses_is_said_and_no_fault_of_golf() -> None:
    with pytest.raises(GolfError, match="cannot be exported so: steps by sensitivity need Hessians"):
        make_tensors(recipe("calibrate="), {"steps": "by_tensor.fisher"}, checkpoint(1))
