"""The calls that `golf sae train` and `info` make."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from golf.errors import Exit, GolfError
from golf.files import parse_json
from golf.models.documents import is_hub
from golf.models.open import open_source
from golf.models.source import Source
from golf.sae.files import NAME, load_dictionary, named_files
from golf.sae.grid import GRID_NAME, members_in, members_of
from golf.sae.pace import projection
from golf.sae.settings import Settings, spans_of
from golf.sae.shape import Maybe, misfit
from golf.sae.text import EMBEDDED, sha256_of_text, trained_keys
from golf.sae.train import FINAL, SAVE_SECONDS, Outcome, Progress, train

TALK_SECONDS = 5.0
CODES = 5  # tensors of the size of a batch's code that live at once in a step: before and after selection, weighed, two gradients
INFO = ("layer", "place", "snapshot", "layout", "arch", "d", "features", "k", "tokens", "penalty", "L0", "FVU", "dead")


def run_training(
    spec: str | None,
    name: str | None,
    choices: dict[str, Any],
    *,
    layers: str | None = None,
    data: Path | None = None,
    out: Path | None = None,
    device: str | None = None,
    resume: bool = False,
    dry_run: bool = False,
    save_seconds: float = SAVE_SECONDS,
    trust: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Outcome | None:
    """Train, or with `dry_run` only say what would be trained. choices: fields of Settings, lists for a grid; None means its default.

    resume: what is None comes from the run's own config, the model (spec) too where `name` or `out` tell the run.
    Ctrl-C ends after the step that runs and saves; the outcome then is not finished.
    """
    from golf.project import find_root
    from golf.run.watch import interrupts

    runs = find_root() / "sae_runs"
    before = read_config(out or runs / str(name)) if resume and (out or name) else {}
    source = open_source(
        spec if spec is not None else _spec_before(before, out or runs / str(name)), device, trust=trust
    )
    given = {key: value for key, value in choices.items() if value is not None}
    members = _members(before, {"seq_len": source.seq_len}, given)
    first = next(iter(members.values()))
    folder = out or runs / (name or default_name(source.name, members))
    chosen = before["layers"] if before and layers is None else parse_layers(layers or "all", source.num_layers)
    text = _text_before(before) if data is None else data
    tokens = source.tokens("train", text, first.tokens + first.buffer_tokens)
    if (tokens[: 1 << 16] == tokens[0]).all():
        raise GolfError("the text is one token again and again", "name text with more in it: `--data`", Exit.REFUSED)
    source._checked(
        site for one in members.values() for layer in chosen for site in (one.reads(layer), one.rebuilds(layer))
    )
    describe(source, members, chosen, len(tokens), folder, tell)
    if dry_run:
        tell(projection(source, tokens, members, chosen))
        return None
    show = _Shown(tell)
    try:
        with interrupts() as stopped:
            made = train(
                source, tokens, folder, members[""] if list(members) == [""] else members, chosen, data=name_of(text),
                data_sha256=sha256_of_text(text), documents=trained_keys(text), resume=resume, save_seconds=save_seconds,
                on_progress=show, stop=lambda tokens: stopped.asked,
            )  # fmt: skip
        for member, settings in members.items() if made.finished else ():
            rows = {layer: row for (name, layer), row in show.rows.items() if name == member}
            width = source.widths[settings.reads(0).place]
            for remark in remarks_of(rows, settings, settings.expansion * width):
                tell(f"{member}: {remark}" if member else remark)
        return made
    except OSError as fault:
        raise GolfError(f"{folder} cannot be written: {fault.strerror or fault}",
                        "make room or name another folder with `--out`; a run that saved goes on with `--resume`", Exit.REFUSED) from fault  # fmt: skip


def _members(before: dict[str, Any], default: dict[str, Any], given: dict[str, Any]) -> dict[str, Settings]:
    """The settings of every member: as before where a run goes on (and as given, which training then refuses), else as given."""
    if "members" in before:
        one = {key: value for key, value in given.items() if not isinstance(value, list)}
        return {name: Settings(**{**said, **one}) for name, said in before["members"].items()}
    return members_of({**default, **before.get("settings", {}), **given})


def name_of(text: Path | None) -> str:
    """How a run's files call its text."""
    if text is None:
        return EMBEDDED
    return str(text) if is_hub(text) else str(text.resolve())


def remarks_of(rows: dict[int, dict[str, Any]], settings: Settings, features: int) -> list[str]:
    """What a finished run's last rows (by layer) say against it; the thresholds are those of the published runs."""
    target, found = settings.target, []
    for layers, sentence in (
        ([n for n, row in rows.items() if target and not 0.75 < row["l0"] / target < 1.33],
         f"more than a quarter off the target of {target or 0:g} active features: train longer"),
        ([n for n, row in rows.items() if row["l0"] < 1], "less than one active feature: lower the penalty"),
        ([n for n, row in rows.items() if settings.l1 is not None and row["l0"] > features / 10],
         "more than a tenth of all features active: this is not sparse, raise the penalty"),
        ([n for n, row in rows.items() if row["dead"] > 0.85 * features], "more than 85 % of the features dead: lower the penalty"),
    ):  # fmt: skip
        if layers:
            found.append(f"layer{'s' if len(layers) > 1 else ''} {', '.join(map(str, layers))}: {sentence}")
    return found


def describe(
    source: Source,
    members: dict[str, Settings],
    layers: list[int],
    there: int,
    folder: Path,
    tell: Callable[[str], None],
) -> None:
    """Say what will be trained, on how much text (`there` tokens), with how much memory, and where it goes."""
    first = next(iter(members.values()))
    what, buffered, weights, codes = [], set(), 0, 0
    for name, one in members.items():
        width, out = (source.widths[site(0).place] for site in (one.reads, one.rebuilds))
        features = one.expansion * width
        place = "" if one.place == "resid" else f" ({one.place})"
        what.append((name, f"width {width:,}{place}, {features:,} features each ({one.arch}{_sparsity(one)})"))
        buffered |= {one.reads(0).place, one.rebuilds(0).place}
        weights += 4 * features * (width + out) * len(layers)
        codes = max(codes, 4 * CODES * one.batch_tokens * features)  # of one dictionary at a time
    head = f"{source.name}: {len(layers)} of {source.num_layers} layers, "
    if len(what) == 1:
        tell(head + what[0][1])
    else:
        tell(head + f"{len(what)} dictionaries each:")
        for name, one_line in what:
            tell(f"  {name}: {one_line}")
    passes = first.tokens / there
    again = f"; the text has {there:,}: {passes:.1f} passes" if passes > 1 else ""
    tell(f"{first.tokens:,} tokens, {first.steps:,} steps{again}")
    buffer_bytes = 4 * 2 * first.half_buffer * sum(source.widths[place] for place in buffered) * len(layers)
    # as much again as the weights for gradients and for each of Adam's two means
    tell(
        f"memory {(buffer_bytes + 4 * weights + codes) / 2**20:,.0f} MiB (buffer {buffer_bytes / 2**20:,.0f}, "
        f"weights with gradients and Adam {4 * weights / 2**20:,.0f}, codes {codes / 2**20:,.0f}); into {folder}"
    )


def _sparsity(settings: Settings) -> str:
    """`, k 32`, `, L0 to 32`, `, penalty 0.0003`."""
    if not settings.penalised:
        return f", k {settings.k}"
    return f", penalty {settings.l1:g}" if settings.target is None else f", L0 to {settings.target:g}"


def read_config(folder: Path) -> dict[str, Any]:
    """The config of a run or a grid; GolfError (10) where there is none to go on with."""
    path = folder / (GRID_NAME if (folder / GRID_NAME).is_file() else "config.json")
    try:
        found = parse_json(path.read_text())
    except FileNotFoundError:
        raise GolfError(f"{folder} holds no run to go on with", "leave out `--resume`", Exit.REFUSED) from None
    except ValueError as fault:
        raise GolfError(f"{path} is not JSON: {fault}", "restore it, or start anew elsewhere", Exit.REFUSED) from fault
    said = {name: Maybe((int, float, str, bool)) for name in Settings.__dataclass_fields__}
    choices = {f"{name}?": shape for name, shape in said.items()}
    shape = {"source?": dict, "data?": {"name?": str}, "layers": [int]}
    wrong = misfit(
        found, {**shape, **({"members": {"*": choices}} if path.name == GRID_NAME else {"settings": choices})}
    )
    members = () if wrong else found["members"].values() if path.name == GRID_NAME else [found["settings"]]
    if wrong := wrong or next((key for one in members for key in one if key not in said), None):
        raise GolfError(
            f"{path} is no run's of this golf: {wrong}", "restore it, or start anew elsewhere", Exit.REFUSED
        )
    return dict(found)


def _spec_before(config: dict[str, Any], folder: Path) -> str:
    spec = config.get("source", {}).get("spec")
    if not spec:
        raise GolfError(
            f"{folder} does not say of which model it is", "name it: `--submission`, `--hf` or `--glassllm`"
        )
    return str(spec)


def _text_before(config: dict[str, Any]) -> Path | None:
    name = config.get("data", {}).get("name", EMBEDDED)
    return None if name == EMBEDDED else Path(name)


def default_name(source: str, members: dict[str, Settings]) -> str:
    """`glassllm-en-x8-relu`, `glassllm-en-x8-topk-mlp_out`, `glassllm-en-grid`."""
    if len(members) > 1:
        return f"{source}-grid"
    (settings,) = members.values()
    return f"{source}-x{settings.expansion}-{settings.arch}" + (
        "" if settings.place == "resid" else f"-{settings.place}"
    )


def parse_layers(text: str, there: int) -> list[int]:
    """`all`, `0,6,12` or `3-8`, among `there` layers."""
    if text.strip() == "all":
        return list(range(there))
    chosen = spans_of(text)
    if not chosen or chosen[0] < 0 or chosen[-1] >= there:
        raise GolfError(f"`{text}` names a layer that is not there", f"its layers are 0 to {there - 1}")
    return chosen


class _Shown:
    """A progress line every few seconds, and the last one."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell, self.last = tell, 0.0
        self.rows: dict[tuple[str, int], dict[str, Any]] = {}

    def __call__(self, progress: Progress) -> None:
        self.rows = progress.rows
        if time.monotonic() - self.last < TALK_SECONDS and progress.tokens < progress.total:
            return
        self.last = time.monotonic()
        self.tell(line_of(progress))


def line_of(progress: Progress) -> str:
    """`1,200,128 of 2,000,000 tokens  60 %  7,310 tok/s  2 min left  FVU 0.12  L0 31.9  dead 3 of 4,096`, means over the layers."""
    rows = list(progress.rows.values())
    fvus = [row["fvu"] for row in rows if row["fvu"] is not None]
    left = (
        f"{progress.seconds_left / 60:.1f} min left"
        if progress.seconds_left >= 60
        else f"{progress.seconds_left:.0f} s left"
    )
    what = "dictionaries" if len({member for member, _ in progress.rows}) > 1 else "layers"
    parts = [f"{progress.tokens:,} of {progress.total:,} tokens", f"{100 * progress.tokens / progress.total:.0f} %",
             f"{progress.tokens_per_second:,.0f} tok/s", left]  # fmt: skip
    if fvus:
        some = f" (of {len(fvus)} of {len(rows)} {what})" if len(fvus) < len(rows) else ""
        parts.append(f"FVU {sum(fvus) / len(fvus):.3f}{some}")
    parts.append(f"L0 {sum(row['l0'] for row in rows) / len(rows):.1f}")
    parts.append(f"dead {sum(row['dead'] for row in rows):,} in {len(rows)} {what}")
    return "  ".join(parts)


def dictionaries_in(place: Path, snapshot: str | None = None) -> list[Path]:
    """The files of a run's folder, by layer and then by tokens; or the one dictionary that `place` is. snapshot: only these."""
    if not place.exists():
        raise GolfError(f"no {place}", "name a folder of `golf sae train`, or the file of one dictionary")
    named = list(named_files(place))
    if (members := members_in(place)) is not None:
        return [path for name in members for path in dictionaries_in(place / name, snapshot)]
    found = sorted(
        (layer, label == FINAL, _order(label), path) for layer, label, path in named if snapshot in (None, label)
    )
    if found:
        return [path for *_, path in found]
    if named:
        labels = ", ".join(sorted({label for _, label, _ in named}, key=_order))
        raise GolfError(f"{place} has no snapshot `{snapshot}`", f"it has {labels}", Exit.USAGE)
    return [place]


def _order(label: str) -> tuple[int, str]:
    from golf.sae.settings import count_of

    try:
        return count_of(label), label
    except GolfError:
        return 0, label


def info_rows(place: Path, snapshot: str | None = None) -> list[dict[str, Any]]:
    """What each dictionary of a folder or file says of itself, by the names of INFO; None where it says nothing."""
    rows = []
    for path in dictionaries_in(place, snapshot):
        made = load_dictionary(path)
        name, last = NAME.fullmatch(path.name), made.stats[-1] if made.stats else {}
        values = (
            made.config.get("target_layer", int(name[1]) if name else None),
            made.config.get("place", "resid" if name else None), name[2] if name else None,
            made.config["layout"], made.arch, made.model_dim, made.features, made.k or None, made.config.get("tokens_seen"),
            made.config.get("l1_coeff"), last.get("l0"), last.get("fvu"), last.get("dead"),
        )  # fmt: skip
        rows.append(dict(zip(INFO, values, strict=True)))
    return rows
