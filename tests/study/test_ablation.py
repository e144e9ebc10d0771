"""`golf ablate`: its statistics against simulations with a known truth, its table over the fake script."""

import json
import math
import random

import pytest
from study_fakes import fake_script, planner

from golf import stats
from golf.recipe import load_recipe
from golf.study.ablation import ALPHA, judge


def test_holm_is_the_step_down_test():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.9, 0.8]) == [1.0, 1.0] and stats.holm([]) == []


def test_the_functions_behind_the_moderated_variance():
    assert stats.digamma(1.0) == pytest.approx(-0.5772156649015329, abs=1e-10)
    assert stats.digamma(0.5) == pytest.approx(-0.5772156649015329 - 2 * math.log(2), abs=1e-10)
    assert stats.trigamma(1.0) == pytest.approx(math.pi**2 / 6, abs=1e-9)
    assert stats.trigamma(0.5) == pytest.approx(math.pi**2 / 2, abs=1e-9)
    for x in (0.01, 0.7, 3.0, 250.0):
        assert stats.inverse_trigamma(stats.trigamma(x)) == pytest.approx(x, rel=1e-6)


def test_equal_variances_are_pooled_and_different_ones_only_drawn_nearer():
    draw = random.Random(1)
    chi = [sum(draw.gauss(0, 1) ** 2 for _ in range(4)) / 4 for _ in range(300)]
    same, df = stats.moderated(chi, 4.0)
    assert df > 60 and max(same) / min(same) < 1.5, "all that differs is chance"
    wide = [v * s for v, s in zip(chi, [1.0, 100.0] * 150, strict=True)]
    kept, df = stats.moderated(wide, 4.0)
    assert df < 10 and sorted(kept) == [v for _, v in sorted(zip(wide, kept, strict=True))]
    assert stats.moderated([0.0, 0.0], 2.0) == ([0.0, 0.0], 2.0)


def test_the_pairs_that_a_difference_needs_have_the_power():
    n = stats.pairs_needed(1.0, 1.0, 0.05)
    draw, found = random.Random(2), 0
    for _ in range(4000):
        sample = stats.Sample.of([draw.gauss(1, 1) for _ in range(n)])
        found += stats.two_sided_p(sample.mean / (sample.sd / math.sqrt(n)), n - 1) < 0.05
    assert n == 10 and 0.78 < found / 4000 < 0.86  # 9 pairs have 0.75
    assert stats.pairs_needed(1e-9, 1.0, 0.05) is None and stats.pairs_needed(1.0, 0.0, 0.05) is None


def simulated(draw, effect, n, nulls=10):
    """The tests of an effect in sds of a run and of null rows, all against one base; noise of its own in every run."""
    base = [draw.gauss(0, 1) for _ in range(n)]
    rows = [[effect * (i == 0) + draw.gauss(0, 1) - b for b in base] for i in range(nulls + 1)]
    return judge(rows, [draw.gauss(0, 1) - draw.gauss(0, 1) for _ in range(n)])[:-1]


def test_idle_techniques_are_called_real_in_one_study_of_twenty():
    draw = random.Random(3)
    for n in (3, 5):
        wrong = sum(any(one.p_holm < ALPHA for one in simulated(draw, 0.0, n)) for _ in range(600))
        assert wrong / 600 < 0.08, (n, wrong)  # 0.05 and three standard errors of 600


def test_two_sds_among_ten_idle_techniques_are_found_with_eight_seeds():
    draw, found, noise = random.Random(4), 0, 0
    for _ in range(200):
        tests = simulated(draw, 2.0, 8)
        found += tests[0].p_holm < ALPHA
        noise += all(one.p_holm >= ALPHA for one in tests[1:])
    assert found / 200 > 0.75 and noise / 200 > 0.9, (found, noise)


def test_differences_without_any_noise_are_real_and_equal_ones_are_not():
    moved, still = judge([[0.5, 0.5], [0.0, 0.0]])
    assert moved.p_holm < 1e-100 and still.p_holm == 1.0 and moved.interval == (0.5, 0.5)


@pytest.fixture
def ablate(golf, monkeypatch):
    """`golf ablate …` of a base with techniques, run by a fake in which xsa is worth 0.05 BPB and nothing else matters."""
    monkeypatch.delenv("FAKE", raising=False)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.001")
    (golf.root / "data").mkdir()
    plans = planner(golf.root)

    def plan(name, wishes):
        script = golf.root / "submissions" / name / "train_gpt.py"
        own = script.read_bytes()
        gone = "xsa" not in str(load_recipe(script.with_name("recipe.toml")).values["attn_out"]).lower()
        script.write_bytes(fake_script(0.05 * gone, noise=5e-4, salt=name))
        try:
            return plans(name, wishes)
        finally:
            script.write_bytes(own)

    from golf.study.drive import Driver

    monkeypatch.setattr(
        "golf.cli.pages.study.Driver",
        lambda *words, **more: Driver(*words, **more, planner=plan, checker=lambda p, say: None),
    )
    (golf.root / "submissions" / "mine").mkdir()
    (golf.root / "submissions" / "mine" / "recipe.toml").write_text(
        'extends = "baseline"\n[attention]\nattn_out = ["XSA"]\nhead_gate = "SparseGate"\n'
    )
    return golf


def test_the_table_says_what_is_real_and_what_is_noise(ablate):
    line = "ablate mine --drop xsa --drop sparse_gate --pairs --seeds 1,2,3,4 --smoke --name why"
    code, out, err = ablate(f"{line} --json --rate 20")
    assert code == 0, err
    found = json.loads(out)["ablation"]
    rows = {row["what"]: row for row in found["rows"]}
    assert rows["− xsa"]["verdict"] == "real" and rows["− xsa"]["delta_bpb"] == pytest.approx(0.05, abs=2e-3)
    assert rows["− sparse_gate"]["verdict"] == "within noise" and abs(rows["− sparse_gate"]["delta_bpb"]) < 3e-3
    assert abs(rows["− xsa − sparse_gate"]["beyond_the_sum"]) < 4e-3
    print(found)
    assert found["floor"]["n"] == 4 and found["floor"]["verdict"] == "within noise" and 0 < found["least_real"] < 0.02
    code, out, err = ablate("ablate --show --json")
    assert code == 0 and json.loads(out)["ablation"] == found | {
        "rows": [{**row, "dollars": None} for row in found["rows"]]
    }, "the only one needs no name"
    code, out, err = ablate(f"{line} --md")
    assert (
        code == 0
        and "| − xsa | 4 | +0.0" in out
        and "A/A: the base on other seeds" in out
        and "cannot be called real" in out
    )
    assert "<svg" in (ablate.root / "studies" / "why" / "effects.svg").read_text()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ablate baseline --seeds 1 --drop xsa", "one seed has no spread"),
        ("ablate baseline --drop xsa", "does not use `xsa`"),
        ("ablate baseline --drop nothing", "no technique is called `nothing`"),
        ("ablate baseline --add xsa --pairs", "a pair needs two"),
        ("ablate --name gone --resume", "no study is called `gone`"),
        ("ablate --show", "no ablations here to go on with"),
        ("ablate baseline --add xsa --aa 2", "2 A/A pairs beside rows of 3 seeds"),
    ],
)
def test_bad_input_is_one_sentence(golf, line, said):
    code, _, err = golf(line)
    assert code in (2, 10) and said in err and "Traceback" not in err
