"""The tables of a report: every claim in numbers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from golf.sae.fits import fit_decay
from golf.sae.floors import calibrate
from golf.sae.measured import summary
from golf.sae.probing import PROBE_COLUMNS, probe_cells

if TYPE_CHECKING:
    from golf.sae.report import Report

Table = tuple[Sequence[str], list[list[str]]]
FITS = (
    "E + A·T^−β through the held-out MSE of the snapshots. The last column fits all points but the last and compares; three points "
    "are always fitted exactly; E = 0 says that these tokens show no floor yet."
)
MOVED = (
    " The penalty moved between these snapshots, and with it what the error tends to: the law is of a moving target."
)


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: bool = False) -> list[str]:
    """The lines of a Markdown table; numbers: all columns but the first to the right."""
    cells = ["| " + " | ".join(row) + " |" for row in (columns, *rows)]
    rule = "|---|" + "---:|" * (len(columns) - 1) if numbers else "|" + "---|" * len(columns)
    return [cells[0], rule, *cells[1:]]


def fits_table(report: "Report") -> Table:
    """E + A·T^−β over the snapshots of each layer, what it foretells, and how far the last point was from the others' forecast."""
    columns = ("layer", "points", "E", "β", "R²", "at tokens", "predicted MSE", "error of the last point foretold")
    rows = []
    for layer, measured in report.measured.items():
        fit = measured["fit_over_tokens"]
        if fit:
            missed, r2 = fit["leave_last_out_error"], fit["r2"]
            rows.append([
                *(str(layer), str(fit["points"]), f"{fit['floor']:.4g}", f"{fit['exponent']:.3g}"),
                "–" if r2 is None else f"{r2:.4f}",
                *(f"{fit['next_amount']:,.0f}", f"{fit['next_loss']:.4g}", "–" if missed is None else f"{missed:+.1%}"),
            ])  # fmt: skip
    return columns, rows


def floors_table(report: "Report") -> Table:
    """The predicted floor at each width as a share of all importance, with α, g and d*."""
    widths = list(dict.fromkeys(width for one in report.measured.values() for width in one.get("predictions", {})))
    columns = ("layer", "F alive", "α", "g(α)", "d*", "Σ E[z²]", *(f"floor at {width}" for width in widths))
    rows = []
    for layer, one in report.measured.items():
        found = one.get("predictions")
        if found:
            shares = [f"{found[width]['pct']:.3g}%" if width in found else "–" for width in widths]
            head = (
                f"{one['alpha']:.5f}",
                f"{one['g_alpha']:.3f}",
                f"{one['d_star_S']:.1f}",
                f"{one['total_importance']:.4g}",
            )
            rows.append([str(layer), f"{one['F_alive']:,}", *head, *shares])
    return columns, rows


def truncations_table(report: "Report") -> Table:
    """Predicted floors against what leaving the other features out costs, with the affine fit C · floor + B over the widths."""
    widths = list(dict.fromkeys(row["d_S"] for one in report.measured.values() for row in one.get("truncations") or []))
    columns = ("layer", *(f"nats at {width}" for width in widths), "error / floor", "C", "B", "R²")
    rows = []
    for layer, one in report.measured.items():
        found = one.get("truncations") or []
        fit = calibrate([row["predicted_floor"] for row in found], [row["lost_nats"] for row in found])
        if fit:
            ratios = [row["measured_error"] / row["predicted_floor"] for row in found if row["predicted_floor"] > 0]
            nats = {row["d_S"]: f"{row['lost_nats']:+.4f}" for row in found}
            span = f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "–"
            r2 = "–" if fit.r2 is None else f"{fit.r2:.3f}"
            rows.append(
                [
                    str(layer),
                    *(nats.get(width, "–") for width in widths),
                    span,
                    f"{fit.slope:.3g}",
                    f"{fit.base:+.3g}",
                    r2,
                ]
            )
    return columns, rows


def others_table(report: "Report") -> Table:
    """Runs side by side: means over the layers that all of them measured."""
    runs = {report.folder.name: report.measured, **report.others}
    shared = sorted(set.intersection(*(set(run) for run in runs.values())))
    columns = ("run", "features", "layers", "text", "L0", "EV", "MSE", "dead", "CE recovered")
    rows = []
    for name, run in runs.items():
        text = next(iter(run.values()))["held_out"]["sha256"][:8]
        last = [run[layer]["snapshots"][-1] for layer in shared]
        losses = [(run[layer]["losses"] or {}).get("ce_recovered") for layer in shared]
        cells = [_mean([row[key] for row in last]) for key in ("l0", "explained_variance", "mse", "dead_share")]
        forms = ("{:.1f}", "{:.4f}", "{:.4g}", "{:.1%}")
        texts = ["–" if cell is None else form.format(cell) for cell, form in zip(cells, forms, strict=True)]
        loss = _mean(losses)
        rows.append([name, f"{last[0]['features']:,}" if last else "–", str(len(shared)), text, *texts, "–" if loss is None else f"{loss:.2%}"])  # fmt: skip
    return columns, rows


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def width_law(report: "Report") -> str | None:
    """L(F) = E + A·F^−γ over the runs' mean errors, where three or more widths are at hand."""
    runs = [report.measured, *report.others.values()]
    shared = sorted(set.intersection(*(set(run) for run in runs)))
    points = sorted(
        (
            run[shared[0]]["snapshots"][-1]["features"],
            sum(run[at]["snapshots"][-1]["mse"] for at in shared) / len(shared),
        )
        for run in runs
        if shared
    )
    fit = fit_decay([features for features, _ in points], [mse for _, mse in points]) if points else None
    if fit is None:
        return None
    return f"Over widths: MSE = {fit.floor:.4g} + {fit.scale:.4g} · F^−{fit.exponent:.3g} over {fit.points} runs (rmse {fit.rmse:.2g})."


def bench_table(report: "Report") -> Table:
    """CE-Bench per layer, where stories were given."""
    columns = ("layer", "pairs", "contrastive", "independent", "interpretability", "bound", "baseline")
    rows = []
    for layer, one in report.measured.items():
        if found := one.get("ce_bench"):
            names = ("contrastive_score_mean", "independent_score_mean", "interpretability_score_mean", "bound")
            rows.append(
                [str(layer), f"{found['pairs']:,}", *(f"{found[name]:.2f}" for name in names), found["baseline"]]
            )
    return columns, rows


def _penalty_moved(report: "Report") -> bool:
    """Whether any layer's snapshots were trained under different penalties (more than a hundredth apart)."""
    for one in report.measured.values():
        known = [row["l1_coeff"] for row in one["snapshots"] if row["l1_coeff"] is not None]
        if known and max(known) - min(known) > 0.01 * max(known):
            return True
    return False


def sections(report: "Report") -> list[tuple[str, str, Table]]:
    """Title, remark and table of everything that is told in numbers."""
    found = [
        ("Last snapshot of each layer", "", summary(report.measured)),
        ("Error over training tokens", FITS + (MOVED if _penalty_moved(report) else ""), fits_table(report)),
        ("Loss floors of narrower students", "In shares of all importance Σ E[z²]. They are predictions of a theory in units of "
         "squared codes: only their shape over widths can be compared with a measured loss.", floors_table(report)),
        ("Floors against truncation", "Nats lost with only the F_S most important features kept, the rest left out of the "
         "reconstruction: measured, without training a student. error / floor: ‖x̂ − x̂_S‖² over the predicted sum, 1 were decoder "
         "columns orthonormal. C, B: nats = C · floor + B.", truncations_table(report)),
        ("Probes of single features", "Balanced accuracy of probes of the whole stream, of so many features, of one dimension; TPP: what a "
         "class's own probe loses with so many features taken out, less the others'; first letters of words: the probe's accuracy, and "
         "of those that it sees the shares on which no main feature fires, and which another has absorbed.",
         (PROBE_COLUMNS, probe_cells(report.probes))),
        ("CE-Bench", "Only dictionaries of equal width compare.", bench_table(report)),
    ]  # fmt: skip
    if report.others:
        texts = {next(iter(run.values()))["held_out"]["sha256"] for run in (report.measured, *report.others.values())}
        other = (
            "These runs were measured on different text (column text): their numbers do not compare. "
            if len(texts) > 1
            else ""
        )
        found.append(("Beside other runs", (other + (width_law(report) or "")).strip(), others_table(report)))
    return [section for section in found if section[2][1]]
