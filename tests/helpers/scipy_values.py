"""scipy's p-values and powers over effects from 0 to 10,000 sds: `python tests/helpers/scipy_values.py` writes scipy_values.json anew."""

import json
import math
from itertools import product
from pathlib import Path

VALUES = Path(__file__).with_suffix(".json")
EFFECTS = (0.0, 0.1, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4)  # in sds
SEEDS = (2, 3, 4, 5, 10, 20, 50, 100)
NEW = (1.0, 1.1, 0.95, 1.02, 1.07, 0.98, 1.01, 1.04, 0.93, 1.05)
OLD = (1.0, 1.05, 0.99, 1.13, 0.96, 1.03, 1.08, 0.94, 1.02, 0.97)


def sides(effect: float, new: int, old: int) -> tuple[list[float], list[float]]:
    """`new` and `old` scores whose means lie about `effect` sds apart."""
    return list(NEW[:new]), [value + effect * 0.05 for value in OLD[:old]]


def main() -> None:
    import numpy as np
    from scipy import integrate, stats

    p_values = [
        [effect, new, old, float(stats.ttest_ind(*sides(effect, new, old), equal_var=False, alternative="less").pvalue)]
        for effect, new, old in product(EFFECTS, (2, 3, 4, 10), (2, 3, 10))
    ]
    powers = []
    for effect, n in product(EFFECTS, SEEDS):

        def share(angle: float, n: int = n, effect: float = effect) -> float:
            """The density of the angle whose sin² is one side's share of the squares, times the power given that share."""
            part = math.sin(angle) ** 2
            df = (n - 1) / (part * part + (1 - part) ** 2)
            tail = stats.nct.sf(stats.t.isf(0.01, df), 2 * n - 2, effect * math.sqrt(n / 2))
            return float(np.clip(tail, 0, 1)) * math.sin(2 * angle) ** (n - 2)

        total = integrate.quad(share, 0, math.pi / 2, epsabs=1e-12, epsrel=1e-11, limit=200)[0]
        weight = integrate.quad(lambda angle, n=n: math.sin(2 * angle) ** (n - 2), 0, math.pi / 2, epsabs=1e-13)[0]
        powers.append([effect, n, total / weight])
    rows = {
        name: ["[" + ", ".join(map(repr, row)) + "]" for row in table]
        for name, table in (("p", p_values), ("power", powers))
    }
    text = ",\n".join(f'"{name}": [\n' + ",\n".join(table) + "\n]" for name, table in rows.items())
    VALUES.write_text("{\n" + text + "\n}\n")
    json.loads(VALUES.read_text())


if __name__ == "__main__":
    main()
