"""Print: banner, imports, the live scalars once as `class h`, the kept definitions by chapters, formatted by ruff."""

import ast
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from golf import __version__
from golf.compose.chapters import CHAPTERS, Chapter, parts_in_order
from golf.compose.docstrings import OF_SLOTS
from golf.compose.program import tree_of
from golf.compose.shake import Live
from golf.errors import GolfError
from golf.recipe import Recipe
from golf.recipe.catalogue import Catalogue
from golf.recipe.credits import by_person
from golf.recipe.credits import lines as credit_lines
from golf.recipe.knobs import literal
from golf.recipe.partfile import Import, Part
from golf.recipe.techniques import techniques

try:
    from ruff.__main__ import find_ruff_bin  # type: ignore[import-untyped,unused-ignore]

    RUFF: tuple[str, ...] = (
        os.fsdecode(find_ruff_bin()),
    )  # itself: starting a Python that starts it takes longer than it does
except (ImportError, OSError):
    RUFF = (sys.executable, "-m", "ruff")
WIDTH = 120
WITH = re.compile(r"With `(\w+)` ")
TICKS = re.compile(r"`([^`]+)`")
OF_SLOT = re.compile(r"(It g|G)oes into the (chain|slot) ")  # for who writes a recipe
STYLE = ("--isolated", "--line-length", str(WIDTH), "--target-version", "py311")


def render(recipe: Recipe, live: Live, found: Sequence[Chapter]) -> str:
    """The composed file, formatted. Raises GolfError when ruff finds an undefined or unused name in it."""
    parts = parts_in_order(recipe, live, found)
    told = set[str]()
    names = names_in(recipe, live)
    bodies = {chapter.name: body(recipe, live, chapter, told, names) for chapter in found}
    settings = scalars(recipe, live, parts)
    if settings:
        bodies["settings"] = "\n\n".join((settings, bodies.get("settings", "")))
    sections = [banner(recipe, live, parts), imports(live.imports)]
    for name in CHAPTERS:
        if bodies.get(name):
            sections += [heading(name), bodies[name]] if len(bodies) > 1 else [bodies[name]]
    entry = recipe.entry.partition(":")[2]
    sections.append(f'if __name__ == "__main__":\n    {entry}()\n')
    text = formatted("\n\n".join(section for section in sections if section))
    check(text, recipe)
    return text


def banner(recipe: Recipe, live: Live, parts: Sequence[Part]) -> str:
    """What the file is, what it does, from whom, and how to change it, as its docstring."""
    lines = [f"{recipe.name}: {recipe.title}" if recipe.title else recipe.name, ""]
    for feature in features(recipe, live, parts):
        lines += textwrap.wrap(f"- {headline(feature)}", WIDTH - 4, subsequent_indent="  ")
    lines += [""] if lines[-1] else []
    if recipe.summary:
        lines += [*textwrap.wrap(recipe.summary, WIDTH - 4), ""]
    said = f"Composed by golf {__version__} from {' → '.join(recipe.lineage)}. Do not edit: change recipe.toml, then `golf compose`."
    lines += textwrap.wrap(said, WIDTH - 4)
    people = by_person(recipe.authors, recipe.credits, recipe.chain)
    if people:
        lines += ["", "Credits:"]
        for person in credit_lines(people):
            lines += textwrap.wrap(f"- {person}", WIDTH - 4, subsequent_indent="  ")
    if recipe.source:
        lines += ["", *textwrap.wrap(f"Source: {recipe.source}", WIDTH - 4, subsequent_indent="  ")]
    text = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''")
    text = text[:-1] + '\\"' if text.endswith('"') else text
    return f'"""{text}\n"""\n'


def features(recipe: Recipe, live: Live, parts: Sequence[Part]) -> list[str]:
    """What the file does, one sentence each, in its order: of the skeleton the model and its optimizers, then every technique.

    From the first sentences of docstrings, and for what is only a knob from recipes/techniques.toml. Only what is live.
    """
    known = {name: t for name, t in techniques(recipe.catalogue).items() if t.used_in(recipe)}
    rows = [t for t in known.values() if t.off is not None and live.decided | live.knobs >= set(t.knobs)]
    homes = {row.name: recipe.catalogue.knobs[row.knobs[0]].part for row in rows}
    told = []
    for part in sorted(parts, key=lambda part: part.stem != "model"):  # the whole before its pieces
        if part.stem in known or (part.knobs and part.stem in _skeleton(live)):
            told.append(part.summary)
        told += [row.summary for row in rows if homes[row.name] == part.stem]
    return [*told, *(row.summary for row in rows if homes[row.name] not in {part.stem for part in parts})]


def headline(summary: str) -> str:
    """A feature in a line: the sentence, or of a long one what stands before its colon, with the credit."""
    credit = re.search(r"\s*\(([^()]|\([^()]*\))*\)\.?$", summary)
    if len(summary) > WIDTH - 6 and ": " in summary:
        return summary.partition(": ")[0] + (credit[0].removesuffix(".") if credit else "")
    return summary.removesuffix(".")


def _skeleton(live: Live) -> set[str]:
    """The parts of the model and the optimizers whose class, or only function, is live."""
    stems = {*CHAPTERS["model"], *CHAPTERS["optimizer"]}
    return {d.part for d in live.definitions.values() if d.part in stems and (d.kind == "class" or d.part == "optim")}


def imports(needed: Iterable[Import]) -> str:
    """Sorted import lines: the standard library, then the rest; `import x` before `from x import y`."""
    plain, named = set[str](), dict[str, set[str]]()
    for item in needed:
        if not item.name:
            module, renamed, _ = item.module.partition("=")
            plain.add(f"import {module} as {item.bound}" if renamed else f"import {module}")
        else:
            named.setdefault(item.module, set()).add(
                item.name if item.name == item.bound else f"{item.name} as {item.bound}"
            )
    groups: list[list[str]] = [[], []]
    for line in sorted(plain, key=str.lower):
        groups[not _is_stdlib(line.split()[1])].append(line)
    for module in sorted(named, key=str.lower):
        names = ", ".join(sorted(named[module], key=_import_key))
        groups[not _is_stdlib(module)].append(f"from {module} import {names}")
    return "\n\n".join("\n".join(group) for group in groups if group)


def _is_stdlib(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _import_key(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest, as ruff sorts them."""
    rank = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return rank, name


def scalars(recipe: Recipe, live: Live, parts: Sequence[Part]) -> str:
    """`class h`: each scalar that the file reads, with its meaning, under the part that declares it, in the file's order."""
    catalogue: Catalogue = recipe.catalogue
    knobs = [catalogue.knobs[name] for name in live.knobs]
    stems = [part.stem for part in parts]
    entry = recipe.entry.partition(":")[0].rpartition(".")[2]
    home = [stem for group in CHAPTERS.values() for stem in group]
    others = sorted(
        {knob.part for knob in knobs} - set(stems),
        key=lambda stem: (home.index(stem) if stem in home else len(home), stem),
    )
    for stem in others:  # nothing of it is live but its knobs: before the next part of the skeleton
        later = [s for s in stems if s in home and stem in home and home.index(s) > home.index(stem)]
        stems.insert(stems.index(later[0]) if later else len(stems), stem)
    tested = _tested(live)
    lines: list[str] = []
    for stem in [entry, *(stem for stem in stems if stem != entry)]:
        mine = [knob for knob in catalogue.parts[stem].knobs if knob in knobs]
        lines += [f"    # {stem}"] if mine and stem != entry else []
        for knob in mine:
            meaning = knob.meaning if knob.name in tested - live.decided else knob.plain_meaning
            lines.append(
                f"    {knob.name} = {literal(recipe.values[knob.name])}" + (f"  # {meaning}" if meaning else "")
            )
    return "class h:\n" + "\n".join(lines) + "\n" if lines else ""


def _tested(live: Live) -> set[str]:
    """The knobs whose truth, or equality with a constant, the file tests."""
    found = set[str]()
    for name in live.definitions:
        tree = tree_of(live.text_of(name))
        for node in tree.attributes:
            if isinstance(node.value, ast.Name) and node.value.id == "h":
                around = tree.parents[node]
                truth = isinstance(around, ast.BoolOp) or (
                    isinstance(around, ast.UnaryOp) and isinstance(around.op, ast.Not)
                )
                against = isinstance(around, ast.Compare) and all(
                    isinstance(side, ast.Constant) for side in (around.left, *around.comparators) if side is not node
                )
                if truth or against or getattr(around, "test", None) is node:
                    found.add(node.attr)
    return found


def heading(name: str) -> str:
    """A chapter's title."""
    return f"# {'-' * 77}\n# {name}\n"


def names_in(recipe: Recipe, live: Live) -> frozenset[str]:
    """Every name that the file's code has, and every word of its strings: what a comment in it may speak of."""
    found = {*live.knobs, *live.definitions}
    for name in live.definitions:
        for node in tree_of(live.text_of(name)).nodes:
            for word in (getattr(node, field, None) for field in ("id", "attr", "arg", "name", "value")):
                if isinstance(word, str):
                    found.update([word] if word.isidentifier() else re.findall(r"\w+", word))
    return frozenset(found)


def body(recipe: Recipe, live: Live, chapter: Chapter, told: set[str], names: frozenset[str]) -> str:
    """A chapter's definitions; where a part begins, what its docstring says of it. Constants stand together. told: the parts so far."""
    text, before = "", ""
    for name in chapter.definitions:
        definition = live.definitions[name]
        opens = definition.part not in told
        told.add(definition.part)
        together = (before, definition.kind) == ("constant", "constant") and not opens
        text += "" if together or not text else "\n\n"
        part = recipe.catalogue.parts[definition.part]
        text += comment(part, names, recipe.values) if opens and not _is_helper(recipe, live, part) else ""
        text += live.text_of(name).strip("\n") + "\n"
        before = definition.kind
    return text


def _is_helper(recipe: Recipe, live: Live, part: Part) -> bool:
    """Whether a part is a technique that is not in play, of which others use a piece: the piece says itself what it is."""
    technique = techniques(recipe.catalogue).get(part.stem)
    if technique is None or technique.used_in(recipe):
        return False
    own = [d.names[0] for d in recipe.catalogue.definitions.values() if d.part == part.stem]
    return 2 * sum(name in live.definitions for name in own) < len(own)


def comment(part: Part, names: frozenset[str], values: Mapping[str, Any]) -> str:
    """The first two paragraphs of a part's docstring as a comment: what it is, and why, as far as it speaks of `names`."""
    lines: list[str] = []
    for paragraph in part.doc.split("\n\n")[:2]:
        if paragraph.startswith(" "):
            whole = paragraph.splitlines()
        else:
            whole = textwrap.wrap(speaking_of(names, " ".join(paragraph.split()), values), WIDTH - 2)
        lines += [*([""] if lines and whole else []), *whole]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def speaking_of(names: frozenset[str], text: str, values: Mapping[str, Any]) -> str:
    """`text` without the sentences, and what stands between semicolons, that name in backticks what is not in the file.

    "With `knob` it …" is "It …" where the knob is on for good, and so is no name of the file.
    """
    kept: list[str] = []
    headless = False  # the beginning of this sentence went

    def settled(piece: str) -> str:
        on = WITH.match(piece)
        return _capital(piece[on.end() :]) if on and on[1] not in names and values.get(on[1]) else piece

    for piece in map(settled, re.split(r"(?<=[.;])\s+", OF_SLOTS.sub("", text))):
        ends = piece.endswith(".")
        spoken = " ".join(words for words in TICKS.findall(piece) if not words.startswith(("golf ", "python ")))
        if OF_SLOT.match(piece) or not set(re.findall(r"[A-Za-z_]\w*", spoken)) <= names:
            if ends and kept and kept[-1].endswith(";"):
                kept[-1] = f"{kept[-1][:-1]}."
            headless = not ends and (headless or not kept or kept[-1].endswith("."))
        else:
            kept.append(_capital(piece) if headless else piece)
            headless = False
    return " ".join(kept)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] if text[:1].isascii() else text


def formatted(text: str) -> str:
    """`text` as ruff formats it."""
    done = _ruff(text, "format", *STYLE, "--stdin-filename", "train_gpt.py", "-")
    if done.returncode:
        raise GolfError(
            f"the composed file is not Python: {done.stderr.strip()}", "this is a fault of golf or of a part"
        )
    return done.stdout


def check(text: str, recipe: Recipe) -> None:
    """Refuse a file with an undefined or unused name, or with syntax that Python 3.11 does not have."""
    done = _ruff(
        text,
        "check",
        *STYLE,
        "--quiet",
        "--no-cache",
        "--output-format",
        "concise",
        "--select",
        "F,E9",
        "--stdin-filename",
        "train_gpt.py",
        "-",
    )
    if done.returncode:
        first = done.stdout.strip().splitlines()[0] if done.stdout.strip() else done.stderr.strip()
        number = first.split(":")[1] if first.count(":") > 1 else ""
        line = text.splitlines()[int(number) - 1].strip() if number.isdigit() else ""
        raise GolfError(
            f"the file composed from {recipe.name} has a fault: {first}" + (f"  [`{line}`]" if line else ""),
            "compute a value inside the branch that reads it; import what is read",
        )


def _ruff(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUFF, *arguments], input=text, capture_output=True, text=True, encoding="utf-8", check=False
    )
