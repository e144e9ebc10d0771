"""`golf sae eval`, `report`, `tasks` and `scaling`: what dictionaries keep of a model, and what the model can do on local tests."""

from pathlib import Path
from typing import Annotated, Any

import typer

from golf.cli.output import print_json, print_table, talk
from golf.errors import GolfError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Markdown = Annotated[bool, typer.Option("--md", help="Print a Markdown table.")]
WORDS = ("snapshot", "run", "baseline", "member", "place", "arch", "front")  # columns that hold no numbers


def eval_(
    run: Annotated[
        str, typer.Argument(help="A folder of dictionaries (`sae_layer…pt`), one such file, or with --cayley a model.")
    ],
    tokens: Annotated[str, typer.Option(help="Held-out tokens to measure on, e.g. 1M.")] = "128K",
    ce_tokens: Annotated[
        str | None,
        typer.Option(
            help="Of these, for losses with a layer's stream rebuilt, 0 for none; default an eighth, as for earlier snapshots."
        ),
    ] = None,
    layers: Annotated[str | None, typer.Option(help="Only these layers, e.g. 0,3,6 or 3-8.")] = None,
    source: Annotated[
        str | None, typer.Option(help="The model, where the run does not say: `golf:PATH`, `hf:NAME`.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Other text, as in train (default: what is held out of the run's own); trained documents are left out."
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="A feature is dead that fires on at most this share of tokens; default 1e-5.")
    ] = None,
    ce_bench: Annotated[Path | None, typer.Option("--ce-bench", help="Contrastive stories as JSON lines.")] = None,
    baseline: Annotated[str, typer.Option(help="Of CE-Bench: other-subjects, all or official-v1.")] = "other-subjects",
    pairs: Annotated[int | None, typer.Option(help="Only the first pairs of stories.")] = None,
    cayley: Annotated[
        Path | None,
        typer.Option("--cayley", help="RUN is a model with built-in CayleySAEs: measure those into this folder."),
    ] = None,
    other_model: Annotated[
        bool, typer.Option("--other-model", help="Measure though the model is not the one that they were trained on.")
    ] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let a Hugging Face folder run code of its own.")
    ] = False,
    features: Annotated[
        int,
        typer.Option(help="So many features a layer, the most important, get a page in the report; 0 for none."),
    ] = 24,
    json: Json = False,
    md: Markdown = False,
) -> None:
    """Measure dictionaries on held-out text: variance explained, L0, dead features, loss recovered, loss floors.

    $ golf sae eval sae_runs/mine --tokens 1M
    """
    from golf.sae.evaluate import evaluate_all, evaluate_builtin, wishes_of
    from golf.sae.measured import USAGE, summary, usage_rows, without_lists

    wishes = wishes_of(
        tokens, ce_tokens, layers, source, data, threshold, ce_bench, baseline, pairs, other_model, trust_remote_code,
        features,
    )  # fmt: skip
    measured: dict[str, dict[int, dict[str, Any]]] = {}
    found = (
        (("", *one) for one in evaluate_builtin(run, cayley, wishes, talk))
        if cayley
        else evaluate_all(Path(run), wishes, talk)
    )
    for member, layer, report in found:
        measured.setdefault(member, {})[layer] = report
        talk(f"layer {layer}{f' of {member}' if member else ''} measured ({len(report['snapshots'])} snapshots)")
    if json:
        rows = [{**({"member": member} if member else {}), **without_lists(report)}
                for member, by_layer in measured.items() for report in by_layer.values()]  # fmt: skip
        print_json({"run": run, "layers": rows})
        return
    for member, by_layer in measured.items():
        columns, cells = summary(by_layer)
        print_table(member or None, columns, cells, right=[name for name in columns if name not in WORDS], md=md)
        if usage := usage_rows(by_layer):
            print_table("use of each level", USAGE, usage, right=list(USAGE), md=md)


def report(
    run: Annotated[Path, typer.Argument(help="A folder that `golf sae eval` measured.")],
    vs: Annotated[
        list[Path] | None, typer.Option("--vs", help="Another measured run beside it; may be repeated.")
    ] = None,
    students: Annotated[
        Path | None, typer.Option(help='Measured losses of narrower students: {"<layer>": {"<width>": nats}} as JSON.')
    ] = None,
    json: Json = False,
) -> None:
    """Write report.md, report.html (one static page) and eight plots into the run's folder; of a grid, its curves and Pareto fronts.

    $ golf sae report sae_runs/mine --vs sae_runs/wider
    """
    from golf.sae.grid import members_in
    from golf.sae.report import gather
    from golf.sae.tables import sections
    from golf.sae.write_report import write_report

    members = members_in(run)
    if members is not None:
        _report_grid(run, members, bool(vs or students), json)
        return
    found = gather(run, students, vs or ())
    written = write_report(found)
    if json:
        tables = {title: {"columns": columns, "rows": rows} for title, _, (columns, rows) in sections(found)}
        print_json({"run": str(run), "written": [str(path) for path in written], "tables": tables})
        return
    for title, _, (columns, rows) in sections(found):
        print_table(title, columns, rows, right=[name for name in columns if name not in WORDS])
        print()
    print("\n".join(str(path) for path in written if path.parent == run))
    talk(f"and {len([path for path in written if path.parent != run])} pictures in {run / 'plots'}")


def _report_grid(run: Path, members: list[str], more: bool, json: bool) -> None:
    from golf.sae.grid_report import gather_grid, grid_table
    from golf.sae.write_report import write_grid

    if more:
        raise GolfError("--vs and --students are of one run", f"name a member: `golf sae report {run / members[0]}`")
    points = gather_grid(run, members)
    written = write_grid(run, points)
    columns, rows = grid_table(points)
    if json:
        table = {"columns": columns, "rows": rows}
        print_json(
            {"run": str(run), "written": [str(path) for path in written], "tables": {"Dictionaries of a grid": table}}
        )
        return
    print_table("Dictionaries of a grid", columns, rows, right=[name for name in columns if name not in WORDS])
    print()
    print("\n".join(str(path) for path in written if path.parent == run))
    talk(f"and {len([path for path in written if path.parent != run])} pictures in {run / 'plots'}")


def tasks(
    source: Annotated[str, typer.Argument(help="The model: `golf:PATH`, a submission's name, `hf:NAME`, `glassllm`.")],
    names: Annotated[str, typer.Option("--tasks", help="Of hellaswag, lambada, text_ppl (pile_ppl), ce_bench.")] = "",
    data_dir: Annotated[Path, typer.Option("--data-dir", help="Folder with the tasks' JSON lines.")] = Path(
        "data/tasks"
    ),
    limit: Annotated[int | None, typer.Option(help="Only the first rows of each.")] = None,
    dictionaries: Annotated[
        Path | None,
        typer.Option(help="A run of dictionaries, whose CE-Bench is scored too (default: those inside the model)."),
    ] = None,
    baseline: Annotated[str, typer.Option(help="Of CE-Bench: other-subjects, all or official-v1.")] = "other-subjects",
    json: Json = False,
    md: Markdown = False,
) -> None:
    """Score a model on local files: HellaSwag (acc, acc_norm), LAMBADA (acc, perplexity), perplexity and BPB of a text, CE-Bench.

    $ golf sae tasks golf:submissions/mine --tasks hellaswag,lambada,ce_bench
    """
    from golf.downstream.api import measured_rows
    from golf.sae.ce_bench import known_baseline
    from golf.sae.model_tasks import run

    found = run(source, names, data_dir, limit, dictionaries, known_baseline(baseline))
    if json:
        print_json({"source": source, "tasks": found})
    else:
        print_table(source, ("task", "metric", "value"), measured_rows(found), right=["value"], md=md)


def probe(
    run: Annotated[Path, typer.Argument(help="A run's folder of dictionaries.")],
    data: Annotated[
        Path | None, typer.Option(help="Labelled text as JSON lines with text and label, for sparse probing and TPP.")
    ] = None,
    tokens: Annotated[str, typer.Option(help="Held-out tokens whose words' first letters are probed.")] = "32K",
    layers: Annotated[str | None, typer.Option(help="Only these layers, e.g. 0,3,6 or 3-8.")] = None,
    source: Annotated[str | None, typer.Option(help="The model, where the run does not say.")] = None,
    json: Json = False,
    md: Markdown = False,
) -> None:
    """Sparse probing, targeted probe perturbation (TPP) and absorption of first letters, on local text alone.

    $ golf sae probe sae_runs/mine --data labels.jsonl
    """
    from golf.sae.evaluate import wishes_of
    from golf.sae.probing import PROBE_COLUMNS, probe_cells, probe_run

    wishes = wishes_of(tokens, "0", layers, source, None, None, None, "other-subjects", None)
    found = probe_run(run, data, wishes, talk)
    if json:
        print_json({"run": str(run), "layers": [{"layer": layer, **one} for layer, one in found.items()]})
        return
    rows = probe_cells(found)
    print_table(None, PROBE_COLUMNS, rows, right=PROBE_COLUMNS, md=md)
    talk("stream, features, dimension, seen: balanced accuracy of probes; TPP: what a class's own probe loses, less the others'; "
         "silent, absorbed: of first letters that the stream's probe sees")  # fmt: skip


def scaling(
    points: Annotated[Path, typer.Argument(help="CSV with columns parameters, tokens, loss (nats per token).")],
    parameters: Annotated[
        float | None, typer.Option(help="Predict the loss of a model of this size, e.g. 1.3e9 …")
    ] = None,
    tokens: Annotated[float | None, typer.Option(help="… after so many tokens, e.g. 3e9.")] = None,
    json: Json = False,
) -> None:
    """Fit loss = E + A·N^−α + B·D^−β to finished trainings, and predict another.

    $ golf sae scaling runs.csv --parameters 1.3e9 --tokens 3e9
    """
    from golf.sae.scaling import fit_file

    fit = fit_file(points)
    predicted = fit.at(parameters, tokens) if parameters and tokens else None
    if json:
        print_json({"points": str(points), **vars(fit), "predicted": predicted})
        return
    print(f"loss = {fit.floor:.4f} + {fit.a:.4g} · N^−{fit.alpha:.3f} + {fit.b:.4g} · D^−{fit.beta:.3f}")
    print(
        f"rmse {fit.rmse:.4f} over {fit.points} points"
        + (" (no more points than free values)" if fit.points <= 5 else "")
    )
    if predicted is not None:
        print(f"predicted {predicted:.4f} nats at {parameters:g} parameters and {tokens:g} tokens")
