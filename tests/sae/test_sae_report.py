"""Measuring a run of dictionaries, and the report that is made of it, on a model of two small blocks."""

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from sae_runs import WIDTH, WINDOW, tiny_source, write_run

from golf.errors import Exit, GolfError
from golf.figures.charts import Chart, Column, Heatmap, Panel, colours, decades, short
from golf.figures.svg import draw
from golf.sae import evaluate as evaluate_module
from golf.sae.ce_bench import Stories
from golf.sae.evaluate import Wishes, ce_bench, dictionaries_of, evaluate, load_snapshots, wishes_of
from golf.sae.files import file_name, save_dictionary
from golf.sae.floors import floors_of
from golf.sae.kinds import seeded
from golf.sae.measure import Snapshot, measure_layer, measure_losses, measure_quality
from golf.sae.measured import read_measurements, table_rows
from golf.sae.plots import figures, training_curves
from golf.sae.report import gather
from golf.sae.streams import held_out
from golf.sae.tables import fits_table, others_table, sections, width_law
from golf.sae.truncate import truncations
from golf.sae.write_report import write_report

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


class Identity:
    """A dictionary that keeps everything."""

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return z


class Nothing(Identity):
    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(z)


@pytest.fixture(autouse=True)
def tiny_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_module, "open_source", lambda spec, **_: tiny_source())
    monkeypatch.setattr("golf.figures.png.find_spec", lambda name: None)  # drawing sixteen pictures takes seconds


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = write_run(tmp_path_factory.mktemp("run"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate_module, "open_source", lambda spec, **_: tiny_source())
        patch.setattr("golf.figures.png.find_spec", lambda name: None)
        list(evaluate(folder, Wishes(tokens=2000, ce_tokens=320)))
        write_report(gather(folder))
    yield folder


# ---- measuring -------------------------------------------------------------------------------------------------------------


def test_the_identity_explains_everything_and_recovers_all_of_the_loss() -> None:
    source = tiny_source()
    text = held_out(source, 640)
    for layer in range(2):
        quality = measure_quality(source, layer, {"all": Identity()}, text)["all"].report()
        losses = measure_losses(source, layer, Identity(), text, 320).report()
        assert (quality["fvu"], quality["l0"]) == (0, WIDTH)
        assert (losses["ce_recovered"], losses["kl_nats"], losses["ce_difference_nats"]) == (1, 0, 0)
        nothing = measure_losses(source, layer, Nothing(), text, 320).report()
        assert nothing["ce_recovered"] == 0 and nothing["ce_sae_nats"] == nothing["ce_ablated_nats"]


def test_every_held_out_position_is_measured_once_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    source = tiny_source()
    text = held_out(source, 1000)
    assert (text.tokens, text.ids.shape) == (992, (62, WINDOW + 1))
    assert torch.equal(text.ids[1:, 0], text.ids[:-1, -1])  # windows meet in one token
    sae = seeded(0, WIDTH, 24, "topk", 3)
    whole = measure_quality(source, 0, {"a": sae}, text)["a"].report()
    monkeypatch.setattr("golf.sae.measure.CODE_ELEMENTS", 24 * 7)
    parts = measure_quality(source, 0, {"a": sae}, text)["a"].report()
    assert whole["tokens"] == 992 and parts == pytest.approx(whole, rel=1e-9)


def test_losses_agree_with_the_sources_own_swap() -> None:
    source, sae = tiny_source(), seeded(1, WIDTH, 24, "topk", 3)
    text = held_out(source, 320)
    found = measure_losses(source, 1, sae, text, 320).report()
    with torch.no_grad():
        swapped = source.nats(text.ids, {1: lambda x: sae.decode(sae.encode(x))})
    assert found["ce_clean_nats"] == pytest.approx(float(source.nats(text.ids).double().mean()), rel=1e-6)
    assert found["ce_sae_nats"] == pytest.approx(float(swapped.double().mean()), rel=1e-5)
    assert found["ce_tokens"] == 320
    with torch.no_grad():
        clean = source.logits(text.ids[:, :-1]).double().log_softmax(-1)
        other = source.logits(text.ids[:, :-1], {1: lambda x: sae.decode(sae.encode(x))}).double().log_softmax(-1)
    assert found["kl_nats"] == pytest.approx(float((clean.exp() * (clean - other)).sum(-1).mean()), rel=1e-4)
    assert found["kl_nats"] > 0


def test_a_run_leaves_numbers_per_layer_and_one_table(run: Path) -> None:
    measured = read_measurements(run)
    assert list(measured) == [0, 1]
    for report in measured.values():
        assert [row["snapshot"] for row in report["snapshots"]] == ["1K", "2K", "3K", "final"]
        assert [row["l0"] for row in report["snapshots"]] == [4, 5, 6, 7]
        assert report["sorted_importance"] == sorted(report["sorted_importance"], reverse=True)
        assert len(report["sorted_importance"]) == report["F_alive"] == report["snapshots"][-1]["alive"]
        assert sum(report["density"]["counts"]) + report["density"]["never"] + report["density"]["below"] == 24
        assert report["fit_over_tokens"]["points"] == 4
        assert list(report["predictions"]) == ["1", "2", "3", "4", "6", "8"]
    assert measured[0]["held_out"]["sha256"] == measured[1]["held_out"]["sha256"]
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert [(row["layer"], row["snapshot"]) for row in rows] == [
        (str(layer), label) for layer in range(2) for label in ("1K", "2K", "3K", "final")
    ]
    assert (rows[0]["ce_recovered"], float(rows[3]["ce_recovered"])) == ("", measured[0]["losses"]["ce_recovered"])
    assert float(rows[7]["fvu"]) == measured[1]["snapshots"][-1]["fvu"]


def test_snapshots_stand_in_the_order_of_training_not_of_their_names(tmp_path: Path) -> None:
    folder = write_run(tmp_path, snapshots=(2000, 10_000, 30_000))
    found = load_snapshots(dictionaries_of(folder)[0])
    assert [(one.label, one.tokens) for one in found] == [("2K", 2000), ("10K", 10_000), ("final", 30_000)]
    sae = seeded(0, WIDTH, 24, "topk", 3)
    save_dictionary(folder / file_name(0, "final"), sae.state_dict(), {"arch": "topk", "k": 3}, [])
    found = load_snapshots(dictionaries_of(folder)[0])
    assert [(one.label, one.tokens) for one in found] == [("2K", 2000), ("10K", 10_000), ("final", None)]


def test_measuring_twice_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    list(evaluate(folder, Wishes(tokens=2000, ce_tokens=320)))
    for name in ("measurements_layer00.json", "measurements_layer01.json", "metrics.csv"):
        assert (folder / name).read_bytes() == (run / name).read_bytes()


def test_without_losses_nothing_is_said_of_them(tmp_path: Path) -> None:
    folder = write_run(tmp_path, snapshots=(1000,))
    told: list[str] = []
    found = dict(evaluate(folder, Wishes(tokens=10**6, ce_tokens=0, layers=(1,)), told.append))
    assert list(found) == [1] and found[1]["losses"] is None and found[1]["fit_over_tokens"] is None
    assert told == ["measured on 4,000 tokens: there are no more (1,000,000 were asked for)"]
    assert table_rows(found)[0]["ce_recovered"] is None
    written = write_report(gather(folder))
    drawn = [path.stem for path in written if path.suffix == ".svg"]
    assert len(drawn) == 7 and "6_ce_recovered" not in drawn  # a picture of nothing is not drawn


def test_what_is_missing_is_named_with_the_way_out(tmp_path: Path, run: Path) -> None:
    with pytest.raises(GolfError, match="holds no `sae_layer"):
        dictionaries_of(tmp_path)
    with pytest.raises(GolfError, match="has no measurements") as caught:
        gather(tmp_path)
    assert caught.value.hint == f"measure first: `golf sae eval {tmp_path}`"
    with pytest.raises(GolfError, match="no dictionary of layer 5"):
        list(evaluate(run, Wishes(layers=(5,))))
    (tmp_path / "measurements_layer00.json").write_text("{}")
    with pytest.raises(GolfError, match="is no measurement"):
        gather(tmp_path)


def test_a_diverged_dictionary_is_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path, snapshots=(1000,))
    sae = seeded(0, WIDTH, 24, "topk", 3)
    with torch.no_grad():
        sae.encoder.bias[3] = float("nan")
    save_dictionary(folder / file_name(1, "final"), sae.state_dict(), {"arch": "topk", "k": 3, "tokens_seen": 9}, [])
    with pytest.raises(GolfError, match=r"sae_layer01_final.pt has weights that are not finite"):
        list(evaluate(folder, Wishes(tokens=320, ce_tokens=0)))


def test_other_weights_than_the_trained_ones_are_refused_unless_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path, snapshots=(1000,))
    config = {"source": {"spec": "tiny", "weights_sha256": "0" * 64}, "settings": {"seq_len": WINDOW}}
    (folder / "config.json").write_text(json.dumps(config))
    for named in (None, "tiny"):  # naming another model does not make it the run's
        with pytest.raises(
            GolfError, match="not the model that these dictionaries were trained on: its weights differ"
        ) as caught:
            list(evaluate(folder, Wishes(tokens=320, ce_tokens=0, source=named)))
        assert caught.value.code == Exit.REFUSED
    assert len(dict(evaluate(folder, Wishes(tokens=320, ce_tokens=0, other_model=True)))) == 2


def test_wishes_are_checked_before_anything_is_opened(tmp_path: Path) -> None:
    rest = (None, None, None)
    found = wishes_of("1M", "0", "0, 2", "tiny", None, 1e-4, None, "all", 3)
    assert (found.tokens, found.ce_tokens, found.layers, found.baseline) == (1_000_000, 0, (0, 2), "all")
    with pytest.raises(GolfError, match="`two` names no layers"):
        wishes_of("1M", "0", "two", *rest, None, "all", None)
    with pytest.raises(GolfError, match="no baseline `v1`"):
        wishes_of("1M", "0", None, *rest, None, "v1", None)
    with pytest.raises(GolfError, match=r"no file .*none.jsonl") as caught:
        wishes_of("1M", "0", None, *rest, tmp_path / "none.jsonl", "all", None)
    assert caught.value.hint is not None and "story1, story2, subject_title" in caught.value.hint


def test_stories_are_read_through_the_model_and_scored(tmp_path: Path) -> None:
    folder = write_run(tmp_path, snapshots=(1000,))
    rows = [
        {"story1": f"the {subject} is red and round and quick " * 3, "story2": f"the {subject} is slow", "subject_title": subject}
        for subject in ("ball", "car", "ship", "ball", "kite", "car")
    ]  # fmt: skip
    stories = tmp_path / "stories.jsonl"
    stories.write_text("".join(json.dumps(row) + "\n" for row in rows))
    wishes = Wishes(tokens=320, ce_tokens=0, layers=(0,), stories=stories, pairs=5)
    found = dict(evaluate(folder, wishes))[0]["ce_bench"]
    assert (found["pairs"], found["subjects"], found["features"]) == (5, 4, 24)
    assert 0 < found["interpretability_score_mean"] <= found["bound"]
    assert "CE-Bench" in [title for title, _, _ in sections(gather(folder))]


def test_stories_are_coded_whole_in_windows_and_the_prefix_does_not_count(tmp_path: Path) -> None:
    source, sae = tiny_source(), seeded(0, WIDTH, 24, "topk", 3)
    assert source.encode is not None
    stories = ["abcdefg" * 5, "hij"]  # 35 and 3 tokens, windows of 16 with one of prefix
    path = tmp_path / "stories.jsonl"
    row = {"story1": stories[0], "story2": stories[1], "subject_title": "s"}
    path.write_text(json.dumps(row) + "\n")
    found = ce_bench(source, 0, sae, Wishes(stories=path, baseline="all"))
    with torch.no_grad():  # single positions do not see each other in this model, so windows change nothing
        codes = [sae.encode(source.residuals(torch.tensor([ids]), [0])[0][0]) for ids in source.encode(stories)]
    expected = Stories()
    expected.add(codes[0], codes[1], "s")
    assert found["contrastive_score_mean"] == pytest.approx(expected.report("all")["contrastive_score_mean"], rel=1e-5)


def test_leaving_features_out_costs_their_importance_where_columns_are_orthonormal() -> None:
    class Axes(Identity):
        """The stream's own axes as features: orthonormal columns."""

    source = tiny_source()
    text = held_out(source, 640)
    quality = measure_quality(source, 0, {"axes": Axes()}, text)["axes"]
    geometry = floors_of(3.0, quality.importance.numpy())
    assert geometry is not None
    predictions = geometry.report([1, 2, 3, 8])["predictions"]
    rows = truncations(source, 0, Axes(), quality.importance, predictions, text, 640)
    assert [row["measured_error"] for row in rows] == pytest.approx([row["predicted_floor"] for row in rows], rel=1e-6)
    assert rows[-1]["lost_nats"] == 0 and rows[-1]["features_kept"] == WIDTH
    assert rows[0]["lost_nats_error"] > 0 and all(
        (row["lost_nats_error"] > 0) == (row["lost_nats"] != 0) for row in rows
    )


# ---- the report ------------------------------------------------------------------------------------------------------------


def test_the_report_is_markdown_a_page_and_eight_pictures(run: Path) -> None:
    names = [f"{place}_" for place in range(1, 9)]
    assert [path.name[:2] for path in sorted((run / "plots").glob("*.svg"))] == names
    text = (run / "report.md").read_text()
    assert text.startswith("# Dictionaries of tiny\n") and text.count("![") == 8
    assert "| 1 | final | 4,000 |" in text
    for link in re.findall(r"\]\((plots/[^)]+)\)", text):
        assert (run / link).is_file()


class Strict(HTMLParser):
    """Collects what would be loaded, what is left open, and how many tables and pictures there are."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.counts: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.loaded += [value or "" for name, value in attrs if name == "src" or (name == "href" and tag == "link")]
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_loads_nothing_closes_what_it_opens_and_shows_everything(run: Path) -> None:
    text = (run / "report.html").read_text()
    page = Strict()
    page.feed(text)
    assert page.loaded == [] and page.open == []
    assert (page.counts["svg"], page.counts["table"]) == (8, 5)
    assert "prefers-color-scheme:dark" in text and "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_a_name_with_markup_stays_text(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "copy")
    for path in (tmp_path / "copy").glob("measurements_layer*.json"):
        report = json.loads(path.read_text())
        report["source"]["name"] = "<script>alert(1)</script>"
        report["snapshots"][0]["snapshot"] = "<img src=x>"
        path.write_text(json.dumps(report))
    write_report(gather(tmp_path / "copy"))
    text = (tmp_path / "copy" / "report.html").read_text()
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text
    assert "<img" not in text and "&lt;img src=x&gt;" in text
    picture = draw(Chart("<b>", [Panel("<i>", "<u>", {"<s>": [(0, 1), (1, 2)]})], "<em>"))
    assert all(f"<{tag}>" not in picture for tag in ("b", "i", "u", "s", "em"))


def test_the_heatmap_has_a_cell_for_every_layer_and_metric(run: Path) -> None:
    figure = figures(read_measurements(run), {}, {})["2_metrics_heatmap"]
    assert isinstance(figure, Heatmap)
    picture = draw(figure)
    assert picture.count("<rect") == 1 + len(figure.rows) * len(figure.columns) == 1 + 2 * 12
    assert all(column.name not in ("CE recov.", "ΔCE nats", "KL nats") for column in _without_losses(run).columns)


def _without_losses(run: Path) -> Heatmap:
    measured = {layer: {**report, "losses": None} for layer, report in read_measurements(run).items()}
    figure = figures(measured, {}, {})["2_metrics_heatmap"]
    assert isinstance(figure, Heatmap)
    return figure


def test_measured_students_stand_against_their_floors_with_the_fit(run: Path, tmp_path: Path) -> None:
    floors = {width: row["predicted_floor"] for width, row in read_measurements(run)[1]["predictions"].items()}
    students = tmp_path / "students.json"
    students.write_text(json.dumps({"1": {width: 2.5 * floor + 0.75 for width, floor in floors.items()}}))
    figure = figures(read_measurements(run), {}, gather(run, students).students)["8_loss_floor_predictions"]
    assert isinstance(figure, Chart) and len(figure.panels) == 3
    assert "layer 1: measured = 2.5 · floor + 0.75, R² 1.000 over 6 widths" in figure.note
    students.write_text('{"1": 3}')
    with pytest.raises(GolfError, match="expected an object of width and loss"):
        gather(run, students)


def test_other_runs_stand_beside_this_one_and_three_widths_give_a_law(run: Path, tmp_path: Path) -> None:
    others = [write_run(tmp_path / str(features), features, (1000,)) for features in (48, 96)]
    for other in others:
        list(evaluate(other, Wishes(tokens=960, ce_tokens=0)))
    report = gather(run, None, others)
    table = {title: rows for title, _, (_, rows) in sections(report)}["Beside other runs"]
    assert [row[:3] for row in table] == [[run.name, "24", "2"], ["48", "48", "2"], ["96", "96", "2"]]
    shutil.copytree(run, tmp_path / "one")
    (tmp_path / "one" / "measurements_layer00.json").unlink()
    table = others_table(gather(run, None, [tmp_path / "one"]))[1]
    assert [row[2] for row in table] == ["1", "1"] and table[0][3:] == table[1][3:]  # only the layer that both have
    law = width_law(report)
    assert law is not None and "over 3 runs" in law
    assert width_law(gather(run, None, others[:1])) is None


def test_a_penalty_that_moved_is_said_beside_the_fit(run: Path, tmp_path: Path) -> None:
    assert "moved" not in {title: remark for title, remark, _ in sections(gather(run))}["Error over training tokens"]
    shutil.copytree(run, tmp_path / "copy")
    path = tmp_path / "copy" / "measurements_layer00.json"
    report = json.loads(path.read_text())
    report["snapshots"][0]["l1_coeff"] = 0.5
    path.write_text(json.dumps(report))
    assert (
        "moved"
        in {title: remark for title, remark, _ in sections(gather(tmp_path / "copy"))}["Error over training tokens"]
    )
    assert len(fits_table(gather(run))[1]) == 2


# ---- charts ----------------------------------------------------------------------------------------------------------------


def test_columns_are_shaded_from_worst_to_best() -> None:
    assert Column("EV", [0.5, 0.75, None, 1.0], better=1).shades() == [0, 0.5, None, 1]
    assert Column("MSE", [0.0, 1.0], better=-1).shades() == [1, 0]
    assert Column("flat", [2.0, 2.0]).shades() == [0.5, 0.5]
    assert Column("dead", [0.125], 1, percent=True).text(0.125) == "12.5%"
    texts = [Column("x", [], 3).text(value) for value in (None, 0.0, 0.5, 1e-5, 12.5, 1234.5)]
    assert texts == ["–", "0.000", "0.500", "1.00e-05", "12.50", "1,234"]


def test_logarithmic_axes_have_few_round_ticks_and_leave_out_what_they_cannot_show() -> None:
    assert decades(0.9, 110) == [1, 10, 100]
    assert decades(0.15, 1.1) == pytest.approx([0.2, 0.5, 1])
    assert decades(26, 35) == [26, 28, 30, 32, 34]
    assert len(decades(1e-12, 1e12)) <= 8
    panel = Panel("x", "y", {"a": [(0, 1), (1, 0), (1, float("nan")), (2, 3)]}, x_log=True, y_log=True)
    assert panel.points == [(2, 3)]
    assert [short(value) for value in (5e7, 1500, 0.25, 1e-5, 0)] == ["50M", "1.5k", "0.25", "1e-5", "0"]


def test_a_last_row_over_a_shorter_stretch_is_not_drawn() -> None:
    rows = [{"tokens": tokens, "mse": 1.0, "l0": 4.0, "alive": 9} for tokens in (10, 20, 30, 33)]
    shown = training_curves({0: rows, 1: rows[:3]})
    assert [len(points) for points in shown.panels[2].lines.values()] == [3, 3]


def test_colours_are_as_many_as_asked_and_differ() -> None:
    for count in (0, 1, 2, 24):
        found = colours(count)
        assert len(found) == len(set(found)) == count
        assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in found)


@pytest.mark.parametrize("points", [{}, {"a": []}, {"a": [(1.0, 1.0)]}, {"a": [(1.0, 2.0), (2.0, 2.0)]}])
def test_any_chart_can_be_drawn(points: dict[str, list[tuple[float, float]]], tmp_path: Path) -> None:
    chart = Chart("t", [Panel("x", "y", points, log, log) for log in (False, True)], "note")
    assert draw(chart).endswith("</svg>\n")
    assert "nan" not in draw(chart)
    pytest.importorskip("matplotlib")
    from golf.figures.png import save

    save(chart, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_png_is_written_beside_svg_where_matplotlib_is(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    shutil.copytree(run, tmp_path / "copy", ignore=shutil.ignore_patterns("plots"))
    assert {path.suffix for path in write_report(gather(tmp_path / "copy"))} == {".svg", ".md", ".html"}
    monkeypatch.setattr("golf.figures.png.find_spec", find_spec)
    monkeypatch.setattr("golf.sae.write_report.figures", lambda *given: dict(list(figures(*given).items())[1:2]))
    monkeypatch.setattr("golf.sae.page.ORDER", ())
    written = write_report(gather(tmp_path / "copy"))
    assert [path.name for path in written[:2]] == ["2_metrics_heatmap.svg", "2_metrics_heatmap.png"]
    assert written[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
@pytest.mark.slow
def test_a_click_sorts_the_page_and_the_filter_narrows(run: Path, tmp_path: Path) -> None:
    actions = """<script>
    const table = [...document.querySelectorAll('table')].at(-1), heads = [...table.tHead.rows[0].cells];
    const click = name => heads.find(head => head.textContent.trim() === name).querySelector('button').click();
    const put = (row, text) => { table.tBodies[0].rows[row].cells[5].textContent = text; };
    put(0, '1e-05'); put(1, '0.5'); put(2, '1,234'); put(3, '–');
    click('fvu');
    const fvu = [...table.tBodies[0].rows].map(row => row.cells[5].textContent);
    click('l0'); click('l0');
    const seen = [[...table.tBodies[0].rows].map(row => row.cells[1].textContent).join('+')];
    const box = document.getElementById('filter'); box.value = '2k'; box.dispatchEvent(new Event('input'));
    seen.push([...table.tBodies[0].rows].filter(row => !row.hidden).map(row => row.cells[0].textContent).sort().join('+'));
    seen.push(fvu[0], fvu.at(-2), fvu.at(-1));
    document.body.innerHTML = '<pre id="seen">' + seen.join('|') + '</pre>';
    </script>"""
    copy = tmp_path / "copy.html"
    copy.write_text((run / "report.html").read_text().replace("</body>", actions + "</body>"))
    command = [
        *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"),
        *("--dump-dom", copy.as_uri()),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert shown.partition('id="seen">')[2].partition("<")[0].split("|") == [
        "final+final+3K+3K+2K+2K+1K+1K",
        "0+1",
        *("1e-05", "1,234", "–"),
    ]


def test_floors_are_of_the_features_above_the_threshold() -> None:
    source, sae = tiny_source(), seeded(0, WIDTH, 24, "topk", 3)
    text = held_out(source, 320)
    frequency = measure_quality(source, 0, {"a": sae}, text)["a"].frequency
    threshold = float(frequency.sort().values[12])
    found = measure_layer(source, 0, [Snapshot("final", 9, sae, {})], text, 0, threshold)
    assert found["F_alive"] == len(found["sorted_importance"]) == int((frequency > threshold).sum()) < 12


def test_a_snapshot_without_known_tokens_is_measured_and_not_fitted() -> None:
    source = tiny_source()
    only = Snapshot("final", None, seeded(0, WIDTH, 24, "topk", 3), {"arch": "topk"})
    found = measure_layer(source, 0, [only], held_out(source, 320), 0)
    assert found["fit_over_tokens"] is None and found["weights"] is None
    assert found["snapshots"][0]["tokens"] == 320
