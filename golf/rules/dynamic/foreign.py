"""A stranger's evaluation function on a stub model, seen from outside: all that is needed is the BPB that it returns.

Code lengths: for a valid prequential code, L(V[..t] + v) - L(V[..t]) = -log p(v | V[..t]), so over all v the powers sum to one,
whatever happens inside. A look ahead, a target in a key, a delta fitted on what is scored, a second pass: each breaks the sum.
The total L comes out of the returned BPB when the byte table gives one byte to a single marker token and none to the others.
Runs in the sandbox's child only.
"""

import copy
import inspect
import math
import os
import shutil
import sys
import types
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from golf.rules.dynamic.foreign_imports import load_foreign
from golf.rules.dynamic.foreign_model import forward_of, own_model, put_on_cpu
from golf.rules.dynamic.properties import Outcome
from golf.rules.dynamic.scores import BOS, Ids
from golf.rules.dynamic.stub_foreign import ForeignStub

VOCAB, MARKER = 16, 15
WINDOW, STRIDE, CHUNK, TOKENS = 16, 4, 32, 90
TOLERANCE = 1e-4  # nats are summed from fp32 in most scripts
LN2 = math.log(2.0)
# settings of the stub run, by the names that scripts use
SETTINGS: dict[str, Any] = {
    "vocab_size": VOCAB, "train_seq_len": WINDOW, "eval_seq_len": WINDOW, "seq_len": WINDOW, "eval_stride": STRIDE, "stride": STRIDE,
    "val_batch_size": 8 * WINDOW, "val_batch_tokens": 8 * WINDOW, "eval_batch_seqs": 2, "batch_seqs": 2, "sliding_batch_seqs": 2,
    "ttt_chunk_tokens": CHUNK, "ttt_chunk_size": CHUNK, "ttt_batch_seqs": 2, "ttt_epochs": 2, "ttt_enabled": True, "ttt_lr": 0.05,
    "ttt_eval_seq_len": WINDOW, "ttt_freeze_blocks": 0, "slot_steps": 4, "slot_lr": 0.1, "slot_enabled": True, "ngram_buckets": 64,
    "ngram_min_count": 1, "ngram_enabled": True, "rank": 0, "world_size": 1, "local_rank": 0, "distributed": False,
    "is_main_process": True, "grad_accum_steps": 1,
}  # fmt: skip


def check(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Every evaluation function that could be called, the score's last; a fault that says why none could."""
    for name, place in job.get("helpers", {}).items():
        shutil.copyfile(place, folder / name)
    for name, value in SETTINGS.items():
        os.environ[name.upper()] = str(int(value) if isinstance(value, bool) else value)
    sys.path.insert(0, str(folder))
    module = load_foreign(job["text"], folder)
    put_on_cpu(module)
    functions = find_evaluators(job["text"], module, job.get("overrides"))
    if not functions:
        return {"fault": "no evaluation function that takes validation tokens and a model was found"}
    suites, faults = [], []
    for function in functions:
        found, why = _judged(module, function, quick=bool(job.get("quick")))
        suites += [found] if found else []
        faults += [f"`{function.__name__}` could not be called on a stub model: {why}"] if why else []
    last = f"`{functions[-1].__name__}`"
    if not suites or (faults and any(last in fault for fault in faults)):
        return {"fault": "; ".join(faults)}
    return {"suites": suites}


def _judged(
    module: types.ModuleType, function: Callable[..., Any], *, quick: bool
) -> tuple[dict[str, Any] | None, str | None]:
    """(what an evaluation shows on the stub, else on the script's own model made small, None), or (None, why neither could be)."""
    reasons = []
    for own in (False, True):
        try:
            return judge(module, function, quick=quick, own=own), None
        except Exception as fault:
            whose = "its own model, made small" if own else ""
            reasons.append(f"{whose}{': ' if whose else ''}{type(fault).__name__}: {str(fault)[:160]}")
    return None, "; ".join(reasons)


def find_evaluators(
    text: str, module: types.ModuleType, overrides: dict[str, str] | None = None
) -> list[Callable[..., Any]]:
    """Live functions of the script that score validation tokens, in the order in which the main flow calls them."""
    from golf.reading.script import parse
    from golf.rules.code import Code, leaf

    code = Code([parse(Path("train_gpt.py"), text)], overrides)
    called = [
        leaf(named) for call in code.main_flow for named in (call.func, *call.args)
    ]  # `timed_eval(label, eval_val, …)` too
    found: dict[str, Callable[..., Any]] = {}
    for name in sorted(code.pieces, key=lambda name: called.index(name) if name in called else -1):
        function = getattr(module, name, None)
        if name not in called or not inspect.isfunction(function) or code.live.get(name) != "on":
            continue
        parameters = " ".join(inspect.signature(function).parameters)
        returns = any(piece_returns(piece.text) for piece in code.pieces[name])
        if "val_" in parameters and "model" in parameters and returns:
            found[name] = function
    return list(found.values())


def piece_returns(text: str) -> bool:
    """Whether a function's text returns a BPB."""
    return "bpb" in text.lower() or "log(2" in text


def judge(module: types.ModuleType, function: Callable[..., Any], *, quick: bool, own: bool = False) -> dict[str, Any]:
    """D2 by code lengths, D5 by counting, D9 by repeating."""
    rng = np.random.default_rng(20_260_502)
    stream = rng.integers(2, MARKER, TOKENS).astype(np.int64)
    for at in range(23, TOKENS):
        if rng.random() < 0.9:
            stream[at] = stream[at - 23]
    stream[0], stream[1] = BOS, MARKER
    window = WINDOW
    measure = Measure(module, function, window, own)
    grain = measure.scored(stream[:62]) - measure.scored(stream[:61])
    if grain != 1 or measure.scored(stream) != TOKENS - 1:
        measure = Measure(
            module, function, 1, own
        )  # it cuts the stream to whole windows: let a window be one token (that also scores a legacy tail once)
        grain = measure.scored(stream[:62]) - measure.scored(stream[:61])
    again = abs(measure.nats(stream[:62]) - measure.nats(stream[:62]))
    outcomes = [Outcome("D9", again < 1e-6, again, f"two runs differ by {again:.1e} nats in all")]
    count = measure.scored(stream)
    outcomes.append(Outcome("D5", count == TOKENS - 1, count, f"{count:.2f} of {TOKENS - 1} targets are scored"))
    if grain != 1:
        raise ValueError(f"one more token changes the number of scored targets by {grain:.2f}")
    ends = [61, 75] if quick else [37, 45, 53, 61, 69, 75, 83, 87]
    sums = []
    for end in ends:
        known = measure.nats(stream[:end])
        lengths = [measure.nats(np.append(stream[:end], token)) - known for token in range(VOCAB) if token != MARKER]
        marker = measure.nats(np.append(stream[:end], MARKER), markers=2) - known
        sums.append(float(np.exp(-np.array([*lengths, marker])).sum()))
    worst = max(abs(total - 1.0) for total in sums)
    detail = (
        f"code lengths of all continuations sum to {', '.join(f'{total:.4f}' for total in sums)}; one for a valid code"
    )
    outcomes.append(Outcome("D2", worst <= TOLERANCE, worst, detail))
    return {
        "evaluator": function.__name__,
        "in_stream_order": None,
        "tolerance_nats": TOLERANCE,
        "outcomes": {one.check: asdict(one) for one in outcomes},
    }


class Measure:
    """Calls one evaluation function with arguments bound by their names."""

    def __init__(self, module: types.ModuleType, function: Callable[..., Any], window: int, own: bool = False) -> None:
        self.function = function
        self.settings = {
            **SETTINGS,
            **(
                {"train_seq_len": 1, "eval_seq_len": 1, "seq_len": 1, "stride": 1, "eval_stride": 1}
                if window == 1
                else {}
            ),
        }
        self.hyper = hyper_of(module, self.settings)
        self.start = own_model(module, self.hyper, VOCAB) if own else ForeignStub(VOCAB)

    def nats(self, stream: Ids, markers: int = 1) -> float:
        """Total nats of a stream that holds the marker `markers` times as a scored target."""
        table = np.zeros(VOCAB, dtype=np.int16)
        table[MARKER] = 1
        return self._bpb(stream, table) * LN2 * markers

    def scored(self, stream: Ids) -> float:
        """How many targets are scored."""
        ones = self._bpb(stream, np.ones(VOCAB, dtype=np.int16)) * LN2
        return round(self.nats(stream) / ones, 6)

    def _bpb(self, stream: Ids, table: Any) -> float:
        import torch

        torch.manual_seed(0)
        np.random.seed(0)
        luts = {
            "base_bytes_lut": torch.from_numpy(table.copy()),
            "has_leading_space_lut": torch.zeros(VOCAB, dtype=torch.bool),
            "is_boundary_token_lut": torch.ones(VOCAB, dtype=torch.bool),
        }
        tokens = torch.from_numpy(stream.copy())
        result = self.function(**self._arguments(tokens, luts))
        return _bpb_of(result)

    def _arguments(self, tokens: Any, luts: dict[str, Any]) -> dict[str, Any]:
        import torch

        model = copy.deepcopy(self.start)
        values: dict[str, Any] = {
            **self.settings, **luts, "device": torch.device("cpu"), "val_tokens": tokens, "tokens": tokens, "has_space_lut": luts["has_leading_space_lut"],
            "is_boundary_lut": luts["is_boundary_token_lut"], "val_data": types.SimpleNamespace(val_tokens=tokens, tokens=tokens, **luts),
            "log0": _silent, "log": _silent, "log_fn": _silent, "print_fn": _silent, "master_process": True,
        }  # fmt: skip
        arguments = {}
        for name, parameter in inspect.signature(self.function).parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            if name in ("args", "h", "hp", "hparams", "hyp", "cfg", "config", "hyper", "hyperparameters"):
                arguments[name] = self.hyper
            elif "model" in name or name in ("net", "gpt"):
                arguments[name] = model
            elif name in values:
                arguments[name] = values[name]
            elif (forward := forward_of(name, model)) is not None:
                arguments[name] = forward
            elif parameter.default is parameter.empty:
                raise ValueError(f"nothing is known to give its parameter `{name}`")
        return arguments


def hyper_of(module: types.ModuleType, settings: dict[str, Any]) -> Any:
    """The script's own hyper-parameters with the settings of the stub run, else a plain namespace."""
    cls = next(
        (value for name, value in vars(module).items() if isinstance(value, type) and "hyper" in name.lower()), None
    )
    hyper: Any = types.SimpleNamespace()
    if cls is not None:
        try:
            hyper = cls()
        except Exception:
            hyper = types.SimpleNamespace(
                **{name: value for name, value in vars(cls).items() if not name.startswith("_")}
            )
    for name, value in settings.items():
        try:
            setattr(hyper, name, value)
        except (AttributeError, TypeError):
            continue
    return hyper


def _bpb_of(result: Any) -> float:
    """The BPB in what an evaluation returns: (loss, bpb, …), a table, or an object with `val_bpb`."""
    if isinstance(result, dict):
        return float(result["val_bpb"] if "val_bpb" in result else result["bpb"])
    if isinstance(result, tuple | list) and len(result) >= 2:
        return float(result[1])
    return float(result.val_bpb)


def _silent(*_: Any, **__: Any) -> None:
    return None
