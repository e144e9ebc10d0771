"""What `golf size` prints: the code bytes, the techniques' share, and the predicted artifact against the cap."""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

from golf.artifact.predict import Prediction, predict, published_model_bytes
from golf.challenge import CAP_BYTES
from golf.cli.output import print_json, print_lines, print_table, talk
from golf.cli.pages.compose import recipe_of
from golf.cli.pages.imported import print_size
from golf.compose.kept import is_kept, kept
from golf.compose.size import Report, Weight, weigh
from golf.errors import GolfError
from golf.recipe import Recipe
from golf.record.imported import imported, refuse_imported

ROLE_COLUMNS = ("role", "weights", "bits/weight", "bytes predicted")


@dataclass(frozen=True)
class Request:
    """What was asked: a submission, another to compare with, rows per definition, what techniques add, the prediction, the form."""

    name: str | None
    versus: str | None
    definitions: bool
    techniques: bool
    artifact: bool
    json: bool
    md: bool


def run(request: Request) -> None:
    """Weigh and print; of an imported submission what its own script and results say."""
    if request.versus is None and (adopted := imported(request.name)) is not None:
        print_size(adopted, json=request.json, md=request.md)
        return
    if request.versus:
        refuse_imported(request.versus, "the composition")
    recipe, every = recipe_of(request.name), request.definitions or request.json
    predicted = _predicting(recipe) if request.artifact else None
    report = weigh(recipe, pieces_too=every, marginal=request.techniques)
    other = weigh(recipe_of(request.versus), pieces_too=every) if request.versus else None
    prediction, fault = predicted() if predicted else (None, "")
    if fault:
        talk(f"no prediction of the artifact: {fault}")
    if request.json:
        print_json(_facts(report, other, prediction))
        return
    _print_pieces(report, other, request)
    if report.techniques:
        rows = [[m.technique, _signed(m.packed_bytes), _signed(m.readable_bytes), m.why] for m in report.techniques]
        print()
        print_table(None, ("technique", "packed", "readable", ""), rows, right=("packed", "readable"), md=request.md)
    if prediction is not None and prediction.roles:
        rows = [[role, f"{n:,}", f"{bits:.3f}", f"{size:,}"] for role, (n, bits, size) in prediction.roles.items()]
        print()
        print_table(None, ROLE_COLUMNS, rows, right=ROLE_COLUMNS[1:], md=request.md)
    print_lines([*_verdict(report, prediction), *_beside_published(recipe, prediction)])


def show_memory(name: str | None, *, json: bool, md: bool) -> None:
    """Predict the peak memory of a rank and print its parts; see `golf.preflight.memory` for what it was compared with."""
    from golf.compose.composition import composition
    from golf.preflight.memory import COMPILED_SHARE, predict_memory

    recipe = recipe_of(name)
    composition(recipe)  # what cannot run needs no memory
    found = predict_memory(recipe)
    least, most = (share * found.peak_bytes for share in COMPILED_SHARE)
    if json:
        print_json({"memory": asdict(found), "compiled_bytes": [round(least), round(most)], "predicted": True})
        return
    parts = ("parameters", "averages", "optimizer", "gradients", "activations", "logits", "peak")
    sizes = {part: getattr(found, f"{part}_bytes") for part in parts}
    rows = [[part, f"{size / (1 << 20):,.0f}"] for part, size in sizes.items()]
    print_table(None, ("of a rank", "MiB predicted"), rows, right=("MiB predicted",), md=md)
    print(
        f"\n{found.sequences} sequences a micro-batch in bf16; the peak lies in {found.peak_in}; logits are part of the activations"
    )
    print(f"eager: about {found.peak_bytes / (1 << 20):,.0f} MiB; compiled: {least / (1 << 20):,.0f} to {most / (1 << 20):,.0f} MiB, "
          "as the public logs of four recipes lie to their predictions; predicted, not measured")  # fmt: skip


def _predicting(recipe: Recipe) -> Callable[[], tuple[Prediction | None, str]]:
    """What returns the prediction: read from the cache, or made meanwhile."""
    return (partial if is_kept("prediction", recipe) else _beside)(lambda: _prediction(recipe))


def _prediction(recipe: Recipe) -> tuple[Prediction | None, str]:
    """The prediction, or None and why there is none."""
    try:
        found = kept("prediction", recipe, lambda: asdict(predict(recipe)))
        roles = {role: tuple(row) for role, row in found["roles"].items()} if found["roles"] is not None else None
        return Prediction(**{**found, "roles": roles}), ""
    except (GolfError, ImportError) as fault:
        return None, str(fault)


def _beside(work: Callable[[], tuple[Prediction | None, str]]) -> Callable[[], tuple[Prediction | None, str]]:
    """Start `work` in a process of its own, and return what waits for its result: torch's import takes as long as all the rest.

    Where torch is here already there is nothing to gain, and threads that a fork would lose.
    """
    if "torch" in sys.modules:
        return work
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    context.Process(target=lambda: there.send(work()), daemon=True).start()
    there.close()

    def result() -> tuple[Prediction | None, str]:
        try:
            found: tuple[Prediction | None, str] = here.recv()
            return found
        except EOFError:
            return None, "its process ended without an answer"

    return result


def _facts(report: Report, other: Report | None, prediction: Prediction | None) -> dict[str, Any]:
    facts = {"size": asdict(report), "artifact": asdict(prediction) if prediction else None, "cap_bytes": CAP_BYTES}
    return facts | ({"versus": asdict(other)} if other else {})


def _print_pieces(report: Report, other: Report | None, request: Request) -> None:
    mine = report.definitions if request.definitions else report.parts
    theirs = (other.definitions if request.definitions else other.parts) if other else {}
    columns = ["definition" if request.definitions else "part", "readable", "minified", "packed"]
    columns += [f"vs {request.versus}"] if other else []
    rows = []
    for name in [*mine, *(n for n in theirs if n not in mine)]:
        weight, before = mine.get(name, Weight(0, 0, 0)), theirs.get(name, Weight(0, 0, 0))
        extra = [_signed(weight.packed_bytes - before.packed_bytes)] if other else []
        rows.append([name, *_bytes(weight), *extra])
    total = [_signed(report.total.packed_bytes - other.total.packed_bytes)] if other else []
    rows.append(["the whole file", *_bytes(report.total), *total])
    print_table(None, columns, rows, right=columns[1:], md=request.md)


def _bytes(weight: Weight) -> list[str]:
    return [f"{weight.readable_bytes:,}", f"{weight.minified_bytes:,}", f"{weight.packed_bytes:,}"]


def _signed(count: int | None) -> str:
    return "?" if count is None else f"{count:+,}"


def _beside_published(recipe: Recipe, prediction: Prediction | None) -> list[str]:
    """How far the prediction is from the model that the row's authors published, and why where more than half a percent."""
    known = published_model_bytes(recipe)
    if known is None or prediction is None or not prediction.estimate_bytes:
        return []
    size, seeds = known
    off = prediction.estimate_bytes / size - 1
    why = f": {note}" if (note := recipe.published.get("bytes_note")) else ""
    which = f"mean of {seeds} seeds" if seeds > 1 else "largest of its seeds" if len(recipe.seeds) > 1 else "one seed"
    return [f"model, published: {size:,.0f} bytes ({which}); predicted is {off:+.2%}{why}"]


def _verdict(report: Report, prediction: Prediction | None) -> list[str]:
    code = report.total
    lines = [
        "",
        f"code: {code.readable_bytes:,} bytes readable, {code.packed_bytes:,} packed, {report.dense_bytes:,} dense",
    ]
    if prediction is None:
        return lines
    lines.append(f"model: {prediction.params:,} parameters, at most {prediction.upper_bytes:,} bytes before the coder")
    if prediction.estimate_bytes is None:
        return [*lines, f"model bytes: unknown; {prediction.basis}"]
    lines.append(f"model: about {prediction.estimate_bytes:,} ± {prediction.within * prediction.estimate_bytes:,.0f} bytes "
                 f"predicted ({prediction.basis})")  # fmt: skip
    for form, code_bytes in (("readable", code.readable_bytes), ("packed", code.packed_bytes)):
        total = prediction.estimate_bytes + code_bytes
        lines.append(
            f"artifact, {form}: about {total:,} bytes, {abs(CAP_BYTES - total):,} {'under' if total <= CAP_BYTES else 'over'} the cap"
        )
    return lines
