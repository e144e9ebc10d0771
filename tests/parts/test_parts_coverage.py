"""Every line of a composed file is run by a run of it, or has a waiver with a name."""

import re
import sys
from pathlib import Path
from types import CodeType

import pytest
import torch
from worlds import execute, run_folder, tiny

from golf.compose import compose

# what a CPU without a second process cannot reach, and what only faults reach
WAIVERS = {
    "cuda": r"torch\.cuda|env\.cuda|\.backends\.|flash_attn_func\(|memory_mib|torch\.compile|torch\._dynamo|synchronize",
    "nccl or gloo": r"dist\.|torch\.distributed|DistributedDataParallel|require_backward_grad_sync|find_unused|env\.distributed|\bflag\b|gather|\bsums\b|nats is not None|world_size == 1|return tensor|tensor\.to",
    "the entry of a script": r"^    main\(\)$",
    "another rank": r"^\s*return$",
    "what a false assertion says": r"^\s+\"[a-z].*\"$",
    "fault": r"^\s*(raise |except |check\(|f\"|\)$)",
}


def lines_of(code: CodeType) -> set[int]:
    """The lines that Python can report as run, in this code and all code inside it."""
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    own = {line for _, _, line in code.co_lines() if line}
    return own.union(*(lines_of(const) for const in inner)) - {code.co_firstlineno if code.co_name != "<module>" else 0}


class Graphs(torch.nn.Module):
    """Stands in for a compiled model."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *arguments, **named):
        return self.model(*arguments, **named)


def trace_run(recipe, folder: Path, monkeypatch, data: Path, wallclock: str) -> tuple[Path, set[int]]:
    path, seen = folder / "train_gpt.py", set()

    def local(frame, event, arg):
        if event == "line":
            seen.add(frame.f_lineno)
        return local

    def tracer(frame, event, arg):
        return local if frame.f_code.co_filename == str(path) else None

    before = sys.gettrace()
    with run_folder(folder, monkeypatch, data, (), 1):
        monkeypatch.setenv("MAX_WALLCLOCK_SECONDS", wallclock)
        sys.settrace(tracer)
        try:
            file = execute(compose(recipe), path)
            file.PROGRESS_SECONDS = 0
            file.main()
            # what the rules' executable checks and interpretation ask of the same file
            env = file.Env()
            model, stream = file.build(env), file.Stream(env)
            file.plain(env, model, stream, keep=True)
            model(stream.tokens[:32].view(1, -1))
            # as where something is compiled: the reports are rehearsed first
            file.compiled = lambda env, model: Graphs(model)
            file.evaluate(env, file.Log(env), model)
        finally:
            sys.settrace(before)
    return path, seen


@pytest.mark.parametrize("name", ["baseline"])
def test_every_line_is_run_or_has_a_named_waiver(name, tiny_data, tmp_path, monkeypatch):
    recipe = tiny(name, val_loss_every=2, num_layers=3, keep_float_numel=600)
    path, seen = trace_run(recipe, tmp_path, monkeypatch, tiny_data, "0")
    _, more = trace_run(recipe, tmp_path, monkeypatch, tiny_data, "0.001")
    source = path.read_text().splitlines()
    missed = lines_of(compile(path.read_text(), str(path), "exec")) - seen - more
    unexplained = [
        f"{line}: {source[line - 1]}"
        for line in sorted(missed)
        if not any(re.search(waiver, source[line - 1]) for waiver in WAIVERS.values())
    ]
    assert not unexplained, "\n".join(unexplained)
