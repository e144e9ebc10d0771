"""The line grammar, compiled: which rule a line matches. The grammar itself is `grammar.toml`."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

FLOAT = r"(?:-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|nan|-?inf)"
# numbers as the grammar writes them → bounded and well formed: "1.2.3" is no number, and 5,000 digits are none
NUMBERS = ((r"[\d.]+", r"\d{1,18}(?:\.\d{0,18})?"), (r"\d+", r"\d{1,18}"), (r"[\d,]+", r"[\d,]{1,24}"))
LEAD = re.compile(r"\s*([A-Za-z][\w-]*|---)")


@dataclass(frozen=True)
class Rule:
    """One line form: its id, what it means, and the expression whose groups are fields."""

    id: str
    kind: str
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class Grammar:
    """The rules, by the word a line begins with and by a word it holds."""

    by_lead: dict[str, tuple[Rule, ...]]
    by_word: tuple[tuple[tuple[str, ...], Rule], ...]
    words: re.Pattern[str]

    def match(self, line: str) -> tuple[Rule, re.Match[str]] | None:
        """The first rule that `line` (without prefix) matches, and the match; None for a line of no known form."""
        lead = LEAD.match(line)
        key = lead.group(1).lower() if lead else ("#" if line[:1].isdigit() else "")
        for rule in self.by_lead.get(key, ()):
            if found := rule.pattern.search(line):
                return rule, found
        if self.words.search(line):
            for holds, rule in self.by_word:
                if any(word in line for word in holds) and (found := rule.pattern.search(line)):
                    return rule, found
        return None


@cache
def grammar() -> Grammar:
    """The grammar of `grammar.toml`."""
    table = tomllib.loads(files("golf.logs").joinpath("grammar.toml").read_text(encoding="utf-8"))
    by_lead: dict[str, list[Rule]] = {}
    by_word: list[tuple[tuple[str, ...], Rule]] = []
    for entry in table["rule"]:
        rule = Rule(entry["id"], entry["kind"], re.compile(_bounded(entry["regex"]).replace("FLOAT", FLOAT)))
        for lead in entry.get("lead", ()):
            by_lead.setdefault(lead, []).append(rule)
        if "holds" in entry:
            by_word.append((tuple(entry["holds"]), rule))
    words = re.compile("|".join(sorted({re.escape(word) for holds, _ in by_word for word in holds})))
    return Grammar({lead: tuple(rules) for lead, rules in by_lead.items()}, tuple(by_word), words)


def _bounded(regex: str) -> str:
    for written, meant in NUMBERS:
        regex = regex.replace(written, meant)
    return regex
