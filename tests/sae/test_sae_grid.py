"""A grid from one harvest: its members are the runs that they would be alone, it goes on, is measured together and told as curves."""

import json
from pathlib import Path

import pytest
from sae_models import placed_source

from golf.errors import Exit, GolfError
from golf.sae.api import dictionaries_in, run_training
from golf.sae.evaluate import Wishes, evaluate, evaluate_all
from golf.sae.grid import members_in, members_of, values_of
from golf.sae.grid_report import Point, front, gather_grid, grid_table
from golf.sae.report import gather
from golf.sae.write_report import write_grid, write_report

CHOICES = {"tokens": 1024, "batch_tokens": 64, "buffer_tokens": 256, "expansion": 2, "snapshots": "2", "arch": "topk"}
AXES = {"place": ["resid", "mlp_hidden", "transcoder"], "k": [2, 4]}
PICTURE = ("measurements_layer00.json", "features_layer00.json")


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "submissions").mkdir()
    monkeypatch.chdir(tmp_path)
    for module in ("api", "evaluate"):
        monkeypatch.setattr(f"golf.sae.{module}.open_source", lambda *_, **__: placed_source())
    monkeypatch.setattr("golf.figures.png.find_spec", lambda name: None)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != "timing.json"
    }


@pytest.mark.slow
def test_a_grid_trains_each_member_as_it_would_be_alone_goes_on_and_is_told(project):
    told: list[str] = []
    made = run_training("placed", "grid", CHOICES | AXES, tell=told.append)
    names = ["resid-k2", "resid-k4", "mlp_hidden-k2", "mlp_hidden-k4", "transcoder-k2", "transcoder-k4"]
    assert made.finished and members_in(made.folder) == names and len(dictionaries_in(made.folder, "final")) == 12
    assert told[0] == "placed: 2 of 2 layers, 6 dictionaries each:"
    assert told[3] == "  mlp_hidden-k2: width 16 (mlp_hidden), 32 features each (topk, k 2)"
    slots, weights = 2 * 128 * (8 + 16 + 8 + 8), 2 * 2 * (2 * 16 * 16 + 2 * 32 * 32 + 2 * 16 * 16) // 2
    assert 4 * (2 * slots + 4 * 2 * weights) < 2**20 and told[8].startswith("memory 0 MiB")
    for name in ("mlp_hidden-k4", "transcoder-k2"):
        place, k = name.split("-k")
        alone = run_training("placed", name, CHOICES | {"place": place, "k": int(k)})
        assert contents(alone.folder) == contents(made.folder / name)

    stopped = run_training("placed", "stopped", CHOICES | AXES, tell=_interrupt(9))
    assert not stopped.finished and not any((stopped.folder / name / "sae_layer00_final.pt").exists() for name in names)
    with pytest.raises(GolfError, match="holds a grid already"):
        run_training("placed", "stopped", CHOICES | AXES)
    with pytest.raises(GolfError, match="expansion 2, here it is 3"):
        run_training(None, "stopped", {"expansion": 3}, resume=True)
    assert run_training(None, "stopped", {}, resume=True).finished
    for name in names:
        assert contents(stopped.folder / name) == contents(made.folder / name)
    with pytest.raises(GolfError, match="is finished"):
        run_training(None, "stopped", {}, resume=True)

    wishes = Wishes(tokens=800, ce_tokens=400, features=3)
    found = list(evaluate_all(made.folder, wishes))
    assert sorted((name, layer) for name, layer, _ in found) == sorted(
        (name, layer) for name in names for layer in (0, 1)
    )
    before = {name: (made.folder / "transcoder-k2" / name).read_bytes() for name in PICTURE}
    list(evaluate(made.folder / "transcoder-k2", wishes))
    assert before == {name: (made.folder / "transcoder-k2" / name).read_bytes() for name in PICTURE}, (
        "alone as together"
    )

    points = gather_grid(made.folder, names)
    written = {path.name for path in write_grid(made.folder, points)}
    assert written == {"1_l0_ev.svg", "2_l0_ce.svg", "report.md", "report.html"}
    columns, rows = grid_table(points)
    assert len(rows) == 12 and columns[-1] == "front" and all(row[0].startswith("layer") for row in rows)
    assert "transcoder-k4" in (made.folder / "report.html").read_text()

    written = write_report(gather(made.folder / "resid-k2"))
    page = (made.folder / "resid-k2" / "features_layer00.html").read_text()
    assert (
        page.count("<h2>Feature") == 3
        and 'href="features_layer00.html"' in (made.folder / "resid-k2" / "report.html").read_text()
    )
    assert "&lt;" in page and "promoted" in page, "tokens are escaped"

    list(evaluate(made.folder / "resid-k2", Wishes(tokens=400, ce_tokens=0)))
    assert not (made.folder / "resid-k2" / "features_layer00.json").exists()
    with pytest.raises(GolfError, match="measured on different text") as caught:
        gather_grid(made.folder, names)
    assert caught.value.code == Exit.REFUSED


def _interrupt(line):
    import signal

    count = iter(range(10**6))

    def tell(_):
        if next(count) == line:
            signal.raise_signal(signal.SIGINT)  # in this thread: another may get what `os.kill` sends, and late

    return tell


def test_features_are_told_by_their_own_codes(project):
    made = run_training("placed", "one", CHOICES | {"k": 3}, layers="0")
    list(evaluate(made.folder, Wishes(tokens=800, ce_tokens=0, features=4)))
    said = json.loads((made.folder / "features_layer00.json").read_text())
    report = json.loads((made.folder / "measurements_layer00.json").read_text())
    assert [row["feature"] for row in said["features"]] == report["ranked_features"][:4]
    for row in said["features"]:
        best = [context["codes"][context["at"]] for context in row["contexts"]]
        assert best == sorted(best, reverse=True) and best[0] == pytest.approx(row["largest"], rel=1e-2)
        assert sum(row["histogram"]) == round(row["density"] * 800) and row["histogram"][-1] >= 1
        assert all(other != row["feature"] and -1.001 <= cosine <= 1.001 for other, cosine in row["neighbours"])
        assert row["promoted"][0][1] >= row["promoted"][1][1] > row["suppressed"][0][1]


def test_members_are_every_combination_and_each_architecture_takes_what_it_has():
    base = {"tokens": 1024, "batch_tokens": 64, "seq_len": 8}
    assert list(members_of(base | {"k": 8})) == [""]
    assert list(members_of(base | {"l1": [1e-3, 0.03], "expansion": [8, 16]})) == [
        "x8-l1-0.001", "x8-l1-0.03", "x16-l1-0.001", "x16-l1-0.03"
    ]  # fmt: skip
    mixed = members_of(base | {"arch": ["topk", "relu"], "k": [8, 16], "target_l0": [4.0, 9.0]})
    assert list(mixed) == ["topk-k8", "topk-k16", "relu-l0-4", "relu-l0-9"]
    assert mixed["topk-k16"].k == 16 and mixed["relu-l0-9"].target == 9
    for axis, wrong in (("k", "8,x"), ("k", "8,8"), ("target_l0", "")):
        with pytest.raises(GolfError):
            values_of(axis, wrong)
    with pytest.raises(GolfError, match="399 members"):
        members_of(base | {"k": list(range(1, 400))})


def test_the_front_holds_what_nothing_beats_in_the_same_place():
    def point(member, l0, ev, layer=0):
        return Point(member, layer, "resid", "topk", 8, l0, ev, 0.0, None, None)

    points = [point("a", 4, 0.5), point("b", 8, 0.7), point("c", 9, 0.6), point("d", 8, 0.7), point("e", 1, None),
              point("a", 9, 0.1, layer=1)]  # fmt: skip
    assert front(points, "ev") == {("a", 0), ("b", 0), ("d", 0), ("a", 1)} and front(points, "ce_recovered") == set()


def test_a_list_of_members_that_is_damaged_or_leads_elsewhere_is_refused(tmp_path):
    assert members_in(tmp_path) is None
    for content in ("", "{}", '{"members": 3}', '{"members": {"../x": {}}}'):
        (tmp_path / "grid.json").write_text(content)
        with pytest.raises(GolfError):
            members_in(tmp_path)
