"""The Triton kernels on a GPU: differences to their plain twins, graph breaks, and milliseconds beside what torch compiles.

    python3 benchmarks/gpu/kernels.py          # torch with its Triton, golf/parts of this checkout

Sizes are a micro-batch of the late records on one of eight GPUs: 98,304 tokens, 512 wide, hidden 2,048, vocabulary 8,192. Prints one
JSON object a line. Medians of CUDA events, forward and backward together; inputs are drawn once.
"""

import json
import statistics
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from golf.parts.evaluate import plain_gather
from golf.parts.techniques.dual_gather import dual_gather
from golf.parts.techniques.fused_cross_entropy import fused_cross_entropy
from golf.parts.techniques.fused_mlp import fused_mlp
from golf.parts.techniques.leaky_relu2 import leaky_relu2
from golf.parts.techniques.token_tilt import token_hints

TOKENS, WIDTH, HIDDEN, VOCABULARY, RUNS = 98_304, 512, 2_048, 8_192, 20
h = SimpleNamespace(activation=leaky_relu2, negative_slope=0.5, softcap=30.0, cap_logits=True)


def plain_mlp(u, up, down):
    return F.linear(leaky_relu2(h, F.linear(u, up)), down)


def plain_nats(logits, targets):
    capped = h.softcap * torch.tanh(logits / h.softcap)
    return F.cross_entropy(capped.float().flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)


def milliseconds(step):
    times = []
    for run in range(RUNS + 5):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        step()
        end.record()
        torch.cuda.synchronize()
        if run >= 5:
            times.append(start.elapsed_time(end))
    return round(statistics.median(times), 3)


def furthest(ours, exact):
    return float((ours.float() - exact.float()).abs().max() / exact.float().abs().max())


def graded(function, inputs, weight):
    """Output and gradients of the inputs that have one."""
    inputs = [tensor.detach().requires_grad_(tensor.is_floating_point()) for tensor in inputs]
    out = function(*inputs)
    out.backward(weight.to(out.dtype))
    return [out.detach(), *(tensor.grad for tensor in inputs if tensor.grad is not None)]


def compare(name, fused, plain, inputs, weight):
    """Both forms in bf16 against the plain one in fp32, and their times, compiled as in training."""
    exact = graded(plain, [x.float() if x.is_floating_point() else x for x in inputs], weight)
    report = {"kernel": name}
    for way, function in (("fused", fused), ("plain", plain)):
        compiled = torch.compile(function, dynamic=False, fullgraph=True)
        report[f"{way} difference"] = [
            furthest(a, b) for a, b in zip(graded(compiled, inputs, weight), exact, strict=True)
        ]
        report[f"{way} ms"] = milliseconds(partial(graded, compiled, inputs, weight))
        torch.cuda.reset_peak_memory_stats()
        graded(compiled, inputs, weight)
        report[f"{way} peak MiB"] = torch.cuda.max_memory_allocated() >> 20
    print(json.dumps(report), flush=True)


def main():
    torch.manual_seed(0)
    device = torch.device("cuda")
    print(json.dumps({"device": torch.cuda.get_device_name(), "torch": torch.__version__}), flush=True)
    draw = lambda *shape, scale=1.0: (torch.randn(*shape, device=device) * scale).bfloat16()  # noqa: E731
    mlp = (
        draw(48, TOKENS // 48, WIDTH),
        draw(HIDDEN, WIDTH, scale=WIDTH**-0.5),
        draw(WIDTH, HIDDEN, scale=HIDDEN**-0.5),
    )
    compare("fused MLP", lambda *x: fused_mlp(h, *x), plain_mlp, mlp, draw(48, TOKENS // 48, WIDTH))
    rows = (8, 4096)  # a third of a micro-batch: the plain form in fp32 has to fit as well
    targets = torch.randint(0, VOCABULARY, rows, device=device)
    logits = draw(*rows, VOCABULARY, scale=5)
    compare(
        "fused cross-entropy",
        lambda *x: fused_cross_entropy(h, *x),
        plain_nats,
        (logits, targets),
        torch.rand(rows, device=device),
    )
    flat, ids = logits.flatten(0, 1).float(), targets.flatten()
    both = [way(flat, ids, ids.flip(0)) for way in (dual_gather, plain_gather)]
    report = {"kernel": "dual gather", "difference": max(furthest(a, b) for a, b in zip(*both, strict=True))}
    report |= {
        name: milliseconds(lambda way=way: way(flat, ids, ids.flip(0)))
        for name, way in (("fused ms", dual_gather), ("plain ms", plain_gather))
    }
    print(json.dumps(report), flush=True)
    tokens = torch.randint(0, VOCABULARY, (47_851_521,), device=device)
    tilt = SimpleNamespace(tilt_order=16, tilt_share=0.8, vocab_size=VOCABULARY)
    print(
        json.dumps({"hints of 47,851,520 targets, ms": milliseconds_once(lambda: token_hints(tilt, tokens))}),
        flush=True,
    )


def milliseconds_once(step):
    torch.cuda.reset_peak_memory_stats()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    step()
    end.record()
    torch.cuda.synchronize()
    return [round(start.elapsed_time(end)), f"{torch.cuda.max_memory_allocated() >> 20} MiB at most"]


if __name__ == "__main__":
    main()
