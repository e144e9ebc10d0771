"""`golf eval`: the score of an artifact, from its own files alone."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from golf.cli.output import print_json, talk


def eval_(
    folder: Annotated[Path, typer.Argument(help="Folder with train_gpt.py and model.golf.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Other values of a mode's knobs, as `ttt_lr=0.002`."),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            help="shipped: as the script itself does. Else another evaluation of the same weights, composed as a sibling: "
            "plain, sliding, isolated, ttt, lora, phased, ngram, tilt, ttt+ngram, ttt+tilt; hash740 and backoff740 with "
            "`--allow R38`."
        ),
    ] = "shipped",
    stride: Annotated[int | None, typer.Option(help="Tokens between sliding windows, for a mode.")] = None,
    allow: Annotated[list[str] | None, typer.Option(help="Evaluate as this rule forbids, e.g. R38.")] = None,
    nproc: Annotated[
        int | None, typer.Option(help="Processes: 1, 2, 4, 8; default: every GPU; a twin 2 on a CPU.")
    ] = None,
    data_path: Annotated[Path | None, typer.Option(help="Folder of fineweb_*.bin shards.")] = None,
    tokenizer_path: Annotated[Path | None, typer.Option(help="SentencePiece .model file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Score an artifact in an empty folder by a fresh process, with nothing but its script, its model and the data.

    $ golf eval submissions/mine/runs/1a2b3c4d5e6f/package
    """
    from golf.artifact.api import evaluate_folder
    from golf.cli.pages.live import view_for_terminal
    from golf.run.plan import Wishes

    wishes = Wishes(nproc=nproc, data_path=data_path, tokenizer_path=tokenizer_path, allow=tuple(allow or ()))
    changes = [*(overrides or ()), *([] if stride is None else [f"eval_stride={stride}"])]
    try:
        score, ships = evaluate_folder(folder, wishes, mode=mode, overrides=changes, view=view_for_terminal())
    except KeyboardInterrupt:
        talk("stopped")
        raise typer.Exit(130) from None
    if json:
        print_json({"folder": str(folder), "mode": mode, "ships": ships, **asdict(score)})
    else:
        what = "" if ships else f"  ({mode}: a sibling, not what ships)"
        print(f"val_bpb {score.val_bpb:.8f}  val_loss {score.val_loss:.8f}  {score.seconds:.1f} s{what}")
