"""The commands of a study. No logic: each imports what it needs, calls it, and prints the answer.

Those that read what was run are in ``results``.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli import terminal
from workbench.cli.group import CommandGroup
from workbench.cli.options import (
    HERE,
    File,
    FileOrName,
    Home,
    Inline,
    Json,
    On,
    Quiet,
    Set,
    TrackingUri,
    Wait,
    Workers,
)
from workbench.cli.results import results

if TYPE_CHECKING:
    from workbench.commands.outcomes import Outcome

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Which fine-tuning strategy wins? Search with Optuna, browse in MLflow, write the report.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from workbench.record.environment import workbench_version

        typer.echo(f"workbench {workbench_version()}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,  # before "Missing command"
            help="Print the version with its commit, and exit.",
        ),
    ] = False,
) -> None:
    """Options of `workbench` itself."""


@app.command()
def new(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The new file; NAME.yaml by default.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="An image folder (one subfolder per class), a table file, or a data set name."
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column to predict (tables only).")
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="KEY=VALUE",
            help="An option of the data set: --option on_bad_input=skip.",
        ),
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="The model to fine-tune.")] = None,
    compare: Annotated[
        str | None, typer.Option(help="What to compare: optimizer, freeze_depth or schedule.")
    ] = None,
    trials: Annotated[str | None, typer.Option(help="Trials of each strategy.")] = None,
    name: Annotated[str | None, typer.Option(help="The study's name.")] = None,
) -> None:
    """Write a study file for your data. Asks for everything that no option gives."""
    from workbench.commands import new

    with terminal.errors(also=(ValueError,)):
        path = new.write_study(
            file,
            terminal.answer,
            data=data,
            target=target,
            options=options or (),
            backbone=backbone,
            compare=compare,
            trials=trials,
            name=name,
        )
    typer.echo(f"Wrote {path}. Edit it, then run: workbench check {path}")


@app.command()
def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="STUDY...", help="Study files, or studies' names.")
    ],
    overrides: Set = None,
    home: Home = HERE,
    as_json: Json = False,
) -> None:
    """Validate study files without running them, and print what each will do."""
    # Here and below: --help must not wait for torch and MLflow.
    from workbench.cli import printed
    from workbench.commands.check import check_file

    plans, sound = [], 0
    for file in files:
        # One broken file of several must not hide the plans of the others.
        with terminal.errors(go_on=len(files) > 1):
            plans += check_file(file, overrides or [], home.absolute())
            sound += 1
    if as_json:
        terminal.print_json([plan.as_json() for plan in plans])
    else:
        printed.plans(terminal.console(), plans)
    if sound < len(files) or any(plan.refused for plan in plans):
        raise typer.Exit(2)


@app.command()
def run(
    context: typer.Context,
    study: FileOrName,
    overrides: Set = None,
    home: Home = HERE,
    tracking_uri: TrackingUri = None,
    workers: Workers = None,
    inline: Inline = False,
    on: On = None,
    smoke: Annotated[
        bool,
        typer.Option(
            "--smoke", help="Run a tiny copy of the study in a temporary home, and keep nothing."
        ),
    ] = False,
    wait: Wait = False,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Run failed trials again. Fix the cause first."),
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Run (or resume) the search of a study."""
    from workbench.cli import printed
    from workbench.commands import outcomes
    from workbench.commands.run import run_study

    for option in ("home", "tracking_uri", "wait", "retry_failed") if smoke else ():
        source = context.get_parameter_source(option)
        if source is not None and source.name == "COMMANDLINE":
            name = option.replace("_", "-")
            raise typer.BadParameter(f"--smoke and --{name} exclude each other.")
    with (
        terminal.errors(),
        terminal.home_or_temporary(home, smoke) as place,
        terminal.started_workers(place, workers, inline, on) as started,
        terminal.json_of_studies(study) as found,
    ):
        asked = (Path(study), overrides or [], place, started, terminal.watcher(quiet=quiet))

        def shown(outcome: Outcome, last: bool) -> None:
            if as_json:
                found[outcome.study] = outcomes.as_json(outcome, place)
            else:
                printed.outcome(terminal.console(), outcome, smoke=smoke, last=last, quiet=quiet)

        if smoke:
            from workbench.commands.smoke import smoke_study

            outcome = smoke_study(*asked, shown=shown)
        else:
            outcome = run_study(*asked, wait=wait, retry_failed=retry_failed, shown=shown)
    raise typer.Exit(outcome.exit_code)


@app.command()
def confirm(
    study: FileOrName,
    overrides: Set = None,
    home: Home = HERE,
    tracking_uri: TrackingUri = None,
    workers: Workers = None,
    inline: Inline = False,
    on: On = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Use the test split without asking for confirmation.")
    ] = False,
    fresh: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Second look: add N seeds to every configuration (requires confirm.looks: 2).",
        ),
    ] = None,
    add: Annotated[
        str | None,
        typer.Option(
            metavar="[FACTOR=]LEVEL",
            help="After a confirmation, search and test one more level of a compared factor. "
            "FACTOR= is required if several factors are compared.",
        ),
    ] = None,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Confirm a study: select configurations on fresh seeds, then test them once."""
    from workbench.cli import printed
    from workbench.commands import outcomes
    from workbench.commands.additions import add_level
    from workbench.commands.confirm import confirm_study

    place = home.absolute()
    if add is not None and fresh is not None:
        raise typer.BadParameter("--add and --fresh exclude each other.")

    def shown(outcome: Outcome, last: bool) -> None:
        if as_json:
            found[outcome.study] = outcomes.as_json(outcome, place)
            return
        show = printed.confirmed if outcome.selection else printed.outcome
        show(terminal.console(), outcome, last=last, quiet=quiet)

    with (
        terminal.errors(),
        terminal.started_workers(place, workers, inline, on) as started,
        terminal.json_of_studies(study) as found,
    ):
        confirming = partial(confirm_study, study, fresh=fresh)
        outcome = (confirming if add is None else partial(add_level, study, add))(
            overrides or [],
            place,
            started,
            terminal.watcher(quiet=quiet),
            wait=wait,
            agree=lambda offer: terminal.ask_consent(offer, yes, quiet=quiet, error=as_json),
            shown=shown,
        )
    raise typer.Exit(outcome.exit_code)


@app.command("try")
def try_(
    file: File,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="KNOB=VALUE...", help="Settings of the trial: learning_rate=0.01."),
    ] = None,
    home: Home = HERE,
    tracking_uri: TrackingUri = None,
    wait: Wait = False,
) -> None:
    """Run one trial with these settings. It is tracked, but not counted in the study."""
    from workbench.cli import printed
    from workbench.commands import outcomes
    from workbench.commands.tryout import try_trial

    with terminal.errors(), terminal.started_workers(home.absolute(), 1, True) as started:
        tried = try_trial(
            file, settings or [], home.absolute(), started, terminal.watcher(), wait=wait
        )
        printed.trial(terminal.console(), tried.trial, tried.run_id)
    if tried.trial.summary.state != "complete":
        raise typer.Exit(outcomes.RESUMABLE if tried.stopped else outcomes.UNUSABLE)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a study file, for completion and checks in an editor."""
    from workbench.study.config.json_schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=1, ensure_ascii=False))


app.add_typer(results)
