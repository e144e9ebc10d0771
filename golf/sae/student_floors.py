"""`golf sae floor`: the predicted loss floors of a run's layers, beside truncation and beside students that were trained."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError
from golf.files import json_text, parse_json, write_atomically
from golf.models.open import open_source
from golf.sae.evaluate import run_config, same_model
from golf.sae.floors import calibrate, student_widths
from golf.sae.measured import read_measurements
from golf.sae.shape import NUMBER, Maybe, misfit
from golf.sae.streams import held_out
from golf.sae.student import FORMAT, STUDENTS_NAME, UNFINISHED_NAME, Distillation, distil
from golf.sae.text import EMBEDDED, held_out_text

_STUDENT = {"d_S": int, "parameters?": int, "nats": NUMBER, "fell": Maybe(NUMBER)}
_SHAPE = {"format": str, "steps": int, "evaluated_tokens": int, "students": [_STUDENT]}
FLOOR_COLUMNS = ("layer", "width", "F_S", "floor", "floor %", "truncated, nats", "student, nats", "fell, last half")


def train_students(
    folder: Path,
    choices: Distillation,
    widths: Sequence[int] | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Distil students of the model of a measured run on the run's own text, and keep them in its `students.json`.

    widths: default those that floors are predicted for. They belong to the whole model: each layer's floors are held against the same.
    Those that are ready are kept in `students_unfinished.json` until all are: a training that was killed goes on with the next width.
    GolfError (10): not the run's model any more; a width that is not positive.
    """
    measured = read_measurements(folder)
    if widths and min(widths) < 1:
        raise GolfError(f"a student of width {min(widths)}", "widths are at least 1")
    config = run_config(folder)
    first = next(iter(measured.values()))
    source = open_source(str(config.get("source", {}).get("spec") or first["source"]["spec"]))
    same_model(source, config)
    name = config.get("data", {}).get("name", EMBEDDED)
    text = held_out(
        source, first["held_out"]["tokens"], held_out_text(folder, config, None, tell), first["held_out"]["seq_len"]
    )
    tokens = source.tokens("train", None if name in (EMBEDDED, "embedded") else Path(name), choices.tokens)
    passes = choices.steps * choices.batch_tokens / len(tokens)
    tell(
        f"{choices.steps:,} steps of {choices.batch_tokens:,} tokens for each width"
        + (f", {passes:.1f} passes" if passes > 1 else "")
    )
    unfinished = folder / UNFINISHED_NAME
    made = distil(
        source, tokens, widths or student_widths(source.model_dim), text, choices, tell,
        before=_read(unfinished), keep=lambda so_far: _write(unfinished, so_far),
    )  # fmt: skip
    _write(folder / STUDENTS_NAME, made)
    unfinished.unlink()
    return made


def _write(path: Path, made: Mapping[str, Any]) -> None:
    write_atomically(path, (json_text(made, 1) + "\n").encode())


def read_students(folder: Path) -> dict[str, Any] | None:
    """What `train_students` kept in a run's folder; None where no students were trained. GolfError for a damaged file."""
    return _read(folder / STUDENTS_NAME)


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found = parse_json(path.read_text())
        if wrong := misfit(found, _SHAPE):
            raise ValueError(wrong)
        if found["format"] != FORMAT or not all(row["d_S"] > 0 and row["nats"] >= 0 for row in found["students"]):
            raise ValueError("another format")
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise GolfError(
            f"{path} is damaged: {fault!r}",
            "delete it, and train them again: `golf sae floor --train-students`",
            Exit.REFUSED,
        ) from None
    return dict(found)


def student_points(
    measured: Mapping[int, Mapping[str, Any]], students: Mapping[str, Any] | None
) -> dict[int, dict[int, float]]:
    """{layer: {width: nats}}: the whole model's students beside every layer, as the published figures do."""
    rows = {int(row["d_S"]): float(row["nats"]) for row in (students or {}).get("students", ())}
    return {layer: dict(rows) for layer in measured} if rows else {}


def floor_rows(measured: Mapping[int, Mapping[str, Any]], students: Mapping[str, Any] | None) -> list[tuple[Any, ...]]:
    """Rows by FLOOR_COLUMNS with None where nothing was measured; the last cell: how much a student fell over its last half."""
    trained = {int(row["d_S"]): row for row in (students or {}).get("students", ())}
    rows = []
    for layer, report in measured.items():
        cut = {row["d_S"]: row["lost_nats"] for row in report.get("truncations") or ()}
        predicted = {row["d_S"]: row for row in report.get("predictions", {}).values()}
        for width in sorted({*predicted, *trained}):
            one, student = predicted.get(width), trained.get(width)
            known = (one["features_kept"], one["predicted_floor"], one["pct"]) if one else (None, None, None)
            rows.append((layer, width, *known, cut.get(width), student and student["nats"],
                         student and student["fell"]))  # fmt: skip
    return rows


def floor_fits(measured: Mapping[int, Mapping[str, Any]], students: Mapping[str, Any] | None) -> dict[int, Any]:
    """{layer: the fit measured = C · floor + B over the widths}, with None for fewer than two different floors."""
    points = student_points(measured, students)
    fits = {}
    for layer, by_width in points.items():
        predicted = {row["d_S"]: row["predicted_floor"] for row in measured[layer].get("predictions", {}).values()}
        shared = sorted(by_width.keys() & predicted.keys())
        fits[layer] = calibrate([predicted[width] for width in shared], [by_width[width] for width in shared])
    return fits
