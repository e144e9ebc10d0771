"""`golf sae`: dictionaries on the streams of a model: train, measure, report, export."""

from pathlib import Path
from typing import Annotated

import typer

from golf.cli.output import print_json, print_table, talk
from golf.cli.sae_card import card, ckpt, floor
from golf.cli.sae_report import eval_, probe, report, scaling, tasks
from golf.errors import GolfError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Sparse dictionaries on every layer of a model: train, measure, report, export.",
)


@app.command()
def train(
    name: Annotated[
        str | None, typer.Argument(help="Name of the run (default: from the model); sae_runs/NAME.")
    ] = None,
    submission: Annotated[
        str | None,
        typer.Option(help="A submission, a run's folder, float.golf or model.golf (default: the current folder's)."),
    ] = None,
    hf: Annotated[
        str | None, typer.Option(help="A Hugging Face causal LM: folder, or owner/name in the cache.")
    ] = None,
    glassllm: Annotated[
        bool, typer.Option("--glassllm", help="The small English model of the glassllm package.")
    ] = False,
    layers: Annotated[
        str | None, typer.Option(help="all (default), 0,6,12 or 3-8; a layer is one run of a block.")
    ] = None,
    tokens: Annotated[
        str | None, typer.Option("--tokens", "--num_tokens", help="Of the whole run, as 300M; default 2M.")
    ] = None,
    place: Annotated[
        str | None,
        typer.Option(help="resid (default), attn_out, mlp_in, mlp_out, mlp_hidden, or transcoder: mlp_in to mlp_out."),
    ] = None,
    expansion: Annotated[str | None, typer.Option(help="Features per dimension of what is read; default 8.")] = None,
    arch: Annotated[
        str | None, typer.Option(help="relu (default), jumprelu, gated; topk, batchtopk, matryoshka.")
    ] = None,
    k: Annotated[str | None, typer.Option(help="Active features of topk, batchtopk, matryoshka; default 32.")] = None,
    groups: Annotated[
        int | None, typer.Option(help="Nested dictionaries of matryoshka, each twice the one before; default 5.")
    ] = None,
    target_l0: Annotated[
        str | None,
        typer.Option(help="Move the penalty until so many features are active; relu, jumprelu, gated: default 32."),
    ] = None,
    l1: Annotated[
        str | None,
        typer.Option("--l1", "--l1_coeff", help="A fixed penalty instead; the published runs have 3e-4."),
    ] = None,
    l1_form: Annotated[
        str | None, typer.Option(help="Its units: sum (default), mean over features, saelens (error summed over d).")
    ] = None,
    l1_warmup: Annotated[
        str | None, typer.Option(help="Tokens over which the penalty grows from 0; default 0.")
    ] = None,
    l1_init: Annotated[
        float | None, typer.Option(help="Where the moving penalty starts; default 5e-3, of gated 2 / width.")
    ] = None,
    adaptive_rule: Annotated[str | None, typer.Option(help="How it moves: golf (default) or saeco.")] = None,
    lr: Annotated[float | None, typer.Option(help="Of Adam; default 3e-4 at 32,768 features, and 1/√features.")] = None,
    lr_warmup: Annotated[str | None, typer.Option(help="Tokens over which the rate grows; default 0.")] = None,
    lr_decay_frac: Annotated[
        float | None, typer.Option(help="Share of the run in which it falls to 0; default 0.2.")
    ] = None,
    batch_tokens: Annotated[str | None, typer.Option(help="Of one step; default 1024.")] = None,
    buffer_tokens: Annotated[
        str | None, typer.Option(help="Of the mixing buffer, held for every layer; default 32768.")
    ] = None,
    init: Annotated[
        str | None, typer.Option(help="Encoder at the start: tied to the decoder (default), or independent.")
    ] = None,
    decoder: Annotated[
        str | None, typer.Option(help="Columns while training: unit norm, or free (relu's default).")
    ] = None,
    norm: Annotated[
        str | None,
        typer.Option(help="sqrt_d (default): train on activations of mean norm √d, undone in the files; or none."),
    ] = None,
    aux: Annotated[float | None, typer.Option(help="Weight of dead features' share where k is set; default 1.")] = None,
    revive: Annotated[
        bool | None,
        typer.Option("--revive/--no-revive", help="Dead features start again where a penalty is; default yes."),
    ] = None,
    rescale: Annotated[
        bool | None,
        typer.Option(
            "--rescale/--no-rescale",
            help="Give back in the files what relu's penalty takes from the codes; default yes.",
        ),
    ] = None,
    dead_tokens: Annotated[
        str | None,
        typer.Option(
            help="A feature is dead after so many silent tokens; default 10M, at most a twentieth of the run."
        ),
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="fp32, bf16, or auto (default): bf16 on a GPU.")] = None,
    snapshots: Annotated[
        str | None, typer.Option(help="How many in all (default 6), or where: 50M,100M,final.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Shards, .txt, .jsonl, .parquet or hub:owner/name (default: the model's data, else embedded)."
        ),
    ] = None,
    seq_len: Annotated[int | None, typer.Option(help="Tokens of a window; default the model's own.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, windows and batches; default 1337.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda (default: a GPU where there is one).")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run instead of sae_runs/NAME.")] = None,
    save_seconds: Annotated[float, typer.Option(help="Between two saves that a killed run goes on from.")] = 300.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped or killed, with its own choices.")
    ] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let an --hf folder run code of its own.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what would be trained, with memory, disk and the time that it will take here."
        ),
    ] = False,
    phase: Annotated[
        str, typer.Option(hidden=True, help="The published script's word; `train` is what this is.")
    ] = "train",
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Train a dictionary on every layer, all from the same forwards; Ctrl-C saves, --resume goes on to the same weights.

    $ golf sae train --submission mine --tokens 5M

    Several values of --place, --arch, --expansion, --k, --target-l0 or --l1 make a grid, every member on the same activations:

    $ golf sae train --submission mine --arch topk --k 8,16 --expansion 8,16

    $ golf sae train --submission mine --place resid,mlp_out,transcoder

    As published for Pythia:

    \b
    $ golf sae train --hf EleutherAI/pythia-410m --expansion 32 --l1 3e-4 \\
        --norm none --init independent --decoder unit --no-revive \\
        --no-rescale --lr-decay-frac 0 --tokens 300M \\
        --batch-tokens 32768 --buffer-tokens 262144 \\
        --snapshots 50M,100M,150M,200M,250M,final
    """
    from golf.models.specs import spec_of

    if phase != "train":
        raise GolfError(f"`golf sae train` has no phase `{phase}`",
                        "measuring is `golf sae eval RUN`, plots are `golf sae report RUN`")  # fmt: skip
    spec = spec_of(submission, hf, glassllm, others=resume and (name or out) is not None)
    from golf.sae.api import run_training
    from golf.sae.grid import values_of
    from golf.sae.settings import count_of

    def count(text: str | None) -> int | None:
        return None if text is None else count_of(text)

    def one_or_more(axis: str, text: str | None) -> object:
        values = [None] if text is None else values_of(axis, text)
        return values if len(values) > 1 else values[0]

    axes = {"place": place, "arch": arch, "expansion": expansion, "k": k, "target_l0": target_l0, "l1": l1}
    choices = {
        **{axis: one_or_more(axis, text) for axis, text in axes.items()}, "tokens": count(tokens), "groups": groups,
        "l1_form": l1_form, "l1_warmup": count(l1_warmup), "l1_init": l1_init, "adaptive_rule": adaptive_rule, "lr": lr,
        "lr_warmup": count(lr_warmup), "lr_decay_frac": lr_decay_frac, "batch_tokens": count(batch_tokens),
        "buffer_tokens": count(buffer_tokens), "norm": norm, "init": init, "decoder": decoder, "revive": revive, "rescale": rescale, "aux": aux, "dead_tokens": count(dead_tokens), "dtype": dtype,
        "snapshots": snapshots, "seq_len": seq_len, "seed": seed,
    }  # fmt: skip
    made = run_training(
        spec, name, choices, layers=layers, data=data, out=out, device=device,
        resume=resume, dry_run=dry_run, save_seconds=save_seconds, trust=trust_remote_code, tell=talk,
    )  # fmt: skip
    if made is None:
        return
    if json:
        print_json(vars(made))
    else:
        print(made.folder)
    if not made.finished:
        talk(f"stopped after {made.tokens:,} tokens; go on with `--resume`")
        raise typer.Exit(130)


@app.command()
def export(
    place: Annotated[Path, typer.Argument(help="A run's folder, or one dictionary of any layout that golf reads.")],
    to: Annotated[str, typer.Option(help="saelens, dictionary_learning, sparsify or golf.")] = "saelens",
    out: Annotated[Path | None, typer.Option(help="Folder to write (default: export/LAYOUT in the run's).")] = None,
    snapshot: Annotated[str, typer.Option(help="Which snapshot of a run.")] = "final",
) -> None:
    """Write dictionaries in the layout of another library, or another library's in golf's.

    $ golf sae export sae_runs/mine --to saelens
    """
    from golf.sae.export import export as write

    for path in write(place, to, out, snapshot):
        print(path)


@app.command()
def info(
    place: Annotated[
        Path | None, typer.Argument(help="A run's folder, or one dictionary of any layout that golf reads.")
    ] = None,
    snapshot: Annotated[str | None, typer.Option(help="Only this snapshot of a run.")] = None,
    dim: Annotated[int | None, typer.Option(help="Width of a model with a built-in parity dictionary …")] = None,
    levels: Annotated[str | None, typer.Option(help="… and its levels, as 9,16,0;13,32,256.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    md: Annotated[bool, typer.Option("--md", help="A Markdown table.")] = False,
) -> None:
    """What dictionaries say of themselves; or what a parity dictionary of some levels is, before anything is trained.

    $ golf sae info --dim 512 --levels "9,16,0;13,32,256"
    """
    if dim is not None and levels is not None:
        from golf.sae.cayley import describe

        facts = describe(dim, levels)
        rows = facts["levels"]
    elif place is not None:
        from golf.sae.api import info_rows

        rows = info_rows(place, snapshot)
        facts = {"place": str(place), "dictionaries": rows}
    else:
        raise GolfError("nothing is named", "name a folder or file, or both --dim and --levels")
    if json:
        print_json(facts)
        return
    print_table(
        None, list(rows[0]), [[_shown(value) for value in row.values()] for row in rows], right=list(rows[0]), md=md
    )
    if "levels" in facts:
        print("\n".join(f"{key}: {_shown(value)}" for key, value in facts.items() if key != "levels"))


def _shown(value: object) -> str:
    if value is None:
        return "—"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


app.command(name="eval")(eval_)
app.command()(floor)
app.command()(card)
app.command()(ckpt)
app.command()(report)
app.command()(tasks)
app.command()(probe)
app.command()(scaling)
