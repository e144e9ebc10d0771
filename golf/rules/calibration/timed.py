"""A script of the composed shape, small enough to read, whose `evaluate` precomputes inside its timer or outside: for D7."""

import types
from dataclasses import asdict
from typing import Any

SCRIPT = """import time

import torch


class h:
    vocab_size = 16


class Env:
    def synchronize(self):
        pass


class Stream:
    def __init__(self, env):
        self.tokens = torch.zeros(2, dtype=torch.int64)
        self.target_bytes = torch.ones(1, dtype=torch.int64)


def load_artifact(path, model):
    raise FileNotFoundError(path)


def plain(env, model, stream):
    with torch.no_grad():
        return float(model(stream.tokens[None, :-1], stream.tokens[None, 1:]).sum())


def evaluate(env, log, model):
    stream = Stream(env)
    log(f"tokens:{len(stream.target_bytes)}")
    OUTSIDE
    begun = time.perf_counter()
    INSIDE
    load_artifact("model.golf", model)
    nats = plain(env, model, stream)
    log.record(eval_seconds=time.perf_counter() - begun, val_loss=nats)
"""
PRECOMPUTE = "hints = torch.bincount(stream.tokens, minlength=h.vocab_size)"


def script_with(*, precompute_inside: bool) -> str:
    """The script with the precomputation over the validation tokens on one side of `begun` or the other."""
    inside, outside = (PRECOMPUTE, "pass") if precompute_inside else ("pass", PRECOMPUTE)
    return SCRIPT.replace("INSIDE", inside).replace("OUTSIDE", outside)


def timer_of(text: str) -> dict[str, Any]:
    """What the sandbox would answer about the timer of `text`."""
    import torch

    from golf.rules.dynamic.stub import StubGPT
    from golf.rules.dynamic.timer import CannotTell, timed

    module = types.ModuleType("timed")
    module.__file__ = "<timed>"
    exec(compile(text, "<timed>", "exec"), module.__dict__)
    try:
        return {"outcome": asdict(timed(module, text, StubGPT(16), torch.arange(90) % 16))}
    except CannotTell as why:
        return {"fault": str(why)}
