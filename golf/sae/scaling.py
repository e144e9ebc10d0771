"""Finished trainings from a CSV file, and the law through them."""

import csv
from pathlib import Path

from golf.errors import Exit, GolfError
from golf.sae.fits import Chinchilla, fit_chinchilla

COLUMNS = ("parameters", "tokens", "loss")


def fit_file(path: Path) -> Chinchilla:
    """The fit of a CSV of parameters, tokens, loss; GolfError for a missing column, a wrong number, or fewer than five rows."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as fault:
        raise GolfError(f"{path} cannot be read: {fault.strerror}", f"expected CSV with {', '.join(COLUMNS)}") from None
    points = []
    for number, row in enumerate(rows, 2):
        try:
            parameters, tokens, loss = (float(row[name]) for name in COLUMNS)
        except (KeyError, TypeError, ValueError):
            raise GolfError(
                f"{path}, line {number}: no numbers {', '.join(COLUMNS)}", "expected a header with these names"
            ) from None
        if min(parameters, tokens, loss) <= 0:
            raise GolfError(f"{path}, line {number}: all three must be above 0", "leave out what was not finished")
        points.append((parameters, tokens, loss))
    fit = fit_chinchilla(points)
    if fit is None:
        raise GolfError(f"{path} has {len(points)} points, the law has 5 free values", "add trainings", Exit.UNKNOWN)
    return fit
