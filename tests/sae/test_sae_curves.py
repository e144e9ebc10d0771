"""benchmarks/dictionaries_curves.py without peers: its rows are of the model, the settings and the seeds that were asked for."""

import re
import sys

import dictionaries_contestants
import dictionaries_curves
import pytest
import torch
from sae_runs import WIDTH, tiny_source

from golf.sae.kinds import seeded


def test_the_curves_of_a_model_have_a_row_for_each_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dictionaries_curves, "open_source", lambda *_: tiny_source())
    monkeypatch.setattr(dictionaries_contestants, "find_spec", lambda name: None)
    words = "tiny --seeds 2 --features 24 --steps 6 --batch 256 --ks 2,6 --held-out 512 --ce-tokens 256 --layer 0"
    monkeypatch.setattr(sys, "argv", ["dictionaries_curves.py", *words.split()])
    dictionaries_curves.main()
    printed = capsys.readouterr().out
    assert "no peers installed" in printed and f"layer 0 of 2, d {WIDTH}, 24 features" in printed
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if " | golf | " in line]
    assert [row[:3] for row in rows] == [[arch, f"{word} {k}", "golf"] for arch, word in (("batchtopk", "k"), ("relu", "L0"), ("topk", "k")) for k in (2, 6)]  # fmt: skip
    number = r"-?\d+\.\d+"
    for row in rows:
        assert re.fullmatch(rf"{number} \({number}\)", row[4]) and float(row[4].split()[0]) < 1
    active = [float(row[3].split()[0]) for row in rows if row[0] == "topk"]
    assert active[0] <= 2 < active[1] <= 6


def test_a_coder_of_scaled_activations_codes_unscaled_ones() -> None:
    sae, x = seeded(0, 6, 12, "relu").eval(), torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
    coder = dictionaries_curves.Scaled((sae.decoder.weight.T, sae.encode, sae.decode), 4.0)
    with torch.no_grad():
        assert torch.equal(coder.encode(x), sae.encode(4.0 * x))
        assert torch.allclose(coder.decode(coder.encode(x)), sae(4.0 * x)[0] / 4.0)
