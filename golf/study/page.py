"""A study as one static page: its trials, BPB against bytes, the curves of training, what each axis explains."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from golf import __version__
from golf.figures.charts import Bars, Chart, Panel
from golf.figures.page import document, sortable
from golf.figures.svg import draw
from golf.files import write_atomically
from golf.run.store import has_store, open_store
from golf.study.results import COLUMNS, RIGHT, Standing, importance, pareto, rows_of
from golf.study.study import PAGE, Study, folder_of

MOST_CURVES = 12  # the best; more lines than that cannot be told apart
MOST_POINTS = 200


def write_page(study: Study, root: Path, found: Sequence[Standing], extra: str = "") -> Path:
    """Write `studies/<name>/index.html`; its path. extra: HTML that stands above the trials."""
    path = folder_of(root, study.name) / PAGE
    write_atomically(path, page(study, root, found, extra).encode())
    return path


def page(study: Study, root: Path, found: Sequence[Standing], extra: str = "") -> str:
    """The whole page."""
    figures = [chart for chart in (_front(found), _curves(study, root, found), _shares(found)) if not chart.empty]
    rows = ("<tr>" + "".join(f"<td{' class=num' if name in RIGHT else ''}>{escape(cell)}</td>" for name, cell in zip(COLUMNS, row, strict=True)) + "</tr>"
            for row in rows_of(found))  # fmt: skip
    asked = "; ".join(_told(key, value) for key, value in study.asked.items() if value not in (None, [], (), "", False))
    kept = sum(len(one.runs) for one in found)
    return document(
        f"{study.kind.capitalize()} {study.name}",
        f'<p class="dim">{escape(asked)}. {kept} finished runs of {len(study.trials)} trials. Written by golf {__version__}.</p>{extra}'
        + "".join(f"<section><figure>{draw(chart)}</figure></section>" for chart in figures)
        + '<p><input id="filter" type="search" placeholder="filter trials" aria-label="filter trials"></p>'
        + f'<section>{sortable(COLUMNS, rows, set(RIGHT))}<p class="dim">* on the front of BPB and bytes: no trial is better in both.</p></section>',
    )


def _told(key: str, value: object) -> str:
    """What was asked for, in a reader's words: `seeds: 1, 2`, `smoke`."""
    name = key.replace("_", " ")
    return name if value is True else f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}"


def _front(found: Sequence[Standing]) -> Chart:
    whole = [one for one in found if one.is_whole and one.bpb is not None and one.total_bytes is not None]
    front = pareto(found)
    points = {
        name: [(float(one.total_bytes or 0), one.bpb.mean) for one in group if one.bpb]
        for name, group in (
            ("on the front", [one for one in whole if one.trial.name in front]),
            ("others", [one for one in whole if one.trial.name not in front]),
        )
    }
    texts = {name: [f"{one.trial.name}: {one.trial.label}" for one in group] for name, group in (
        ("on the front", [one for one in whole if one.trial.name in front]), ("others", [one for one in whole if one.trial.name not in front]))}  # fmt: skip
    shown = {name: where for name, where in points.items() if where}
    edge = {"Pareto front": sorted(points["on the front"])} if len(points["on the front"]) > 1 else {}
    return Chart("BPB against bytes", [Panel("total bytes", "BPB", lines=edge, scatter=shown, texts=texts)])


def _curves(study: Study, root: Path, found: Sequence[Standing]) -> Chart:
    """Training loss by step, of the first seed of the best trials."""
    lines: dict[str, list[tuple[float, float]]] = {}
    if has_store(root):
        with open_store(root) as store:
            for one in found[:MOST_CURVES]:
                run = one.runs.get(study.seeds_of(one.trial)[0])
                points = store.metrics(run.id, "train_loss") if run is not None else []
                if points:
                    lines[one.trial.name] = [(float(s), v) for s, v in points[:: max(len(points) // MOST_POINTS, 1)]]
    return Chart("Training, first seed", [Panel("step", "training loss, nats/token", lines=lines)])


def _shares(found: Sequence[Standing]) -> Bars:
    return Bars(
        "What the axes explain", "share of the variance of mean BPB, each axis alone", importance(found), digits=3
    )
