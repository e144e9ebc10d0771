"""`golf clean`: what golf keeps on disk, and what may go."""

from typing import Annotated

import typer

from golf.cli.output import print_json, print_table, talk


def clean(
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help="Also checkpoints of finished runs.")] = False,
    runs: Annotated[bool, typer.Option("--runs", help="Also every run with its log, artifact and row.")] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Also the demo's project.")] = False,
    cache: Annotated[bool, typer.Option("--cache", help="Also the cache: corpora, tokenizers, shards.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; remove nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show what golf keeps on disk and remove leftovers; logs of finished seeds stay unless `--runs` is given.

    $ golf clean --dry-run
    """
    from golf.project import find_root
    from golf.run.clean import KINDS, remove, survey

    named = {"leftovers": True, "checkpoints": checkpoints, "runs": runs, "demo": demo, "cache": cache}
    heaps = survey(find_root())
    going = [heap for heap in heaps if named[heap.kind]]
    if json:
        print_json({"dry_run": dry_run, "kinds": [{"kind": h.kind, "bytes": h.bytes, "goes": named[h.kind],
                    "option": KINDS[h.kind][0], "paths": [str(p) for p in h.paths]} for h in heaps]})  # fmt: skip
    else:
        rows = [[h.kind, f"{h.bytes / 1e6:,.1f}", "goes" if named[h.kind] else f"with {KINDS[h.kind][0]}", KINDS[h.kind][1]]
                for h in heaps]  # fmt: skip
        print_table(None, ("kind", "MB", "now", "what"), rows, right=("MB",))
    if not dry_run:
        talk(f"freed {remove(find_root(), going) / 1e6:,.1f} MB")
