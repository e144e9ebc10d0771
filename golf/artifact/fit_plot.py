"""A fit's picture: bytes of the model against KL to the float model, predicted along every plan's dial and measured, with the Pareto front."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from golf.artifact.fit import Fit
from golf.errors import GolfError
from golf.figures.charts import Chart, Panel
from golf.stats import on_front

FRONT = "Pareto front of all, predicted"
CHOSEN, OTHERS = "chosen, measured", "other plans, measured"
LINES = 4  # of plans; more cannot be told apart
FRONT_POINTS = 40


def kl_factor(fit: Fit) -> float | None:
    """What turns the gradients' prediction into nats: the median of measured over predicted; None without a pair."""
    pairs = [(one.kl_nats, one.from_gradients) for one in fit.tried if one.kl_nats is not None and one.from_gradients]
    return statistics.median(kl / predicted for kl, predicted in pairs) if pairs else None


def predicted_points(fit: Fit) -> dict[str, list[tuple[float, float]]]:
    """Plan → (bytes, predicted nats) along its dial: a rounding error goes with the square of the step.

    The landed artifact's nats are what the gradients predict, scaled as a whole to the measured ones; measured where there are no gradients.
    A plan without either has no points.
    """
    factor, points = kl_factor(fit), {}
    for plan, curve in fit.curves.items():
        one = fit.landed(plan)
        if one is None:
            continue
        measured = next(
            (other.kl_nats for other in fit.tried if other.plan == plan and other.kl_nats is not None), None
        )
        at = factor * one.from_gradients if factor is not None and one.from_gradients is not None else measured
        if at is not None:
            points[plan] = [(size, at * square) for size, square in curve] or [(float(one.model_bytes), at)]
    return points


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those of the points that no other has both fewer bytes and fewer nats than, by bytes."""
    different = sorted(set(points))
    return [point for point, best in zip(different, on_front(different), strict=True) if best]


def envelope(lines: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """The Pareto front of whole lines of (bytes, nats): at each of some bytes the least nats of the lines that reach so far."""
    import numpy as np

    drawn = [sorted(line) for line in lines if line]
    if not drawn:
        return []
    grid = np.geomspace(min(line[0][0] for line in drawn), max(line[-1][0] for line in drawn), FRONT_POINTS)
    least = np.full(len(grid), np.inf)
    for line in drawn:
        sizes, nats = np.array(line).T
        inside = np.exp(np.interp(grid, sizes, np.log(nats), left=np.inf, right=np.inf))
        least = np.minimum(least, inside)
    known = np.isfinite(least)
    return pareto_front(list(zip(grid[known].tolist(), least[known].tolist(), strict=True)))


def picture(fit: Fit) -> Chart:
    """The chart: lines of the chosen plan, the recipe's own and the next best, a dot for every plan; empty where nothing is known."""
    predicted = predicted_points(fit)
    measured = {one.plan: (float(one.model_bytes), one.kl_nats) for one in fit.tried if one.kl_nats is not None}
    by_nats = sorted(predicted, key=lambda plan: min((nats for _, nats in predicted[plan]), default=0.0))
    first = [plan for plan in (fit.plan, fit.tried[0].plan if fit.tried else "") if plan in predicted]
    shown = list(dict.fromkeys([*first, *by_nats]))[:LINES]
    others = {plan: point for plan, point in measured.items() if plan != fit.plan}
    scatter = {OTHERS: list(others.values())} if others else {}
    texts = {OTHERS: [f"{plan}: {size:,.0f} bytes, {nats:.5f} nats" for plan, (size, nats) in others.items()]}
    if fit.plan in measured:
        scatter[CHOSEN] = [measured[fit.plan]]
    panel = Panel(
        "bytes of the model", "KL to the float model, nats a token",
        {**{plan: predicted[plan] for plan in shown}, FRONT: envelope(list(predicted.values()))}, y_log=True,
        scatter=scatter, texts=texts if others else {}, marks={"target": float(fit.target_bytes)},
    )  # fmt: skip
    return Chart(
        "What a byte buys, by plan", [panel],
        f"{len(measured)} plans measured; lines are predicted from the landed artifact of each plan, {len(shown)} of {len(predicted)} drawn",
    )  # fmt: skip


def save_picture(fit: Fit, path: Path) -> None:
    """Write the chart as SVG, or as PNG by the name's end. GolfError: another end, or PNG without matplotlib."""
    from golf.figures.write import write_figure

    refuse_name(path)
    write_figure(picture(fit), path)


def refuse_name(path: Path) -> None:
    """GolfError where a picture of that name cannot be drawn here, before a fit that takes minutes."""
    from golf.figures.png import can_draw

    if path.suffix not in (".svg", ".png"):
        raise GolfError(f"{path} is no picture that golf draws", "name it `.svg` or `.png`")
    if path.suffix == ".png" and not can_draw():
        raise GolfError(f"{path} needs matplotlib", "name it `.svg`, or `pip install 'parameter-golf[plot]'`")
    if not path.parent.is_dir():
        raise GolfError(f"there is no folder {path.parent}", "make it first, or name another")
