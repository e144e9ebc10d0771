"""The sandbox's child: limits itself, loads what it needs, closes the fence, runs one job, writes one answer."""

import json
import sys
import traceback
from pathlib import Path
from typing import Any


def main(folder: Path) -> None:
    job: dict[str, Any] = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    from golf.harness.inside.walls import limit
    from golf.rules.dynamic.fence import fence

    limit(**job["limits"])
    _load()
    touched: dict[str, list[str]] = {}

    def seen(kind: str, what: str) -> None:
        known = touched.setdefault(kind, [])
        if len(known) < 200 and what not in known and (kind != "read" or "fineweb" in what):
            known.append(what)

    fence(folder, seen)
    try:
        answer = _check(job, folder)
    except BaseException as fault:  # whatever the script raises, SystemExit included, is an answer
        where = traceback.extract_tb(fault.__traceback__)
        line = next((frame.lineno for frame in reversed(where) if frame.filename.endswith("train_gpt.py")), None)
        answer = {
            "fault": f"{type(fault).__name__}: {str(fault)[:4000]}" + (f" (line {line} of the script)" if line else "")
        }
    (folder / "answer.json").write_text(json.dumps({**answer, "touched": touched}), encoding="utf-8")


def _load() -> None:
    """Import everything that the check needs before the fence closes."""
    import numpy  # noqa: F401
    import sentencepiece  # noqa: F401
    import torch

    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1).step()
    import golf.compose.rescale
    import golf.data.accounting
    import golf.rules.dynamic.composed
    import golf.rules.dynamic.stub
    import golf.rules.dynamic.suite
    import golf.rules.dynamic.timer  # noqa: F401


def _check(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    from golf.rules.dynamic.composed import check

    return check(job, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
