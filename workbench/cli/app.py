"""The commands. No logic: each imports what it needs, calls it, and prints what comes back."""

from __future__ import annotations

import json
import sys
import webbrowser
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli import terminal
from workbench.cli.group import CommandGroup
from workbench.cli.options import File, FileOrName, Home, Inline, Json, Quiet, Set, Wait, Workers

if TYPE_CHECKING:
    from workbench.commands.outcomes import Outcome
    from workbench.commands.verdict import Judged

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Which fine-tuning strategy wins? Search with Optuna, browse in MLflow, write the report.",
)

HERE = Path()


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
        typer.Option(help="A folder with a folder of images for each class, a table, or a name."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Of a table: the column to predict.")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="The model to fine-tune.")] = None,
    compare: Annotated[
        str | None, typer.Option(help="What to compare: optimizer, freeze_depth or schedule.")
    ] = None,
    trials: Annotated[str | None, typer.Option(help="Trials of each strategy.")] = None,
    name: Annotated[str | None, typer.Option(help="The study's name.")] = None,
) -> None:
    """Write a study file for your data; what no option says is asked."""
    from workbench.commands import new

    with terminal.errors(also=(ValueError,)):
        path = new.write_study(
            file,
            terminal.answer,
            data=data,
            target=target,
            backbone=backbone,
            compare=compare,
            trials=trials,
            name=name,
        )
    typer.echo(f"{path} is written. Edit it, then: workbench check {path}")


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="STUDY...", help="Study files.")],
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
        for plan in plans:
            printed.plan(terminal.console(), plan)
        printed.plans_together(terminal.console(), plans)
    if sound < len(files) or any(plan.refused for plan in plans):
        raise typer.Exit(2)


@app.command()
def run(
    study: FileOrName,
    overrides: Set = None,
    home: Home = HERE,
    workers: Workers = None,
    inline: Inline = False,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="A tiny copy of the study in a throwaway home.")
    ] = False,
    wait: Wait = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Run failed trials again, after the cause was corrected."
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Run (or resume) the search of a study."""
    from workbench.cli import printed
    from workbench.commands.run import run_study

    with (
        terminal.errors(),
        terminal.home_or_temporary(home, smoke) as place,
        terminal.started_workers(place, workers, inline) as started,
    ):
        asked = (Path(study), overrides or [], place, started, terminal.watcher(quiet=quiet))

        def shown(outcome: Outcome, last: bool) -> None:
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
    workers: Workers = None,
    inline: Inline = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Use the test split without asking for confirmation.")
    ] = False,
    fresh: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="The second look: N more seeds for every configuration (needs confirm.looks: 2).",
        ),
    ] = None,
    add: Annotated[
        str | None,
        typer.Option(
            metavar="[FACTOR=]LEVEL",
            help="Test one more level of a compared factor after the first result is known; "
            "FACTOR= is needed where several factors are compared.",
        ),
    ] = None,
    wait: Wait = False,
    quiet: Quiet = False,
) -> None:
    """Confirm: select on fresh seeds, then test the selected configurations once."""
    from workbench.cli import printed
    from workbench.commands.additions import add_level
    from workbench.commands.confirm import confirm_study

    place = home.absolute()
    if add is not None and fresh is not None:
        raise typer.BadParameter("--add and --fresh exclude each other.")

    def shown(outcome: Outcome, last: bool) -> None:
        show = printed.confirmed if outcome.selection else printed.outcome
        show(terminal.console(), outcome, last=last, quiet=quiet)

    with terminal.errors(), terminal.started_workers(place, workers, inline) as started:
        confirming = partial(confirm_study, study, fresh=fresh)
        outcome = (confirming if add is None else partial(add_level, study, add))(
            overrides or [],
            place,
            started,
            terminal.watcher(quiet=quiet),
            wait=wait,
            agree=lambda offer: terminal.ask_consent(offer, yes, quiet=quiet),
            at_once=terminal.worker_count(workers, inline),
            shown=shown,
        )
    raise typer.Exit(outcome.exit_code)


@app.command("try")
def try_(
    file: File,
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="KNOB=VALUE...", help="What to set.")
    ] = None,
    home: Home = HERE,
    wait: Wait = False,
) -> None:
    """Run one trial with these settings: tracked, but not counted in the study."""
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
def report(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="A study's name, or its file.")],
    home: Home = HERE,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report; reports/NAME by default.")
    ] = None,
    venue: Annotated[
        str, typer.Option(help="Width and fonts of figures: neurips, icml, iclr, cvpr, acl, ...")
    ] = "neurips",
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write the report of a study: page, tables, figures and data.

    Of a file with across, one for each of its studies, and one with the verdict over all of them.
    """
    from workbench.cli import printed
    from workbench.commands import across, outcomes

    with terminal.errors(also=(ValueError,)):
        written = across.write_report(name, home.absolute(), out, venue=venue)
        printed.report(terminal.console(), written, quiet=quiet)
    if open_:
        webbrowser.open(written.pages[-1].resolve().as_uri())
    if not written.usable:
        raise typer.Exit(outcomes.UNUSABLE)


@app.command()
def verdict(
    results: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="CSV: strategy, seed, value; dataset if several."),
    ] = None,
    experiment: Annotated[
        str | None, typer.Option("--mlflow", help="Instead: the runs of an MLflow experiment.")
    ] = None,
    uri: Annotated[
        str | None,
        typer.Option("--uri", help="MLflow's tracking URI; the home's store by default."),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Name of the metric.")] = None,
    minimize: Annotated[bool, typer.Option("--minimize", help="Lower values are better.")] = False,
    smallest_effect: Annotated[
        float | None, typer.Option(help="Smallest difference that matters, above 0.")
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="Compare with this strategy only.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of page, tables and figures.")] = None,
    home: Home = HERE,
    as_json: Json = False,
) -> None:
    """Apply the same statistics to any results table; claims are limited to what it supports."""
    from workbench.commands import verdict as verdicts

    with terminal.errors(also=(verdicts.Unreadable,)):
        judged = verdicts.judge(
            results,
            experiment=experiment,
            uri=uri,
            home=home.absolute(),
            metric=metric,
            direction="minimize" if minimize else "maximize",
            smallest_effect=smallest_effect,
            baseline=baseline,
            out=out,
        )
    _show_verdict(judged, as_json)


def _show_verdict(judged: Judged, as_json: bool) -> None:
    from workbench.cli import printed
    from workbench.commands import outcomes

    if as_json:
        terminal.print_json(judged.result.as_json())
    else:
        printed.verdict(terminal.console(), judged)
    if not judged.result.usable:
        raise typer.Exit(outcomes.UNUSABLE)


@app.command()
def combine(
    studies: Annotated[
        list[str],
        typer.Argument(metavar="STUDY...", help="Names of confirmed studies, with one metric."),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of page, tables and figures.")] = None,
    home: Home = HERE,
    as_json: Json = False,
) -> None:
    """Combine finished studies: a verdict over data sets, or over searches of one data set."""
    from workbench.commands import across

    with terminal.errors(also=(ValueError,)):
        judged = across.combine(studies, home.absolute(), out)
    _show_verdict(judged, as_json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a study file, for completion and checks in an editor."""
    from workbench.study.config.json_schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=1, ensure_ascii=False))


@app.command()
def sync(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="A study's name.")],
    home: Home = HERE,
) -> None:
    """Send MLflow what it is missing, after an outage or a crash."""
    from workbench.commands import report as publish
    from workbench.verdict.wording.numbers import counted

    with terminal.errors():
        sent = publish.sync(name, home.absolute())
    done = f"sent {counted(sent, 'trial')} to MLflow" if sent else "MLflow is up to date"
    typer.echo(f"{name}: {done}.")


@app.command("list")
def list_(home: Home = HERE, as_json: Json = False) -> None:
    """List the studies with their states, counts and best values."""
    from workbench.cli import printed
    from workbench.commands import browse

    with terminal.errors():
        rows = browse.studies(home.absolute())
    if as_json:
        terminal.print_json([asdict(row) for row in rows])
    else:
        printed.studies(terminal.console(), rows)


@app.command()
def show(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="A study's name, or STUDY/TRIAL in one word.")
    ],
    trial: Annotated[
        str | None,
        typer.Argument(
            metavar="[TRIAL]", help="A trial's name: adamw-2/007, confirmation/adamw-2/000."
        ),
    ] = None,
    home: Home = HERE,
    as_json: Json = False,
) -> None:
    """Show a study with its trials, or one trial with its epochs."""
    from workbench.cli import printed
    from workbench.commands import browse
    from workbench.commands.summaries import StudyDetails, TrialDetails

    with terminal.errors():
        name, within = browse.split_name(study)
        trial = trial or within
        found: StudyDetails | TrialDetails
        if trial is None:
            found = browse.study(home.absolute(), name)
        else:
            found = browse.trial(home.absolute(), name, trial)
    if as_json:
        terminal.print_json(found.as_json())
    elif isinstance(found, StudyDetails):
        printed.study(terminal.console(), found)
    else:
        printed.trial(terminal.console(), found)


@app.command()
def predict(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="STUDY (its leading strategy), STUDY/STRATEGY (its confirmed model, or the"
            " search's best), STUDY/STRATEGY/NUMBER, the id of an MLflow run, or a folder of"
            " `workbench export`.",
        ),
    ],
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="New data: a folder of images, a table, or arrays."),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A CSV file; printed by default.")
    ] = None,
    home: Home = HERE,
) -> None:
    """Predict with the model that a trial kept: one line of CSV per sample."""
    from workbench.commands import kept_model, predict
    from workbench.verdict.wording.numbers import measured

    with terminal.errors(also=(kept_model.Unusable,)):
        found = predict.predict(home.absolute(), run, data)
        if out is None:
            found.write(sys.stdout)
        else:
            with out.open("w", encoding="utf-8", newline="") as file:
                found.write(file)
        where = "" if out is None else f": {out}"
        typer.echo(f"{len(found.rows)} predictions of {found.model}{where}", err=True)
        if found.scores:
            scores = ", ".join(f"{name} {measured(value)}" for name, value in found.scores.items())
            typer.echo(f"against their labels: {scores}", err=True)


@app.command()
def export(
    model: Annotated[
        str, typer.Argument(metavar="RUN", help="STUDY/STRATEGY, as `workbench predict` takes it.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    home: Home = HERE,
) -> None:
    """Write a model as a folder for other programs, with a model card.

    A model of transformers can be loaded by transformers, any other one by its state dict.
    """
    from workbench.commands import export, kept_model

    with terminal.errors(also=(kept_model.Unusable,)):
        found = export.export(home.absolute(), model, folder)
    typer.echo(f"{found.name}: {folder}")


@app.command()
def register(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A study's name.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the registered model; the study's by default.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="Register this strategy's model, confirmed or not.")
    ] = None,
    home: Home = HERE,
) -> None:
    """Register the model of the confirmed leader in MLflow, with the alias champion."""
    from workbench.commands import kept_model
    from workbench.commands.register import register

    with terminal.errors(also=(kept_model.Unusable,)):
        done = register(home.absolute(), study, name=name, strategy=strategy)
    typer.echo(f"{done.model} is version {done.version} of {done.name}: {done.uri}")


@app.command()
def ui(
    study: Annotated[
        str | None, typer.Argument(metavar="[STUDY]", help="Open the table of this study's trials.")
    ] = None,
    home: Home = HERE,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000,
    optuna: Annotated[
        bool,
        typer.Option("--optuna", help="Instead: Optuna's dashboard of the study, to look only."),
    ] = False,
) -> None:
    """Start the MLflow server on the store of this home."""
    from workbench.commands import ui

    with terminal.errors():
        if optuna:
            storage = ui.storage_of(home.absolute(), study)
            typer.echo(f"Optuna's dashboard (Ctrl-C stops it): http://127.0.0.1:{port}/")
            sys.stdout.flush()
            ui.serve_optuna(storage, port)
            return
        url = ui.page(home.absolute(), port, study)
        typer.echo(f"The MLflow UI opens in about 20 seconds (Ctrl-C stops it): {url}")
        # Now: the server replaces this process, and its buffer would be lost.
        sys.stdout.flush()
        ui.serve(home.absolute(), port)
