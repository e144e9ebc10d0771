"""Training dictionaries: constraints after every step, resuming to the same bytes, penalties in every unit, planted directions found."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sae_models import planted, tiny_source

from golf.errors import Exit, GolfError
from golf.sae.files import file_name, load_dictionary
from golf.sae.kinds import ARCHITECTURES, KINDS
from golf.sae.layer import LayerTraining
from golf.sae.penalty import Control, Penalty
from golf.sae.settings import Settings, count_of, l1_sum, snapshot_points
from golf.sae.train import train

SMALL = Settings(
    tokens=2048, expansion=4, batch_tokens=64, buffer_tokens=256, seq_len=8, snapshots="4", stats_every=5, target_l0=4.0
)
CPU = torch.device("cpu")


def run(folder, settings=SMALL, layers=None, **options):
    source = tiny_source()
    return train(source, source.tokens("train"), folder, settings, layers, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "timing.json"}


def test_a_run_leaves_the_published_names_for_every_layer_and_snapshot(tmp_path):
    assert run(tmp_path).finished
    wanted = {f"sae_layer{layer:02d}_{label}.pt" for layer in range(3) for label in ("510", "1020", "1530", "final")}
    assert {path.name for path in tmp_path.glob("*.pt")} == wanted
    stats = json.loads((tmp_path / "stats_layer01.json").read_text())
    assert [row["tokens"] for row in stats] == [*range(320, 2048, 320), 2048]
    made = load_dictionary(tmp_path / file_name(1, "final"))
    assert made.stats == stats and made.config["target_layer"] == 1 and made.config["tokens_seen"] == 2048
    assert load_dictionary(tmp_path / file_name(1, "510")).config["tokens_seen"] == 512


def test_the_published_run_has_six_snapshots_a_layer():
    settings = Settings(tokens=count_of("300M"), batch_tokens=32_768, seq_len=1024, expansion=32,
                        snapshots="50M,100M,150M,200M,250M,300M,final")  # fmt: skip
    assert settings.steps * settings.batch_tokens == 299_991_040
    points = snapshot_points(settings.snapshots, settings.steps * settings.batch_tokens)
    assert points == {n * 1_000_000: f"{n}M" for n in (50, 100, 150, 200, 250)}
    assert points == snapshot_points("6", count_of("300M"))
    names = {file_name(layer, label) for layer in range(24) for label in [*points.values(), "final"]}
    assert len(names) == 144 and "sae_layer07_50M.pt" in names


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_run_stopped_anywhere_and_resumed_ends_with_the_same_bytes(arch, tmp_path):
    settings = replace(
        SMALL,
        arch=arch,
        k=3,
        target_l0=SMALL.target_l0 if KINDS[arch].sparse_by == "penalty" else None,
        dead_tokens=200,
        lr_warmup=500,
    )
    run(tmp_path / "whole", settings)
    for stops in [(64,), (128, 192), (640, 1024, 1984)]:
        folder = tmp_path / "-".join(map(str, stops))
        for number, at in enumerate(stops):
            outcome = run(folder, settings, stop=lambda tokens, at=at: tokens >= at, resume=number > 0)
            assert not outcome.finished and outcome.tokens == at and (folder / "state.pt").is_file()
        assert run(folder, settings, resume=True).finished
        assert contents(folder) == contents(tmp_path / "whole")


def test_a_layer_does_not_depend_on_which_others_are_trained(tmp_path):
    run(tmp_path / "all")
    run(tmp_path / "one", layers=[2])
    alone, beside = (load_dictionary(tmp_path / name / file_name(2, "final")) for name in ("one", "all"))
    assert all(
        torch.equal(a, b) for a, b in zip(alone.state_dict().values(), beside.state_dict().values(), strict=True)
    )
    assert alone.stats == beside.stats


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_save(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from test_sae_train import SMALL, run\n"
        "print('ready', flush=True)\n"
        "import time\n"
        "run(Path(sys.argv[1]), save_seconds=0.0, stop=lambda tokens: tokens >= 512 and time.sleep(60))\n"
    )
    folder = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    child = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, env=environment)
    assert child.stdout is not None and child.stdout.readline()
    deadline = time.monotonic() + 300
    while not (folder / file_name(0, "510")).is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    (folder / ".state.pt.1.tmp").write_bytes(b"half a state")
    assert run(folder, resume=True).finished
    run(tmp_path / "whole")
    assert contents(folder) == contents(tmp_path / "whole")


def test_a_folder_with_a_run_is_neither_overwritten_nor_mixed(tmp_path):
    run(tmp_path, stop=lambda tokens: True)
    before = contents(tmp_path)
    for settings, resume, says in [(SMALL, False, "holds a run already"), (replace(SMALL, seed=1), True, "seed")]:
        with pytest.raises(GolfError, match=says) as caught:
            run(tmp_path, settings, resume=resume)
        assert caught.value.code == Exit.REFUSED
    assert contents(tmp_path) == before
    run(tmp_path, resume=True)
    with pytest.raises(GolfError, match="is finished"):
        run(tmp_path, resume=True)
    with pytest.raises(GolfError, match="no run to go on with"):
        run(tmp_path / "other", resume=True)


@pytest.mark.parametrize("arch", ["relu", "topk", "batchtopk"])
def test_decoder_columns_have_norm_one_after_every_step_and_the_norm_hides_no_gradient(arch):
    relu = {"l1": 1e-3, "decoder": "unit"} if arch == "relu" else {}
    settings = replace(SMALL, arch=arch, k=3, target_l0=None, lr=0.03, **relu)
    training, (_, x) = LayerTraining(settings, 16, CPU), planted(16, 32, 0.1, 640, 1)
    training.begin(x)
    for batch in x.split(64):
        training.step(batch)
        assert (training.sae.decoder.weight.norm(dim=0) - 1).abs().max() <= 1e-5
    loss = (training.sae(x)[0] - x).square().mean()
    loss.backward()
    training.sae.project_gradient()
    sae = training.sae
    assert (sae.decoder.weight.grad * sae.decoder.weight).sum(0).abs().max() <= 1e-6 * sae.decoder.weight.grad.norm()


@pytest.mark.parametrize(("arch", "exact"), [("topk", True), ("batchtopk", False)])
def test_k_features_are_active(arch, exact):
    settings = replace(SMALL, arch=arch, k=3, target_l0=None, tokens=64_000)
    training, (_, x) = LayerTraining(settings, 16, CPU), planted(16, 32, 0.2, 6400, 1)
    training.begin(x)
    for batch in x.split(64):
        training.step(batch)
    counts = (training.sae.encode(x[-64:] * training.scale) != 0).sum(-1).float()
    assert counts.mean() == pytest.approx(3, abs=1e-6) and (not exact or counts.eq(3).all())
    frozen = training.sae.eval().encode(x * training.scale)  # a threshold, for batchtopk: near k on average
    assert (frozen != 0).sum(-1).float().mean() == pytest.approx(3, abs=1e-6 if exact else 0.6)


def test_an_input_that_never_changes_is_rebuilt_from_the_bias_alone():
    training, x = LayerTraining(replace(SMALL, l1=1.0, target_l0=None), 16, CPU), torch.randn(1, 16).expand(64, 16) + 3
    training.begin(x)
    with torch.no_grad():
        training.sae.encoder.bias.fill_(-1e-4)
    rebuilt, z = training.sae.eval()(x * training.scale)
    assert z.count_nonzero() == 0 and torch.allclose(rebuilt / training.scale, x, rtol=1e-6, atol=1e-6)


def test_the_gradient_by_way_of_the_bias_is_the_gradient():
    training, (_, x) = LayerTraining(replace(SMALL, l1=1e-3, target_l0=None), 16, CPU), planted(16, 32, 0.2, 64, 1)
    sae = training.sae
    with torch.no_grad():
        sae.b_pre.copy_(x.mean(0))
    (sae(x)[0] - x).square().mean().backward()
    ours = {name: param.grad.clone() for name, param in sae.named_parameters()}
    sae.zero_grad()
    z = torch.relu(sae.encoder(x - sae.b_pre))
    (sae.decode(z) - x).square().mean().backward()
    for name, param in sae.named_parameters():
        assert torch.allclose(ours[name], param.grad, rtol=1e-4, atol=1e-7), name


def test_a_penalty_means_the_same_in_every_unit():
    """λ over the sum of the code, F·λ over its mean, d·λ beside an error that is a sum: identical losses."""
    losses = []
    for form, factor in (("sum", 1), ("mean", 64), ("saelens", 16)):
        training, (_, x) = (
            LayerTraining(replace(SMALL, l1=0.01 * factor, l1_form=form, target_l0=None), 16, CPU),
            planted(16, 32, 0.1, 640, 1),
        )
        training.begin(x)
        losses.append([training.step(batch) for batch in x.split(64)])
    assert losses[0] == losses[1] == losses[2]
    assert l1_sum(3e-4, "mean", 32_768, 1024) == pytest.approx(9.2e-9, rel=0.01)
    assert [l1_sum(v, "sum", 32_768, 1024) * 1024 for v in (3e-4, 8e-5)] == pytest.approx([0.307, 0.082], abs=5e-4)


def test_statistics_are_in_the_units_of_the_stream():
    rows = []
    for scale in (1.0, 64.0):
        training, (_, x) = LayerTraining(replace(SMALL, l1=0.01, target_l0=None), 16, CPU), planted(16, 32, 0.1, 640, 1)
        training.begin(x * scale)
        for batch in (x * scale).split(64):
            training.step(batch)
        rows.append(training.row())
    assert rows[1]["mse"] == pytest.approx(64**2 * rows[0]["mse"], rel=1e-4)
    assert rows[1]["l1_norm"] == pytest.approx(64 * rows[0]["l1_norm"], rel=1e-4)
    assert rows[1]["l0"] == pytest.approx(rows[0]["l0"], rel=1e-3) and rows[1]["fvu"] == pytest.approx(
        rows[0]["fvu"], rel=1e-4
    )


def test_the_scale_of_training_is_undone_in_the_file(tmp_path):
    run(tmp_path, layers=[1])
    source, made = tiny_source(), load_dictionary(tmp_path / file_name(1, "final"))
    x = source.residuals(torch.from_numpy(source.tokens("val")[:800]).view(-1, 8), [1])[1].flatten(0, 1)
    assert made.config["norm_scale"] != 1 and (made.decoder.weight.norm(dim=0) - 1).abs().max() < 1e-5
    explained = 1 - (made(x)[0] - x).square().sum() / (x - x.mean(0)).square().sum()
    assert explained > 1 - 2 * made.stats[-1]["fvu"]


def test_dead_features_are_counted_and_helped():
    settings = replace(SMALL, arch="topk", k=2, target_l0=None, tokens=32_000, dead_tokens=640)
    training, (_, x) = LayerTraining(settings, 16, CPU), planted(16, 4, 0.5, 6400, 1)
    training.begin(x)
    with torch.no_grad():
        training.sae.encoder.bias[:30] = -50.0  # silent for good, unless something reaches them
    for batch in x.split(64)[:20]:
        training.step(batch)
    assert training.row()["dead"] >= 30
    assert training._dead_share(training.sae.before_selection(x), torch.zeros_like(x)) >= 0


@pytest.mark.parametrize(
    ("change", "says"),
    [({"arch": "temporal"}, "temporal"), ({"place": "head"}, "head"), ({"l1": 0.1}, "both a fixed penalty"), ({"tokens": 10}, "less than one batch"), ({"l1": float("nan"), "target_l0": None}, "nan"),
     ({"seq_len": 61, "batch_tokens": 64}, "only meet"), ({"snapshots": "x"}, "no number"), ({"arch": "topk"}, "no penalty"), ({"arch": "topk", "k": 0}, "k is 0")],
)  # fmt: skip
def test_choices_that_cannot_be_are_refused_before_anything_runs(change, says):
    with pytest.raises(GolfError, match=says):
        replace(SMALL, **change)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "penalty", "mean", "share"), [(16, 0.4, 0.985, 1.0), (32, 0.4, 0.99, 1.0), (32, 0.2, 0.97, 0.9)]
)
def test_planted_directions_are_found(width, penalty, mean, share):
    """2 · width atoms, 1,200 steps of 256, λ in SAELens' units: mean of each atom's best cosine, and the share above 0.95."""
    settings = Settings(tokens=1200 * 256, batch_tokens=256, seq_len=8, expansion=4, l1=penalty, l1_form="saelens",
                        norm="none", lr=0.01)  # fmt: skip
    directions, x = planted(width, 2 * width, 0.05, 1200 * 256, 3)
    training = LayerTraining(settings, width, CPU)
    training.begin(x[:4096])
    for batch in x.split(256):
        training.step(batch)
    best = (directions @ training.weights()["decoder.weight"]).max(dim=1).values
    assert best.mean() >= mean and (best > 0.95).float().mean() >= share, best


@pytest.mark.slow
@pytest.mark.parametrize("start", [0.02, 0.8])
def test_the_moving_penalty_reaches_its_target_from_both_sides(start):
    settings = Settings(tokens=1200 * 256, batch_tokens=256, seq_len=8, expansion=4, target_l0=3.0, l1_init=start, l1_form="saelens",
                        norm="none", lr=3e-3)  # fmt: skip
    _, x = planted(16, 32, 0.1, 1200 * 256, 4)
    training = LayerTraining(settings, 16, CPU)
    training.begin(x[:4096])
    for number, batch in enumerate(x.split(256)):
        training.step(batch)
        if number == 999:
            training.row()
    assert training.row()["l0"] == pytest.approx(3.0, rel=0.1)


def trained_on(directions, x, batch, **choices):
    """The dictionary that golf's defaults make of x, and its mean best cosine with the planted directions."""
    settings = Settings(tokens=len(x), batch_tokens=batch, seq_len=batch, expansion=4, lr=5e-3, **choices)
    training = LayerTraining(settings, x.shape[1], CPU)
    training.begin(x[:4096])
    for step, part in enumerate(x.split(batch)):
        training.step(part)
        if step == settings.steps * 4 // 5:
            training.row()  # what comes after it is the end of the run
    cosines = torch.nn.functional.normalize(training.weights()["decoder.weight"], dim=0)
    return training, float((directions @ cosines).max(dim=1).values.mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("choices", "least", "most_dead"),
    [
        # of data seeds 1 to 4, found and dead of 64: .930 to .938 and 5 to 8; .850 to .897 and 7 to 20; relu .972 and .973 (seeds 1, 2)
        ({"arch": "topk", "k": 2}, 0.91, 16),
        ({"arch": "batchtopk", "k": 2}, 0.86, 24),  # its threshold shuts out more than the 16 that are too many
        ({"arch": "relu", "target_l0": 3.0}, 0.95, 16),
    ],
    ids=["topk", "batchtopk", "relu"],
)
def test_the_defaults_find_a_planted_dictionary_and_beat_an_independent_start(choices, least, most_dead):
    """48 directions in 16 dimensions, 2 a token, batches of 128: what `benchmarks/dictionaries.py` shows at size against the peers."""
    directions, x = planted(16, 48, 2 / 48, (400 if choices["arch"] == "relu" else 250) * 128, 1)
    training, found = trained_on(directions, x, 128, **choices)
    published = {"init": "independent"} | ({"decoder": "unit", "revive": False} if choices["arch"] == "relu" else {})
    _, independent = trained_on(directions, x, 128, **choices, **published)
    assert found >= least and found > independent, (found, independent)
    row = training.row()
    assert row["l0"] == pytest.approx(choices.get("target_l0", choices.get("k")), rel=0.2)
    assert row["dead"] <= most_dead, "no target is reached by killing"


def test_dead_relu_features_start_again_where_inputs_are_rebuilt_badly():
    _, x = planted(16, 32, 0.1, 300 * 64, 1)
    alive = {}
    for revive in (True, False):
        settings = replace(SMALL, tokens=len(x), l1=0.02, target_l0=None, dead_tokens=640, revive=revive, lr=3e-3)
        training = LayerTraining(settings, 16, CPU)
        training.begin(x)
        with torch.no_grad():
            training.sae.encoder.bias[:30] = -50.0  # silent for good: no gradient reaches them
        for batch in x.split(64):
            training.step(batch)
        alive[revive] = int((training.silent[:30] < 640).sum())
    assert alive[False] == 0 and alive[True] >= 25, alive


def test_the_falling_target_starts_at_the_first_l0_and_ends_at_the_wish():
    rule = Penalty(0.1, target=8.0, total_tokens=1000)
    rule.update(200.0, 0)
    share = rule.control.descent
    assert rule.wanted(0) == pytest.approx(200)
    assert rule.wanted(1000) == rule.wanted(int(share * 1000)) == pytest.approx(8)
    assert rule.wanted(int(share * 500)) == pytest.approx(40), "halfway in the logarithm"
    capped = Penalty(0.1, target=8.0, total_tokens=1000, control=Control(head=4.0, proportional=2.0, sweep=0.0))
    capped.update(200.0, 0)
    assert capped.wanted(0) == pytest.approx(32), "an architecture may begin nearer to its target"
    assert capped.value == pytest.approx(0.1 * math.exp(0.01 + 2.0)), "held to one e-fold of error"


def test_where_a_moving_penalty_starts_is_as_named_or_the_architecture_s():
    def start(**choices):
        return LayerTraining(replace(SMALL, l1=None, target_l0=3.0, **choices), 16, CPU).penalty.value

    assert start(arch="relu") == start(arch="jumprelu") == 5e-3
    assert start(arch="gated") == 2.0 / 16 and start(arch="gated", l1_init=0.04) == 0.04
    assert start(arch="relu", l1_init=0.8, l1_form="saelens") == 0.05


@pytest.mark.slow
def test_no_jumprelu_feature_falls_silent_where_many_are_active():
    """Of 64, at the end, data seeds 1 to 4: 0 to 2 with free columns, 8 to 15 with columns of norm 1."""
    directions, x = planted(16, 48, 2 / 48, 400 * 128, 1)
    training, _ = trained_on(directions, x, 128, arch="jumprelu", target_l0=8.0)
    fixed, _ = trained_on(directions, x, 128, arch="jumprelu", target_l0=8.0, decoder="unit")
    assert training.row()["dead"] <= 6 < fixed.row()["dead"]
