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

# group → verb → what it does, in the order of the help page; at most MOST_SHORT letters, so that no line of it is cut off
GROUPS = {
    "Make": {
        "new": "Start a submission from a recipe",
        "compose": "Write train_gpt.py from the recipe",
        "size": "Where the bytes go, before any run",
        "import": "Adopt anyone's record folder",
        "unpack": "Print the source of a packed script",
    },
    "Run": {
        "demo": "The whole journey, in a few minutes",
        "run": "Train, export and evaluate over seeds",
        "sweep": "Trials over axes of choices",
        "ablate": "Which techniques are real",
        "pod": "Rented machines: plan one, check one",
        "status": "What runs now, and what ran",
        "watch": "Follow the run that is under way",
        "package": "Weigh what ships, and score it alone",
        "eval": "Score an artifact in an empty folder",
        "sae": "Sparse dictionaries on a model's layers",
    },
    "Judge": {
        "verify": "Judge a submission by the rules",
        "audit": "Verify many records at once",
        "explain": "A rule: statement, source, checks, examples",
        "record": "Write or check the pull request's folder",
        "compare": "Two sides, with tests and code difference",
        "repro": "Does a record come out again; if not, why",
        "leaderboard": "The official history, and yours beside it",
        "board": "Search the field; refresh from a clone",
    },
    "Look": {
        "runs": "Every run of this project, as a table",
        "ls": "List recipes, techniques, knobs, rules, runs",
        "show": "Show one of them whole",
        "logs": "Read any log of the challenge",
        "data": "Fetch, make, lock and prove the data",
        "doctor": "Check this machine",
        "clean": "What golf keeps on disk; remove leftovers",
    },
}
# the same for the commands of verbs that have some
SHORT = {
    "logs show": "What a log says, and which number counts",
    "logs follow": "Print a run's log as it is written",
    "board search": "Every pull request: who tried what",
    "board sync": "Rows and seeds of a local clone",
    "data get": "Fetch FineWeb shards and tokenizer",
    "data make": "Make the embedded corpus",
    "data lock": "sha256 of every file, written or compared",
    "data prove": "Prove train and validation disjoint",
    "pod plan": "The SkyPilot task of a submission",
    "pod check": "The handshake with this machine",
    "sae train": "Train a dictionary on every layer",
    "sae export": "Write the layout of another library",
    "sae info": "What dictionaries say of themselves",
    "sae eval": "Measure dictionaries on held-out text",
    "sae report": "One static page with eight plots",
    "sae tasks": "HellaSwag, LAMBADA, perplexity and BPB",
    "sae probe": "Probe single features, without network",
    "sae floor": "Loss floors beside trained students",
    "sae card": "An upload folder, or a model's card",
    "sae ckpt": "A training's state as a torch file",
    "sae scaling": "Fit a scaling law to finished trainings",
}
MOST_SHORT = 45
VERBS = tuple(verb for verbs in GROUPS.values() for verb in verbs)


class Verbs(TyperGroup):
    """A command group that imports a verb's module only when the verb is called or listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [verb for verb in VERBS if find_spec(module_of(verb)) is not None]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return load_verb(cmd_name) if cmd_name in self.list_commands(ctx) else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The verbs by group; none is imported for it."""
        for group, verbs in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl([(verb, text) for verb, text in verbs.items() if verb in self.list_commands(ctx)])


def module_of(verb: str) -> str:
    """The module of a verb; `import` is a Python keyword, so its module is `import_`."""
    return f"golf.cli.{verb}_" if verb == "import" else f"golf.cli.{verb}"


def load_verb(verb: str) -> Any:
    """The command of `verb`."""
    module = import_module(module_of(verb))
    if hasattr(module, "app"):
        app: typer.Typer = module.app
        app.info.name = verb
        app.rich_markup_mode, app._add_completion = None, False  # as the other pages: plain, 80 columns
        for command in app.registered_commands:
            name = command.name or getattr(command.callback, "__name__", "")
            command.short_help = SHORT.get(f"{verb} {name}")
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

    Start with `golf demo`: the whole journey on embedded data, in a few minutes.
    """


def main() -> None:
    """Run the command line; see `golf.cli.net` for how it ends."""
    sys.exit(net.run(typer.main.get_command(root).main, sys.argv[1:]))
