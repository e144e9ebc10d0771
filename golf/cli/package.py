"""`golf package`: the artifact of every seed, weighed from disk and scored alone."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from golf.challenge import CAP_BYTES
from golf.cli.output import print_json, print_table, talk
from golf.errors import Exit, GolfError


def package(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME] [KEY=VALUE]...", help="The submission, the folder's without it; values to export with."
        ),
    ] = None,
    pack: Annotated[bool, typer.Option("--pack", help="Ship the packed script even if the readable one fits.")] = False,
    bits: Annotated[int | None, typer.Option(help="Export anew with these bits for the matrices, 4 to 8.")] = None,
    coder: Annotated[
        str | None, typer.Option(help="Export anew: zlib, zstd, lzma, brotli, bitpack, rans or ransctx.")
    ] = None,
    fit: Annotated[
        bool,
        typer.Option("--fit", help="Find the settings that fill the bytes at the least loss, then export with them."),
    ] = False,
    target_bytes: Annotated[
        int | None, typer.Option(min=1, help=f"With --fit: for script and model; default {CAP_BYTES:,}.")
    ] = None,
    margin_bytes: Annotated[
        int | None,
        typer.Option(min=0, help="With --fit: to leave for seeds to come; default: 2 sd of the kept seeds' models."),
    ] = None,
    keep_public: Annotated[
        bool,
        typer.Option("--keep-public", help="With --fit: only what the recipe's own reader reads: steps and pruning."),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="With --fit: bytes against loss, predicted and measured, as .svg or .png.", show_default=False
        ),
    ] = None,
    ledger: Annotated[
        bool,
        typer.Option("--ledger", help="Every file under the three readings, and every tensor of the largest seed."),
    ] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="The small twin's runs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Weigh only; evaluate and write nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Score once more what was scored before.")] = False,
    nproc: Annotated[
        int | None, typer.Option(help="Processes: 1, 2, 4, 8; default: every GPU; a twin 2 on a CPU.")
    ] = None,
    data_path: Annotated[Path | None, typer.Option(help="Folder of fineweb_*.bin shards.")] = None,
    tokenizer_path: Annotated[Path | None, typer.Option(help="SentencePiece .model file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    md: Annotated[bool, typer.Option("--md", help="The tables as Markdown.")] = False,
) -> None:
    """Weigh every seed's artifact from disk, score it alone in an empty folder, write what ships with a manifest.

    $ golf package mine

    With key=value the kept checkpoints are exported and evaluated anew:

    $ golf package mine quantizer=gptq

    With --fit golf chooses the values itself.

    Exit codes: 3 over the cap, 1 a log's score is not its artifact's.
    """
    from golf.artifact.api import fit_submission, package_submission
    from golf.artifact.fit_plot import refuse_name, save_picture
    from golf.artifact.fitted import Wish
    from golf.artifact.full_ledger import full_ledger
    from golf.artifact.show import all_remarks, tables_of, to_json
    from golf.cli.pages.live import view_for_terminal
    from golf.run.plan import Wishes

    names, changes = [w for w in words or [] if "=" not in w], [w for w in words or [] if "=" in w]
    changes += [f"bits={bits}"] if bits is not None else []
    changes += [f"coder={coder}"] if coder is not None else []
    of_fit = {"--target-bytes": target_bytes, "--margin-bytes": margin_bytes, "--keep-public": keep_public or None}
    given = [option for option, value in {**of_fit, "--plot": plot}.items() if value is not None]
    if given and not fit:
        raise GolfError(f"{given[0]} is for --fit, which chooses the values", f"`golf package NAME --fit {given[0]} …`")
    if plot is not None:
        refuse_name(plot)
    if len(names) > 1:
        raise GolfError(f"one submission at a time, not {', '.join(names)}", "`golf package NAME key=value …`")
    name, wishes = (
        names[0] if names else None,
        Wishes(None, nproc, smoke, data_path=data_path, tokenizer_path=tokenizer_path),
    )
    try:
        if fit:
            wish = Wish(target_bytes or CAP_BYTES, margin_bytes, keep_public=keep_public)
            plan, made = fit_submission(
                name, wishes, wish, changes, write=not dry_run, again=again, view=view_for_terminal()
            )
        else:
            plan, made = package_submission(
                name, wishes, changes, pack=pack, write=not dry_run, again=again, view=view_for_terminal()
            )
    except KeyboardInterrupt:
        talk("stopped; nothing was packaged")
        raise typer.Exit(130) from None
    if plot is not None and made.fitted is not None:
        save_picture(made.fitted.fit, plot)
        talk(f"drew {plot}")
    made = replace(made, full=full_ledger(plan, made)) if ledger else made
    if json:
        print_json(to_json(plan, made))
    else:
        for number, (columns, rows, right) in enumerate(tables_of(made)):
            print("\n" if number else "", end="")
            print_table(None, columns, rows, right=right, md=md)
    for remark in all_remarks(made):
        talk(remark)
    if made.exit_code != Exit.OK:
        raise typer.Exit(made.exit_code)
