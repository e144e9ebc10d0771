"""Parity features, known answers: field, frame, spectrum, transform, selection, guaranteed recovery."""

import pytest
import torch
from cayley_saes import randn, sae_of

from golf.parts.parity import PRIMITIVE, ParityTransform, field_powers, parity_points, parity_signs


def offsets_of(t, n):
    """The rows of a level of n bits, apart from those of level 0."""
    return list(range(2 ** (n - t), 2 ** (n - t + 1))) if n > t else [0]


def dictionary(t, n):
    """(m, d): a level's features, written out."""
    return ParityTransform(t, offsets_of(t, n)).double().scores(torch.eye(2**t, dtype=torch.float64)).T


@pytest.mark.parametrize("t", range(2, 15))
def test_omega_generates_the_field(t):
    powers = field_powers(t)
    assert len(set(powers)) == 2**t - 1
    assert max(powers) < 2**t
    last = powers[-1] << 1
    assert (last ^ PRIMITIVE[t] if last >> t else last) == 1


@pytest.mark.parametrize("t", [4, 7])
def test_level_0_is_orthonormal(t):
    w = dictionary(t, t)
    assert torch.allclose(w @ w.T, torch.eye(2**t, dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize(("t", "n"), [(6, 9), (8, 12), (9, 13)])
def test_a_level_is_a_tight_frame(t, n):
    w = dictionary(t, n)
    assert torch.allclose(w.norm(dim=1), torch.ones(2**n, dtype=torch.float64))
    assert torch.allclose(w.T @ w, 2 ** (n - t) * torch.eye(2**t, dtype=torch.float64), atol=1e-9)


def spectrum(t, n):
    """The values of d · ⟨w, w'⟩ over all pairs of different features of a level: one Hadamard transform of a histogram."""
    cubes = parity_points(t) & (1 << n - t) - 1
    points = torch.arange(2**t) | cubes << t
    x = torch.zeros(2**n).index_add_(0, points, torch.ones(2**t))
    for bit in range(n):
        x = x.view(-1, 2, 2**bit)
        x = torch.stack((x[:, 0] + x[:, 1], x[:, 0] - x[:, 1]), 1)
    return {int(v) for v in x.flatten()[1:].abs().unique()}


@pytest.mark.parametrize(
    ("t", "n", "values"),
    [(9, 13, {0, 32}), (9, 15, {0, 32}), (9, 18, {0, 32}), (10, 15, {0, 32, 64}), (10, 20, {0, 32, 64}), (11, 15, {0, 64})],
)  # fmt: skip
def test_the_products_of_two_features_are_gold_s_three_values(t, n, values):
    assert spectrum(t, n) == values
    assert max(values) == 2 ** (t // 2 + 1)


def test_the_spectrum_is_that_of_the_features():
    w = dictionary(6, 9)
    products = (64 * w @ w.T).round().abs().int() * (1 - torch.eye(512, dtype=torch.int32))
    assert set(products.unique().tolist()) | {0} == spectrum(6, 9) | {0}


def test_two_levels_share_no_feature_and_keep_the_coherence():
    w = ParityTransform(9, [*offsets_of(9, 9), *offsets_of(9, 13)]).scores(torch.eye(512)).T
    assert w.shape == (8704, 512)
    largest = max(
        float(
            (w[i : i + 512] @ w.T).abs().index_put_((torch.arange(512), i + torch.arange(512)), torch.zeros(512)).max()
        )
        for i in range(0, 8704, 512)
    )
    assert largest == pytest.approx(1 / 16, abs=1e-5)
    without = ParityTransform(9, [0, *range(16)]).scores(torch.eye(512)).T
    assert torch.equal(without[:512], without[512:1024])


def test_a_feature_is_its_formula():
    t, offsets = 5, [0, 3, 40]
    w = ParityTransform(t, offsets).double().scores(torch.eye(32, dtype=torch.float64)).T
    points = parity_points(t)
    for row, beta in enumerate(offsets):
        for alpha in (0, 1, 19):
            expected = [(-1) ** ((alpha & x).bit_count() + (beta & int(points[x])).bit_count()) for x in range(32)]
            assert torch.allclose(w[row * 32 + alpha] * 32**0.5, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("t", [5, 6])
def test_the_fast_transform_is_the_dense_one(t):
    transform = ParityTransform(t, [*offsets_of(t, t), *offsets_of(t, t + 3)])
    w = transform.scores(torch.eye(2**t)).T
    x, codes = torch.randn(7, 2**t), torch.randn(7, len(w))
    assert torch.allclose(transform.scores(x), x @ w.T, atol=1e-5)
    assert torch.allclose(transform.vectors(codes), codes @ w, atol=1e-4)


def test_signs_are_parities():
    a, b = torch.arange(64), torch.arange(64) * 613 % 8191
    expected = [[(-1) ** (int(i) & int(j)).bit_count() for j in b] for i in a]
    assert parity_signs(a, b).tolist() == expected


def standardized(sae, x):
    scores = sae.parity.scores(x)
    return ((scores - sae.score_mean) / (sae.score_var + 1e-5).sqrt() + sae.bias).detach()


def chosen(sae, x):
    codes, _, index = sae.encode(x)
    return [dict(zip(i.tolist(), c.tolist(), strict=True)) for i, c in zip(index, codes, strict=True)]


def strongest(u, candidates, k):
    best = sorted(candidates, key=lambda a: -abs(float(u[a])))[:k]
    return {a: float(u[a]) for a in best}


def test_the_full_route_is_brute_force():
    sae, x = sae_of((6, 5, 0), (9, 12, 16), cayley_route="full"), randn(40, 64)
    for found, u in zip(chosen(sae, x), standardized(sae, x), strict=True):
        expected = strongest(u, range(64), 5) | strongest(u, range(64, 64 + 512), 12)
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shared", [False, True])
def test_the_cayley_route_is_brute_force_over_the_children_of_the_parents(shared):
    values = {"cayley_per_parent": False} if shared else {}
    sae, x = sae_of((6, 5, 0), (9, 6, 120 if shared else 24), (11, 4, 192 if shared else 64), **values), randn(30, 64)
    steps = [0, *field_powers(6)]
    for found, u in zip(chosen(sae, x), standardized(sae, x), strict=True):
        top = strongest(u, range(64), 5)
        middle = strongest(u, {64 + 64 * b + (p % 64 ^ g) for p in top for g in steps[:3] for b in range(8)}, 6)
        opened = steps[: 1 if shared else 2]
        last = strongest(u, {576 + 64 * b + (p % 64 ^ g) for p in middle for g in opened for b in range(32)}, 4)
        assert found == pytest.approx(top | middle | last, abs=1e-12)


def test_the_cayley_route_with_every_child_open_is_the_full_one():
    levels = ((6, 5, 0), (9, 12, 512))
    x = randn(20, 64)
    assert chosen(sae_of(*levels), x) == chosen(sae_of(*levels, cayley_route="full"), x)


def test_the_children_of_feature_0_at_width_512():
    sae = sae_of((9, 16, 0), (13, 32, 256))
    assert sae.steps[: 256 // 16].tolist() == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 17, 34, 68, 136, 272, 49]


def recovery(t, n, k, draws, seed=3):
    """The share of planted features of one magnitude that are among the k strongest scores, draw by draw."""
    transform, rng = ParityTransform(t, offsets_of(t, n)), torch.Generator().manual_seed(seed)
    shares = []
    for _ in range(draws // 40):
        planted = torch.stack([torch.randperm(2**n, generator=rng)[:k] for _ in range(40)])
        signs = torch.randint(2, (40, k), generator=rng) * 2.0 - 1
        x = transform.vectors(torch.zeros(40, 2**n).scatter_(1, planted, signs))
        found = transform.scores(x).abs().topk(k).indices
        shares += [(planted[:, :, None] == found[:, None]).any(2).float().mean(1)]
    return torch.cat(shares)


@pytest.mark.parametrize(("t", "n", "k"), [(9, 13, 8), (10, 15, 8), (11, 15, 16)])
def test_few_planted_features_are_always_recovered(t, n, k):
    """k < ½ (1 + 1/μ) is guaranteed, not likely: 400 of 400."""
    assert (recovery(t, n, k, 400) == 1).all()


def test_more_planted_features_are_mostly_recovered():
    assert recovery(11, 15, 48, 200).mean() == pytest.approx(0.996, abs=0.003)
    assert recovery(9, 13, 32, 200).mean() == pytest.approx(0.79, abs=0.02)
