"""`golf package`: the artifact of every seed, weighed from disk and scored alone."""

from pathlib import Path
from typing import Annotated

import typer

from golf.cli.output import print_json, print_table, talk
from golf.errors import Exit, GolfError


def package(
    words: Annotated[
        list[str] | None, typer.Argument(help="Submission (default: the current folder's), key=value …")
    ] = None,
    pack: Annotated[bool, typer.Option("--pack", help="Ship the packed script even if the readable one fits.")] = False,
    bits: Annotated[int | None, typer.Option(help="Export anew with these bits for the matrices, 4 to 8.")] = None,
    coder: Annotated[
        str | None, typer.Option(help="Export anew: zlib, zstd, lzma, brotli, bitpack, rans or ransctx.")
    ] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="The small twin's runs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Weigh only; evaluate and write nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Score once more what was scored before.")] = False,
    nproc: Annotated[int | None, typer.Option(help="Processes: 1, 2, 4, 8; default: every GPU, or 1.")] = None,
    data_path: Annotated[Path | None, typer.Option(help="Folder of fineweb_*.bin shards.")] = None,
    tokenizer_path: Annotated[Path | None, typer.Option(help="SentencePiece .model file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    md: Annotated[bool, typer.Option("--md", help="The tables as Markdown.")] = False,
) -> None:
    """Weigh every seed's artifact from disk, score it alone in an empty folder, write what ships with a manifest.

    $ golf package mine

    With key=value the kept checkpoints are exported and evaluated anew, e.g. `golf package mine quantizer=gptq`.
    Exit codes: 3 over the cap, 1 a log's score is not its artifact's.
    """
    from golf.artifact.api import package_submission
    from golf.artifact.ledger import COLUMNS, remarks_of, rows_of
    from golf.artifact.manifest import to_json
    from golf.artifact.show import ALONE_COLUMNS, alone_remarks, alone_rows
    from golf.run.plan import Wishes

    names, changes = [w for w in words or [] if "=" not in w], [w for w in words or [] if "=" in w]
    changes += [f"bits={bits}"] if bits is not None else []
    changes += [f"coder={coder}"] if coder is not None else []
    if len(names) > 1:
        raise GolfError(f"one submission at a time, not {', '.join(names)}", "`golf package NAME key=value …`")
    wishes = Wishes(smoke=smoke, nproc=nproc, data_path=data_path, tokenizer_path=tokenizer_path)
    try:
        plan, made = package_submission(
            names[0] if names else None, wishes, changes, pack=pack, write=not dry_run, again=again
        )
    except KeyboardInterrupt:
        talk("stopped; nothing was packaged")
        raise typer.Exit(130) from None
    if json:
        print_json(to_json(plan, made))
    else:
        print_table(None, COLUMNS, rows_of(made.ledger), right=COLUMNS, md=md)
        if made.comparisons:
            print()
            print_table(None, ALONE_COLUMNS, alone_rows(made), right=ALONE_COLUMNS[:-1], md=md)
    for remark in [*remarks_of(made.ledger), *alone_remarks(made)]:
        talk(remark)
    if made.exit_code != Exit.OK:
        raise typer.Exit(made.exit_code)
