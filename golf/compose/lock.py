"""`golf.lock`: what a composed file was made with and from, as TOML beside it; runs and drift checks read it."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from golf import __version__
from golf.compose.composition import Composition
from golf.errors import GolfError
from golf.files import sha256_of, toml_text

COMPOSER = "2"  # raised when the same recipe composes to other text
TOOLS = ("libcst", "ruff", "python-minifier")
FORMS = ("readable", "packed", "dense")


@dataclass(frozen=True)
class Lock:
    """What golf.lock says. form: readable, packed or dense; tools: name → version."""

    golf: str
    composer: str
    tools: Mapping[str, str]
    recipe: str
    form: str
    recipe_sha256: str
    script_sha256: str
    rule_pack_sha256: str | None = None

    @property
    def made_by(self) -> tuple[str, ...]:
        """The versions that decide the text."""
        return (self.golf, self.composer, *(self.tools.get(tool, "?") for tool in TOOLS))


def lock_of(composed: Composition, script: bytes, form: str) -> Lock:
    """The lock of a script that was just composed."""
    recipe_sha256 = recipe_hash(composed)
    return Lock(
        __version__, COMPOSER, tool_versions(), composed.recipe.name, form, recipe_sha256, sha256_of(script), rule_pack_sha256()
    )  # fmt: skip


def recipe_hash(composed: Composition) -> str:
    """sha256 of every value that has an effect on the composed file, and of its entry point."""
    values = {name: composed.recipe.values[name] for name in sorted(composed.read)}
    return sha256_of(json.dumps({"entry": composed.recipe.entry, "values": values}, sort_keys=True).encode())


def tool_versions() -> dict[str, str]:
    """The versions of the tools whose output a composed file depends on."""
    found = {}
    for tool in TOOLS:
        try:
            found[tool] = version(tool)
        except PackageNotFoundError:
            found[tool] = "?"
    return found


def rule_pack_sha256() -> str | None:
    """sha256 over the rule packs that ship with this golf, or None without any."""
    packs = sorted(Path(str(files("golf") / "rules" / "packs")).glob("*.toml"))
    return sha256_of(b"".join(pack.read_bytes() for pack in packs)) if packs else None


def lock_text(lock: Lock) -> str:
    """The file's text."""
    rows: dict[str, Any] = {
        "golf": lock.golf,
        "composer": lock.composer,
        "recipe": lock.recipe,
        "form": lock.form,
        "recipe_sha256": lock.recipe_sha256,
        "script_sha256": lock.script_sha256,
        "rule_pack_sha256": lock.rule_pack_sha256,
    }
    return toml_text({**rows, "tools": lock.tools}, "# written by `golf compose`")


def read_lock(folder: Path) -> Lock | None:
    """The lock of a submission's folder, or None when there is none. GolfError when it is not a lock."""
    path = folder / "golf.lock"
    if not path.is_file():
        return None
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        lock = Lock(
            golf=str(table["golf"]),
            composer=str(table["composer"]),
            tools=dict(table["tools"]),
            recipe=str(table["recipe"]),
            form=str(table["form"]),
            recipe_sha256=str(table["recipe_sha256"]),
            script_sha256=str(table["script_sha256"]),
            rule_pack_sha256=table.get("rule_pack_sha256"),
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as fault:
        raise GolfError(f"{path} is damaged: {fault!r}", f"`golf compose {folder.name}` writes it anew") from fault
    if lock.form not in FORMS:
        raise GolfError(f"{path} has the form `{lock.form}`", f"it is one of {', '.join(FORMS)}")
    return lock
