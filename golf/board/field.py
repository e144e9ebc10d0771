"""The field: every pull request of the challenge beside the official rows, with what it claims, and search over all of them.

`pull_requests.tsv.xz` holds the facts of 1,584 pull requests (author, date, state, claim, seeds, bytes, hardware, techniques as its text
names them, rules that a maintainer or an audit held against it), read from their titles, folders and threads up to 2026-05-04. A claim is
what its authors state; only a row of the board was looked at by the maintainers.
"""

import csv
import io
import lzma
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from statistics import median
from typing import Any

from golf.board.rows import Row, official
from golf.errors import GolfError
from golf.logs.backing import PLAUSIBLE_BPB
from golf.stats import sample_sd

LINK = "https://github.com/openai/parameter-golf/pull/"
STATUSES = ("open", "closed", "merged", "row", "no_row", "withdrawn", "reverted", "base", "unknown")
TRACKS = {"record": "10min_16mb", "non-record": "non_record_16mb"}
SORTS = ("claim", "date", "pr")


@dataclass(frozen=True)
class Attempt:
    """One pull request. claim: its val_bpb as its authors state it; rank: of its row on the official board, None without one.

    verdict: PASS, WARN or FAIL where an audit or a maintainer said so, with the rules; "" where nobody has.
    """

    pr: int
    title: str
    author: str
    date: str
    status: str
    track: str
    claim: float | None
    seeds: Mapping[str, float] = field(default_factory=dict)
    sd: float | None = None
    bytes: int | None = None
    hardware: str = ""
    techniques: tuple[str, ...] = ()
    folder: str = ""
    rules: tuple[str, ...] = ()
    verdict: str = ""
    note: str = ""
    rank: int | None = None

    @property
    def link(self) -> str:
        return f"{LINK}{self.pr}"

    @property
    def text(self) -> str:
        """Everything about it that words are looked for in, in lower case."""
        return " ".join((self.title, self.author, *self.techniques, self.note, self.folder, self.hardware)).lower()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {**asdict(self), "link": self.link}


@cache
def attempts() -> tuple[Attempt, ...]:
    """Every pull request that is known, by number; the official rows among them with their rank, status and techniques."""
    found = {attempt.pr: attempt for attempt in _pull_requests()}
    for row in official():
        if row.pr is not None:
            found[row.pr] = _of_row(row, found.get(row.pr))
    return tuple(found[number] for number in sorted(found))


def _pull_requests() -> Iterable[Attempt]:
    raw = lzma.decompress(files("golf.board").joinpath("pull_requests.tsv.xz").read_bytes()).decode()
    for line in csv.DictReader(io.StringIO(raw), delimiter="\t"):
        seeds = _seeds(line["seeds"])
        sd = line["std_sample_from_seeds"]
        yield Attempt(
            int(line["pr"]), line["title"], line["author"], line["date"], _status(line["status"]), TRACKS.get(line["track"], ""),
            _claim(line["val_bpb"]), seeds, float(sd) if sd else sample_sd(list(seeds.values())),
            int(line["artifact_bytes"]) if line["artifact_bytes"] else None, line["hardware"],
            tuple(filter(None, line["claimed_techniques"].split("; "))), line["record_folder"],
            tuple(line["rules"].split()), line["verdict"], line["note"],
        )  # fmt: skip


def _claim(text: str) -> float | None:
    """A claimed BPB; None for none and for what cannot be one (0.0 stands in some submissions)."""
    value = float(text) if text else 0.0
    return value if PLAUSIBLE_BPB[0] < value < PLAUSIBLE_BPB[1] else None


def _seeds(text: str) -> dict[str, float]:
    """Seed → score of `42:1.05;7:1.06`; a list of seeds without scores says nothing of a score."""
    pairs = [part.partition(":") for part in text.split(";")]
    return {seed: float(score) for seed, colon, score in pairs if colon and score}


def _status(text: str) -> str:
    return "reverted" if "reverted" in text else text.split(maxsplit=1)[0] if text else "unknown"


def _of_row(row: Row, known: Attempt | None) -> Attempt:
    """The attempt of an official row: its score and its status, with what else is known of its pull request."""
    assert row.pr is not None
    rules = tuple(
        dict.fromkeys((*(code for mark in row.marks for code in mark.codes), *(known.rules if known else ())))
    )
    seeds = {seed: bpb for seed, (bpb, _) in row.seeds.items()}
    remarks = "; ".join((row.summary, *(mark.text for mark in row.marks)))
    return Attempt(
        row.pr, row.run or (known.title if known else ""), row.author or (known.author if known else ""), row.date or (known.date if known else ""),
        row.status, row.track, row.bpb if row.bpb is not None else known.claim if known else None, seeds or (known.seeds if known else {}),
        sample_sd(list(seeds.values())), row.stats.get("bytes") or (known.bytes if known else None),
        str(row.stats.get("gpu", "")) or (known.hardware if known else ""),
        tuple(dict.fromkeys((*row.techniques, *(known.techniques if known else ())))), row.folder, rules,
        known.verdict if known and known.verdict else "WARN" if row.disputed else "", remarks, row.rank,
    )  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What is looked for; every filter that is given must fit. words: all of them, anywhere in what is known of a pull request."""

    words: tuple[str, ...] = ()
    technique: str | None = None
    author: str | None = None
    status: str | None = None
    track: str | None = None
    rule: str | None = None
    below: float | None = None
    at: str | None = None
    seeds: int | None = None
    sort: str = "claim"


def search(wanted: Wanted, among: Sequence[Attempt] | None = None) -> list[Attempt]:
    """The pull requests that fit, in the order asked for (without a claim last). GolfError for a status or order that cannot be."""
    for what, value, known in (("status", wanted.status, STATUSES), ("order", wanted.sort, SORTS)):
        if value is not None and value not in known:
            raise GolfError(f"no {what} `{value}`", f"one of {', '.join(known)}")
    found = [attempt for attempt in (attempts() if among is None else among) if _fits(attempt, wanted)]
    if wanted.sort == "claim":
        return sorted(found, key=lambda one: (one.claim is None, one.claim or 0.0, one.pr))
    return sorted(
        found, key=lambda one: (one.date, one.pr) if wanted.sort == "date" else (str(one.pr).zfill(6), one.pr)
    )


def _fits(one: Attempt, wanted: Wanted) -> bool:
    return (
        _says(one.text, wanted.words)
        and (wanted.technique is None or any(plain(wanted.technique) in plain(name) for name in one.techniques))
        and (wanted.author is None or wanted.author.lower() in one.author.lower())
        and (wanted.status is None or one.status == wanted.status)
        and (wanted.track is None or one.track == wanted.track)
        and (wanted.rule is None or wanted.rule.upper() in one.rules)
        and (wanted.below is None or (one.claim is not None and one.claim < wanted.below))
        and (wanted.at is None or (bool(one.date) and one.date <= wanted.at))
        and (wanted.seeds is None or len(one.seeds) >= wanted.seeds)
    )


# what people type, and how titles abbreviate it
SHORT = {
    "mixture of experts": "moe",
    "test time training": "ttt",
    "state space model": "ssm",
    "quantization aware training": "qat",
    "exponential moving average": "ema",
    "stochastic weight averaging": "swa",
    "multi token prediction": "mtp",
    "low rank adapter": "lora",
    "knowledge distillation": "distill",
}


def _says(text: str, words: Sequence[str]) -> bool:
    """Whether a text has every word, or the usual short form of words that belong together."""
    asked = re.sub(r"[-_\s]+", " ", " ".join(words).lower())
    for phrase, short in SHORT.items():
        if re.search(rf"\b{phrase}s?\b", asked):
            rest = re.sub(rf"\b{phrase}s?\b", " ", asked).split()
            named = plain(phrase) in plain(text) or re.search(rf"(?i)\b{short}", text) is not None
            return named and _says(text, rest)
    return all(plain(word) in plain(text) for word in words)


def plain(text: str) -> str:
    """Letters and digits in lower case: `Muon variants` is found as `muon-variants`, `n-gram` as `ngram`."""
    return re.sub(r"[^a-z0-9]+", "", text.lower())


@dataclass(frozen=True)
class Summary:
    """What a set of attempts gave. best: the lowest claim of all; official: the lowest of those with a row on the board."""

    count: int
    claims: int
    best: Attempt | None
    official: Attempt | None
    median_bpb: float | None
    with_three_seeds: int
    contested: int


def summary(found: Sequence[Attempt]) -> Summary:
    """The sum of `found`: a claim of the other track counts too, and is no result of this one."""
    claimed = [one for one in found if one.claim is not None]
    ranked = [one for one in claimed if one.rank is not None]
    return Summary(
        len(found), len(claimed), min(claimed, key=lambda one: one.claim or 0.0, default=None), min(ranked, key=lambda one: one.claim or 0.0, default=None),
        median(one.claim or 0.0 for one in claimed) if claimed else None, sum(len(one.seeds) >= 3 for one in found),
        sum(one.verdict == "FAIL" for one in found),
    )  # fmt: skip
