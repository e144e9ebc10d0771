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
from golf.sae.settings import count_of, spans_of
from golf.sae.streams import Coder, HeldOut, Streams, held_out
from golf.sae.text import HeldOutText, held_out_text

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
    other_model: bool = False
    trust: bool = False


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
    other_model: bool = False,
    trust: bool = False,
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
    chosen = tuple(spans_of(layers)) if layers and layers.strip() != "all" else None
    return Wishes(
        count_of(tokens), count_of(ce_tokens), source, data, chosen, threshold, stories, known, pairs, other_model, trust
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
    source = open_source(wishes.source or _spec(home, config, found), trust=wishes.trust)
    _check(source, config, wishes)
    text = _text(source, wishes, held_out_text(home, config, wishes.data, tell), _window(config, source), tell)
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
    """Refuse to measure dictionaries on other weights or another tokenizer than they were trained with, unless asked to."""
    if wishes.other_model:
        return
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
