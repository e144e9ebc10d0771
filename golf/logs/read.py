"""Lines → runs: a pass over the log that collects every match of the grammar, cut where another run begins."""

from dataclasses import replace
from pathlib import Path
from re import Pattern
from re import compile as regex

from golf.errors import Exit, GolfError
from golf.files import parse_json
from golf.logs.build import build
from golf.logs.grammar import Grammar, grammar
from golf.logs.result import Draft, LogFile, RunResult
from golf.logs.runs import distinct
from golf.logs.text import REMOVED, Text, clean
from golf.parts.log import RESULT_FIELDS

HYPER_LINE: Pattern[str] = regex(r"\s*([a-z_]\w*): ?(.*)$")
PAIRS: Pattern[str] = regex(r"([A-Za-z_]\w*)=(\S*)")
COLON_PAIRS: Pattern[str] = regex(r"(?:\w+:\S+\s*){2,}$")
COLON_PAIR: Pattern[str] = regex(r"(\w+):(\S+)")
AFTER_HYPER = ("train_shards", "val_tokens", "model_params")
MAX_BYTES = 500_000_000
# in one file, each less than a second's work: what holds more is refused in a sentence
MOST_RUNS = 2_000
MOST_EVALUATIONS = 10_000  # official logs have up to 8
MOST_LINES = 50_000  # that say something of a run; the longest official log has 1,724
DICT_ITEM: Pattern[str] = regex(r"'(\w{1,60})':\s*([^,]{1,200})")
EVALUATES = frozenset(("score", "loose", "footer", "recap"))
MEASURES = frozenset(("train", "val", "stop", "score", "launch"))


def read_log(path: Path | str) -> LogFile:
    """Read the log at `path`, whatever dialect, encoding or prefix.

    Raises GolfError when there is no such file, it is empty, or it is no text.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file() and path != Path("/dev/stdin"):
            raise GolfError(f"`{path}` is no file", "name a log file: `golf logs show train.log`")
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise GolfError(
                f"`{path}` has {path.stat().st_size:,} bytes, no log of a run (limit {MAX_BYTES:,})",
                "cut it: `tail -c 100000000`",
            )
        raw = path.read_bytes()
    except OSError as fault:
        raise GolfError(
            f"cannot read `{path}`: {fault.strerror}", "name a log file: `golf logs show train.log`"
        ) from fault
    if not raw.strip():
        raise GolfError(
            f"`{path}` is empty ({len(raw)} bytes)", "the run wrote nothing; look for its other logs", Exit.UNKNOWN
        )
    if raw[:4] in (b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"\x89PNG") or (b"\0" * 16 in raw[:4096]):
        raise GolfError(f"`{path}` is no text", "unpack it first, or name the log itself", Exit.UNKNOWN)
    return read_bytes(raw, str(path))


def read_text(text: str, name: str = "<text>") -> LogFile:
    """The same for a log in memory."""
    return read_bytes(text.encode(), name)


def read_bytes(raw: bytes, name: str) -> LogFile:
    """The same for the bytes of a log."""
    text = clean(raw)
    drafts = merge_resumed(split_runs(text, grammar(), name))
    runs: tuple[RunResult, ...] = tuple(build(index, draft) for index, draft in enumerate(drafts))
    notes = list(text.notes)
    printed = len(runs)
    runs = tuple(replace(run, index=index) for index, run in enumerate(distinct(runs)))
    if len(runs) < printed:
        notes.append(
            f"{printed - len(runs) + 1} prints of one run in the file, of the standard output and of the log: one run"
        )
    if len(runs) > 1:
        notes.append(f"{len(runs)} runs in one file; {_which_count(runs)}")
    return LogFile(name, text.encoding, text.total_lines, len(raw), runs, tuple(notes), len(text.dumps))


def _which_count(runs: tuple[RunResult, ...]) -> str:
    seeds = [run.seed for run in runs if run.complete and run.score is not None]
    if len(set(seeds)) > 1 and None not in seeds:
        return f"complete: seeds {', '.join(map(str, seeds))}"
    return "the last complete one counts where only one can"


def split_runs(text: Text, rules: Grammar, name: str) -> list[Draft]:
    """The runs of a log: a header line that a run already had begins the next one, once something was measured or code was dumped.

    GolfError: more runs, evaluations or measured lines than any log of a run has.
    """
    draft = Draft(text.first_line)
    drafts = [draft]
    dumps = [number for number in text.dumps if number > draft.first_line]
    hyper = ""
    launched: dict[str, dict[str, str]] = {}
    match = rules.match
    lines = evaluations = 0
    for number, line in text.lines:
        if len(drafts) > MOST_RUNS:
            break
        if dumps and number >= dumps[0]:
            dumps.pop(0)
            if draft.measured or "model_params" in draft.seen:
                drafts.append(draft := Draft(number))
        if hyper:
            hyper = _take_hyper(draft, line, hyper)
            if hyper:
                draft.last_line = number
                if len(draft.hyperparameters) > MOST_LINES:
                    raise _too_many(name, MOST_LINES, "hyper-parameters", "name the log itself, not a table")
                continue
        found = match(line)
        if found is None:
            continue
        rule, groups = found
        kind = rule.kind
        lines += 1
        evaluations += kind in EVALUATES
        if evaluations > MOST_EVALUATIONS:
            raise _too_many(name, MOST_EVALUATIONS, "evaluations", "keep those that count: `tail`")
        if lines > MOST_LINES:
            raise _too_many(
                name, MOST_LINES, "measured lines", "keep every hundredth training step and the rest: `awk`"
            )
        if kind == "quiet" and draft.measured:
            continue
        if kind == "launched":
            launched[groups["run"]] = {name: text.strip("'\"") for name, text in DICT_ITEM.findall(groups["hparams"])}
            continue
        if (
            kind == "launch"
            and draft.measured
            and ("launch_result" in draft.seen or not _same_seed(draft, launched.get(groups["run"])))
        ):
            drafts.append(draft := Draft(number))
        again = rule.id in draft.seen and not (
            rule.id == "seed_banner" and int(groups["launched_seed"]) == _seed(draft)
        )
        if (kind in ("begin", "hyper") or rule.id == "seed") and draft.measured and again:
            drafts.append(draft := Draft(number))
        draft.seen.add(rule.id)
        draft.last_line = number
        if kind == "hyper":
            hyper = "lines" if rule.id == "hyper_block" else "pairs"
        elif kind == "golf_result":
            _take_result(draft, number, groups["json"])
        elif kind == "golf_phase":
            draft.phases.append(groups["phase"])
        else:
            draft.measured = draft.measured or kind in MEASURES
            draft.matches.append((number, rule, groups))
            if kind == "launch":
                draft.hyperparameters = {**launched.get(groups["run"], {}), **draft.hyperparameters}
            if not draft.measured and COLON_PAIRS.match(line):
                draft.hyperparameters.update(COLON_PAIR.findall(line))
    if len(drafts) > MOST_RUNS:
        raise _too_many(name, MOST_RUNS, "runs", "give every run a file of its own: `csplit`")
    if not any(one.measured for one in drafts):
        drafts = _recaps(drafts) or drafts
    return [draft for draft in drafts if draft.matches or draft.results or draft.hyperparameters]


def _too_many(name: str, most: int, what: str, way_out: str) -> GolfError:
    return GolfError(f"`{name}` holds more than {most:,} {what}, no log of a run", way_out, Exit.UNKNOWN)


def _recaps(drafts: list[Draft]) -> list[Draft]:
    """A draft for each line that sums up one seed: the runs of a file that holds nothing else of them."""
    lines = [match for draft in drafts for match in draft.matches if match[1].kind == "recap"]
    return [Draft(line[0], matches=[line], last_line=line[0]) for line in lines]


def _take_hyper(draft: Draft, line: str, mode: str) -> str:
    """Add the hyper-parameters of `line`; "" when the list has ended."""
    if mode == "pairs":
        draft.hyperparameters.update(PAIRS.findall(line))
        return ""
    found = HYPER_LINE.match(line)
    if not found or found[1] in AFTER_HYPER or line.startswith(REMOVED):
        return ""
    draft.hyperparameters[found[1]] = found[2]
    return mode


def _take_result(draft: Draft, number: int, text: str) -> None:
    try:
        table = parse_json(text)
    except ValueError:
        table = None
    if not isinstance(table, dict):
        draft.notes.append(f"line {number}: the golf_result line is cut off; its values are not used")
        return
    odd = sorted(name for name, value in table.items() if not _fits(name, value))
    if odd:
        draft.notes.append(f"line {number}: {', '.join(odd)} of the golf_result line is of another type; not used")
    draft.results.append((number, {name: value for name, value in table.items() if name not in odd}))
    draft.measured = True


def _fits(name: str, value: object) -> bool:
    """Whether a value of a golf_result line is of its field's kind; a field that this golf does not know is taken as it is."""
    kind = RESULT_FIELDS[name][0] if name in RESULT_FIELDS else ""
    if value is None or not kind:
        return True
    if kind in ("int", "float"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (abs(float(str(value))) < 1e18 or (kind == "float" and value != value))
    return isinstance(value, list if kind.startswith("list") else str)


def merge_resumed(drafts: list[Draft]) -> list[Draft]:
    """Join golf's own processes of one run: one that did not train continues the one before it, when the seeds agree."""
    merged: list[Draft] = []
    for draft in drafts:
        phases = draft.phases or [str(phase) for _, table in draft.results for phase in _listed(table.get("phases"))]
        if merged and phases and "train" not in phases and _seed(draft) in (None, _seed(merged[-1])):
            last = merged[-1]
            last.matches += draft.matches
            last.results += draft.results
            last.phases += draft.phases
            last.notes += [*draft.notes, f"line {draft.first_line}: a later process went on with {', '.join(phases)}"]
            last.hyperparameters = {**draft.hyperparameters, **last.hyperparameters}
            last.last_line = draft.last_line
        else:
            merged.append(draft)
    return merged


def _same_seed(draft: Draft, hparams: dict[str, str] | None) -> bool:
    """Whether a launcher's summary can be of the run whose lines stand before it."""
    return not hparams or _seed(draft) in (None, _number(hparams.get("seed", "")))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _seed(draft: Draft) -> int | None:
    for _, table in draft.results:
        if isinstance(table.get("seed"), int):
            return int(str(table["seed"]))
    said = [match.groupdict() for _, _, match in draft.matches]
    own = [groups["seed"] for groups in said if groups.get("seed")] or [draft.hyperparameters.get("seed", "")]
    return _number(next((text for text in [*own, *(groups.get("launched_seed") for groups in said)] if text), ""))
