"""`golf sae eval`: measure every dictionary of a run, or one file of any layout; the numbers land beside the dictionaries."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golf.downstream.rows import STORIES, read_rows
from golf.errors import Exit, GolfError
from golf.files import json_text, parse_json, write_atomically
from golf.models.open import open_source
from golf.models.places import RESID, Site
from golf.models.source import Source
from golf.sae.builtin import BuiltInSource
from golf.sae.cayley import diagnose
from golf.sae.ce_bench import Baseline, Stories, known_baseline
from golf.sae.dictionary import Dictionary
from golf.sae.features import FORMAT, describe_features
from golf.sae.files import NAME, load_dictionary, named_files
from golf.sae.grid import members_in
from golf.sae.measure import CE_PART, Harvest, Snapshot, harvest, measure_all_losses, measure_layer
from golf.sae.measured import write_table
from golf.sae.settings import TRANSCODER, count_of, spans_of
from golf.sae.shape import misfit
from golf.sae.streams import Coder, HeldOut, Place, Streams, held_out
from golf.sae.text import HeldOutText, held_out_text
from golf.sae.truncate import cut_windows

_CONFIG = {"source?": dict, "data?": dict, "settings?": {"seq_len?": int}}
PART_BYTES = 1 << 30  # of dictionaries and activations that are measured together
DIAGNOSED_TOKENS = 8192  # of which the use of a built-in dictionary's levels is told


@dataclass(frozen=True)
class Wishes:
    """What a measurement takes from the command line; None: as the run's own files say."""

    tokens: int = 131_072
    ce_tokens: int | None = None  # None: the CE_PART-th of the text
    source: str | None = None
    data: Path | None = None
    layers: tuple[int, ...] | None = None
    threshold: float | None = None
    stories: Path | None = None
    baseline: Baseline = "other-subjects"
    pairs: int | None = None
    other_model: bool = False
    trust: bool = False
    features: int = 0  # of each layer that are told with contexts, by importance


def wishes_of(
    tokens: str,
    ce_tokens: str | None,
    layers: str | None,
    source: str | None,
    data: Path | None,
    threshold: float | None,
    stories: Path | None,
    baseline: str,
    pairs: int | None,
    other_model: bool = False,
    trust: bool = False,
    features: int = 0,
) -> Wishes:
    """The words of the command line, checked; GolfError for a count, a layer or a baseline that cannot be."""
    known = known_baseline(baseline)
    if stories is not None and not stories.is_file():
        raise GolfError(
            f"no file {stories}",
            f"expected JSON lines with {', '.join(STORIES.fields)}; published at {STORIES.published}",
        )
    chosen = tuple(spans_of(layers)) if layers and layers.strip() != "all" else None
    return Wishes(
        count_of(tokens), None if ce_tokens is None else count_of(ce_tokens), source, data, chosen, threshold, stories, known, pairs, other_model, trust, features
    )  # fmt: skip


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
        Snapshot(
            label,
            one.config.get("tokens_seen"),
            one,
            one.config,
            None if one.transcodes else (one.encoder.weight, one.decoder.weight.T),
        )
        for label, one in loaded
    ]
    return sorted(made, key=lambda one: (one.label == "final", one.tokens or 0))


def evaluate(
    folder: Path, wishes: Wishes, tell: Callable[[str], None] = lambda line: None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Measure a run, writing `measurements_layer{LL}.json` and the table after each layer; yields (layer, measurements)."""
    for _, layer, report in evaluate_all(folder, wishes, tell):
        yield layer, report


@dataclass(frozen=True)
class _Job:
    """The dictionaries of one layer of one member."""

    member: str
    home: Path
    layer: int
    snapshots: list[Snapshot]
    place: Place


def evaluate_all(
    folder: Path, wishes: Wishes, tell: Callable[[str], None] = lambda line: None
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """The same of a run or of every member of a grid, all on the same tokens; yields (member, layer, measurements), member "" of a run."""
    names = members_in(folder) if folder.is_dir() else None
    homes = {"": folder} if names is None else {name: folder / name for name in names}
    found = {name: dictionaries_of(home) for name, home in homes.items()}
    chosen = {name: _chosen(wishes, list(there), homes[name]) for name, there in found.items()}
    first = next(iter(homes))
    home = folder.parent if folder.is_file() else homes[first]
    config = run_config(home)
    source = open_source(source_of(home, config, found[first], wishes.source), trust=wishes.trust)
    if not wishes.other_model:
        same_model(source, config)
    text = _text(source, wishes, held_out_text(home, config, wishes.data, tell), _window(config, source), tell)
    wanted = [(name, layer) for layer in sorted({at for one in chosen.values() for at in one}) for name in homes if layer in chosen[name]]  # fmt: skip
    ce_tokens = -(-text.tokens // CE_PART) if wishes.ce_tokens is None else wishes.ce_tokens
    for part in _parts(wanted, found, text.tokens * source.model_dim):
        jobs = []
        for name, layer in part:
            snapshots = load_snapshots(found[name][layer], source.device)
            home = folder.parent if folder.is_file() else homes[name]
            jobs.append(_Job(name, home, layer, snapshots, place_of(snapshots[-1].config, layer)))
        streams = harvest(source, [job.place for job in jobs], text)
        last = [(job.place, job.snapshots[-1].coder) for job in jobs]
        losses = measure_all_losses(source, last, text, ce_tokens) if ce_tokens else [None] * len(jobs)
        trace = source.traced(cut_windows(text, ce_tokens)[:, :-1], streams) if ce_tokens else None
        for job, lost in zip(jobs, losses, strict=True):
            report = measure_layer(
                source, job.place, job.snapshots, text, ce_tokens, wishes.threshold, streams=streams, losses=lost, trace=trace
            )  # fmt: skip
            if wishes.stories:
                report["ce_bench"] = ce_bench(source, job.place, job.snapshots[-1].coder, wishes)
            _write_features(source, job, report, text, streams, wishes.features)
            yield job.member, job.layer, _write(job.home, job.layer, report)


def _write_features(
    source: Source, job: _Job, report: Mapping[str, Any], text: HeldOut, streams: Harvest, count: int
) -> None:
    """`features_layer{LL}.json` of the most important features; an older one of other dictionaries goes."""
    path, coder = job.home / f"features_layer{job.layer:02d}.json", job.snapshots[-1].coder
    if not count or not isinstance(coder, Dictionary):
        path.unlink(missing_ok=True)
        return
    chosen = dict(list(zip(report["ranked_features"], report["sorted_importance"], strict=True))[:count])
    rows = describe_features(source, coder, streams[job.place.reads], text, chosen)
    said = {
        "format": FORMAT,
        "layer": job.layer,
        "place": report["config"].get("place", RESID),
        "held_out": text.facts(),
        "features": rows,
    }
    write_atomically(path, (json_text(said, 0) + "\n").encode())


def place_of(config: Mapping[str, Any], layer: int) -> Place:
    """Where a dictionary belongs, by what its file says; the residual stream where it says nothing."""
    place = config.get("place", RESID)
    if place == TRANSCODER:
        return Place(Site(layer, "mlp_in"), Site(layer, "mlp_out"))
    return Place(Site(layer, place), Site(layer, place))


def _parts(
    wanted: Sequence[tuple[str, int]], found: Mapping[str, Mapping[int, Mapping[str, Path]]], elements: int
) -> Iterator[list[tuple[str, int]]]:
    """Runs of (member, layer) whose dictionaries and activations (`elements` of a layer) fit into PART_BYTES together; at least one."""
    part: list[tuple[str, int]] = []
    weight = 0
    for name, layer in wanted:
        own = sum(path.stat().st_size for path in found[name][layer].values())
        own += 0 if any(layer == other for _, other in part) else 4 * elements
        if part and weight + own > PART_BYTES:
            yield part
            part, weight = [], 0
        part.append((name, layer))
        weight += own
    if part:
        yield part


def evaluate_builtin(
    spec: str, home: Path, wishes: Wishes, tell: Callable[[str], None] = lambda line: None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The same of the dictionaries that are part of the model `spec`, into the folder `home`."""
    source = BuiltInSource(open_source(spec))
    text = _text(source, wishes, held_out_text(home, {}, wishes.data, tell), None, tell)
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
    source: Streams, wishes: Wishes, wanted: HeldOutText, seq_len: int | None, tell: Callable[[str], None]
) -> HeldOut:
    text = held_out(source, wishes.tokens, wanted, seq_len)
    if text.tokens < wishes.tokens * 0.99:
        tell(f"measured on {text.tokens:,} tokens: there are no more ({wishes.tokens:,} were asked for)")
    return text


def _write(home: Path, layer: int, report: dict[str, Any]) -> dict[str, Any]:
    text = json_text(report, 1) + "\n"
    write_atomically(home / f"measurements_layer{layer:02d}.json", text.encode())
    write_table(home)
    return report


def run_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a run's folder; empty where there is none. GolfError for a damaged one."""
    path = folder / "config.json"
    if not path.is_file():
        return {}
    try:
        found = parse_json(path.read_text())
    except ValueError as fault:
        raise GolfError(f"{path} is not JSON: {fault}", "restore it, or name the model with `--source`") from None
    if wrong := misfit(found, _CONFIG):
        raise GolfError(f"{path} is no run's: {wrong}", "restore it, or name the model with `--source`")
    return dict(found)


def source_of(
    folder: Path, config: Mapping[str, Any], found: Mapping[int, Mapping[str, Path]], named: str | None = None
) -> str:
    """The model that the dictionaries are of: as named, else the run says, else a dictionary does. GolfError where none does."""
    if named:
        return named
    own = config.get("source")
    if isinstance(own, dict) and "spec" in own:
        return str(own["spec"])
    said = load_dictionary(next(iter(next(iter(found.values())).values()))).config.get("source")
    if not said:
        raise GolfError(f"{folder} does not say of which model its dictionaries are", "name it: `--source golf:PATH`")
    return str(said)


def same_model(source: Source, config: Mapping[str, Any]) -> None:
    """GolfError (10) where the model has other weights or another tokenizer than a run's dictionaries were trained with."""
    for key, what in (("weights_sha256", "weights"), ("tokenizer_sha256", "tokenizer")):
        trained, here = config.get("source", {}).get(key), source.facts.get(key)
        if trained and trained != here:
            raise GolfError(
                f"{source.spec} is not the model that these dictionaries were trained on: its {what} differ"
                + ("s" if what == "tokenizer" else ""),
                "restore it, or measure on it all the same: `--other-model`",
                Exit.REFUSED,
            )


def _window(config: Mapping[str, Any], source: Source) -> int:
    return int(config.get("settings", {}).get("seq_len", source.seq_len))


def ce_bench(source: Source | BuiltInSource, at: int | Place, coder: Coder, wishes: Wishes) -> dict[str, Any]:
    """CE-Bench's scores of one place on the stories of a local file, in windows of the model's length, prefix not counted."""
    import torch

    assert wishes.stories is not None
    if source.encode is None:
        raise GolfError(f"{source.name} has no tokenizer, so it cannot read stories", "name a model that has one")
    stories, place = Stories(), Place.of(at)
    room = source.seq_len - len(source.prefix)
    for row in read_rows(wishes.stories, STORIES, wishes.pairs):
        codes = []
        for ids in source.encode([str(row["story1"]), str(row["story2"])]):
            parts = [torch.tensor([[*source.prefix, *ids[at : at + room]]]) for at in range(0, len(ids), room)]
            streams = [source.streams(part, [place.reads])[place.reads][0, len(source.prefix) :] for part in parts]
            with torch.no_grad():
                codes.append(coder.encode(torch.cat(streams)))
        stories.add(codes[0], codes[1], str(row["subject_title"]))
    try:
        return {"file": str(wishes.stories), **stories.report(wishes.baseline)}
    except ValueError as fault:
        raise GolfError(f"{wishes.stories}: {fault}", "or `--baseline all`") from None
