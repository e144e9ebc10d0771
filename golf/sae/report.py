"""`golf sae report`: the measurements of a run as Markdown, pictures and one static page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError
from golf.files import parse_json
from golf.sae.floors import measured_points
from golf.sae.measured import read_measurements
from golf.sae.probing import read_probes
from golf.sae.shape import NUMBER, Maybe, misfit
from golf.sae.student_floors import read_students, student_points


@dataclass(frozen=True)
class Report:
    """All that a report shows of a run: what was measured, how it was trained, students, and other runs beside it."""

    folder: Path
    measured: Mapping[int, Mapping[str, Any]]
    stats: Mapping[int, Sequence[Mapping[str, Any]]]
    students: Mapping[int, Mapping[int, float]] = field(default_factory=dict)
    others: Mapping[str, Mapping[int, Mapping[str, Any]]] = field(default_factory=dict)
    probes: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        first = next(iter(self.measured.values()))
        return f"Dictionaries of {first['source']['name']}"

    def facts(self) -> list[tuple[str, str]]:
        """What the numbers are of."""
        first = next(iter(self.measured.values()))
        source, held, config, last = first["source"], first["held_out"], first["config"], first["snapshots"][-1]
        tokens = last["tokens_seen"]
        trained = "part of the model" if config.get("arch") == "cayley" else "trained on an unknown number of tokens"
        trained = trained if tokens is None else f"trained on {tokens:,} tokens"
        losses = first["losses"]
        rows = [
            ("model", f"{source['name']} (`{source['spec']}`), width {source['model_dim']:,}"),
            ("dictionaries", f"{config.get('arch', 'relu')}, {last['features']:,} features, {trained}"),
            ("held-out text", f"{held['tokens']:,} tokens, {held['origin']}, sha256 {held['sha256'][:12]}"),
            ("dead", f"fires on at most {last['dead_threshold']:g} of {last['tokens']:,} tokens{_too_few(last)}"),
            ("losses", f"on {losses['ce_tokens']:,} of these tokens" if losses else "not measured"),
        ]
        return rows


def _too_few(last: Mapping[str, Any]) -> str:
    """A remark where the text is too short to tell a rare feature from a dead one."""
    if last["tokens"] * last["dead_threshold"] >= 1:
        return ""
    return f"; on so few, a feature that fires once in {1 / last['dead_threshold']:,.0f} tokens counts as dead too"


def gather(folder: Path, students: Path | None = None, others: Sequence[Path] = ()) -> Report:
    """The report of a measured run; GolfError where it was not measured, or a file says something else."""
    stats = {}
    for path in sorted(folder.glob("stats_layer*.json")):
        rows = _json(path)
        if wrong := misfit(rows, [{"tokens": int, "*": Maybe(NUMBER)}]):
            raise GolfError(f"{path} is no list of statistics: {wrong}", "restore it, or delete it", Exit.REFUSED)
        stats[int(path.stem.removeprefix("stats_layer"))] = rows
    points = {}
    if students is not None:
        try:
            points = measured_points(_json(students))
        except ValueError as fault:
            raise GolfError(f"{students}: {fault}", 'expected {"<layer>": {"<width>": loss in nats}}') from None
    beside = {other.name: read_measurements(other) for other in others}
    measured = read_measurements(folder)
    points = points or student_points(measured, read_students(folder))
    _same_text(folder, measured)
    for other in others:
        _same_text(other, beside[other.name])
    return Report(folder, measured, stats, points, beside, read_probes(folder))


def _same_text(folder: Path, measured: Mapping[int, Mapping[str, Any]]) -> None:
    """GolfError (10) where layers of one run were measured on different text: their numbers do not belong in one table."""
    first, *rest = measured
    wanted = measured[first]["held_out"]
    for layer in rest:
        found = measured[layer]["held_out"]
        if found["sha256"] != wanted["sha256"]:
            raise GolfError(f"layer {layer} of {folder} was measured on {found['tokens']:,} tokens of {found['origin']}, "
                            f"layer {first} on {wanted['tokens']:,} of {wanted['origin']}: other text, so no one table",
                            f"measure all on the same: `golf sae eval {folder}`", Exit.REFUSED)  # fmt: skip


def _json(path: Path) -> Any:
    try:
        return parse_json(path.read_text())
    except (OSError, ValueError) as fault:
        raise GolfError(f"{path} cannot be read: {fault}", "expected a JSON file") from None
