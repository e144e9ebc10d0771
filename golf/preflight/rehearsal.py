"""The small twin's whole way once, in a scratch folder: loader, one step, averages, calibration, quantizers, coder, evaluators.

On random tokens and with as little of everything as shows whether it runs: nothing is learned and nothing measured.
"""

import contextlib
import math
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError
from golf.preflight.blame import blaming, shown_at
from golf.preflight.hooks import watching
from golf.preflight.world import OneProcess, Quiet, RandomStream
from golf.recipe import Recipe, changed, smoke_recipe
from golf.recipe.namespace import namespace

LEAST = {
    "calibration_batches": 1,
    "own_text_sequences": 1,
    "eval_batch_windows": 2,
    "lora_batch_docs": 2,
    "phased_docs": 2,
    "phased_phases": 2,
}
WINDOWS = 2  # of eval_seq_len tokens that evaluators score


def rehearse_twin(recipe: Recipe) -> None:
    """GolfError (exit 10) with file and line for what a part or technique of the recipe does not do as it should."""
    import torch

    twin = smoke_recipe(recipe)
    twin = changed(twin, {name: min(value, twin.values[name]) for name, value in LEAST.items() if name in twin.values})
    with (
        tempfile.TemporaryDirectory(prefix="golf-preflight-") as scratch,
        contextlib.chdir(scratch),
        _kept_randomness(),
    ):
        torch.manual_seed(1)
        _run(twin, Path(scratch))


@contextlib.contextmanager
def _kept_randomness() -> Iterator[None]:
    import torch

    state, python = torch.random.get_rng_state(), random.getstate()
    try:
        yield
    finally:
        torch.random.set_rng_state(state)
        random.setstate(python)


def _run(twin: Recipe, folder: Path) -> None:
    from golf.parts.entry import build
    from golf.parts.tags import collect

    h, env, log = namespace(twin), OneProcess(twin, "cpu", folder), Quiet()
    _write_shards(twin, folder)
    with blaming(twin, "building the small twin"):
        model = build(h, env)
    _refuse_strange(twin, "linear_init", h.linear_init, [p for _, p, _ in collect(model)])
    with watching(twin, model):
        _check_functions(twin, h, env)
        loader = _train(twin, h, env, log, model)
        hessians = _calibrate(twin, h, env, log, model, loader)
        weights = _export(twin, h, model, hessians)
        _evaluate(twin, h, env, model, weights)


def _write_shards(twin: Recipe, folder: Path) -> None:
    """Two shards of either split, long enough for a step, its calibration and its windows."""
    import numpy as np

    from golf.data.shards import write_shard

    values = twin.values
    tokens = 2 * values["train_batch_tokens"] + 4 * values["train_seq_len"] + 2
    drawn = np.random.default_rng(1).integers(0, values["vocab_size"], tokens)
    drawn[:: max(tokens // 7, 1)] = min(values.get("bos_id", 1), values["vocab_size"] - 1)
    for number in range(2):
        for split in ("train", "val"):
            write_shard(folder / f"fineweb_{split}_{number:06d}.bin", drawn)


def _train(twin: Recipe, h: Any, env: OneProcess, log: Quiet, model: Any) -> Any:
    """Two optimizer steps with everything that a step calls; the loader."""
    import torch

    from golf.parts.optim import build_optimizers
    from golf.parts.schedule import Clock
    from golf.parts.tags import collect, has_group
    from golf.parts.train import take_step

    with blaming(twin, "the loader"):
        loader = h.loader(h, env)
        ids, targets = loader.next_batch()
    for batch in (ids, targets):
        if (
            not isinstance(batch, torch.Tensor)
            or batch.dtype != torch.int64
            or batch.ndim != 2
            or batch.size(1) % twin.values["train_seq_len"]
        ):
            raise _fault(
                twin,
                "loader",
                h.loader,
                "gives batches that are not (sequences, train_seq_len) int64, or one row of many",
            )
    with blaming(twin, "one step of the small twin"):
        if has_group(collect(model), "measured"):
            model.train()
        optimizers = build_optimizers(h, collect(model), env)
        trained, clock = h.parallel(env, model), Clock(env, 0.0)
        averages = {T.__name__: T(h, model) for T in h.after_step}
        if h.checkpoint:
            checkpoint = h.checkpoint(h, env, log, model, optimizers, loader, clock)
        clock.start()
        for loop in (False, True) if h.loop_from else (True,):
            loss = take_step(h, env, trained, loader, optimizers, clock, loop=loop)
            clock.step += 1
            clock.tick()
            for average in averages.values():
                average.update(clock)
            if h.checkpoint:
                checkpoint.update()
        if h.checkpoint:
            checkpoint.remove()
        if averages:
            h.export_weights(model, averages)
        if has_group(collect(model), "measured"):
            model.eval()
    if not math.isfinite(float(loss)):
        raise GolfError(f"the first loss of the small twin of {twin.name} is {float(loss)}",
                        "its start or its learning rates are too large", Exit.REFUSED)  # fmt: skip
    _refuse_strange(twin, "export_weights", h.export_weights, [p for _, p, _ in collect(model)])
    return loader


def _calibrate(twin: Recipe, h: Any, env: OneProcess, log: Quiet, model: Any, loader: Any) -> dict[str, Any]:
    """The Hessians that quantizers get; refuses a matrix for which a quantizer with Hessians finds none."""
    from golf.parts.artifact import RawCoder, read_container
    from golf.parts.layers import Embedding
    from golf.parts.quant import quantizer_of
    from golf.parts.tags import collect

    if not h.calibrate:
        return {}
    with blaming(twin, "calibration"):
        h.calibrate(h, env, log, model, loader)
        hessians: dict[str, Any] = read_container("hessians.golf", RawCoder)[0]
    tables = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, Embedding)}
    for name, param, tag in collect(model):
        quantizer, _ = quantizer_of(h, tag.role)
        wants = quantizer is not None and quantizer.__module__.rpartition(".")[2] in ("gptq", "trellis")
        if (
            wants
            and tag.role != "control"
            and param.numel() > twin.values["keep_float_numel"]
            and name not in {*hessians, *tables}
        ):
            raise GolfError(f"`{quantizer.__name__}` would round `{name}` without a Hessian: {h.calibrate.__name__} sees only "
                            f"the inputs of CastedLinear  [{shown_at(twin.catalogue, h.calibrate)}]",
                            "make that matrix a CastedLinear, or give its role another quantizer", Exit.REFUSED)  # fmt: skip
    return hessians


def _export(twin: Recipe, h: Any, model: Any, hessians: dict[str, Any]) -> dict[str, Any]:
    """{name: weight} of the artifact. Quantize, write, read: the coder gives back what it was given, to the bit, and the model can be loaded."""
    import torch

    from golf.parts.artifact import read_container
    from golf.parts.quant import dequantize, load_weights, quantize, save_artifact
    from golf.parts.tags import collect

    tagged = collect(model)
    weights = {name: param.detach().float() for name, param, _ in tagged}
    with blaming(twin, "quantizing the small twin"):
        tensors = quantize(h, tagged, weights, hessians)
    if h.refit:
        with blaming(twin, "quantizing the small twin in wider steps"):
            wider = quantize(h, tagged, weights, hessians, fewer_bits=0.5)
        for name, _, tag in tagged:
            now, then = (each.get(f"{name}:q") for each in (tensors, wider))
            if now is not None and tag.role != "gate" and now.float().std() <= then.float().std():
                raise _fault(
                    twin,
                    "refit",
                    h.refit,
                    f"cannot make `{name}` smaller: its quantizer gives the same codes for fewer bits",
                )
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise _fault(twin, "quant", h.coder, f"is given `{name}`, which is no tensor")
    with blaming(twin, "writing and reading the artifact of the small twin"):
        save_artifact(h, "model.golf", tensors)
        back = read_container("model.golf", h.coder)[0]
        kept: dict[str, Any] = dequantize(h, back)
        load_weights(model, kept)
    for name, tensor in tensors.items():
        if (
            name not in back
            or back[name].dtype != tensor.dtype
            or not torch.equal(back[name].cpu(), tensor.cpu().view_as(back[name]))
        ):
            raise _fault(twin, "coder", h.coder, f"does not give `{name}` back as it was")
    return kept


def _evaluate(twin: Recipe, h: Any, env: OneProcess, model: Any, weights: dict[str, Any]) -> None:
    """Every report on a few windows: it returns a Trace with a score that is a number and counts what it scored."""
    from golf.parts.evaluate import Trace
    from golf.parts.quant import load_weights

    tokens = WINDOWS * twin.values["eval_seq_len"] + 1
    stream = RandomStream(
        tokens, twin.values["vocab_size"], min(twin.values.get("bos_id", 1), twin.values["vocab_size"] - 1)
    )
    for report in h.reports:
        with blaming(twin, f"the evaluator `{report.__name__}` on the small twin"):
            load_weights(model, weights)
            trace = report(h, env, model, stream)
        if not isinstance(trace, Trace):
            raise _fault(
                twin,
                "reports",
                report,
                f"returns {'None' if trace is None else f'a {type(trace).__name__}'}, not a Trace",
            )
        if not trace.tokens or not math.isfinite(trace.loss) or not math.isfinite(trace.bpb):
            raise _fault(
                twin, "reports", report, f"scores {trace.tokens} tokens at {trace.loss if trace.tokens else 'no'} nats"
            )


def _check_functions(twin: Recipe, h: Any, env: OneProcess) -> None:
    """Plain functions of the slots, called alone: what they return has the form that their callers count on."""
    import torch

    from golf.parts.schedule import Clock

    def same(value: Any, like: Any) -> bool:
        return isinstance(value, torch.Tensor) and value.shape == like.shape and bool(value.isfinite().all())

    def share(value: Any) -> bool:
        return isinstance(value, int | float) and math.isfinite(value) and value >= 0

    def layers(value: Any) -> bool:
        return len(value) == 2 and all(layer in range(twin.values["num_layers"]) for half in value for layer in half)

    q, z, g = torch.randn(1, 8, 2, 4), torch.randn(2, 8), torch.randn(8, 16)
    clock = Clock(env, 0.0)
    calls: list[tuple[str, Any, Callable[[Any], Any], Callable[[Any], bool], str]] = [
        ("attend", h.attend, lambda f: f(q, q, q, None), lambda y: same(y, q), "(B, T, H, D) as q is"),
        ("activation", h.activation, lambda f: f(h, z), lambda y: same(y, z), "a tensor of the shape of z"),
        (
            "orthogonalize",
            h.orthogonalize,
            lambda f: f(g, h.ns_steps),
            lambda y: same(y, g),
            "a matrix of the shape of g",
        ),
        *[
            (
                "in_parts",
                f,
                lambda f: f(h, torch.nn.Parameter(g), g, h.orthogonalize),
                lambda y: same(y, g),
                "a matrix of the shape of g",
            )
            for f in filter(None, [h.in_parts])
        ],
        *[("grad", f, lambda f: f(g), lambda y: same(y, g), "a matrix of the shape of g") for f in h.grad],
        *[("order", h.order, lambda f, loop=loop: f(h, loop), layers, "two lists of layers") for loop in (False, True)],
        ("momentum_at", h.momentum_at, lambda f: f(h, clock), share, "a number of 0 or more"),
        ("lr_at", h.lr_at, lambda f: f(h, clock), share, "a number of 0 or more"),
    ]
    for step in (0, env.iterations // 2, env.iterations):
        clock.step = step
        for knob, function, call, keeps, wanted in calls:
            with blaming(twin, f"`{knob}`"):
                value = call(function)
                good = keeps(value)
            if not good:
                raise _fault(twin, knob, function, f"returns {_shown(value)}, not {wanted}")


def _refuse_strange(twin: Recipe, knob: str, thing: Any, params: list[Any]) -> None:
    if any(not bool(param.isfinite().all()) for param in params):
        raise _fault(twin, knob, thing, "leaves weights that are inf or nan")


def _shown(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"{tuple(shape)}" if shape is not None else repr(value)[:60]


def _fault(twin: Recipe, knob: str, thing: Any, what: str) -> GolfError:
    return GolfError(
        f"`{getattr(thing, '__name__', thing)}` in `{knob}` of {twin.name} {what}  [{shown_at(twin.catalogue, thing)}]",
        "see what the shipped ones do: `golf ls techniques`", Exit.REFUSED,
    )  # fmt: skip
