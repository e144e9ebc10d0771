"""`golf sae eval`: measure every dictionary of a run, or one file of any layout; the numbers land beside the dictionaries."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.downstream.rows import STORIES, read_rows
from golf.errors import Exit, GolfError
from golf.files import json_text, parse_json, write_atomically
from golf.models.open import open_source
from golf.models.source import Source
from golf.sae.builtin import BuiltInSource
from golf.sae.cayley import diagnose
from golf.sae.ce_bench import BASELINES, Baseline, Stories
from golf.sae.files import NAME, load_dictionary, named_files
from golf.sae.measure import Snapshot, measure_layer
from golf.sae.measured import write_table
from golf.sae.settings import count_of
from golf.sae.streams import Coder, HeldOut, Streams, held_out

DIAGNOSED_TOKENS = 8192  # of which the use of a built-in dictionary's levels is told


@dataclass(frozen=True)
class Wishes:
    """What a measurement takes from the command line; None: as the run's own files say."""

    tokens: int = 131_072
    ce_tokens: int = 16_384
    source: str | None = None
    data: Path | None = None
    layers: tuple[int, ...] | None = None
    threshold: float | None = None
    stories: Path | None = None
    baseline: Baseline = "other-subjects"
    pairs: int | None = None


def wishes_of(
    tokens: str,
    ce_tokens: str,
    layers: str | None,
    source: str | None,
    data: Path | None,
    threshold: float | None,
    stories: Path | None,
    baseline: str,
    pairs: int | None,
) -> Wishes:
    """The words of the command line, checked; GolfError for a count, a layer or a baseline that cannot be."""
    known = next((one for one in BASELINES if one == baseline), None)
    if known is None:
        raise GolfError(f"CE-Bench has no baseline `{baseline}`", f"choose one of {', '.join(BASELINES)}")
    if stories is not None and not stories.is_file():
        raise GolfError(
            f"no file {stories}",
            f"expected JSON lines with {', '.join(STORIES.fields)}; published at {STORIES.published}",
        )
    words = [word.strip() for word in (layers or "").split(",") if word.strip()]
    if wrong := [word for word in words if not word.isdigit()]:
        raise GolfError(f"`{wrong[0]}` is no layer", "write them as `0,3,6`")
    chosen = tuple(int(word) for word in words) or None
    return Wishes(count_of(tokens), count_of(ce_tokens), source, data, chosen, threshold, stories, known, pairs)


def dictionaries_of(folder: Path) -> dict[int, dict[str, Path]]:
    """{layer: {snapshot: file}} of a run folder, or of one file of a run; GolfError for none."""
    one = NAME.fullmatch(folder.name) if folder.is_file() else None
    found: dict[int, dict[str, Path]] = {}
    for layer, label, path in [(int(one[1]), one[2], folder)] if one else named_files(folder):
        found.setdefault(layer, {})[label] = path
    if not found:
        raise GolfError(f"{folder} holds no `sae_layer{{LL}}_{{SNAPSHOT}}.pt`",
                        "train some: `golf sae train`, or bring others' here: `golf sae export FILE --to golf`")  # fmt: skip
    return dict(sorted(found.items()))


def load_snapshots(files: Mapping[str, Path], device: Any = "cpu") -> list[Snapshot]:
    """The dictionaries of a layer in the order of their training; the one called `final` last."""
    import torch

    loaded = [(label, load_dictionary(path).to(device)) for label, path in files.items()]
    for label, one in loaded:
        if not all(bool(torch.isfinite(weight).all()) for weight in one.state_dict().values()):
            raise GolfError(
                f"{files[label]} has weights that are not finite", "its training diverged: lower the learning rate"
            )
    made = [
        Snapshot(label, one.config.get("tokens_seen"), one, one.config, (one.encoder.weight, one.decoder.weight.T))
        for label, one in loaded
    ]
    return sorted(made, key=lambda one: (one.label == "final", one.tokens or 0))


def evaluate(
    folder: Path, wishes: Wishes, tell: Callable[[str], None] = lambda line: None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Measure layer by layer, writing `measurements_layer{LL}.json` and the table after each; yields (layer, measurements)."""
    found = dictionaries_of(folder)
    chosen = _chosen(wishes, list(found), folder)
    home = folder.parent if folder.is_file() else folder
    config = _config(home)
    source = open_source(wishes.source or _spec(home, config, found))
    _check(source, config, wishes)
    text = _text(source, wishes, wishes.data or _shards(config), _window(config, source), tell)
    for layer in chosen:
        snapshots = load_snapshots(found[layer], source.device)
        report = measure_layer(source, layer, snapshots, text, wishes.ce_tokens, wishes.threshold)
        if wishes.stories:
            report["ce_bench"] = ce_bench(source, layer, snapshots[-1].coder, wishes)
        yield layer, _write(home, layer, report)


def evaluate_builtin(
    spec: str, home: Path, wishes: Wishes, tell: Callable[[str], None] = lambda line: None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The same of the dictionaries that are part of the model `spec`, into the folder `home`."""
    source = BuiltInSource(open_source(spec))
    text = _text(source, wishes, wishes.data, None, tell)
    home.mkdir(parents=True, exist_ok=True)
    rows = diagnose(source.source.model, text.ids[: -(-DIAGNOSED_TOKENS // text.ids.size(1)), :-1])
    blocks = list(dict.fromkeys(row["layer"] for row in rows))
    for layer in _chosen(wishes, list(range(source.num_layers)), source.name):
        only = source.snapshot(layer)
        report = measure_layer(source, layer, [only], text, 0, wishes.threshold)
        report["usage"] = [row for row in rows if row["layer"] == blocks[layer]]
        if wishes.stories:
            report["ce_bench"] = ce_bench(source, layer, only.coder, wishes)
        yield layer, _write(home, layer, report)


def _chosen(wishes: Wishes, there: Sequence[int], place: object) -> tuple[int, ...]:
    chosen = wishes.layers or tuple(there)
    if absent := [layer for layer in chosen if layer not in there]:
        raise GolfError(f"{place} has no dictionary of layer {absent[0]}", f"it has {', '.join(map(str, there))}")
    return chosen


def _text(
    source: Streams, wishes: Wishes, data: Path | None, seq_len: int | None, tell: Callable[[str], None]
) -> HeldOut:
    text = held_out(source, wishes.tokens, data, seq_len)
    if text.tokens < wishes.tokens * 0.99:
        tell(f"measured on {text.tokens:,} tokens: there are no more ({wishes.tokens:,} were asked for)")
    return text


def _write(home: Path, layer: int, report: dict[str, Any]) -> dict[str, Any]:
    text = json_text(report, 1) + "\n"
    write_atomically(home / f"measurements_layer{layer:02d}.json", text.encode())
    write_table(home)
    return report


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        return {}
    try:
        found = parse_json(path.read_text())
    except ValueError as fault:
        raise GolfError(f"{path} is not JSON: {fault}", "restore it, or name the model with `--source`") from None
    return found if isinstance(found, dict) else {}


def _spec(folder: Path, config: Mapping[str, Any], found: Mapping[int, Mapping[str, Path]]) -> str:
    """The model that the dictionaries are of: the run says, else a dictionary does."""
    own = config.get("source")
    if isinstance(own, dict) and "spec" in own:
        return str(own["spec"])
    said = load_dictionary(next(iter(next(iter(found.values())).values()))).config.get("source")
    if not said:
        raise GolfError(f"{folder} does not say of which model its dictionaries are", "name it: `--source golf:PATH`")
    return str(said)


def _check(source: Source, config: Mapping[str, Any], wishes: Wishes) -> None:
    """Refuse to measure dictionaries on other weights than they were trained on, unless the user names the model."""
    trained = config.get("source", {}).get("weights_sha256")
    if wishes.source is None and trained and trained != source.facts.get("weights_sha256"):
        raise GolfError(
            f"{source.spec} has changed since these dictionaries were trained on it",
            "restore it, or measure on it all the same: name it with `--source`",
            Exit.REFUSED,
        )


def _shards(config: Mapping[str, Any]) -> Path | None:
    """The folder of shards that the run was trained on, whose validation split it has not seen."""
    name = config.get("data", {}).get("name")
    return Path(name) if isinstance(name, str) and Path(name).is_dir() else None


def _window(config: Mapping[str, Any], source: Source) -> int:
    return int(config.get("settings", {}).get("seq_len", source.seq_len))


def ce_bench(source: Source | BuiltInSource, layer: int, coder: Coder, wishes: Wishes) -> dict[str, Any]:
    """CE-Bench's scores of one layer on the stories of a local file, in windows of the model's length, prefix not counted."""
    import torch

    assert wishes.stories is not None
    if source.encode is None:
        raise GolfError(f"{source.name} has no tokenizer, so it cannot read stories", "name a model that has one")
    stories = Stories()
    room = source.seq_len - len(source.prefix)
    for row in read_rows(wishes.stories, STORIES, wishes.pairs):
        codes = []
        for ids in source.encode([str(row["story1"]), str(row["story2"])]):
            parts = [torch.tensor([[*source.prefix, *ids[at : at + room]]]) for at in range(0, len(ids), room)]
            streams = [source.residuals(part, [layer])[layer][0, len(source.prefix) :] for part in parts]
            with torch.no_grad():
                codes.append(coder.encode(torch.cat(streams)))
        stories.add(codes[0], codes[1], str(row["subject_title"]))
    try:
        return {"file": str(wishes.stories), **stories.report(wishes.baseline)}
    except ValueError as fault:
        raise GolfError(f"{wishes.stories}: {fault}", "or `--baseline all`") from None
