"""Train dictionaries on every chosen layer of a model, all from the same forwards and in lockstep; or a grid of them.

A run is a folder (of a grid, each member's; state.pt and timing.json then lie in the grid's):

    config.json                      the model, the layers, every choice, with the sha256 of weights, tokenizer, text and token ids
    trained_documents.npy            the keys of the documents that were trained on, where the text has documents
    sae_layer{LL}_{SNAPSHOT}.pt      a dictionary (`golf.sae.files`), at each snapshot and at the end (`final`)
    stats_layer{LL}.json             a row per stretch of training
    timing.json                      seconds of each session
    state.pt                         everything that resuming needs, rewritten from time to time; gone when the run is finished

On a CPU a run that was stopped, or killed, and resumed ends with the same bytes as one that was not. A layer's dictionary does not
depend on which others are trained beside it.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from golf.errors import Exit, GolfError
from golf.files import json_text, parse_json, write_atomically
from golf.models.corpus import Windows
from golf.models.documents import Keys
from golf.models.places import Site
from golf.models.source import Ids, Source
from golf.sae.buffer import MixingBuffer, named
from golf.sae.files import file_name, load_plain, save_dictionary, save_plain
from golf.sae.grid import GRID_FORMAT, GRID_NAME, SHARED
from golf.sae.layer import LayerTraining
from golf.sae.settings import TRANSCODER, Settings, hook_name, snapshot_points
from golf.sae.text import sha256_of_ids, write_keys

RUN_FORMAT = "golf-sae-run/1"
STATE, STATE_FORMAT = "state.pt", "golf-sae-state/4"
FINAL = "final"
SAVE_SECONDS = 300.0


@dataclass(frozen=True)
class Progress:
    """Where a training is: tokens of the whole run, tokens per second of this session, seconds to go, and the last rows by member and
    layer; the member is "" where there is one."""

    tokens: int
    total: int
    tokens_per_second: float
    seconds_left: float
    rows: dict[tuple[str, int], dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """How a session ended: `finished`, or stopped after `tokens` with its state saved. seconds: of this session's training."""

    folder: Path
    finished: bool
    tokens: int
    seconds: float
    tokens_per_second: float


def train(
    source: Source,
    tokens: Ids,
    folder: Path,
    settings: Settings | Mapping[str, Settings],
    layers: list[int] | None = None,
    *,
    data: str = "embedded",
    data_sha256: str | None = None,
    documents: Keys | None = None,
    resume: bool = False,
    save_seconds: float = SAVE_SECONDS,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[int], bool] = lambda tokens: False,
) -> Outcome:
    """Train into `folder`; `tokens` is the text as ids (N,), `data` how files call it, layers default to all.

    settings: of a run, or {member: settings} of a grid, which agree in what the batches are made by. data_sha256: of the text's content
    where it is one file; documents: the keys of what is trained on, which `golf sae eval` leaves out. stop: asked after every step with
    the tokens seen; True saves and ends. GolfError (10): a folder that holds a run already (without resume), that holds another run
    (with it), a layer that the model does not have.
    """
    members = {"": settings} if isinstance(settings, Settings) else dict(settings)
    chosen = sorted(set(range(source.num_layers) if layers is None else layers))
    source._checked(
        site for one in members.values() for layer in chosen for site in (one.reads(layer), one.rebuilds(layer))
    )
    run = _Run(source, tokens, folder, members, chosen, {"name": data, "sha256": data_sha256}, documents)
    run.open(resume)
    return run.go(save_seconds, on_progress, stop)


class _Member:
    """One setting of a run on all its layers, and its folder."""

    def __init__(
        self, name: str, source: Source, folder: Path, settings: Settings, layers: list[int], config: dict[str, Any]
    ) -> None:
        self.name, self.source, self.folder, self.settings, self.layers = name, source, folder, settings, layers
        self.config = {**config, "settings": settings.as_config()}
        self.points = snapshot_points(settings.snapshots, settings.steps * settings.batch_tokens)
        width, out = (source.widths[site(0).place] for site in (settings.reads, settings.rebuilds))
        self.trainings = {
            layer: LayerTraining(
                settings, width, source.device, out_dim=out if settings.place == TRANSCODER else None
            )
            for layer in layers
        }  # fmt: skip

    def streams(self, layer: int, batch: Mapping[Site, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What a layer's dictionary reads, and what it rebuilds where that is another."""
        reads, rebuilds = self.settings.reads(layer), self.settings.rebuilds(layer)
        return batch[reads], None if rebuilds == reads else batch[rebuilds]

    def check(self, resume: bool) -> None:
        """Refuse what would overwrite or mix runs."""
        path = self.folder / "config.json"
        if not path.is_file():
            if resume:
                raise GolfError(f"{self.folder} holds no run to go on with", "leave out `--resume`", Exit.REFUSED)
            return
        if not resume:
            raise GolfError(
                f"{self.folder} holds a run already", "go on with it: `--resume`; or name another folder", Exit.REFUSED
            )
        if other := _difference(parse_json(path.read_text()), json.loads(json.dumps(self.config))):
            raise GolfError(f"{self.folder} holds another run: {other}",
                            "resume with the same choices, or name another folder", Exit.REFUSED)  # fmt: skip

    @property
    def finished(self) -> bool:
        return all((self.folder / file_name(layer, FINAL)).is_file() for layer in self.layers)

    def begin(self, slots: Mapping[Site, torch.Tensor], documents: Keys | None) -> None:
        for layer, training in self.trainings.items():
            x, target = self.streams(layer, slots)
            for site, one in ((self.settings.reads(layer), x), (self.settings.rebuilds(layer), target)):
                if one is not None:
                    _check_stream(site, one)
            training.begin(x, target)
        write_atomically(self.folder / "config.json", (json.dumps(self.config, indent=1) + "\n").encode())
        if documents is not None:
            write_keys(self.folder, documents)

    def write(self, label: str) -> None:
        """A dictionary and the statistics of every layer."""
        for layer, training in self.trainings.items():
            path = self.folder / file_name(layer, label)
            save_dictionary(path, training.weights(), self._describe(layer, training, label), training.stats)
            text = json_text(training.stats, 0) + "\n"
            write_atomically(self.folder / f"stats_layer{layer:02d}.json", text.encode())

    def _describe(self, layer: int, training: LayerTraining, label: str) -> dict[str, Any]:
        """What a dictionary's file says of it: the published keys, then ours."""
        s, sae = self.settings, training.sae
        said = {
            "d_model": sae.model_dim, "d_sae": sae.features, "expansion": s.expansion,
            "l1_coeff": training.penalty.at(training.tokens), "lr": training.rate, "target_layer": layer,
            "tokens_seen": training.tokens, "model_name": self.source.name,
            "arch": s.arch, "k": 0 if s.penalised else s.k, "snapshot": label, "source": self.source.spec, "place": s.place,
            "hook_name": hook_name(layer, s.place), "context_size": s.seq_len, "norm": s.norm,
            "norm_scale": training.scale, "l1_form": "sum", "seed": s.seed,
        }  # fmt: skip
        if s.arch == "matryoshka":
            said["groups"] = s.groups
        if sae.transcodes:
            said |= {"transcodes": True, "d_out": sae.out_dim, "out_scale": training.out_scale}
        return said


class _Run:
    def __init__(
        self, source: Source, tokens: Ids, folder: Path, settings: Mapping[str, Settings], layers: list[int], data: dict[str, Any],
        documents: Keys | None,
    ) -> None:  # fmt: skip
        self.source, self.folder, self.layers, self.documents = source, folder, layers, documents
        self.settings = next(iter(settings.values()))
        for name in SHARED:
            if len({getattr(one, name) for one in settings.values()}) > 1:
                raise GolfError(f"the members of a grid differ in {name}", "they share their batches: name one")
        windows = Windows(tokens, self.settings.seq_len, self.settings.seed)
        self.config: dict[str, Any] = {
            "format": RUN_FORMAT,
            "source": {"spec": source.spec, "name": source.name, "model_dim": source.model_dim,
                       "num_layers": source.num_layers, "vocab_size": source.vocab_size, **source.facts},
            "data": {**data, "tokens": len(tokens), "tokens_sha256": sha256_of_ids(tokens)},
            "layers": layers,
        }  # fmt: skip
        self.members = [
            _Member(name, source, folder / name, one, layers, self.config) for name, one in settings.items()
        ]
        self.grid = list(settings) != [""]
        sites = dict.fromkeys(
            site for one in settings.values() for layer in layers for site in (one.reads(layer), one.rebuilds(layer))
        )
        self.buffer = MixingBuffer(
            source, windows, list(sites), self.settings.half_buffer, self.settings.batch_tokens, self.settings.seed
        )
        self.step = 0

    @property
    def tokens(self) -> int:
        return self.step * self.settings.batch_tokens

    def _trainings(self) -> Iterator[tuple[_Member, int, LayerTraining]]:
        for member in self.members:
            for layer, training in member.trainings.items():
                yield member, layer, training

    def open(self, resume: bool) -> None:
        """Start, or go on where the folder's state says; refuse what would overwrite or mix runs."""
        state = self.folder / STATE
        self._check_folder(resume)
        for member in self.members:
            member.check(resume)
        if resume and not state.is_file() and all(member.finished for member in self.members):
            raise GolfError(f"{self.folder} is finished", "name another folder for another run", Exit.REFUSED)
        for scratch in self.folder.glob(".*.tmp"):  # of a session that was killed while it wrote
            scratch.unlink()
        if state.is_file():
            self._load(load_plain(state))
            return
        self.buffer.fill()
        for member in self.members:
            member.begin(self.buffer.slots, self.documents)
        if self.grid:
            said = {
                **self.config,
                "format": GRID_FORMAT,
                "members": {one.name: one.config["settings"] for one in self.members},
            }
            write_atomically(self.folder / GRID_NAME, (json.dumps(said, indent=1) + "\n").encode())

    def _check_folder(self, resume: bool) -> None:
        """A grid and a run do not share a folder; a grid goes on with the members that it has."""
        there = self.folder / (GRID_NAME if self.grid else "config.json")
        other = self.folder / ("config.json" if self.grid else GRID_NAME)
        if other.is_file():
            raise GolfError(
                f"{self.folder} holds {'a run' if self.grid else 'a grid'} already", "name another folder", Exit.REFUSED
            )
        if self.grid and there.is_file():
            if not resume:
                raise GolfError(f"{self.folder} holds a grid already",
                                "go on with it: `--resume`; or name another folder", Exit.REFUSED)  # fmt: skip
            if (said := set(parse_json(there.read_text())["members"])) != (here := {one.name for one in self.members}):
                raise GolfError(f"{self.folder} holds another grid: {', '.join(sorted(said ^ here))} in only one of them",
                                "resume with the same choices, or name another folder", Exit.REFUSED)  # fmt: skip

    def go(self, save_seconds: float, on_progress: Callable[[Progress], None], stop: Callable[[int], bool]) -> Outcome:
        begun, first = time.monotonic(), self.tokens
        saved, done = begun, False
        while self.step < self.settings.steps:
            batch = self.buffer.next()
            for member, layer, training in self._trainings():
                if not math.isfinite(training.step(*member.streams(layer, batch))):
                    of = f" of {member.name}" if member.name else ""
                    raise GolfError(f"the dictionary of layer {layer}{of} diverged after {self.tokens:,} tokens: its loss is not finite",
                                    "take a lower `--lr`, or `--norm sqrt_d`", Exit.REFUSED)  # fmt: skip
            self.step += 1
            rows = {}
            for member, layer, training in self._trainings():
                if self.step % member.settings.rows_every == 0 or self.step == self.settings.steps:
                    rows[member.name, layer] = training.row()
            if rows:
                on_progress(self._progress(rows, first, time.monotonic() - begun))
            self._snapshots()
            done = self.step == self.settings.steps
            stopped = not done and stop(self.tokens)
            if stopped or (not done and time.monotonic() - saved >= save_seconds):
                self._save()
                saved = time.monotonic()
            if stopped:
                break
        seconds = time.monotonic() - begun
        if self.step == self.settings.steps:
            for member in self.members:
                member.write(FINAL)
            (self.folder / STATE).unlink(missing_ok=True)
        self._note(first, seconds)
        speed = (self.tokens - first) / seconds if seconds > 0 else 0.0
        return Outcome(self.folder, self.step == self.settings.steps, self.tokens, seconds, speed)

    def _progress(self, rows: dict[tuple[str, int], dict[str, Any]], first: int, seconds: float) -> Progress:
        total, speed = self.settings.steps * self.settings.batch_tokens, (self.tokens - first) / max(seconds, 1e-9)
        return Progress(self.tokens, total, speed, (total - self.tokens) / max(speed, 1e-9), rows)

    def _snapshots(self) -> None:
        before = self.tokens - self.settings.batch_tokens
        for member in self.members:
            for point, label in member.points.items():
                if before < point <= self.tokens:
                    member.write(label)

    def _note(self, first: int, seconds: float) -> None:
        path = self.folder / "timing.json"
        try:
            sessions = parse_json(path.read_text())
        except (
            FileNotFoundError,
            ValueError,
        ):  # damaged: a finished training does not fail for a record of its seconds
            sessions = []
        sessions = sessions if isinstance(sessions, list) else []
        sessions.append({"from_tokens": first, "to_tokens": self.tokens, "seconds": round(seconds, 3),
                         "device": str(self.source.device), "threads": torch.get_num_threads()})  # fmt: skip
        write_atomically(path, (json_text(sessions, 1) + "\n").encode())

    def _save(self) -> None:
        members = {
            one.name: {layer: training.state() for layer, training in one.trainings.items()} for one in self.members
        }
        save_plain(self.folder / STATE, {"format": STATE_FORMAT, "step": self.step, "buffer": self.buffer.state(),
                                         "members": members})  # fmt: skip

    def _load(self, state: Any) -> None:
        if not isinstance(state, dict) or state.get("format") != STATE_FORMAT:
            raise GolfError(
                f"{self.folder / STATE} was written by another golf", "start anew in another folder", Exit.REFUSED
            )
        self.step = state["step"]
        self.buffer.load(state["buffer"])
        for member, layer, training in self._trainings():
            training.load(state["members"][member.name][layer])


def _check_stream(site: Site, x: torch.Tensor) -> None:
    """GolfError (10) for activations (N, d) that hold nothing to learn: they do not vary."""
    centred = x.double() - x.double().mean(0)
    if float(centred.square().sum()) <= 1e-12 * float(x.double().square().sum()):
        raise GolfError(
            f"the activations of {named(site)} are the same for every token", "leave it out: `--layers`", Exit.REFUSED
        )


def _difference(said: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """The first choice in which two runs differ; None where there is none. A run of an older golf may not say everything."""
    for part in ("source", "data", "settings"):
        for key, value in wanted[part].items():
            if key in said.get(part, {}) and said[part][key] != value:
                return f"its {part} has {key} {said.get(part, {}).get(key)}, here it is {value}"
    if said.get("layers") != wanted["layers"]:
        return f"its layers are {said.get('layers')}, here they are {wanted['layers']}"
    return None if said.get("format") == wanted["format"] else f"its format is {said.get('format')}"
