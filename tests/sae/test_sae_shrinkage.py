"""What an L1 penalty takes from the codes is given back in the files, exactly as least squares has it."""

import pytest
import torch

from golf.sae.kinds import ARCHITECTURES, seeded
from golf.sae.layer import LayerTraining
from golf.sae.metrics import Quality
from golf.sae.settings import Settings
from golf.sae.shrinkage import Shrinkage, given_back

CPU = torch.device("cpu")


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_factor_and_the_bias_are_those_of_least_squares():
    y = draw(500, 6) + 3.0
    x = 1.75 * y + torch.arange(6.0) + 0.1 * draw(500, 6, seed=1)
    sums = Shrinkage(6, CPU)
    sums.add(x, y)
    gain, bias = sums.fit()
    columns = torch.zeros(3000, 7, dtype=torch.float64)  # unknowns: c, then six biases
    columns[:, 0] = y.double().flatten()
    columns[torch.arange(3000), 1 + torch.arange(3000) % 6] = 1.0
    wanted = torch.linalg.lstsq(columns, x.double().flatten()[:, None]).solution.flatten()
    assert gain == pytest.approx(float(wanted[0]), rel=1e-5)
    assert bias is not None and torch.allclose(bias.double(), wanted[1:], atol=1e-4)


def test_what_was_seen_long_ago_does_not_count():
    sums = Shrinkage(4, CPU)
    for gain in [5.0] * 50 + [2.0] * 2000:
        y = draw(32, 4, seed=int(gain))
        sums.add(gain * y, y)
    assert sums.fit()[0] == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize("y", [torch.zeros(40, 3), torch.ones(40, 3), -draw(40, 3)], ids=["none", "constant", "turned"])
def test_a_code_that_says_nothing_stays_as_it_is(y):
    sums, state = Shrinkage(3, CPU), seeded(0, 3, 5, "relu").state_dict()
    assert sums.fit() == (1.0, None)
    sums.add(draw(40, 3), y)
    assert sums.fit() == (1.0, None)
    assert given_back(state, *sums.fit()) == state


@pytest.mark.parametrize("transcodes", [False, True])
def test_the_same_features_are_active_and_all_codes_are_as_much_larger(transcodes):
    sae = seeded(1, 6, 20, "relu", out_dim=4 if transcodes else None)
    x, bias = draw(300, 6, seed=2), draw(4 if transcodes else 6, seed=3)
    with torch.no_grad():
        sae.b_pre.copy_(draw(6, seed=4))
        before, added = sae.encode(x), sae.added.clone()
        alone = sae.decode(before) - added
        sae.load_state_dict(given_back(sae.state_dict(), 2.5, bias))
        code = sae.encode(x)
        assert torch.allclose(code, 2.5 * before, atol=1e-5) and torch.allclose(
            sae.decode(code), 2.5 * alone + bias, atol=1e-5
        )
        assert ((code > 1e-5) == (before > 4e-6)).float().mean() > 0.999


def test_only_what_shrinks_is_rescaled():
    for arch in ARCHITECTURES:
        assert Settings(arch=arch).rescales == (arch == "relu")
    assert not Settings(rescale=False).rescales


@pytest.mark.parametrize("seed", [1, 2])
def test_the_files_explain_more_at_the_same_l0(seed):
    rng = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(32, 16, generator=rng), dim=-1)
    strengths = (0.5 + torch.rand(300 * 128, 32, generator=rng)) * (torch.rand(300 * 128, 32, generator=rng) < 2 / 32)
    x = 3.0 * strengths @ directions + 5.0
    found = []
    for rescale in (True, False):
        settings = Settings(
            tokens=len(x), expansion=4, target_l0=3.0, lr=3e-3, batch_tokens=128, seq_len=128, rescale=rescale
        )
        training = LayerTraining(settings, 16, CPU)
        training.begin(x)
        for batch in x.split(128):
            training.step(batch)
        sae = training.sae.eval()
        sae.load_state_dict(training.weights())
        quality = Quality(64, 16)
        with torch.no_grad():
            quality.add(x, code := sae.encode(x), sae.decode(code))
        found.append(quality.report())
    with_gain, without = found
    assert with_gain["l0"] == pytest.approx(without["l0"], rel=1e-3)
    assert with_gain["fvu"] < 0.8 * without["fvu"], found
    assert with_gain["relative_bias"] == pytest.approx(1, abs=0.01)
