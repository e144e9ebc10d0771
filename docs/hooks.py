"""mkdocs hook: the reference pages are generated from what golf itself reads, so that no page can lag behind the code.

`pages()` gives path → Markdown; mkdocs asks for it while it builds, a test asks for it without mkdocs.
"""

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from golf.cli import GROUPS
from golf.cli.pages.knobs import facts_of
from golf.files import toml
from golf.recipe import load_recipe, shipped_recipes
from golf.recipe.catalogue import load_catalogue
from golf.recipe.techniques import techniques as known
from golf.rules import dynamic
from golf.rules.pack import load_pack

HERE = Path(__file__).parent
GENERATED = ("knobs", "slots", "chains", "techniques", "recipes", "rules", "checks", "commands", "benchmarks")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars and line ends inside cells are escaped."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """Text as code; empty for none."""
    return f"`{text}`" if text else ""


def pages() -> dict[str, str]:
    """Every generated page: path below docs/ → Markdown."""
    made = (knobs(), slots(), chains(), techniques(), recipes(), rules(), checks(), commands(), benchmarks())
    return {f"reference/{name}.md": text for name, text in zip(GENERATED, made, strict=True)}


@lru_cache(maxsize=1)
def _facts() -> list[Mapping[str, Any]]:
    recipes = [load_recipe(name) for name in shipped_recipes()]
    catalogue = load_catalogue()
    return [facts_of(catalogue, name, recipes, {}) | {"bound": knob.bound} for name, knob in catalogue.knobs.items()]


def _readers(facts: Mapping[str, Any]) -> str:
    """The files that read a knob, each once."""
    return ", ".join(dict.fromkeys(Path(row["file"]).name for row in facts["read_by"]))


def knobs() -> str:
    """Numbers, flags, texts and lists, by section of recipe.toml."""
    parts: dict[str, list[list[str]]] = {}
    for facts in _facts():
        if facts["kind"] == "knob":
            bound = getattr(facts["bound"], "text", "") or facts["type"]
            row = [
                code(facts["name"]),
                code(bound),
                code(toml(facts["default"])),
                facts["unit"],
                facts["meaning"],
                _readers(facts),
            ]
            parts.setdefault(facts["section"], []).append(row)
    columns = ("knob", "type and bound", "default", "unit", "meaning", "read by")
    text = "# Knobs\n\nEvery number, flag, text and list that a recipe may set, by section. `golf show NAME` says where it is read, line by line.\n"
    return text + "".join(f"\n## [{section}]\n\n{table(columns, rows)}" for section, rows in parts.items())


def _points(kind: str, title: str, about: str) -> str:
    rows = []
    for facts in _facts():
        if facts["kind"] == kind:
            called = "; ".join(facts["called"]["calls"]) if facts["called"] else ""
            fitting = ", ".join(dict.fromkeys([*facts["users"], *facts["fits"]]))
            rows.append([code(facts["name"]), code(f"[{facts['section']}]"), code(toml(facts["default"])), facts["meaning"],
                         code(called), fitting, _readers(facts)])  # fmt: skip
    columns = ("name", "section", "default", "what", "called with", "what fits", "read by")
    return f"# {title}\n\n{about}\n\n{table(columns, rows)}"


def slots() -> str:
    """Places for exactly one implementation."""
    return _points(
        "slot", "Slots", 'A slot holds exactly one implementation; `""` is none. One of your own is `user:FILE.NAME`.'
    )


def chains() -> str:
    """Places for an ordered list."""
    return _points("chain", "Chains", "A chain holds an ordered list at one point; its order is the order of calls.")


def techniques() -> str:
    """Every technique with its summary, who had it, and its knobs."""
    catalogue = load_catalogue()
    rows = [[code(name), one.summary] for name, one in sorted(known(catalogue).items())]
    about = "Each is one file in `golf/parts/techniques/`, or a row of `golf/recipes/techniques.toml` where it is only a knob."
    return f"# Techniques\n\n{about} `golf show technique:NAME` shows one whole.\n\n{table(('technique', 'what, and whose'), rows)}"


def recipes() -> str:
    """Every recipe with its sources, published numbers and what it changes against the one it extends."""
    text = "# Recipes\n\nThe authors' numbers (8×H100), with their source; nothing here was measured by golf.\n"
    for name in shipped_recipes():
        recipe = load_recipe(name)
        text += f"\n## {name}\n\n{recipe.title or name}. {recipe.summary}\n\n"
        facts = {"extends": recipe.extends or "", "authors": ", ".join(recipe.authors), "source": recipe.source,
                 "track": recipe.track, "ruling": ", ".join(recipe.ruling), "legal variant": recipe.legal_variant or ""}  # fmt: skip
        facts |= {f"published {key}": str(value) for key, value in recipe.published.items()}
        text += table(("", ""), [[key, value] for key, value in facts.items() if value])
        if recipe.credits:
            text += "\nBuilt on:\n\n" + "".join(f"- {credit}\n" for credit in recipe.credits)
        own = [[code(key), code(toml(value)), recipe.catalogue.knobs[key].meaning] for key, value in recipe.values.items()
               if recipe.origins.get(key) == name]  # fmt: skip
        if own:
            text += "\n" + table(("sets", "to", "meaning"), own)
    return text


def rules() -> str:
    """The current rule pack."""
    pack = load_pack()
    text = f"# Rules\n\n{pack.title}; pack `{pack.name}`. `golf explain CODE` adds real examples and the measured error rate.\n"
    for rule in pack.rules.values():
        checks = ", ".join(code(name) for name in rule.detectors)
        text += f"\n## {rule.code}: {rule.title}\n\n{rule.statement}\n\n"
        text += table(("", ""), [["severity", rule.severity], ["authority", rule.authority], ["source", f"<{rule.source}>"],
                                 ["tracks", ", ".join(rule.tracks)], ["checks", checks], ["way out", rule.help]])  # fmt: skip
    return text


def checks() -> str:
    """The table of executable checks, from the docstring that holds it."""
    rows = []
    for line in (dynamic.__doc__ or "").splitlines():
        if match := re.match(r"    (D\d+b?)\s+(.*?)(?:\s{2,}(R\d\d.*))?$", line):
            rows.append([match[1], match[2], match[3] or ""])
    first = (dynamic.__doc__ or "").splitlines()[0]
    return f"# Executable checks\n\n{first} How they enter a verdict: [How verify decides](../verify.md).\n\n{table(('check', 'property', 'rules'), rows)}"


def commands() -> str:
    """The help page of every verb, as the tests hold it."""
    text = "# Commands\n"
    for group, verbs in GROUPS.items():
        text += f"\n## {group}\n\n" + table(
            ("verb", "what"), [[code(f"golf {verb}"), what] for verb, what in verbs.items()]
        )
    kept = HERE.parent / "tests" / "cli" / "golden_help.txt"
    for page in re.split(r"\n(?=Usage: )", kept.read_text(encoding="utf-8")):
        name = re.match(r"Usage: (golf[a-z ]*)", page)
        if name:
            text += f"\n## {name[1].strip()}\n\n```text\n{page.strip()}\n```\n"
    return text


def benchmarks() -> str:
    """Every measurement that can be repeated, with the first paragraph of what it says of itself."""
    rows = []
    for path in sorted((HERE.parent / "benchmarks").glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        runs = "__main__" in path.read_text(encoding="utf-8")
        rows.append([code(f"make bench NAME={path.stem}") if runs else code(path.name), text.partition("\n\n")[0]])
    about = "Each prints a table; arguments go into `ARGS=`. `benchmarks/gpu/` is prepared for one call on a machine with a GPU. What they gave: [Log book](../logbook.md)."
    return f"# Benchmarks\n\n{about}\n\n{table(('call', 'what it measures'), rows)}"


def on_files(files: Any, config: Any) -> Any:
    """mkdocs asks which files there are: those on disk, and the generated ones."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - the tests have no mkdocs

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files
