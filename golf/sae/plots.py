"""The eight pictures of a report, as data: 1, 2 and 8 as published runs draw them, 3 to 7 ours."""

from collections.abc import Mapping, Sequence
from typing import Any

from golf.figures.charts import Chart, Column, Figure, Heatmap, Panel
from golf.sae.floors import calibrate

Measured = Mapping[int, Mapping[str, Any]]
Stats = Mapping[int, Sequence[Mapping[str, Any]]]
Students = Mapping[int, Mapping[int, float]]  # {layer: {width: measured loss}}


def figures(measured: Measured, stats: Stats, students: Students) -> dict[str, Figure]:
    """{file name without ending: figure} of those that have anything to show."""
    drawn: dict[str, Figure] = {
        "1_training_curves": training_curves(stats),
        "2_metrics_heatmap": metrics_heatmap(measured),
        "3_l0_vs_fvu": sparsity_against_error(measured),
        "4_density_hist": density(measured),
        "5_importance_rank": importance(measured),
        "6_ce_recovered": recovered(measured),
        "7_snapshot_progress": progress(measured),
        "8_loss_floor_predictions": floors(measured, students),
    }
    return {name: figure for name, figure in drawn.items() if not figure.empty}


def named(layer: int) -> str:
    """How a layer is called in every legend."""
    return f"layer {layer}"


def training_curves(stats: Stats) -> Chart:
    """Reconstruction error, L0 and alive features over training tokens."""

    def lines(key: str) -> dict[str, list[tuple[float, float]]]:
        return {
            named(layer): [(row["tokens"], row[key]) for row in _whole(rows) if row.get(key) is not None]
            for layer, rows in stats.items()
        }

    return Chart(
        "Training curves",
        [
            Panel("training tokens", "reconstruction error (MSE)", lines("mse"), y_log=True),
            Panel("training tokens", "L0 (active features per token)", lines("l0"), y_log=True),
            Panel("training tokens", "features that fired", lines("alive")),
        ],
        "Means over the training tokens since the last point, so each has the noise of its stretch of text.",
    )


def _whole(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Without a last row over a shorter stretch than the others: fewer features fire in fewer tokens."""
    if len(rows) < 3:
        return rows
    stretch = rows[-2]["tokens"] - rows[-3]["tokens"]
    return rows if rows[-1]["tokens"] - rows[-2]["tokens"] >= stretch else rows[:-1]


def metrics_heatmap(measured: Measured) -> Heatmap:
    """Rows = layers, columns = metrics of the last snapshot, each on its own scale."""
    last = [report["snapshots"][-1] for report in measured.values()]
    losses = [report["losses"] or {} for report in measured.values()]
    whole = list(measured.values())
    columns = [
        Column("EV", [row["explained_variance"] for row in last], 4, 1),
        Column("MSE", [row["mse"] for row in last], 4, -1),
        Column("L0", [row["l0"] for row in last], 2),
        Column("dead", [row["dead_share"] for row in last], 1, -1, percent=True),
        Column("alive F", [row["alive"] for row in last], 0, 1),
        Column("α", [report.get("alpha") for report in whole], 4),
        Column("g(α)", [report.get("g_alpha") for report in whole], 2),
        Column("d*", [report.get("d_star_S") for report in whole], 2),
        Column("CE recov.", [row.get("ce_recovered") for row in losses], 2, 1, percent=True),
        Column("ΔCE nats", [row.get("ce_difference_nats") for row in losses], 4, -1),
        Column("KL nats", [row.get("kl_nats") for row in losses], 4, -1),
        Column("final λ", [row["l1_coeff"] for row in last], 5),
    ]
    columns = [column for column in columns if any(value is not None for value in column.values)]
    note = "Blue: from the column's worst (faint) to its best (full); grey: neither end is better, from least to most."
    return Heatmap(
        "Metrics of the last snapshot, per layer",
        [named(layer) for layer in measured],
        columns,
        f"{note} {_text(measured)}",
    )


def _text(measured: Measured) -> str:
    held = next(iter(measured.values()))["held_out"]
    return f"Measured on {held['tokens']:,} held-out tokens ({held['origin']})."


def sparsity_against_error(measured: Measured) -> Chart:
    """A path per layer through its snapshots: how many features are active, and what they leave unexplained."""
    lines = {
        named(layer): [
            (row["l0"], row["fvu"]) for row in report.get("progress", report["snapshots"]) if row["fvu"] is not None
        ]
        for layer, report in measured.items()
    }
    return Chart(
        "Sparsity against error",
        [Panel("L0: active features per token", "fraction of variance unexplained", lines, True, True, dots=True)],
        "A dot per snapshot, joined in the order of training; lower left is better. " + _text(measured),
    )


def density(measured: Measured) -> Chart:
    """How many features fire how often."""
    lines = {}
    silent = []
    for layer, report in measured.items():
        edges, counts = report["density"]["log10_edges"], report["density"]["counts"]
        lines[named(layer)] = [
            (10 ** ((low + high) / 2), count) for low, high, count in zip(edges, edges[1:], counts, strict=False)
        ]
        if report["density"]["never"]:
            silent.append(f"layer {layer}: {report['density']['never']:,}")
    never = f"Never fired: {', '.join(silent)}." if silent else "Every feature fired."
    return Chart(
        "Density of features",
        [Panel("share of tokens on which a feature fires", "features per quarter of a decade", lines, True)],
        f"{never} {_text(measured)}",
    )


def importance(measured: Measured) -> Chart:
    """E[z²] of the alive features by rank."""
    lines = {named(layer): _thinned(report["sorted_importance"]) for layer, report in measured.items()}
    slopes = [
        f"{report['rank_slope']:.2f} (layer {layer})"
        for layer, report in measured.items()
        if report.get("rank_slope") is not None
    ]
    return Chart(
        "Importance by rank",
        [Panel("rank of the feature", "importance E[z²]", lines, True, True)],
        f"Slope of log importance on log rank between 10 % and 90 % of the ranks: {', '.join(slopes) or 'none'}.",
    )


def _thinned(values: Sequence[float], most: int = 200) -> list[tuple[float, float]]:
    """About `most` ranks, evenly on a log scale."""
    count = len(values)
    ranks = sorted({round(count ** (step / most)) for step in range(most + 1)}) if count else []
    return [(rank, values[rank - 1]) for rank in ranks]


def recovered(measured: Measured) -> Chart:
    """The share of the loss that each layer's dictionary keeps, and what it costs in nats."""
    rows = [(layer, report["losses"]) for layer, report in measured.items() if report["losses"]]
    share = [(layer, row["ce_recovered"]) for layer, row in rows if row["ce_recovered"] is not None]
    cost = [(layer, row["ce_difference_nats"]) for layer, row in rows]
    divergences = [(layer, row["kl_nats"]) for layer, row in rows if row["kl_nats"] is not None]
    spans = [row["ce_ablated_nats"] - row["ce_clean_nats"] for _, row in rows]
    note = "CE recovered = (ablated − rebuilt) / (ablated − clean), the layer's stream set to zero."
    if spans:
        span = " to ".join(dict.fromkeys((f"{min(spans):.2f}", f"{max(spans):.2f}")))
        note += f" Clean {rows[0][1]['ce_clean_nats']:.3f} nats; zeroing a layer adds {span}."
    return Chart(
        "What the model loses with a layer's stream rebuilt",
        [
            Panel("layer", "CE recovered", {"CE recovered": share}, dots=True),
            Panel("layer", "nats per token", {"CE increase": cost, "KL from the clean model": divergences}, dots=True),
        ],
        note,
    )


def progress(measured: Measured) -> Chart:
    """Held-out error over snapshots, with the fit E + A·T^−β, and explained variance."""
    errors: dict[str, list[tuple[float, float]]] = {}
    explained: dict[str, list[tuple[float, float]]] = {}
    curves: dict[str, list[tuple[float, float]]] = {}
    for layer, report in measured.items():
        rows = [row for row in report.get("progress", report["snapshots"]) if row["tokens_seen"]]
        errors[named(layer)] = [(row["tokens_seen"], row["mse"]) for row in rows]
        explained[named(layer)] = [
            (row["tokens_seen"], row["explained_variance"]) for row in rows if row["fvu"] is not None
        ]
        fit, curve = report["fit_over_tokens"], f"fit of {named(layer)}"
        curves[curve] = []
        if fit and rows:
            first, last = rows[0]["tokens_seen"], fit["next_amount"]
            steps = [first * (last / first) ** (step / 60) for step in range(61)]
            curves[curve] = [(at, fit["floor"] + fit["scale"] * at ** -fit["exponent"]) for at in steps]
    return Chart(
        "Progress over snapshots",
        [
            Panel("training tokens", "held-out MSE", errors, True, True, dots=True, guides=curves),
            Panel("training tokens", "explained variance", explained, True, dots=True),
        ],
        f"Dashed: E + A·T^−β, drawn to twice the tokens. {_text(measured)}",
    )


def floors(measured: Measured, students: Students) -> Chart:
    """Predicted loss floors over width with d*, against what truncation costs, and against students where there are any."""
    lines, marks, cut, against = {}, {}, {}, {}
    for layer, report in measured.items():
        rows = list(report.get("predictions", {}).values())
        total = report.get("total_importance") or 1.0
        lines[named(layer)] = [(row["d_S"], row["predicted_floor"] / total) for row in rows]
        if rows:
            marks[named(layer)] = report["d_star_S"]
        points = students.get(layer, {})
        against[named(layer)] = [(row["predicted_floor"], points[row["d_S"]]) for row in rows if row["d_S"] in points]
        cut[named(layer)] = [
            (row["predicted_floor"] / total, row["lost_nats"]) for row in report.get("truncations") or []
        ]
    panels = [Panel("width of the student", "predicted floor / all importance", lines, dots=True, marks=marks)]
    note = "Dotted: d*, the width from which nothing must be lost."
    if any(cut.values()):
        panels.append(Panel("predicted floor / all importance", "nats lost with F_S features kept", cut, dots=True))
        note += " Right: measured by leaving features out of the reconstruction; no student was trained for it."
    if any(against.values()):
        panels.append(Panel("predicted floor", "measured loss of students", scatter=against))
        note += " Students: " + "; ".join(affine_text(name, points) for name, points in against.items() if points) + "."
    return Chart("Loss floors of narrower students, predicted against measured", panels, note)


def affine_text(name: str, points: Sequence[tuple[float, float]]) -> str:
    """The fit of measured on predicted in words."""
    fit = calibrate([floor for floor, _ in points], [loss for _, loss in points])
    if fit is None:
        return f"{name}: {len(points)} measured, too few for a fit"
    r2 = "–" if fit.r2 is None else f"{fit.r2:.3f}"
    return f"{name}: measured = {fit.slope:.3g} · floor + {fit.base:.3g}, R² {r2} over {fit.points} widths"
