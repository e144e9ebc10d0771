"""What differs between a record and runs of it elsewhere: code, settings, clock, data, machine; only what both sides state."""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from golf.logs import RunResult
from golf.logs.agreement import LIMIT, agreement
from golf.logs.runs import configuration
from golf.recipe.log_names import same_value

KINDS = ("code", "data", "clock", "machine")
# settings that say how long a run may take, not what it trains
CLOCK = re.compile(
    r"wallclock|reserve|^iterations$|^(?:max|num)_(?:steps|iters)|warmup_steps$|time_limit|budget_seconds", re.I
)
DATA = re.compile(r"dataset|train_shards|shards$|val_tokens|vocab|tokenizer|data_(?:name|variant)", re.I)
MACHINE = re.compile(r"world_size|grad_accum|nproc|compile|backend|dtype$|flash|num_gpus|gpu", re.I)


@dataclass(frozen=True)
class Difference:
    """kind: one of KINDS; name: of the setting or fact; published, obtained: its values as text, several where a side has several."""

    kind: str
    name: str
    published: str
    obtained: str

    @property
    def text(self) -> str:
        return f"{self.name} {self.published} → {self.obtained}"


def differences(
    published: Sequence[RunResult], obtained: Sequence[RunResult], scripts: tuple[str | None, str | None] = (None, None)
) -> list[Difference]:
    """Every difference, code first. scripts: the readable text of both sides' scripts, None where one is not at hand."""
    found = [*_code(published, obtained, scripts), *_settings(published, obtained)]
    found += _facts(published, obtained)
    return sorted(found, key=lambda one: KINDS.index(one.kind))


def _code(
    published: Sequence[RunResult], obtained: Sequence[RunResult], scripts: tuple[str | None, str | None]
) -> list[Difference]:
    if None not in scripts:
        before, after = (_meaning(text or "") for text in scripts)
        if before == after:
            return []
        changed = [f"{a} → {b}" for a, b in _changed_lines(scripts[0] or "", scripts[1] or "")]
        more = f" and {len(changed) - 3} more lines" if len(changed) > 3 else ""
        return [Difference("code", "the script", "", "; ".join(changed[:3]) + more)]
    sizes = [_values(runs, lambda run: run.code_bytes) for runs in (published, obtained)]
    return [] if _agree(*sizes) else [Difference("code", BYTES_OF_CODE, *map(_listed, sizes))]


BYTES_OF_CODE = "bytes of code"


def _meaning(text: str) -> str:
    """The script without comments, docstrings and layout; as it stands where this Python cannot parse it."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "\n".join(line.partition("#")[0].rstrip() for line in text.splitlines() if line.strip())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0].value = ast.Constant(None)
    return ast.dump(tree)


def _changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    """Lines that were replaced one for one, and "(nothing)" for those that were added or taken out."""
    import difflib

    left, right = ([line.strip() for line in text.splitlines() if line.strip()] for text in (before, after))
    found = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag != "equal":
            olds, news = left[a:b], right[c:d]
            for place in range(max(len(olds), len(news))):
                pair = [lines[place][:80] if place < len(lines) else "(nothing)" for lines in (olds, news)]
                found.append((pair[0], pair[1]))
    return found


def _settings(published: Sequence[RunResult], obtained: Sequence[RunResult]) -> list[Difference]:
    """Settings and counts that both print: names of the first run of each side, values over all runs."""
    before, after = [[configuration(run) for run in runs] for runs in (published, obtained)]
    names = [name for name in _names(before) if name in _names(after) and name not in ("code_bytes", "gpu")]
    found = []
    for name in names:
        sides = [sorted({table[name] for table in tables if name in table}) for tables in (before, after)]
        if all(any(same_value(mine, theirs) for theirs in sides[0]) for mine in sides[1]):
            continue
        found.append(Difference(_kind(name), name, *map(_listed, sides)))
    return found + _alone(_names(before), _names(after), published, obtained)


def _alone(
    before: Sequence[str], after: Sequence[str], published: Sequence[RunResult], obtained: Sequence[RunResult]
) -> list[Difference]:
    """Settings that one side's script prints and the other's does not know, where both print their settings."""
    if (
        not published
        or not obtained
        or min(len(run.hyperparameters) for run in (*published, *obtained)) < MOST_OF_A_LIST
    ):
        return []
    ours, theirs = ([set(run.hyperparameters) for run in runs] for runs in (published, obtained))
    names = [_only(before, ours, theirs), _only(after, theirs, ours)]
    if not any(names):
        return []
    shown = [", ".join(side[:4]) + (f" and {len(side) - 4} more" if len(side) > 4 else "") or "none" for side in names]
    return [Difference("code", "settings of its own:", *shown)]


def _only(names: Sequence[str], mine: Sequence[set[str]], theirs: Sequence[set[str]]) -> list[str]:
    """Of `names` the settings of the model that every run of a side prints and none of the other."""
    return [
        name
        for name in names
        if _kind(name) == "code" and all(name in one for one in mine) and not any(name in one for one in theirs)
    ]


def _kind(name: str) -> str:
    return next((kind for kind, names in _KINDS if names.search(name)), "code")


MOST_OF_A_LIST = 10  # settings: fewer are no list of all of them


_KINDS = (("clock", CLOCK), ("data", DATA), ("machine", MACHINE))


def _names(tables: Sequence[Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys(name for table in tables for name in table))


def _facts(published: Sequence[RunResult], obtained: Sequence[RunResult]) -> list[Difference]:
    """What the logs state beside their settings: shards, validation tokens, bytes per token, the device and its software."""
    found = []
    for kind, name, of in (
        ("data", "train shards", lambda run: run.train_shards),
        ("data", "validation tokens", lambda run: run.val_tokens),
        ("data", "dataset", lambda run: (run.dataset or "").rstrip("/").rpartition("/")[2] or None),
        ("machine", "GPU", lambda run: run.gpu),
        ("machine", "ranks", lambda run: run.world_size),
        ("machine", "torch", lambda run: run.torch),
        ("machine", "Python", lambda run: run.python),
    ):
        sides = [_values(runs, of) for runs in (published, obtained)]
        if not _agree(*sides):
            found.append(Difference(kind, name, *map(_listed, sides)))
    ratios = [bytes_per_token(runs) for runs in (published, obtained)]
    if None not in ratios and abs((ratios[1] or 0) / (ratios[0] or 1) - 1) > LIMIT:
        found.append(Difference("data", "bytes per token", f"{ratios[0]:.5f}", f"{ratios[1]:.5f}"))
    known = {one.name for one in found}
    return [one for one in found if not (one.name == "ranks" and "world_size" in known)]


def bytes_per_token(runs: Sequence[RunResult]) -> float | None:
    """What losses and BPB of the runs imply together; None where no run prints both."""
    found = [ratio for run in runs if (ratio := agreement(run).common) is not None]
    return sum(found) / len(found) if found else None


def _values(runs: Sequence[RunResult], of: object) -> list[str]:
    return sorted({str(value) for run in runs if (value := of(run)) is not None})  # type: ignore[operator]


def _agree(published: Sequence[str], obtained: Sequence[str]) -> bool:
    """Whether nothing is known to differ: a side that states nothing says nothing, and any of several published values will do."""
    return not published or not obtained or set(obtained) <= set(published)


def _listed(values: Sequence[str]) -> str:
    return ", ".join(f"{int(text):,}" if text.isdecimal() and len(text) > 4 else text for text in values[:4])
