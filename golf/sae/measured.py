"""What was measured of a run: its files read back, and the tables made of them."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.files import parse_json, write_atomically
from golf.sae.shape import NUMBER, Maybe, misfit

CSV_NAME = "metrics.csv"
COLUMNS = (
    *("layer", "snapshot", "tokens_seen", "features", "tokens", "fvu", "explained_variance", "mse", "l0", "alive"),
    *("dead_share", "dead_threshold", "l2_ratio", "cosine", "relative_bias", "l1_coeff"),
    *("ce_clean_nats", "ce_sae_nats", "ce_ablated_nats", "ce_difference_nats", "ce_recovered", "kl_nats"),
    *("alpha", "g_alpha", "d_star_S"),
)
_ROW = {
    "snapshot": str, "tokens_seen": Maybe(int), "tokens": int, "features": int, "fvu": Maybe(NUMBER), "explained_variance": Maybe(NUMBER),
    "mse": NUMBER, "l0": NUMBER, "alive": int, "dead_share": NUMBER, "dead_threshold": NUMBER, "*": Maybe(NUMBER),
}  # fmt: skip
_SHAPE = {
    "layer": int, "source": {"name": str, "spec": str, "model_dim": int}, "held_out": {"tokens": int, "seq_len": int, "origin": str, "sha256": str},
    "config": dict, "snapshots": [_ROW], "progress?": [_ROW], "losses": Maybe({"ce_tokens": int, "*": Maybe(NUMBER)}),
    "weights?": Maybe({"*": Maybe(NUMBER)}), "density": {"log10_edges": [NUMBER], "counts": [int], "never": int, "below?": int},
    "fit_over_tokens": Maybe({"points": int, "floor": NUMBER, "scale": NUMBER, "exponent": NUMBER, "next_amount": NUMBER, "next_loss": NUMBER}),
    "F_alive": int, "predictions?": {"*": {"d_S": int, "features_kept": int, "predicted_floor": NUMBER, "pct": NUMBER}},
    "alpha?": NUMBER, "g_alpha?": NUMBER, "d_star_S?": NUMBER, "total_importance?": NUMBER, "rank_slope?": Maybe(NUMBER),
    "truncations?": Maybe([{"d_S": int, "predicted_floor": NUMBER, "lost_nats": NUMBER}]), "sorted_importance": [NUMBER],
    "ranked_features?": [int], "usage?": [dict], "ce_bench?": dict,
}  # fmt: skip
_GEOMETRY = dict.fromkeys(("alpha", "g_alpha", "d_star_S", "total_importance"), NUMBER)  # where floors are predicted
USAGE = ("layer", "level", "features", "L0", "dead %", "zombie %", "evenness", "+ share")


def read_measurements(folder: Path) -> dict[int, dict[str, Any]]:
    """{layer: measurements} of a run folder; GolfError where nothing was measured or a file is damaged."""
    found = {}
    for path in sorted(folder.glob("measurements_layer*.json")):
        try:
            report = parse_json(path.read_text())
            shape = {**_SHAPE, **(_GEOMETRY if isinstance(report, dict) and report.get("predictions") else {})}
            if (wrong := misfit(report, shape)) or not report["snapshots"]:
                raise ValueError(f"not as written: {wrong or 'snapshots'}")
            found[report["layer"]] = report
        except (ValueError, KeyError, TypeError) as fault:
            raise GolfError(
                f"{path} is no measurement: {fault!r}", f"measure again: `golf sae eval {folder}`"
            ) from None
    if not found:
        raise GolfError(f"{folder} has no measurements", f"measure first: `golf sae eval {folder}`")
    return dict(sorted(found.items()))


def table_rows(measured: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per layer and snapshot; losses and geometry stand with the last one, whose they are."""
    rows = []
    for layer, report in measured.items():
        for snapshot in report["snapshots"]:
            last = snapshot is report["snapshots"][-1]
            geometry = {name: report.get(name) for name in ("alpha", "g_alpha", "d_star_S")}
            row = {"layer": layer, **snapshot, **({**(report["losses"] or {}), **geometry} if last else {})}
            rows.append({name: row.get(name) for name in COLUMNS})
    return rows


def write_table(folder: Path) -> Path:
    """`metrics.csv` of all measurements in the folder."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table_rows(read_measurements(folder)))
    write_atomically(folder / CSV_NAME, text.getvalue().encode())
    return folder / CSV_NAME


def without_lists(report: Mapping[str, Any]) -> dict[str, Any]:
    """Measurements without what has an entry per feature."""
    return {name: value for name, value in report.items() if name not in ("sorted_importance", "ranked_features")}


def summary(measured: Mapping[int, Mapping[str, Any]]) -> tuple[Sequence[str], list[list[str]]]:
    """Columns and cells of what the terminal shows: the last snapshot of each layer."""
    columns = ("layer", "snapshot", "tokens", "EV", "MSE", "L0", "dead", "CE recovered", "ΔCE nats", "KL nats", "d*")
    rows = []
    for layer, report in measured.items():
        last, losses = report["snapshots"][-1], report["losses"] or {}
        cells = [
            cell(last["explained_variance"], ".4f"),
            cell(last["mse"], ".4g"),
            cell(last["l0"], ".2f"),
            cell(last["dead_share"], ".1%"),
            cell(losses.get("ce_recovered"), ".2%"),
            cell(losses.get("ce_difference_nats"), "+.4f"),
            cell(losses.get("kl_nats"), ".4f"),
            cell(report.get("d_star_S"), ".1f"),
        ]
        rows.append([str(layer), last["snapshot"], cell(last["tokens_seen"], ",d"), *cells])
    return columns, rows


def usage_rows(measured: Mapping[int, Mapping[str, Any]]) -> list[list[str]]:
    """Cells of how a built-in dictionary's levels are used (`golf.sae.cayley.diagnose`); none of trained ones."""
    forms = ("", "", ",d", ".2f", ".1f", ".1f", ".3f", ".3f")
    keys = ("layer", "level", "features", "l0", "dead_percent", "zombie_percent", "usage", "plus_share")
    rows = [row for report in measured.values() for row in report.get("usage", ())]
    return [[format(row[key], form) for key, form in zip(keys, forms, strict=True)] for row in rows]


def cell(value: float | None, form: str) -> str:
    """A number in its form; – for none."""
    return "–" if value is None else format(value, form)
