"""The Triton kernels of the parts, or of a composed file, run by Triton's interpreter on the CPU or compiled for a GPU that is not here.

TRITON_INTERPRET=1 python kernel_driver.py values [train_gpt.py]    largest differences to the plain twins, as JSON
python kernel_driver.py compile [train_gpt.py]                      bytes of the code for compute capability 9.0, as JSON
"""

import itertools
import json
import runpy
import sys

import torch
import torch.nn.functional as F

NEEDED = (
    "FusedMLP",
    "FusedNats",
    "dual_gather_kernel",
    "mlp_up_kernel",
    "mlp_down_kernel",
    "capped_nats_kernel",
    "capped_grad_kernel",
)


def kernels(path):
    if path:
        found = runpy.run_path(path, run_name="composed")
        return {name: found[name] for name in NEEDED if name in found}
    from golf.parts.techniques import dual_gather, fused_cross_entropy, fused_mlp

    places = (dual_gather, fused_cross_entropy, fused_mlp)
    return {name: getattr(place, name) for name in NEEDED for place in places if hasattr(place, name)}


def furthest(ours, plain):
    """The largest difference as a share of the plain twin's largest value."""
    return float((ours.float() - plain.float()).abs().max() / plain.float().abs().max())


def mlp_values(FusedMLP, rows, inputs, hidden, slope, dtype):
    u, g = torch.randn(rows, inputs), torch.randn(rows, inputs)
    weights = torch.randn(hidden, inputs) / inputs**0.5, torch.randn(inputs, hidden) / hidden**0.5
    ours = [tensor.to(dtype).requires_grad_() for tensor in (u, *weights)]
    y = FusedMLP.apply(*ours, slope)
    y.backward(g.to(dtype))
    # the twin in fp32 from the same rounded values, the hidden ones rounded where they are stored
    plain = [tensor.detach().to(dtype).float().requires_grad_() for tensor in (u, *weights)]
    z = F.leaky_relu(F.linear(plain[0], plain[1]), slope).square()
    expected = F.linear(z, plain[2])
    expected.backward(g.to(dtype).float())
    return max(
        furthest(a, b) for a, b in [(y, expected), *((a.grad, b.grad) for a, b in zip(ours, plain, strict=True))]
    )


def nats_values(FusedNats, rows, vocabulary, softcap, dtype):
    x, weight = (20 * torch.randn(rows, vocabulary)).to(dtype), torch.rand(rows)
    targets = torch.randint(0, vocabulary, (rows,))
    targets[:2] = torch.tensor([0, vocabulary - 1])
    ours, plain = x.clone().requires_grad_(), x.float().requires_grad_()
    nats = FusedNats.apply(ours, targets, softcap)
    nats.backward(weight)
    expected = F.cross_entropy(softcap * torch.tanh(plain / softcap), targets, reduction="none")
    expected.backward(weight)
    return max(furthest(nats, expected), furthest(ours.grad, plain.grad))


def gather_values(kernel, rows, vocabulary, dtype):
    x = (5 * torch.randn(rows, vocabulary)).to(dtype)
    first, second = torch.randint(0, vocabulary, (rows,)), torch.randint(0, vocabulary, (rows,))
    out = torch.empty(rows), torch.empty(rows)
    kernel[(rows,)](x, first, second, *out, vocabulary)
    log_p = torch.log_softmax(x.float(), -1)
    return max(furthest(a, log_p.gather(-1, i[:, None])[:, 0]) for a, i in zip(out, (first, second), strict=True))


def values(found):
    torch.manual_seed(0)
    report = {}
    for dtype in (torch.float32, torch.float16):  # the interpreter multiplies no bf16
        name = str(dtype).removeprefix("torch.")
        if "FusedMLP" in found:
            for shape in ((200, 48, 300, 0.5), (1, 64, 256, 0.25), (130, 70, 40, 0.0)):
                report[f"mlp {name} {shape}"] = mlp_values(found["FusedMLP"], *shape, dtype)
        if "FusedNats" in found:
            for shape in ((5, 2500, 30.0), (3, 1024, 15.0), (4, 7, 30.0)):
                report[f"nats {name} {shape}"] = nats_values(found["FusedNats"], *shape, dtype)
        if "dual_gather_kernel" in found:
            for shape in ((5, 2500), (2, 3)):
                report[f"gather {name} {shape}"] = gather_values(found["dual_gather_kernel"], *shape, dtype)
    return report


def compiled(found):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    bf16, fp32, ids = "*bf16", "*fp32", "*i64"
    launches = {
        "mlp_up_kernel": ([bf16] * 4 + ["number"] + ["i32"] * 3, {"num_warps": 8, "num_stages": 4}),
        "mlp_down_kernel": ([bf16] * 4 + ["number"] + ["i32"] * 3, {"num_warps": 8, "num_stages": 3}),
        "capped_nats_kernel": ([bf16, ids, fp32, fp32, "number", "i32"], {"num_warps": 4}),
        "capped_grad_kernel": ([bf16, ids, fp32, fp32, bf16, "number", "i32"], {"num_warps": 4}),
        "dual_gather_kernel": ([fp32, ids, ids, fp32, fp32, "i32"], {"num_warps": 4}),
    }
    report = {}
    # Triton takes a Python number as fp32, a model that torch compiled hands it over as fp64
    for name, number in itertools.product(launches, ("fp32", "fp64")):
        types, options = launches[name]
        if name in found:
            kernel = found[name]
            aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(types) if kind != "number"}
            types = [number if kind == "number" else kind for kind in types]
            source = ASTSource(kernel, dict(zip(kernel.arg_names, types, strict=True)), {}, aligned)
            code = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
            report[f"{name} {number}"] = [len(code.asm["cubin"]), code.metadata.shared, code.asm["ptx"].count(".f64")]
    return report


if __name__ == "__main__":
    chosen = kernels(sys.argv[2] if len(sys.argv) > 2 else None)
    print(json.dumps({"values": values, "compile": compiled}[sys.argv[1]](chosen)))
