"""A dictionary that is part of the model, measured as one more dictionary."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from golf.errors import GolfError
from golf.models.places import Site
from golf.models.source import Source
from golf.sae import evaluate as evaluate_module
from golf.sae.builtin import BuiltInCoder, BuiltInSource
from golf.sae.evaluate import Wishes, evaluate_builtin
from golf.sae.measured import usage_rows
from golf.sae.report import gather
from golf.sae.write_report import write_report

DIM, FEATURES, KEPT = 8, 8, 3


class CayleySAE(nn.Module):
    """The interface of the technique over a stored matrix: encode keeps the strongest by size, decode adds them up."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.features, self.levels = FEATURES, ((3, KEPT, 0),)
        self.register_buffer("atoms", torch.randn(FEATURES, DIM, generator=rng))
        self.out_bias = nn.Parameter(torch.randn(DIM, generator=rng))

    @torch.no_grad()
    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        scores = x @ self.atoms.T
        index = scores.abs().topk(KEPT).indices
        return scores.gather(1, index), torch.ones_like(index), index.int()

    def decode(self, codes: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(codes), FEATURES).scatter(1, index.long(), codes) @ self.atoms

    def forward(self, u: torch.Tensor, flow: object = None) -> torch.Tensor:
        codes, _, index = self.encode(u.flatten(0, 1))
        return (self.decode(codes, index) + self.out_bias).view_as(u)


class Model(nn.Module):
    def __init__(self, built_in: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(16, DIM)
        self.blocks = nn.ModuleList(CayleySAE(layer) if built_in else nn.Linear(DIM, DIM) for layer in range(2))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids)
        for block in self.blocks:
            x = x + block(x)
        return x @ self.embedding.weight.T


def source(built_in: bool = True) -> Source:
    model = Model(built_in)

    def tokens(split: str, data: Path | None = None, limit: int | None = None) -> Any:
        return np.random.default_rng(0).integers(0, 16, 500)[:limit]

    return Source(model, model.blocks, model, tokens, spec="s", name="cayley", vocab_size=16, seq_len=10)


def test_taking_signs_apart_changes_no_reconstruction() -> None:
    module = CayleySAE(1)
    x = torch.randn(50, DIM)
    coder = BuiltInCoder(module)
    code = coder.encode(x)
    assert code.shape == (50, 2 * FEATURES) and (code >= 0).all()
    assert (code != 0).sum(1).tolist() == [KEPT] * 50
    assert torch.allclose(coder.decode(code), module(x[None])[0], atol=1e-5)


def test_streams_are_what_the_modules_read() -> None:
    one = source()
    streams = BuiltInSource(one).streams(torch.arange(16)[None], [Site(0), Site(1)])
    embedded = one.model.embedding(torch.arange(16)[None])
    assert torch.equal(streams[Site(0)], embedded)
    assert torch.equal(streams[Site(1)], embedded + one.model.blocks[0](embedded))


def test_a_model_with_built_in_dictionaries_is_measured_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_module, "open_source", lambda spec, **_: source())
    monkeypatch.setattr("golf.figures.png.find_spec", lambda name: None)
    found = dict(evaluate_builtin("s", tmp_path / "out", Wishes(tokens=400)))
    assert [report["snapshots"][0]["l0"] for report in found.values()] == [KEPT, KEPT]
    assert [report["snapshots"][0]["features"] for report in found.values()] == [2 * FEATURES] * 2
    assert found[0]["losses"] is None and found[0]["config"] == {"arch": "cayley", "levels": "3,3,0"}
    assert [(row["l0"], row["features"]) for row in found[1]["usage"]] == [(KEPT, FEATURES)]
    assert [cells[:4] for cells in usage_rows(found)] == [
        ["0", "0", str(FEATURES), f"{KEPT}.00"],
        ["1", "0", str(FEATURES), f"{KEPT}.00"],
    ]
    assert (tmp_path / "out" / "metrics.csv").is_file()
    assert f"cayley, {2 * FEATURES} features, part of the model" in next(
        path for path in write_report(gather(tmp_path / "out")) if path.name == "report.md"
    ).read_text().replace("`", "")


def test_a_model_without_is_told_so() -> None:
    with pytest.raises(GolfError, match="cayley has no CayleySAE"):
        BuiltInSource(source(built_in=False))


def test_the_technique_itself_is_measured_as_it_computes() -> None:
    technique = pytest.importorskip("golf.parts.techniques.cayley_sae")
    from types import SimpleNamespace

    knobs = {name: value for name, value in vars(technique.Knobs).items() if not name.startswith("__")}
    h = SimpleNamespace(
        **{**knobs, "model_dim": 64, "cayley_levels": ((6, 4, 0), (8, 8, 16)), "cayley_chunk_tokens": 16}
    )
    module = technique.CayleySAE(h, 0).eval()
    with torch.no_grad():
        module.out_bias.normal_()
        module.bias.normal_(std=0.1)
    x = torch.randn(40, 64)
    coder = BuiltInCoder(module)
    code = coder.encode(x)
    assert code.shape == (40, 2 * module.features)
    assert (code != 0).sum(1).tolist() == [12] * 40
    assert torch.allclose(coder.decode(code), module(x[None], None)[0], atol=1e-5)
