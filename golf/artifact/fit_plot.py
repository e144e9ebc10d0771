"""A fit's picture: bytes of the model against KL to the float model, predicted along every plan's dial and measured, with the Pareto front."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from golf.artifact.fit import Fit
from golf.errors import GolfError
from golf.figures.charts import Chart, Panel
from golf.stats import on_front

FRONT = "Pareto front, predicted"


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


def picture(fit: Fit) -> Chart:
    """The chart; empty where nothing was measured or predicted."""
    predicted = predicted_points(fit)
    measured = {
        f"{one.plan}, measured": [(float(one.model_bytes), one.kl_nats)] for one in fit.tried if one.kl_nats is not None
    }
    front = pareto_front([point for line in predicted.values() for point in line])
    panel = Panel(
        "bytes of the model", "KL to the float model, nats a token", {**predicted, FRONT: front}, y_log=True,
        scatter=measured, marks={"target": float(fit.target_bytes)},
    )  # fmt: skip
    return Chart(
        "What a byte buys, by plan", [panel], "lines are predictions from one artifact of each plan; dots were measured"
    )


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
