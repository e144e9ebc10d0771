"""Credits told by person: who did what, with the pull requests, each name once.

A credit is written "PR #1285 @dexhunter: MuonEq-R, recurrence", "@dexhunter: MuonEq-R (PR #1285)", or "PR #1089: row scaling" where
nobody is named. Recipes add their parents' authors as "pr1394: Kevin Clark (@clarkkev)".
"""

import re
from collections.abc import Iterable

HANDLE = re.compile(r"@[\w-]+")
PULL = re.compile(r"^(PR #\d+)(?: (.+))?$")


def by_person(authors: Iterable[str], credits: Iterable[str], recipes: Iterable[str] = ()) -> dict[str, list[str]]:
    """Person → what they did, in the order of first mention. recipes: names that a credit may begin with instead of a person's.

    A person is known again by name or by @handle; what no person is named for stands under its pull request.
    """
    told: dict[str, list[str]] = {}
    for author in authors:
        told.setdefault(_known(told, author), [])
    for credit in credits:
        person, what = _read(credit, frozenset(recipes))
        mine = told.setdefault(_known(told, person), [])
        if what and what not in mine:
            mine.append(what)
    return told


def _read(credit: str, recipes: frozenset[str]) -> tuple[str, str]:
    """(person, what) of one credit."""
    head, colon, what = credit.partition(": ")
    if not colon:
        return credit, ""
    pull = PULL.match(head)
    if pull and pull[2]:
        return pull[2], f"{what} ({pull[1]})"
    if head in recipes:
        return what, f"the recipe {head}"
    return head, what


def _known(told: dict[str, list[str]], person: str) -> str:
    """The name under which somebody is told already; a fuller one takes its place."""
    for known in told:
        if _names(known) & _names(person):
            if len(person) > len(known):  # with a name and a handle
                renamed = [(person if k == known else k, v) for k, v in told.items()]
                told.clear()
                told.update(renamed)
                return person
            return known
    return person


def _names(person: str) -> set[str]:
    """What a person may be called: the name, the handle."""
    bare = re.sub(r"\s*\(.*\)$", "", person).strip()
    return {name.lower() for name in (bare, *HANDLE.findall(person)) if name}


def lines(told: dict[str, list[str]]) -> list[str]:
    """A line a person: "Kevin Clark (@clarkkev): base stack (PR #1394); skip gates (PR #1218)"."""
    return [f"{person}: {'; '.join(what)}" if what else person for person, what in told.items()]
