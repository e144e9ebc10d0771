"""A public artifact in PGRP beside the script of its recipe is scored as the script's own: codes, scales, factors, wide columns, gates."""

import io
import re
import struct

import brotli
import numpy as np
import pytest
import torch
from places import ROOT
from worlds import execute, tiny

from golf.artifact.api import _files_of
from golf.artifact.public import ENDINGS, as_script_reads
from golf.compose import compose
from golf.errors import GolfError
from golf.parts.model import GPT
from golf.parts.quant import quantize
from golf.parts.tags import collect
from golf.reading.pgrp import read_pgrp
from golf.recipe.namespace import namespace

PUBLIC = (
    (r"route\.(skip_weights|skip_gates)", r"\1"), (r"route\.lane_add", "parallel_post_lambdas"), (r"route\.lane_keep", "parallel_resid_lambdas"),
    (r"embed_pre\.SmearInput\.w", "smear_gate.weight"), (r"embed_pre\.SmearInput\.strength", "smear_lambda"),
    (r"eval_cap\.up", "softcap_pos"), (r"eval_cap\.down", "softcap_neg"), (r"(.*attn)\.head_gate\.w", r"\1.attn_gate_w"),
)  # fmt: skip


def public_name(name: str, kind: str) -> str:
    gate = ".head_gate." in name
    for pattern, public in PUBLIC:
        name = re.sub(f"^{pattern}$", public, name)
    endings = {":q": ".gq", ":s": ".gs"} if gate else {}
    asymmetric = {
        ours: public
        for public, ours in ENDINGS.items()
        if public not in (".gq", ".gs", ".lqA", ".lqAs", ".lqB", ".lqBs")
    }
    return name + ({**asymmetric, **endings}[kind] if kind else "")


def as_public(tensors: dict) -> dict:
    parts = [(*name.partition(":"), t) for name, t in tensors.items()]
    return {public_name(name, colon + kind): t for name, colon, kind, t in parts}


def frame(tensors: dict, order: np.random.Generator) -> bytes:
    """Version 2 of the container, its matrices through brotli."""
    codes = {n: t for n, t in sorted(tensors.items()) if n.endswith(".weight.q")}
    head, blob = struct.pack("<4sII", b"PGRP", 2, len(codes)), b""
    for name, t in codes.items():
        rows = order.permutation(len(t)).astype("<u2")
        head += struct.pack("<H", len(name)) + name.encode() + struct.pack("<II", *t.shape) + rows.tobytes()
        blob += np.ascontiguousarray(t.numpy()[rows].T).tobytes()
    rest, packed = io.BytesIO(), brotli.compress(blob, quality=4)
    torch.save({"w": {n: t for n, t in tensors.items() if n not in codes}, "m": {}}, rest)
    return head + struct.pack("<BI", 0, len(packed)) + packed + shuffled(rest.getvalue())


def shuffled(data: bytes) -> bytes:
    planes = data[::2] + data[1::2]
    packed = brotli.compress(b"BSHF\x02" + planes, quality=4)
    return struct.pack("<I", len(packed)) + packed


@pytest.fixture(scope="module")
def made():
    """(the script of a tiny #2014, what its export stores)."""
    recipe = tiny("pr2014")
    h = namespace(recipe)
    torch.manual_seed(0)
    model = GPT(h)
    tagged = collect(model)
    weights = {name: torch.randn(param.shape) / 8 for name, param, _ in tagged}
    hessians = {}
    for name, param, _ in tagged:
        if param.ndim == 2:
            x = torch.randn(64, param.shape[1])
            hessians |= {name: x.T @ x, f"{name}:rows": torch.tensor(64.0)}
    return compose(recipe), quantize(h, tagged, weights, hessians)


@pytest.mark.slow
def test_what_the_public_container_holds_is_read_by_the_script(made, tmp_path):
    script, tensors = made
    kinds = {name.partition(":")[2] for name in tensors}
    assert {"", "q", "s", "a", "as", "b", "bs", "g", "gs"} <= kinds
    public = as_public(tensors)
    path = tmp_path / "final_model.int6.ptz"
    path.write_bytes(frame(public, np.random.default_rng(1)))
    assert read_pgrp(path.read_bytes())[0].keys() == public.keys()
    (tmp_path / "train_gpt.py").write_text(script)
    (tmp_path / "scratch").mkdir()
    found, artifact = _files_of(tmp_path, tmp_path / "scratch")
    assert found == tmp_path / "train_gpt.py" and artifact.parent.name == "scratch"
    module = execute(
        script, tmp_path / "train_gpt.py"
    )  # a file: Triton reads its kernels' source where it is installed
    read = module.read_container(str(artifact), module.ContextRansCoder)[0]
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], t.reshape(read[name].shape)) for name, t in tensors.items())


@pytest.mark.slow
def test_another_recipes_script_does_not_read_it(made, tmp_path):
    _, tensors = made
    public = as_public(tensors)
    path = tmp_path / "model"
    path.write_bytes(frame(public, np.random.default_rng(1)))
    with pytest.raises(GolfError, match="are not of one recipe"):
        as_script_reads(path, ROOT / "submissions" / "pr1809" / "train_gpt.py", tmp_path / "model.golf")
    path.write_bytes(frame({**public, "unheard.of": torch.ones(3).half()}, np.random.default_rng(1)))
    with pytest.raises(GolfError, match=r"unheard\.of"):
        as_script_reads(path, ROOT / "submissions" / "pr1809" / "train_gpt.py", tmp_path / "model.golf")
