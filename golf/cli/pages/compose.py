"""What `golf compose` does: one submission or all, kept, checked, compared, or printed with other values."""

import difflib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from golf.board.asked import asked_recipe
from golf.cli.output import talk
from golf.compose.kept import kept_composition
from golf.compose.submission import Written, check_submission, compose_submission, script_of
from golf.errors import Exit, GolfError
from golf.project import find_root, find_submission, submission_names
from golf.recipe import Recipe, load_recipe
from golf.recipe.techniques import entries, find_technique


@dataclass(frozen=True)
class Request:
    """What was asked: a name and `key=value`s, all submissions, the form, a recipe to compare with, a check, a file."""

    words: tuple[str, ...]
    every: bool
    form: str | None
    diff: str | None
    check: bool
    out: Path | None


def run(request: Request) -> None:
    """Do what was asked. Exit 1 when a check finds drift; GolfError for what cannot be composed."""
    names = [word for word in request.words if "=" not in word]
    values = [word for word in request.words if "=" in word]
    if len(names) > 1:
        raise GolfError(f"`golf compose` takes one name, not {len(names)}: {', '.join(names)}", "or `--all`")
    name = names[0] if names else None
    if request.diff:
        show_difference(name, request.diff, values)
    elif values or request.out:
        compose_once(name, values, request.form, request.out)
    elif request.check:
        check_all(targets(name, request.every))
    else:
        compose_all(targets(name, request.every), request.form)


def targets(name: str | None, every: bool) -> list[Path]:
    """The submissions that are meant: one, or all of the project that golf composes (which may be none)."""
    from golf.project import is_adopted

    if not every:
        return [find_submission(name)]
    if name:
        raise GolfError(f"`--all` and `{name}` name different things", "leave one out")
    folders = [find_root() / "submissions" / found for found in submission_names()]
    return [folder for folder in folders if not is_adopted(folder)]


def recipe_of(name: str | None, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a submission or, where none has that name, the recipe itself. GolfError (10) for an imported submission."""
    from golf.record.imported import refuse_imported

    refuse_imported(name, "the composition")
    return load_recipe(asked_recipe(name) if name else find_submission(None) / "recipe.toml", overrides)


def compose_all(folders: Sequence[Path], form: str | None) -> None:
    """Compose and write each; says what came out."""
    for folder in folders:
        written = compose_submission(folder, form)
        note = "" if written.changed else ", unchanged"
        talk(f"{folder.name}: {written.script_bytes:,} bytes of {written.form} train_gpt.py{note}")
    if not folders:
        talk("no submissions here: `golf new mine --from baseline` makes one")


def check_all(folders: Sequence[Path]) -> None:
    """Compare each with what its recipe composes to; exit 1 when one differs."""
    drifts = [check_submission(folder) for folder in folders]
    for drift in drifts:
        (talk if drift.ok else _complain)(drift.message)
    if not all(drift.ok for drift in drifts):
        raise typer.Exit(Exit.RULE_BROKEN)


def _complain(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)


def compose_once(name: str | None, overrides: Sequence[str], form: str | None, out: Path | None) -> None:
    """Compose with other values, to a file or to stdout; the submission stays as it is."""
    script = script_of(kept_composition(recipe_of(name, overrides)), form or "readable")
    if out is None:
        sys.stdout.buffer.write(script)
        sys.stdout.buffer.flush()
        return
    if not out.parent.is_dir():
        raise GolfError(f"no folder {out.parent}", "make it first")
    out.write_bytes(script)
    talk(f"{out}: {len(script):,} bytes")


def show_difference(name: str | None, parent: str, overrides: Sequence[str]) -> None:
    """The unified difference between two composed scripts, on stdout."""
    before, after = (kept_composition(recipe).text for recipe in (load_recipe(parent), recipe_of(name, overrides)))
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        f"{parent}/train_gpt.py",
        f"{name or 'here'}/train_gpt.py",
    )
    sys.stdout.writelines(lines)


def tell_new(written: Written, before: Recipe, techniques: Sequence[str] = ()) -> None:
    """Say what `golf new` made, where the techniques that were asked for went, and which rules what it starts from broke."""
    name = written.folder.name
    talk(f"submissions/{name}: {written.script_bytes:,} bytes of train_gpt.py from {before.name}")
    for line in _placed(before, written.composed.recipe, techniques):
        talk(line)
    broken = before if before.ruling else next((r for r in map(load_recipe, before.chain[1:]) if r.ruling), None)
    if broken is not None:
        mended = "" if before.ruling else f", which {before.name} mends,"
        talk(f"{broken.name}{mended} broke {len(broken.ruling)} rule{'s' if len(broken.ruling) > 1 else ''}:")
        for code in broken.ruling:
            talk(_rule(code))
    if before.unsaid:
        talk(f"what {before.name}'s README does not say (`golf show {before.name}` has the evidence):")
        for fact in before.unsaid:
            talk(f"  {fact['kind']}: {fact['says']}")
    if before.ruling and before.legal_variant:
        talk(f"the legal variant: `golf new NAME --from {before.legal_variant}`")
    talk(f"next: change submissions/{name}/recipe.toml, `golf compose {name}`, `golf run {name} --smoke`")


def _placed(before: Recipe, after: Recipe, techniques: Sequence[str]) -> Iterator[str]:
    """Where each technique of `--with` is now, and what it took the place of."""
    for asked in techniques:
        technique = asked.rpartition(":")[2]
        for knob, mine in entries(after, find_technique(after.catalogue, technique).name).items():
            held, kind = before.values.get(knob), after.catalogue.knobs[knob].kind.lower()
            if held != after.values[knob]:
                instead = f" in place of {held}" if kind == "slot" and held else ""
                talk_of = f"{', '.join(mine)} goes into the {kind} `{knob}` of [{after.catalogue.knobs[knob].part}]"
                yield f"{technique}: {talk_of}{instead}"


def _rule(code: str) -> str:
    """A rule with its sentence and its source; the code alone where this golf does not know it."""
    try:
        from golf.rules import find_rule

        rule = find_rule(code)
        return f"  {code} {rule.title}: {rule.statement}\n      {rule.source}  (`golf explain {code}`)"
    except (ImportError, GolfError, LookupError):
        return f"  {code}"


def show_unpacked(file: Path, raw: bool) -> None:
    """Print the source inside a packed script; what was undone goes to stderr."""
    from golf.compose.emit import formatted
    from golf.reading.unpack import unwrap

    found = unwrap(file)
    raw = raw or found.remark.startswith("what was inside")  # text that no grammar here parses cannot be formatted
    sys.stdout.write(found.source if raw else formatted(found.source))
    layers = " ← ".join(found.layers) if found.layers else "it was not packed"
    talk(f"{file}: {file.stat().st_size:,} bytes, {len(found.source.encode()):,} inside ({layers})")
    for sibling in found.siblings:
        talk(f"it runs another file, {sibling}: its bytes count too")
    if found.remark:
        talk(f"note: {found.remark}")
