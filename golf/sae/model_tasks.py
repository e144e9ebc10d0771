"""`golf sae tasks`: the downstream tasks of a model, and CE-Bench of its dictionaries, in one call."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from golf.downstream.api import Scores, SourceModel
from golf.downstream.rows import STORIES, find_file
from golf.downstream.tasks import TASKS, named_tasks, run_tasks
from golf.errors import Exit, GolfError
from golf.models.open import open_source
from golf.models.source import Source
from golf.sae.builtin import BuiltInSource
from golf.sae.ce_bench import Baseline
from golf.sae.evaluate import Wishes, ce_bench, dictionaries_of, load_snapshots, place_of, run_config, same_model
from golf.sae.streams import Coder, Place

BENCH = "ce_bench"
MEANS = ("contrastive", "independent", "interpretability")


def run(
    spec: str,
    names: str = "",
    folder: Path = Path("data/tasks"),
    limit: int | None = None,
    dictionaries: Path | None = None,
    baseline: Baseline = "other-subjects",
) -> Scores:
    """The tasks `names` (comma-separated, empty for all whose files must then be there) on the model `spec`; missing files are named
    before the model is opened.

    ce_bench: of the final dictionaries of the run `dictionaries`, or of those that are part of the model; it belongs to all tasks
    where `dictionaries` is named.
    """
    wanted = [name for part in names.split(",") if (name := part.strip())]
    if not wanted:
        wanted = [*TASKS, *([BENCH] if dictionaries is not None else [])]
    others = [name for name in wanted if name != BENCH]
    chosen = [*(named_tasks(",".join(others)) if others else []), *([BENCH] if BENCH in wanted else [])]
    for name in chosen:
        find_file(folder, STORIES if name == BENCH else TASKS[name].data)
    return scored(open_source(spec), chosen, folder, limit, dictionaries, baseline)


def scored(
    source: Source,
    tasks: Sequence[str],
    folder: Path,
    limit: int | None,
    dictionaries: Path | None,
    baseline: Baseline = "other-subjects",
) -> Scores:
    """The scores of a model that is open on tasks that are known by name."""
    others = [name for name in tasks if name != BENCH]
    found = run_tasks(SourceModel(source), others, folder, limit) if others else {}
    if BENCH in tasks:
        wishes = Wishes(stories=find_file(folder, STORIES), pairs=limit, baseline=baseline)
        found[BENCH] = bench_scores(source, dictionaries, wishes)
    return found


def bench_scores(source: Source, dictionaries: Path | None, wishes: Wishes) -> dict[str, float | int | str]:
    """CE-Bench as one row of scores: means over the layers, then every layer's interpretability. GolfError (10): no dictionaries."""
    by_layer: dict[int, dict[str, Any]] = {}
    for layer, place, coder, asked in _coders(source, dictionaries):
        by_layer[layer] = ce_bench(asked, place, coder, wishes)
    first = next(iter(by_layer.values()))
    scores: dict[str, float | int | str] = {
        name: first[name] for name in ("file", "baseline", "pairs", "subjects", "features", "bound")
    }
    for name in MEANS:
        values = [float(row[f"{name}_score_mean"]) for row in by_layer.values()]
        scores[name] = math.fsum(values) / len(values)
    for layer, row in by_layer.items():
        scores[f"interpretability_layer_{layer}"] = row["interpretability_score_mean"]
    return scores


def _coders(
    source: Source, dictionaries: Path | None
) -> Sequence[tuple[int, int | Place, Coder, Source | BuiltInSource]]:
    """(layer, place, dictionary, what its streams are asked of) of a run's final dictionaries, or of the model's own."""
    if dictionaries is not None:
        same_model(source, run_config(dictionaries))
        found: list[tuple[int, int | Place, Coder, Source | BuiltInSource]] = []
        for layer, files in dictionaries_of(dictionaries).items():
            last = load_snapshots(files, source.device)[-1]
            found.append((layer, place_of(last.config, layer), last.coder, source))
        return found
    try:
        own = BuiltInSource(source)
    except GolfError:
        raise GolfError(f"CE-Bench scores dictionaries, and {source.name} has none of its own",
                        "name a run of them: `--dictionaries sae_runs/NAME`", Exit.REFUSED) from None  # fmt: skip
    return [(layer, layer, own.snapshot(layer).coder, own) for layer in range(own.num_layers)]
