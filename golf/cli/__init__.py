"""The command line: one module per verb, found by name in `golf/cli/<verb>.py`.

A verb's module holds one function of the verb's name (with a trailing underscore where that shadows a builtin), or a Typer app
called `app` where the verb has sub-commands. Heavy imports stay inside functions, so that `golf --help` is quick.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import typer
from typer.core import TyperGroup

from golf import __version__
from golf.cli import net
from golf.cli.complete import add_completion
from golf.cli.numbers import checked

# the order of the help page: the journey first
VERBS = (
    *("demo", "new", "ls", "show", "compose", "size", "run", "status", "watch", "logs", "package", "unpack", "eval"),
    *("verify", "explain", "record", "compare", "leaderboard", "import", "data", "doctor", "clean", "sae"),
)


class Verbs(TyperGroup):
    """A command group that imports a verb's module only when the verb is called or listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [verb for verb in VERBS if find_spec(module_of(verb)) is not None]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return load_verb(cmd_name) if cmd_name in self.list_commands(ctx) else None


def module_of(verb: str) -> str:
    """The module of a verb; `import` is a Python keyword, so its module is `import_`."""
    return f"golf.cli.{verb}_" if verb == "import" else f"golf.cli.{verb}"


def load_verb(verb: str) -> Any:
    """The command of `verb`."""
    module = import_module(module_of(verb))
    if hasattr(module, "app"):
        app: typer.Typer = module.app
        app.info.name = verb
        for command in app.registered_commands:
            if command.callback is not None and not hasattr(command.callback, "__wrapped__"):
                add_completion(f"{verb}.{command.name or command.callback.__name__}", command.callback)
                command.callback = checked(command.callback)
        return typer.main.get_command(app)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    function = getattr(module, verb, None) or getattr(module, f"{verb}_")
    add_completion(verb, function)
    single.command(name=verb)(checked(function))
    return typer.main.get_command(single)


root = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from golf.compose.lock import COMPOSER
        from golf.rules.pack import DEFAULT_PACK

        print(f"golf {__version__}, composer {COMPOSER}, rules {DEFAULT_PACK}")
        raise typer.Exit


@root.callback()
def golf(
    version: bool = typer.Option(
        False, "--version", help="Print the version and stop.", callback=_print_version, is_eager=True
    ),
) -> None:
    """From an idea for the Parameter Golf challenge to a record that survives review.

    Start with `golf demo`: the whole journey on embedded data, in about two minutes.
    """


def main() -> None:
    """Run the command line; see `golf.cli.net` for how it ends."""
    sys.exit(net.run(typer.main.get_command(root).main, sys.argv[1:]))
