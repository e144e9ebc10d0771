"""The extension points: with what each slot and chain is made and called, and what must come back."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from golf.errors import Exit, GolfError
from golf.preflight.blame import shown_at
from golf.recipe import Recipe
from golf.recipe.namespace import namespace


@dataclass(frozen=True)
class Point:
    """made: arguments of the constructor (or factory), None for a plain function; called: of the call; methods: of other methods."""

    called: tuple[str, ...] | None = None
    made: tuple[str, ...] | None = None
    methods: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def _point(called: str | None = None, made: str | None = None, **methods: str) -> Point:
    words = {name: tuple(arguments.split()) for name, arguments in methods.items()}
    return Point(
        None if called is None else tuple(called.split()), None if made is None else tuple(made.split()), words
    )


QUANTIZER = _point("h w hessian bits role")
POINTS: Mapping[str, Point] = {
    "loader": _point(made="h env", next_batch=""),
    "attend": _point("q k v docs"),
    "linear_init": _point("h weight rng"),
    "table_init": _point("h weight rng"),
    "value": _point("v u flow", made="h layer"),
    "attn_out": _point("y u flow", made="h layer"),
    "head_gate": _point("y u flow", made="h layer"),
    "output_norm": _point("x", made="h"),
    "embed_pre": _point("x ids", made="h"),
    "embed_post": _point("x ids", made="h"),
    "lookups": _point("ids", made="h"),
    "activation": _point("h z"),
    "mlp": _point("u", made="h layer"),
    "mlp_in": _point("u flow", made="h layer"),
    "block": _point("x flow", made="h layer"),
    "route": _point("x blocks flow loop", made="h"),
    "order": _point("h loop"),
    "eval_cap": _point("z", made="h"),
    "core": _point("x blocks flow", made="h"),
    "orthogonalize": _point("g steps"),
    "in_parts": _point("h p g orthogonalize"),
    "grad": _point("g"),
    "muon_wd_at": _point("h clock"),
    "embed_quantizer": QUANTIZER,
    "attn_quantizer": QUANTIZER,
    "mlp_quantizer": QUANTIZER,
    "table_quantizer": QUANTIZER,
    "gate_quantizer": QUANTIZER,
    "assign_bits": _point("h tagged hessians"),
    "steps": _point("h tagged weights hessians"),
    "wide_groups": _point(
        choose="h tagged weights hessians", code="h w hessian bits role starts", rescale="h rows codes starts scale"
    ),
    "prune": _point("h tensors"),
    "refit": _point("h env log tagged weights hessians tensors"),
    "corrections": _point(add="h tensors weights", apply="tensors weights"),
    "levels": _point("codes"),
    "coder": _point(encode="tensors", decode="payload specs unpacked_bytes"),
    "lr_at": _point("h clock"),
    "group_lr": _point("h group clock"),
    "momentum_at": _point("h clock"),
    "reports": _point("h env model stream keep"),
    "after_step": _point(made="h model", update="clock"),
    "export_weights": _point("model averages"),
    "parallel": _point("env model"),
    "average_gradients": _point("env model"),
    "documents": _point("h ids clock"),
    "validation": _point("h env model stream keep"),
    "checkpoint": _point(made="h env log model optimizers loader clock", update="", remove=""),
    "calibrate": _point("h env log model loader"),
    "windows": _point("h total"),
    "reader": _point("h env model stream total"),
    "training_mlp": _point("h u up down"),
    "training_nats": _point("h logits targets"),
    "target_bytes": _point("h env tokens"),
    "tilt": _point(made="h env stream", __call__="logits targets at"),
    "two_log_probs": _point("logits first second"),
    "frequencies": _point("h dims device"),
    "cap": _point("z", made="h"),
    "product": _point("h x weight training"),
    "embed_init": _point("h weight rng"),
    "mix_start": _point("h layer"),
    "storage": _point(put="w", get="tensor"),
    "sparsify": _point("h tagged weights"),
    "code_together": _point("h tagged weights"),
    "skip_row": _point("h row"),
    "at_loop": _point("h model"),
}


def check_signatures(recipe: Recipe) -> None:
    """GolfError (exit 10) where what a recipe chose for a slot or chain does not take the arguments that it will be given."""
    h = namespace(recipe)
    for knob, point in POINTS.items():
        if recipe.values.get(knob):
            chosen = getattr(h, knob)
            for thing in chosen if isinstance(chosen, tuple) else (chosen,):
                _check(recipe, knob, thing, point)


def _check(recipe: Recipe, knob: str, thing: Any, point: Point) -> None:
    if inspect.isclass(thing):
        if point.made is not None:
            _takes(recipe, knob, thing, thing.__init__, ("self", *point.made))
        wanted = {**point.methods} if point.called is None else {**point.methods, "forward": point.called}
    elif point.made is not None:  # a factory: what it returns is known when it is called
        _takes(recipe, knob, thing, thing, point.made)
        wanted = {}
    else:
        _takes(recipe, knob, thing, thing, point.called or ())
        wanted = {}
    for name, arguments in wanted.items():
        method = inspect.getattr_static(thing, name, None)
        if method is None:
            raise GolfError(f"`{thing.__name__}` stands in `{knob}` and has no `{name}({', '.join(arguments)})`"
                            f"  [{shown_at(recipe.catalogue, thing)}]", "write it", Exit.REFUSED)  # fmt: skip
        static = isinstance(method, staticmethod)
        function = method.__func__ if static or isinstance(method, classmethod) else method
        _takes(recipe, knob, thing, function, arguments if static else ("self", *arguments))


def _takes(recipe: Recipe, knob: str, thing: Any, function: Any, arguments: tuple[str, ...]) -> None:
    if not inspect.isfunction(function):  # a builtin of a base class takes what it takes
        return
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as fault:
        shown = ", ".join(a for a in arguments if a != "self")
        name = thing.__name__ if function is thing else f"{thing.__name__}.{function.__name__}"
        raise GolfError(
            f"`{name}` stands in `{knob}`, which calls it with ({shown}): {fault}  [{shown_at(recipe.catalogue, function)}]",
            f"give it the parameters ({shown})", Exit.REFUSED,
        ) from fault  # fmt: skip
