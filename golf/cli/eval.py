"""`golf eval`: the score of an artifact, from its own files alone."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from golf.cli.output import print_json, talk


def eval_(
    folder: Annotated[Path, typer.Argument(help="Folder with train_gpt.py and model.golf.")],
    mode: Annotated[str, typer.Option(help="How to evaluate; so far: shipped, as the script itself does.")] = "shipped",
    nproc: Annotated[int | None, typer.Option(help="Processes: 1, 2, 4, 8; default: every GPU, or 1.")] = None,
    data_path: Annotated[Path | None, typer.Option(help="Folder of fineweb_*.bin shards.")] = None,
    tokenizer_path: Annotated[Path | None, typer.Option(help="SentencePiece .model file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Score an artifact in an empty folder by a fresh process, with nothing but its script, its model and the data.

    $ golf eval submissions/mine/runs/1a2b3c4d5e6f/package
    """
    from golf.artifact.api import evaluate_folder
    from golf.run.plan import Wishes

    wishes = Wishes(nproc=nproc, data_path=data_path, tokenizer_path=tokenizer_path)
    try:
        score = evaluate_folder(folder, wishes, mode=mode)
    except KeyboardInterrupt:
        talk("stopped")
        raise typer.Exit(130) from None
    if json:
        print_json({"folder": str(folder), "mode": mode, **asdict(score)})
    else:
        print(f"val_bpb {score.val_bpb:.8f}  val_loss {score.val_loss:.8f}  {score.seconds:.1f} s")
