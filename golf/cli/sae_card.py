"""`golf sae floor` and `card`: loss floors beside students that were trained, and what is uploaded of dictionaries and models."""

from pathlib import Path
from typing import Annotated

import typer

from golf.cli.output import print_json, print_table, talk
from golf.errors import GolfError


def floor(
    run: Annotated[Path, typer.Argument(help="A folder that `golf sae eval` measured.")],
    train_students: Annotated[
        bool,
        typer.Option(
            "--train-students",
            help="Distil a student of each width from the run's model, by KL; kept in students.json.",
        ),
    ] = False,
    widths: Annotated[
        str | None, typer.Option(help="Of the students, as 16,32,64; default those of the predicted floors.")
    ] = None,
    tokens: Annotated[str, typer.Option(help="That each student is trained on.")] = "1M",
    batch_tokens: Annotated[str, typer.Option(help="Of one step.")] = "4096",
    lr: Annotated[float, typer.Option(help="Of AdamW; the published students have 3e-4 over 30,000 steps.")] = 1e-3,
    seed: Annotated[int, typer.Option(help="Of the students' weights and windows.")] = 1337,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    md: Annotated[bool, typer.Option("--md", help="Print a Markdown table.")] = False,
) -> None:
    """Predicted loss floors of narrower students beside truncation, and beside students that are really trained.

    $ golf sae floor sae_runs/mine --train-students --tokens 1M
    """
    from golf.sae import student_floors as floors
    from golf.sae.measured import cell, read_measurements
    from golf.sae.settings import count_of

    if train_students:
        from golf.sae.student import Distillation

        try:
            chosen = [int(width) for width in widths.split(",")] if widths else None
        except ValueError:
            raise GolfError(f"`{widths}` names no widths", "write `--widths 16,32,64`") from None
        choices = Distillation(count_of(tokens), count_of(batch_tokens), lr, seed=seed)
        floors.train_students(run, choices, chosen, talk)
    elif widths:
        raise GolfError("--widths are of students", "add `--train-students`")
    measured, students = read_measurements(run), floors.read_students(run)
    rows, fits = floors.floor_rows(measured, students), floors.floor_fits(measured, students)
    if json:
        names = (
            "layer",
            "d_S",
            "features_kept",
            "predicted_floor",
            "pct",
            "truncated_nats",
            "student_nats",
            "student_fell",
        )
        print_json({
            "run": str(run), "floors": [dict(zip(names, row, strict=True)) for row in rows],
            "fits": {str(layer): fit and vars(fit) for layer, fit in fits.items()}, "students": students,
        })  # fmt: skip
        return
    forms = (",d", ",d", ",d", ".4g", ".3g", "+.4f", ".4f", ".0%")
    cells = [[cell(value, form) for value, form in zip(row, forms, strict=True)] for row in rows]
    print_table(None, floors.FLOOR_COLUMNS, cells, right=floors.FLOOR_COLUMNS, md=md)
    for layer, fit in fits.items():
        r2 = "–" if fit is None or fit.r2 is None else f"{fit.r2:.3f}"
        talk(f"layer {layer}: too few widths for a fit" if fit is None else
             f"layer {layer}: student = {fit.slope:.3g} · floor + {fit.base:.3g} nats, R² {r2} over {fit.points} widths")  # fmt: skip
    if students:
        talk(f"students: {students['steps']:,} steps each; nats from the teacher on {students['evaluated_tokens']:,} held-out tokens; "
             "of the whole model, so every layer has the same; what is trained is an upper bound")  # fmt: skip


def card(
    place: Annotated[
        str,
        typer.Argument(
            help="A measured run of dictionaries; or a model: `golf:PATH`, `hf:NAME`, `glassllm`, a submission."
        ),
    ],
    vs: Annotated[
        list[str] | None, typer.Option("--vs", help="Of a model: another beside it; may be repeated.")
    ] = None,
    tasks: Annotated[str, typer.Option(help="Of a model; default those whose files are in --data-dir.")] = "",
    data_dir: Annotated[Path, typer.Option("--data-dir", help="Folder with the tasks' JSON lines.")] = Path(
        "data/tasks"
    ),
    dictionaries: Annotated[
        Path | None, typer.Option(help="Of a model: its run of dictionaries, for CE-Bench.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first rows of each task.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write (default: RUN/upload, or cards/MODEL).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """A folder to upload: of dictionaries with their card; of a model a card with the comparison table of several.

    $ golf sae card sae_runs/mine

    $ golf sae card golf:submissions/big --vs golf:submissions/plain
    """
    from golf.sae.files import named_files

    folder = Path(place)
    if folder.is_dir() and named_files(folder):
        if vs or tasks or dictionaries or limit is not None:
            raise GolfError(f"{place} is a run of dictionaries: --vs, --tasks, --dictionaries and --limit are of a model",
                            "dictionaries side by side: `golf sae report RUN --vs OTHER`")  # fmt: skip
        from golf.sae.upload import upload_folder

        written = upload_folder(folder, out)
        if json:
            print_json({"place": place, "written": [str(path) for path in written]})
        else:
            print(written[0].parent)
            talk(
                f"{len(written)} files, with README.md; name a licence in it, then `hf upload OWNER/NAME {written[0].parent}`"
            )
        return
    from golf.sae.model_card import COLUMNS, compare, write_model_card

    found = compare([place, *(vs or ())], tasks, data_dir, limit, dictionaries, talk)
    written = write_model_card(found, out or Path("cards") / found[0].name)
    if json:
        print_json({"place": place, "written": [str(path) for path in written],
                    "columns": list(COLUMNS), "rows": [one.row() for one in found]})  # fmt: skip
        return
    print_table(None, COLUMNS, [one.row() for one in found], right=COLUMNS[1:])
    print("\n".join(str(path) for path in written))


def ckpt(
    place: Annotated[Path, typer.Argument(help="A seed's folder or one of its states; or a ckpt.pt, to be read.")],
    out: Annotated[Path, typer.Option(help="File to write: .pt, or of a ckpt.pt golf's resume.golf.")],
    state: Annotated[str, typer.Option(help="Of a folder: best, last, or resume while it trains.")] = "best",
) -> None:
    """A training's state (weights, optimizers, step, best loss) as one torch file, and back.

    $ golf sae ckpt SEED_FOLDER --out ckpt.pt

    $ golf sae ckpt ckpt.pt --out seed_1337/resume.golf
    """
    from golf.sae.card_checkpoint import read_checkpoint, write_checkpoint

    if place.suffix == ".pt":
        print(read_checkpoint(place, out))
    else:
        print(write_checkpoint(place, out, f"{state}.golf"))
