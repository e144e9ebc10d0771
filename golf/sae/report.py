"""`golf sae report`: the measurements of a run as Markdown, pictures and one static page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golf.errors import GolfError
from golf.files import parse_json
from golf.sae.floors import measured_points
from golf.sae.measured import read_measurements


@dataclass(frozen=True)
class Report:
    """All that a report shows of a run: what was measured, how it was trained, students, and other runs beside it."""

    folder: Path
    measured: Mapping[int, Mapping[str, Any]]
    stats: Mapping[int, Sequence[Mapping[str, Any]]]
    students: Mapping[int, Mapping[int, float]] = field(default_factory=dict)
    others: Mapping[str, Mapping[int, Mapping[str, Any]]] = field(default_factory=dict)

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
            ("dead", f"fires on at most {last['dead_threshold']:g} of {last['tokens']:,} tokens"),
            ("losses", f"on {losses['ce_tokens']:,} of these tokens" if losses else "not measured"),
        ]
        return rows


def gather(folder: Path, students: Path | None = None, others: Sequence[Path] = ()) -> Report:
    """The report of a measured run; GolfError where it was not measured, or a file says something else."""
    stats = {}
    for path in sorted(folder.glob("stats_layer*.json")):
        stats[int(path.stem.removeprefix("stats_layer"))] = _json(path)
    points = {}
    if students is not None:
        try:
            points = measured_points(_json(students))
        except ValueError as fault:
            raise GolfError(f"{students}: {fault}", 'expected {"<layer>": {"<width>": loss in nats}}') from None
    beside = {other.name: read_measurements(other) for other in others}
    return Report(folder, read_measurements(folder), stats, points, beside)


def _json(path: Path) -> Any:
    try:
        return parse_json(path.read_text())
    except (OSError, ValueError) as fault:
        raise GolfError(f"{path} cannot be read: {fault}", "expected a JSON file") from None
