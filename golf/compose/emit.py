"""Print: banner, imports, the live scalars once as `class h`, the kept definitions with their comments, formatted by ruff."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Sequence

from golf import __version__
from golf.compose.shake import Live
from golf.errors import GolfError
from golf.recipe import Recipe
from golf.recipe.catalogue import Catalogue
from golf.recipe.knobs import literal
from golf.recipe.partfile import Import, Part

try:
    from ruff.__main__ import find_ruff_bin  # type: ignore[import-untyped,unused-ignore]

    RUFF: tuple[str, ...] = (
        os.fsdecode(find_ruff_bin()),
    )  # itself: starting a Python that starts it takes longer than it does
except (ImportError, OSError):
    RUFF = (sys.executable, "-m", "ruff")
STYLE = ("--isolated", "--line-length", "120", "--target-version", "py311")


def render(recipe: Recipe, live: Live, parts: Sequence[Part]) -> str:
    """The composed file, formatted. Raises GolfError when ruff finds an undefined or unused name in it."""
    sections = [banner(recipe), imports(live.imports), scalars(recipe, live, parts)]
    sections += [block(part, live) for part in parts]
    entry = recipe.entry.partition(":")[2]
    sections.append(f'if __name__ == "__main__":\n    {entry}()\n')
    text = formatted("\n\n".join(section for section in sections if section))
    check(text, recipe)
    return text


def banner(recipe: Recipe) -> str:
    """What the file is, from whom, and how to change it, as its docstring."""
    lines = [f"{recipe.name}: {recipe.title}" if recipe.title else recipe.name, ""]
    if recipe.summary:
        lines += [*textwrap.wrap(recipe.summary, 116), ""]
    line = " → ".join(recipe.chain)
    lines.append(f"Composed by golf {__version__} from {line}. Do not edit: change recipe.toml, then `golf compose`.")
    for title, names in (("Authors", recipe.authors), ("Credits", recipe.credits), ("Source", (recipe.source,))):
        text = " · ".join(n for n in names if n)
        if text:
            lines += textwrap.wrap(f"{title}: {text}", 116, subsequent_indent="  ")
    body = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''")
    body = body[:-1] + '\\"' if body.endswith('"') else body
    return f'"""{body}\n"""\n'


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
    """`class h`: each scalar that the file reads, with its meaning, under the part that declares it."""
    catalogue: Catalogue = recipe.catalogue
    stems = [part.stem for part in parts]
    knobs = [catalogue.knobs[name] for name in live.knobs]
    lines: list[str] = []
    order = [*stems, *sorted({knob.part for knob in knobs} - set(stems))]
    for stem in order:
        mine = [knob for knob in catalogue.parts[stem].knobs if knob in knobs]
        lines += [f"    # {stem}"] if mine else []
        for knob in mine:
            meaning = f"  # {knob.meaning}" if knob.meaning else ""
            lines.append(f"    {knob.name} = {literal(recipe.values[knob.name])}{meaning}")
    return "class h:\n" + "\n".join(lines) + "\n" if lines else ""


def block(part: Part, live: Live) -> str:
    """One part's kept definitions under a comment that names their origin; constants stand together."""
    names = sorted(
        (n for n, d in live.definitions.items() if d.part == part.stem), key=lambda n: live.definitions[n].line
    )
    header = f"# ---- {part.shown}: {part.summary}" if part.summary else f"# ---- {part.shown}"
    text = "\n".join(textwrap.wrap(header, 118, subsequent_indent="#      ", break_long_words=False)) + "\n"
    before = ""
    for name in names:
        kind = live.definitions[name].kind
        text += "\n\n" if before and (before, kind) != ("constant", "constant") else ""
        text += live.text_of(name).strip("\n") + "\n"
        before = kind
    return text


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
