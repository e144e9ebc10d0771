"""`golf sae probe`: sparse probing and TPP on labelled text of a local file, absorption of first letters on the held-out text itself."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from golf.downstream.rows import DataSet, read_rows
from golf.errors import Exit, GolfError
from golf.files import json_text, parse_json, write_atomically
from golf.models.open import open_source
from golf.models.source import Source
from golf.sae.dictionary import Dictionary
from golf.sae.evaluate import Wishes, dictionaries_of, load_snapshots, place_of, run_config, same_model, source_of
from golf.sae.measure import harvest
from golf.sae.measured import cell
from golf.sae.probes import Labelled, absorption, perturbation, sparse_probing
from golf.sae.streams import HeldOut, Place, held_out
from golf.sae.text import held_out_text

FORMAT = "golf-sae-probes/1"
PROBES_NAME = "probes.json"
LABELS = DataSet("labelled text", ("labels.jsonl",), ("text", "label"), "any set of labelled texts, as JSON lines")
TESTED = 4  # one text, or one token, in so many is tested on, by the sha256 of it
LEAST = 10  # positions of a letter, of both parts, below which it is no class
MOST_POSITIONS = 8192
PROBE_COLUMNS = (
    "layer",
    "stream",
    "1 feature",
    "2",
    "5",
    "1 dimension",
    "TPP 2",
    "5",
    "20",
    "letters",
    "seen",
    "silent",
    "absorbed",
)


@dataclass(frozen=True)
class _Probed:
    """A dictionary to probe; columns: (F, d) of its decoder where it rebuilds what it reads."""

    layer: int
    place: Place
    coder: Dictionary
    columns: Tensor | None


def probe_run(
    folder: Path,
    labels: Path | None,
    wishes: Wishes,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[int, dict[str, Any]]:
    """{layer: {"text": sparse probing and TPP or None, "letters": absorption or None}} of a run's final dictionaries, kept in its
    probes.json.

    labels: JSON lines with text and label. GolfError: fewer than two labels that have examples enough; (10) not the run's model.
    """
    found = dictionaries_of(folder)
    config = run_config(folder)
    rows = read_rows(labels, LABELS) if labels is not None else []
    source = open_source(source_of(folder, config, found, wishes.source), trust=wishes.trust)
    if not wishes.other_model:
        same_model(source, config)
    chosen = [layer for layer in found if wishes.layers is None or layer in wishes.layers]
    if not chosen:
        raise GolfError(f"{folder} has no dictionary of these layers", f"it has {', '.join(map(str, found))}")
    probed = []
    for layer in chosen:
        last = load_snapshots(found[layer], source.device)[-1]
        assert isinstance(last.coder, Dictionary)
        place = place_of(last.config, layer)
        same = place.reads == place.rebuilds
        probed.append(_Probed(layer, place, last.coder, last.coder.decoder.weight.detach().T.cpu() if same else None))
    by_text = _by_text(source, probed, rows) if rows else {}
    text = held_out(
        source,
        wishes.tokens,
        held_out_text(folder, config, wishes.data, tell),
        config.get("settings", {}).get("seq_len"),
    )
    by_letter = _by_letter(source, probed, text) if source.decode is not None else {}
    if not by_letter:
        why = f"{text.tokens:,} tokens hold too few words of two letters to learn from and to test on: more `--tokens`"
        tell(
            "no letters are probed: "
            + (why if source.decode is not None else f"{source.name} does not tell its tokens' texts")
        )
    report = {one.layer: {"text": by_text.get(one.layer), "letters": by_letter.get(one.layer)} for one in probed}
    said = {"format": FORMAT, "held_out": text.facts(), "labels": str(labels) if labels else None, "layers": report}
    write_atomically(folder / PROBES_NAME, (json_text(said, 1) + "\n").encode())
    return report


def is_tested(text: str) -> bool:
    """Whether an example is tested on: by the sha256 of its text alone, so that equal ones fall together."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % TESTED == 0


def _by_text(source: Source, probed: Sequence[_Probed], rows: Sequence[Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
    """Sparse probing and TPP of every dictionary on mean codes over each text's tokens (a window at most, prefix not counted)."""
    if source.encode is None:
        raise GolfError(
            f"{source.name} has no tokenizer, so it cannot read text", "name a model that has one", Exit.REFUSED
        )
    room, sites = source.seq_len - len(source.prefix), list(dict.fromkeys(one.place.reads for one in probed))
    streams: dict[int, list[Tensor]] = {one.layer: [] for one in probed}
    codes: dict[int, list[Tensor]] = {one.layer: [] for one in probed}
    kept = []
    for row in rows:
        (ids,) = source.encode([str(row["text"])])
        if not ids:
            continue
        kept.append(row)
        seen = source.streams(torch.tensor([[*source.prefix, *ids[:room]]]), sites)
        for one in probed:
            x = seen[one.place.reads][0, len(source.prefix) :]
            streams[one.layer].append(x.mean(0).cpu())
            with torch.no_grad():
                codes[one.layer].append(one.coder.encode(x).mean(0).cpu())
    classes, tested = [str(row["label"]) for row in kept], torch.tensor([is_tested(str(row["text"])) for row in kept])
    found = {}
    for one in probed:
        data = Labelled(torch.stack(streams[one.layer]), torch.stack(codes[one.layer]), classes, tested)
        if len(data.names) < 2:
            raise GolfError(f"{len(data.names)} of {len(set(classes))} labels have two texts to learn from and one to test on",
                            "give more texts: one in four is tested on")  # fmt: skip
        found[one.layer] = {
            **sparse_probing(data),
            "perturbation": perturbation(data, one.columns) if one.columns is not None else None,
        }
    return found


def first_letter(text: str) -> str:
    """The letter of a token that begins a word of two letters or more (" Lake" is "l"); "" of any other token."""
    word = text.strip(" ▁Ġ")
    begins = text[:1] in (" ", "▁", "Ġ")
    return word[0].lower() if begins and len(word) > 1 and word.isascii() and word.isalpha() else ""


def _by_letter(source: Source, probed: Sequence[_Probed], text: HeldOut) -> dict[int, dict[str, Any]]:
    """Absorption of first letters over the held-out positions whose token begins a word; a token is learned from or tested on."""
    assert source.decode is not None
    ids = text.ids[:, :-1].flatten()
    texts = {int(id): source.decode(int(id)) for id in ids.unique()}
    letter = {id: first_letter(one) for id, one in texts.items()}
    places = torch.tensor(
        [place for place, id in enumerate(ids.tolist()) if letter[id]][:MOST_POSITIONS], dtype=torch.long
    )
    classes = [letter[id] for id in ids[places].tolist()]
    tested = torch.tensor([is_tested(texts[id]) for id in ids[places].tolist()], dtype=torch.bool)
    classes = _with_enough(classes, tested)
    if len(set(classes) - {""}) < 2:
        return {}
    streams = harvest(source, [one.place for one in probed], text)
    found = {}
    for one in probed:
        if one.columns is not None:
            x = streams[one.place.reads][places]
            with torch.no_grad():
                codes = torch.cat([one.coder.encode(part).cpu() for part in x.split(512)])
            found[one.layer] = absorption(Labelled(x.cpu(), codes, classes, tested), one.columns)
    return found


def _with_enough(classes: Sequence[str], tested: Tensor) -> list[str]:
    """The classes, "" where one has fewer than LEAST examples to learn from or to test on."""
    flags = tested.tolist()

    def enough(name: str) -> bool:
        own = [bool(flag) for one, flag in zip(classes, flags, strict=True) if one == name]
        learned = len(own) - sum(own)
        return sum(own) >= LEAST and learned >= LEAST

    kept = {name for name in set(classes) if enough(name)}
    return [one if one in kept else "" for one in classes]


def read_probes(folder: Path) -> dict[int, dict[str, Any]]:
    """What `probe_run` kept in a run's folder, by layer; empty where nothing was probed. GolfError (10) for a damaged file."""
    path = folder / PROBES_NAME
    if not path.is_file():
        return {}
    try:
        said = parse_json(path.read_text())
        if said["format"] != FORMAT:
            raise ValueError("another format")
        return {int(layer): {"text": one["text"], "letters": one["letters"]} for layer, one in said["layers"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise GolfError(
            f"{path} is damaged: {fault!r}", f"probe again: `golf sae probe {folder}`", Exit.REFUSED
        ) from None


PROBE_FORMS = ("d", *[".3f"] * 8, "d", ".3f", ".1%", ".1%")


def probe_cells(report: Mapping[int, Mapping[str, Any]]) -> list[list[str]]:
    """Cells by PROBE_COLUMNS; – where a thing was not probed."""
    return [[cell(value, form) for value, form in zip(row, PROBE_FORMS, strict=True)] for row in probe_rows(report)]


def probe_rows(report: Mapping[int, Mapping[str, Any]]) -> Iterable[tuple[Any, ...]]:
    """Rows by PROBE_COLUMNS; None where a thing was not probed."""
    for layer, one in report.items():
        text, letters = one["text"] or {}, one["letters"] or {}
        tpp = text.get("perturbation") or {}
        yield (
            layer, text.get("stream"), *(text.get(f"features_{k}") for k in (1, 2, 5)), text.get("dimensions_1"),
            *((tpp.get(f"tpp_{n}") or {}).get("score") for n in (2, 5, 20)), letters.get("classes"), letters.get("accuracy"),
            letters.get("silent"), letters.get("absorbed"),
        )  # fmt: skip
