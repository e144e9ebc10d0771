"""`golf sae report` of a grid: what sparsity costs, per layer: L0 against explained variance and against the loss recovered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError
from golf.figures.charts import Chart, Figure, Panel
from golf.sae.measured import cell, read_measurements
from golf.sae.tables import Table
from golf.stats import on_front

FRONT = "front"
GRID_TITLE = "Dictionaries of a grid"
GRID_REMARK = (
    "All were trained on the same batches and measured on the same held-out tokens. front: no other dictionary of that place has at most "
    "its L0 and at least its EV (CE: share of the loss recovered)."
)


@dataclass(frozen=True)
class Point:
    """One dictionary of a grid: the last snapshot of a member's layer."""

    member: str
    layer: int
    place: str
    arch: str
    features: int
    l0: float
    ev: float | None
    dead_share: float
    ce_recovered: float | None
    kl_nats: float | None

    @property
    def where(self) -> str:
        """`layer 3`, `layer 3 mlp_out`: only dictionaries of one place compare."""
        return f"layer {self.layer}" + ("" if self.place == "resid" else f" {self.place}")

    @property
    def family(self) -> str:
        """What a curve is of: a place, an architecture and a width, over all sparsities."""
        return f"{self.where}, {self.arch}, {self.features:,}"


def points_of(measured: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> list[Point]:
    """The dictionaries of {member: {layer: measurements}}, by place and then by L0."""
    found = []
    for member, layers in measured.items():
        for layer, report in layers.items():
            last, losses, config = report["snapshots"][-1], report["losses"] or {}, report["config"]
            found.append(Point(member, layer, str(config.get("place", "resid")), str(config.get("arch", "relu")), last["features"],
                               last["l0"], last["explained_variance"], last["dead_share"], losses.get("ce_recovered"),
                               losses.get("kl_nats")))  # fmt: skip
    return sorted(found, key=lambda one: (one.layer, one.place, one.l0, one.member))


def front(points: Sequence[Point], field: str) -> set[tuple[str, int]]:
    """(member, layer) of the Pareto front of each place: no other has at most its L0 and at least its `field`, and one of them better."""
    by_place: dict[str, list[Point]] = {}
    for one in points:
        if getattr(one, field) is not None:
            by_place.setdefault(one.where, []).append(one)
    return {
        (one.member, one.layer)
        for rivals in by_place.values()
        for one, best in zip(rivals, on_front([(each.l0, -getattr(each, field)) for each in rivals]), strict=True)
        if best
    }


def gather_grid(folder: Path, members: Sequence[str]) -> list[Point]:
    """The points of a grid's folder. GolfError (10): members were measured on different text, which do not belong in one picture."""
    measured = {member: read_measurements(folder / member) for member in members}
    texts: dict[str, str] = {}
    for member, layers in measured.items():
        for layer, report in layers.items():
            texts.setdefault(report["held_out"]["sha256"], f"layer {layer} of {member}")
    if len(texts) > 1:
        raise GolfError(f"{' and '.join(list(texts.values())[:2])} were measured on different text",
                        f"measure all on the same: `golf sae eval {folder}`", Exit.REFUSED)  # fmt: skip
    return points_of(measured)


def grid_table(points: Sequence[Point]) -> Table:
    """A row for every dictionary, with the fronts that it is on."""
    fronts = {"EV": front(points, "ev"), "CE": front(points, "ce_recovered")}
    columns = ("place", "member", "arch", "features", "L0", "EV", "dead", "CE recovered", "KL nats", FRONT)
    rows = []
    for one in points:
        on = " ".join(name for name, found in fronts.items() if (one.member, one.layer) in found)
        rows.append([one.where, one.member, one.arch, f"{one.features:,}", f"{one.l0:.2f}", cell(one.ev, ".4f"), f"{one.dead_share:.1%}",
                     cell(one.ce_recovered, ".2%"), cell(one.kl_nats, ".4f"), on])  # fmt: skip
    return columns, rows


def curves(points: Sequence[Point]) -> dict[str, Figure]:
    """{file name: figure}: EV and CE recovered over L0, a curve for each place, architecture and width; the front dotted."""
    figures: dict[str, Figure] = {}
    for name, field, label in (("1_l0_ev", "ev", "explained variance"), ("2_l0_ce", "ce_recovered", "CE recovered")):
        lines: dict[str, list[tuple[float, float]]] = {}
        guides: dict[str, list[tuple[float, float]]] = {}
        best = front(points, field)
        for one in points:
            value = getattr(one, field)
            if value is not None and one.l0 > 0:
                lines.setdefault(one.family, []).append((one.l0, value))
                if (one.member, one.layer) in best:
                    guides.setdefault(f"front of {one.where}", []).append((one.l0, value))
        chart = Chart(
            f"Sparsity against {label}",
            [Panel("L0: active features per token", label, lines, True, dots=True, guides=guides)],
            "A dot per dictionary, all trained and measured on the same tokens; upper left is better. Dashed: the Pareto front of a place.",
        )
        if not chart.empty:
            figures[name] = chart
    return figures
