"""`golf sae card MODEL`: the card of a model, with the comparison table of several (model, tokens, val, tasks, CE-Bench).

Parameters are counted; tokens and the validation loss are read from the run that made the weights, and stand as – where nothing says
them; the tasks are measured here, all models on the same rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf import __version__
from golf.challenge import SCRIPT
from golf.downstream.api import Scores
from golf.files import json_text, write_atomically
from golf.models.open import open_source
from golf.models.source import Source
from golf.sae.files import refuse_full
from golf.sae.measured import cell
from golf.sae.tables import markdown_table
from golf.sae.upload import front_matter, hub_name, without_paths

TABLE_NAME, RECIPE = "comparison.json", "recipe.toml"
COLUMNS = ("model", "parameters", "tokens", "val, nats", "val, BPB", "pile ppl", "HellaSwag", "LAMBADA", "CE-Bench")
RESULTS = (
    ("text_ppl", "token_ppl", "perplexity", "local text"),
    ("hellaswag", "acc", "acc", "HellaSwag"),
    ("hellaswag", "acc_norm", "acc_norm", "HellaSwag"),
    ("lambada", "acc", "acc", "LAMBADA"),
    ("lambada", "perplexity", "perplexity", "LAMBADA"),
    ("ce_bench", "interpretability", "ce_bench_interpretability", "CE-Bench"),
)


@dataclass(frozen=True)
class Compared:
    """A model of the table: what its run says of it (None: unknown), and its scores."""

    name: str
    spec: str
    parameters: int
    tokens: int | None
    val_nats: float | None
    val_bpb: float | None
    facts: dict[str, Any]
    scores: Scores

    def row(self) -> list[str]:
        """Cells by COLUMNS."""

        def score(task: str, metric: str, form: str) -> str:
            value = self.scores.get(task, {}).get(metric)
            return cell(value if isinstance(value, int | float) else None, form)

        return [
            self.name, f"{self.parameters:,}", cell(self.tokens, ",d"), cell(self.val_nats, ".4f"), cell(self.val_bpb, ".4f"),
            score("text_ppl", "token_ppl", ".2f"), score("hellaswag", "acc", ".3f"), score("lambada", "acc", ".3f"),
            score("ce_bench", "interpretability", ".2f"),
        ]  # fmt: skip


def compare(
    specs: Sequence[str],
    names: str,
    folder: Path,
    limit: int | None = None,
    dictionaries: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Compared]:
    """Every model of `specs` on the tasks `names` (empty: those whose file is in `folder`); dictionaries: of the first model.

    CE-Bench is asked of the first model's dictionaries, and of every model that has some of its own.
    """
    tasks = [name for name in names.split(",") if name] or available(folder)
    found = []
    for place, spec in enumerate(specs):
        source = open_source(spec)
        found.append(measured(source, tasks, folder, limit, dictionaries if place == 0 else None))
        tell(f"{found[-1].name} measured")
    return found


def available(folder: Path) -> list[str]:
    """The tasks whose file is in a folder; none is an answer too."""
    from golf.downstream.rows import STORIES
    from golf.downstream.tasks import TASKS
    from golf.sae.model_tasks import BENCH

    data = {**{name: task.data for name, task in TASKS.items()}, BENCH: STORIES}
    return [name for name, one in data.items() if any((folder / file).is_file() for file in one.files)]


def measured(
    source: Source, tasks: Sequence[str], folder: Path, limit: int | None, dictionaries: Path | None
) -> Compared:
    """One model: counted, read of, and scored. CE-Bench is left out where it has no dictionaries."""
    from golf.sae.builtin import CLASS
    from golf.sae.model_tasks import BENCH, scored

    own = any(type(module).__name__ == CLASS for module in source.model.modules())
    wanted = [name for name in tasks if name != BENCH or dictionaries is not None or own]
    scores = scored(source, wanted, folder, limit, dictionaries) if wanted else {}
    said = trained(Path(source.facts["weights"])) if "weights" in source.facts else {}
    parameters = sum(weight.numel() for weight in dict.fromkeys(source.model.parameters()))
    facts = {"width": source.model_dim, "layers": source.num_layers, "vocabulary": source.vocab_size, "context": source.seq_len,
             **{key: value for key, value in source.facts.items() if key.endswith("sha256") and value}}  # fmt: skip
    return Compared(
        source.name,
        source.spec,
        parameters,
        said.get("tokens"),
        said.get("val_nats"),
        said.get("val_bpb"),
        facts,
        scores,
    )


def trained(weights: Path) -> dict[str, Any]:
    """Tokens and last validation of the run whose folder the weights lie in, from its log and its recipe; empty where it has none."""
    from golf.recipe import load_recipe
    from golf.run.lines import read_log

    logs = sorted(weights.parent.glob("train_seed*.log"))
    result = read_log(logs[-1]).result() if logs else None
    if not result:
        return {}
    home = next(
        (folder for folder in weights.parents[:5] if (folder / RECIPE).is_file() and (folder / SCRIPT).is_file()), None
    )
    batch = load_recipe(home / RECIPE).values.get("train_batch_tokens") if home is not None else None
    steps = result.get("steps")
    smoke = "smoke" in str(weights)
    return {
        "tokens": steps * batch if steps and batch and not smoke else None,  # a smoke run has a batch of its own
        "val_nats": result.get("pre_quant_val_loss"),
        "val_bpb": result.get("pre_quant_val_bpb"),
    }


def write_model_card(found: Sequence[Compared], out: Path) -> list[Path]:
    """README.md (front matter, facts, table) and comparison.json into a folder. GolfError (10): it holds something already."""
    refuse_full(out)
    out.mkdir(parents=True, exist_ok=True)
    rows = [without_paths(dict(vars(one))) for one in found]
    table = {"columns": list(COLUMNS), "rows": [one.row() for one in found], "models": rows}
    write_atomically(out / TABLE_NAME, (json_text(table, 1) + "\n").encode())
    write_atomically(out / "README.md", model_card(found).encode())
    return [out / "README.md", out / TABLE_NAME]


def model_card(found: Sequence[Compared]) -> str:
    """The first model's card, with the others beside it, as Markdown with front matter."""
    model = found[0]
    results = [
        {"task": {"type": "text-generation"}, "dataset": {"name": data, "type": task}, "metrics": [{"type": kind, "value": value}]}
        for task, metric, kind, data in RESULTS
        if isinstance(value := model.scores.get(task, {}).get(metric), int | float)
    ]  # fmt: skip
    fields: dict[str, Any] = {"library_name": "golf", "pipeline_tag": "text-generation", "tags": ["parameter-golf"]}
    if base := hub_name(model.spec):
        fields["base_model"] = base
    if results:
        fields["model-index"] = [{"name": model.name, "results": results}]
    facts = [
        f"- {key.replace('_', ' ')}: {value if isinstance(value, str) else f'{value:,}'}"
        for key, value in model.facts.items()
    ]
    lines = [
        *front_matter(fields), f"# {model.name}", "", f"- model: `{without_paths(model.spec)}`, {model.parameters:,} parameters", *facts,
        "", "## Comparison", "", *markdown_table(COLUMNS, [one.row() for one in found], numbers=True), "",
        "val: before quantization, on the run's own validation split, so it compares between models of one tokenizer and one split only.",
        "Tasks: the same local rows for every model; pile ppl is per token, so it compares between models of one tokenizer only.",
        "CE-Bench: interpretability, the mean over the layers; only dictionaries of equal width compare. –: not known or not measured.",
    ]  # fmt: skip
    for task, scores in model.scores.items():
        shown = [
            f"{metric} {value:.4f}" if isinstance(value, float) else f"{metric} {value}"
            for metric, value in scores.items()
            if metric != "file"
        ]
        lines += ["", f"- {task}: {', '.join(shown)}"]
    return "\n".join([*lines, "", f"Written by golf {__version__}; the licence is the author's to name."]) + "\n"
