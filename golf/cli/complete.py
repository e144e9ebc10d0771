"""What the shell completes: names of recipes, submissions, techniques, knobs and rules, by verb and parameter.

Everything is read from files; neither torch nor the composer is imported. `golf --install-completion` sets it up.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from typer.models import ParameterInfo

Offer = tuple[str, str]  # (word, what it is)


def recipes() -> Iterator[Offer]:
    from golf.project import submission_names
    from golf.recipe.files import shipped_recipes

    yield from ((name, "a submission") for name in submission_names())
    yield from ((name, "a recipe that ships") for name in shipped_recipes())


def submissions() -> Iterator[Offer]:
    from golf.project import submission_names

    yield from ((name, "a submission") for name in submission_names())


def techniques() -> Iterator[Offer]:
    from golf.recipe.catalogue import load_catalogue
    from golf.recipe.techniques import techniques as known

    yield from ((technique.name, technique.summary) for technique in known(load_catalogue()).values())


def knobs() -> Iterator[Offer]:
    from golf.recipe.catalogue import load_catalogue

    yield from ((knob.name, knob.meaning) for knob in load_catalogue().knobs.values())


def values() -> Iterator[Offer]:
    yield from ((f"{name}=", meaning) for name, meaning in knobs())


def rules() -> Iterator[Offer]:
    from golf.rules.pack import load_pack

    yield from ((rule.code, rule.title) for rule in load_pack().rules.values())


def kinds() -> Iterator[Offer]:
    from golf.cli.pages.ls import KINDS

    yield from ((kind, f"golf ls {kind}") for kind in KINDS)


def packs() -> Iterator[Offer]:
    from golf.rules.pack import pack_names

    yield from ((name, "a rule pack: a contest state") for name in pack_names())


def engines() -> Iterator[Offer]:
    yield from (("local", "processes of this machine"), ("ray", "a Ray cluster, at RAY_ADDRESS"))


def trackers() -> Iterator[Offer]:
    from golf.run.track import TRACKERS

    yield from ((name, "a tracker, offline") for name in TRACKERS)


def tracks() -> Iterator[Offer]:
    from golf.board.tracks import side_tracks
    from golf.project import find_root

    yield from ((name, "a track of golf's own") for name in side_tracks(find_root()))


def clouds() -> Iterator[Offer]:
    from golf.pods.task import CLOUDS

    yield from ((name, "a cloud of SkyPilot") for name in CLOUDS)


# verb (and sub-command) → parameter → what may stand there
SOURCES: dict[str, dict[str, tuple[Callable[[], Iterator[Offer]], ...]]] = {
    "ablate": {
        "base": (recipes,),
        "drop": (techniques,),
        "add": (techniques,),
        "allow": (rules,),
        "engine": (engines,),
        "track": (trackers,),
    },
    "audit": {"pack": (packs,), "engine": (engines,)},
    "compare": {"a": (recipes,), "b": (recipes,)},
    "compose": {"names": (recipes, values), "diff": (recipes,)},
    "demo": {"recipe": (recipes,)},
    "explain": {"code": (rules,)},
    "logs.follow": {"name": (submissions,)},
    "ls": {"kind": (kinds,)},
    "new": {"parent": (recipes,), "overrides": (values,), "with_": (techniques,), "without": (techniques,)},
    "package": {"words": (submissions, values)},
    "pod.check": {"name": (submissions,)},
    "pod.plan": {"name": (submissions,), "allow": (rules,), "cloud": (clouds,)},
    "record": {"name": (submissions,)},
    "run": {"name": (submissions,), "allow": (rules,), "tracks": (tracks, trackers), "cloud": (clouds,)},
    "show": {"name": (recipes, techniques, knobs)},
    "size": {"name": (recipes,), "versus": (recipes,)},
    "status": {"name": (submissions,)},
    "sweep": {
        "base": (recipes,),
        "over": (values,),
        "allow": (rules,),
        "engine": (engines,),
        "track": (trackers,),
    },
    "verify": {"path": (submissions,)},
    "watch": {"name": (submissions,)},
}


def add_completion(verb: str, function: Callable[..., Any]) -> None:
    """Have the parameters of a command's function completed, before Typer makes the command of it."""
    for name, sources in SOURCES.get(verb, {}).items():
        parameter = inspect.signature(function).parameters[name]
        held = [parameter.default, *getattr(parameter.annotation, "__metadata__", ())]
        for info in held:
            if isinstance(info, ParameterInfo):
                info.autocompletion = _completer(*sources)


def _completer(*sources: Callable[[], Iterator[Offer]]) -> Callable[[str], list[Offer]]:
    def complete(incomplete: str) -> list[Offer]:
        found = {word: text for source in sources for word, text in source() if word.startswith(incomplete)}
        return list(found.items())

    return complete
