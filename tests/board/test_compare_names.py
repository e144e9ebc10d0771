"""Comparing a recipe with a log through the map of names; n beside the claim's; any effect in no time."""

import json
from pathlib import Path

import pytest
from timing import seconds_of

from golf.board.compare import compare, measures, unmatched
from golf.board.sides import Side, side_of
from golf.errors import GolfError
from golf.logs import read_text
from golf.recipe import load_recipe
from golf.recipe.catalogue import load_catalogue
from golf.recipe.log_names import _table, environment_name, in_log_names, log_names, same_value

OFFICIAL = "records/track_10min_16mb/2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT"


def test_every_name_of_the_map_is_a_knob_or_a_technique_of_golf() -> None:
    catalogue = load_catalogue()
    techniques = {part.stem for part in catalogue.parts.values() if part.technique}
    assert not set(_table()["knobs"]) - set(catalogue.knobs)
    for knob, member in _table()["switches"].values():
        assert knob in catalogue.knobs and any(name.startswith(member) for name in techniques), (knob, member)
    assert log_names("qk_gain") == ("qk_gain_init",) and environment_name("qk_gain") == "QK_GAIN_INIT"
    assert log_names("matrix_lr") == ("matrix_lr",)


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("4", "4.0", True),
        ("True", "1", True),
        ("(3, 4)", "3,4", True),
        ("('plain',)", "plain", True),
        ("0.5", ".5", True),
        ("5", "5.25", False),
        ("", "None", True),
    ],
)
def test_values_are_compared_as_values(one: str, two: str, same: bool) -> None:
    assert same_value(one, two) is same


def test_the_recipe_of_an_official_record_differs_from_its_log_in_nothing(shared: Path) -> None:
    """pr1493 was written to be that record: every hyper-parameter that both name agrees, and no knob it does not read is listed."""
    found = compare(side_of("pr1493"), side_of(str(shared / OFFICIAL)))
    assert dict(found.config) == {} and unmatched(found.a, found.b) > 0
    assert found.delta_bpb is not None and abs(found.delta_bpb) < 1e-9


def test_a_changed_knob_is_the_only_difference(shared: Path) -> None:
    recipe = load_recipe(
        "pr1493", ["qk_gain=4.0", "momentum=0.97", "lora_rank=7"]
    )  # the last is of a technique that it does not use
    log = side_of(str(shared / OFFICIAL))
    found = compare(Side("mine", "recipe", config={"x": "y"}, recipe=recipe), log)
    assert dict(found.config) == {"qk_gain_init": ("4.0", "5.25"), "muon_momentum": ("0.97", "0.99")}
    assert in_log_names(recipe, {"muon_row_normalize": "True"}) == {"muon_row_normalize": "True"}


def test_paths_are_no_configuration_and_what_one_side_names_is_a_line(shared: Path, golf) -> None:
    a, b = (
        shared / "records/track_10min_16mb" / name
        for name in ("2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT", "2026-04-10_VarLenAttn")
    )
    found = compare(side_of(str(a)), side_of(str(b)))
    assert not [name for name in found.config if name.endswith(("_dir", "_path", "_files"))]
    assert found.config["qk_gain_init"] == ("5.25", "5.0")
    code, out, _ = golf(f"compare {a} {b}")
    assert code == 0 and len(out.splitlines()) < 45 and "config   only" in out and "n=3, as claimed" in out


def test_losses_of_two_tokenizers_are_not_subtracted(shared: Path) -> None:
    folder = shared / "records/track_10min_16mb"
    found = compare(
        side_of(str(folder / "2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT")),
        side_of(str(folder / "2026-04-27_SP8192_LQER_SparseGate_BOSSmearFix_9HpStack_1.0611")),
    )
    rows = {name: delta for name, _, _, delta in measures(found.a, found.b)}
    assert rows["val_loss, nats/token"] == "" and rows["final bpb"].startswith("-0.019")
    assert found.delta_nats_per_token is None and any("tokenizers differ" in note for note in found.notes)


def test_both_known_scores_have_a_difference() -> None:
    rows = measures(Side("a", "board", {"1": (1.1, None)}), Side("b", "board", {"1": (1.05, None)}))
    assert rows == [("final bpb", "1.10000", "1.05000", "-0.05000")]


def test_several_runs_and_left_out_logs_are_said(shared: Path, tmp_path: Path, golf) -> None:
    cases = shared / "log_cases"
    three = side_of(str(cases / "b1_three_seeds_one_file.log"))
    assert three.count == "n=3" and set(three.seeds) == {"42", "1337", "7"}
    mean = sum(bpb for bpb, _ in three.seeds.values()) / 3
    assert abs(mean - 1.1148119) < 1e-7
    text = (cases / "b1_three_seeds_one_file.log").read_text()
    log = tmp_path / "train.log"
    log.write_text(text + text.replace("1.11402222", "1.11502222"))
    again = side_of(str(log))
    assert len(again.seeds) == 3 and any("the last counts" in note for note in again.notes)
    assert len(side_of(str(log), pool=True).seeds) == 4  # two of the six are second prints
    code, out, err = golf(f"compare {cases / 'g1_seed_label'} {cases / 'b1_three_seeds_one_file.log'} --json")
    found = json.loads(out)
    assert code == 0 and found["a"]["count"] == "n=3, as claimed" and not err
    assert any("prints seed 1337" in note for note in found["notes"])


def test_logs_without_any_bpb_compare_by_their_losses(tmp_path: Path) -> None:
    for name, loss in (("a", 3.2794), ("b", 3.2700)):
        (tmp_path / f"{name}.log").write_text(
            f"seed:1\nstep:1480/1480 val_loss:{loss} train_time:81354ms step_avg:54.97ms\n"
        )
        assert read_text((tmp_path / f"{name}.log").read_text()).run
    rows = {row[0]: row[1:] for row in measures(side_of(str(tmp_path / "a.log")), side_of(str(tmp_path / "b.log")))}
    assert rows["val_loss, nats/token"] == ("3.27940", "3.27000", "-0.00940")
    (tmp_path / "c.log").write_text("seed:1\n")
    with pytest.raises(GolfError, match="no log with an evaluation"):
        side_of(str(tmp_path / "c.log"))


@pytest.mark.parametrize("effect", [0, 0.5, 1, 3, 10, 50, 200, 1000, 10_000])
def test_any_effect_is_judged_in_no_time(effect: float) -> None:
    """Also hundreds of sds, where a series over the shift never ended."""
    sd = 1e-4
    sides = [Side(name, "log", {str(seed): (1.05 - gap + step * sd, (1.05 - gap + step * sd) * 2.58) for seed, step in enumerate((-1, 0, 1))})
             for name, gap in (("a", 0.0), ("b", effect * sd))]  # fmt: skip
    assert seconds_of(lambda: compare(*sides).seeds_for_this_gap) < 0.2
    found = compare(*sides)
    needed = found.seeds_for_this_gap
    assert found.plain is not None and 0 < found.plain.p <= 0.5001
    assert needed is None if effect == 0 else needed in (2, 3) if effect >= 10 else needed is not None
