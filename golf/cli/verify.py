"""`golf verify`: the rules, applied to any submission."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from golf.rules.findings import Verdict


def verify(
    path: str | None = typer.Argument(
        None, help="A record folder, a submission (its finished runs) or a script; default: here."
    ),
    pack: str = typer.Option("pgolf-2026-05", help="The rule pack: a contest state."),
    only: str = typer.Option("", help="Kinds of checks, comma-separated: folder,json,log,static,stats,execute."),
    track: str | None = typer.Option(None, help="Judge by this track: 10min_16mb, non_record_16mb or local."),
    quick: bool = typer.Option(
        False, "--quick", help="The short form: fewer experiments (30 s); scores no artifact alone."
    ),
    deep: bool = typer.Option(False, "--deep", help="With --execute: every experiment (ten minutes)."),
    execute: bool = typer.Option(
        False, "--execute", help="Run a foreign script whole and small in the box, and judge what it prints."
    ),
    unsafe: bool = typer.Option(
        False, "--unsafe", help="With --execute: run it although a wall of the box is missing here."
    ),
    power: float = typer.Option(0.8, help="R14: the power for which it says how many seeds are needed."),
    rate: float | None = typer.Option(None, help="R14: dollars per hour, to say what these seeds cost."),
    verbose: bool = typer.Option(
        False, "--verbose", "-v", help="Evidence and source of every rule, not only of those broken."
    ),
    json: bool = typer.Option(False, "--json", help="The verdict as JSON."),
    md: bool = typer.Option(
        False, "--md", help="A comment for the pull request: what fails, why, what would settle the rest."
    ),
    self_test: bool = typer.Option(False, "--self-test", help="Measure the checks on the calibration corpus instead."),
    records: str | None = typer.Option(None, help="With --self-test: official record folders to measure on too."),
    specimens: str | None = typer.Option(
        None, help="With --self-test: a folder of specimens (index.json); --execute runs them."
    ),
    write: bool = typer.Option(False, "--write", help="With --self-test: keep the measured rates with the pack."),
) -> None:
    """Judge a submission by the rules: FAIL, UNKNOWN, CLEAN SO FAR, PASS or N/A per rule, with evidence, file:line and source.

    PASS says by what a rule is proven to be kept; CLEAN SO FAR that nothing was found, and what was tried.

    Ends with 1 when a deciding rule is broken, 6 when one could not be told, 0 otherwise.

    $ golf verify records/track_10min_16mb/2026-04-09_Mine --only log,json
    """
    if self_test:
        from golf.cli.pages.self_test import print_self_test

        raise typer.Exit(print_self_test(records, specimens, execute=execute, write=write, json=json, md=md))
    from golf.rules import verify_folder

    kinds = only.split(",") if only else None
    verdict = verify_folder(
        _here(path),
        pack,
        kinds,
        quick=quick,
        execute=execute,
        track=track,
        power=power,
        rate=rate,
        deep=deep,
        unsafe=unsafe,
    )
    _print(verdict, json=json, md=md, verbose=verbose)
    raise typer.Exit(verdict.exit)


def _here(path: str | None) -> str:
    if path is not None:
        return path
    from golf.project import find_submission

    return str(find_submission())


def _print(verdict: Verdict, *, json: bool, md: bool, verbose: bool) -> None:
    from golf.cli.output import print_json, print_lines
    from golf.rules.report import review, text

    if json:
        print_json(verdict.as_dict())
    elif md:
        print("\n".join(review(verdict)))
    else:
        print_lines(text(verdict, verbose=verbose))
