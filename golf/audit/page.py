"""An audit as one static page: verdicts, which rules are broken how often, scores over time, every subject in a table."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from html import escape
from typing import Any

from golf import __version__
from golf.figures.charts import Bars, Chart, Panel
from golf.figures.page import document, sortable
from golf.figures.svg import draw

COLUMNS = ("subject", "date", "author", "track", "claim", "logs", "n", "verdict", "broken", "could not tell", "s")
RIGHT = ("claim", "logs", "n", "s")
VERDICTS = ("no rule broken", "could not tell", "broken", "not judged")


def verdict_of(row: dict[str, Any]) -> str:
    """What a row says in two words."""
    if row.get("fault") is not None:
        return "not judged"
    return {0: "no rule broken", 1: "broken"}.get(row["exit"], "could not tell")


def cells_of(row: dict[str, Any]) -> list[str]:
    """The table's cells."""
    logs, claim = row.get("logs"), row.get("claim")
    return [
        row["subject"], row.get("date") or "", row.get("author") or "", row.get("track") or "", "" if claim is None else f"{claim:.5f}",
        "" if logs is None else f"{logs['mean']:.5f}", "" if logs is None else str(logs["n"]), verdict_of(row),
        " ".join(row.get("broken") or ()) or (row.get("fault") or ""), " ".join(row.get("untold") or ()),
        "" if row.get("seconds") is None else f"{row['seconds']:.1f}",
    ]  # fmt: skip


def counts_of(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Verdict → how many."""
    counted = Counter(map(verdict_of, rows))
    return {name: counted[name] for name in VERDICTS if counted[name]}


def broken_of(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Rule → how many subjects break it, the most broken first."""
    return dict(Counter(code for row in rows for code in row.get("broken") or ()).most_common())


def apart(row: dict[str, Any]) -> float | None:
    """How far the logs' mean lies above the claim, in BPB; None where one is unknown."""
    logs, claim = row.get("logs"), row.get("claim")
    return None if logs is None or claim is None else logs["mean"] - claim


def page(name: str, rows: Sequence[dict[str, Any]]) -> str:
    """The whole page."""
    charts = [
        chart
        for chart in (
            _over_time(rows),
            _claims(rows),
            Bars("Rules broken", "subjects", {k: float(v) for k, v in broken_of(rows).items()}, digits=0),
        )
        if not chart.empty
    ]
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts_of(rows).items())
    body = ("<tr>" + "".join(f"<td{' class=num' if head in RIGHT else ''}>{escape(cell)}</td>" for head, cell in zip(COLUMNS, cells_of(row), strict=True)) + "</tr>"
            for row in rows)  # fmt: skip
    return document(
        f"Audit {name}",
        f'<p class="dim">{len(rows)} subjects: {told}. Written by golf {__version__}.</p>'
        + "".join(f"<section><figure>{draw(chart)}</figure></section>" for chart in charts)
        + '<p><input id="filter" type="search" placeholder="filter: R01, broken, 2026-04 …" aria-label="filter rows"></p>'
        + f"<section>{sortable(COLUMNS, body, set(RIGHT))}</section>",
    )


def _over_time(rows: Sequence[dict[str, Any]]) -> Chart:
    points: dict[str, list[tuple[float, float]]] = {}
    texts: dict[str, list[str]] = {}
    for row in rows:
        score = row["claim"] if row.get("claim") is not None else (row.get("logs") or {}).get("mean")
        try:
            day = date.fromisoformat(row.get("date") or "").toordinal()
        except ValueError:
            continue
        if score is not None:
            points.setdefault(verdict_of(row), []).append((float(day), score))
            texts.setdefault(verdict_of(row), []).append(f"{row['subject']}: {score:.5f}, {verdict_of(row)}")
    return Chart("Claimed score over time", [Panel("day", "BPB", scatter=points, texts=texts, x_dates=True)])


def _claims(rows: Sequence[dict[str, Any]]) -> Chart:
    pairs = [(row, gap) for row in rows if (gap := apart(row)) is not None]
    texts = [f"{row['subject']}: logs {gap:+.5f} from the claim" for row, gap in pairs]
    return Chart(
        "Claims against logs",
        [
            Panel(
                "claimed BPB",
                "mean of the logs − claim",
                scatter={"subjects": [(row["claim"], gap) for row, gap in pairs]} if pairs else {},
                texts={"subjects": texts},
            )
        ],
    )
