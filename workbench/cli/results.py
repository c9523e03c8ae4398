"""The commands that read what was run: reports, verdicts, trials, models. See ``app``."""

from __future__ import annotations

import sys
import webbrowser
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli import terminal
from workbench.cli.options import HERE, Home, Json, Quiet, TrackingUri

if TYPE_CHECKING:
    from workbench.commands.verdict import ResultsReport

results = typer.Typer()


@results.command()
def report(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="A study's name, or its file.")],
    home: Home = HERE,
    tracking_uri: TrackingUri = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report; reports/NAME by default.")
    ] = None,
    venue: Annotated[
        str,
        typer.Option(
            help="Venue for the width and fonts of figures: neurips, icml, iclr, cvpr, acl, ..."
        ),
    ] = "neurips",
    percent: Annotated[
        bool, typer.Option("--percent", help="Show accuracy and F1 in percent, as papers do.")
    ] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write the report of a study: page, tables, figures and data.

    For a file with across: one report per study, and one with the verdict over all of them.
    """
    from workbench.cli import printed
    from workbench.commands import across, outcomes

    with terminal.errors(also=(ValueError,)):
        written = across.write_report(name, home.absolute(), out, venue, percent=percent)
        printed.report(terminal.console(), written, quiet=quiet)
    if open_:
        webbrowser.open(written.pages[-1].resolve().as_uri())
    if not written.usable:
        raise typer.Exit(outcomes.UNUSABLE)


@results.command()
def verdict(
    results: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="CSV file with columns strategy, seed and value; dataset if there are several.",
        ),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option("--mlflow", help="Read the runs of this MLflow experiment instead of a file."),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Name of the metric.")] = None,
    minimize: Annotated[bool, typer.Option("--minimize", help="Lower values are better.")] = False,
    smallest_effect: Annotated[
        float | None, typer.Option(help="Smallest difference that matters, above 0.")
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="Compare with this strategy only.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of page, tables and figures.")] = None,
    home: Home = HERE,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Apply the statistics of `confirm` to any table of results; claim only what it supports."""
    from workbench.commands import verdict as verdicts

    with terminal.errors(also=(verdicts.ResultsError,)):
        judged = verdicts.judge(
            results,
            experiment=experiment,
            home=home.absolute(),
            metric=metric,
            direction="minimize" if minimize else "maximize",
            smallest_effect=smallest_effect,
            baseline=baseline,
            out=out,
        )
    _show_verdict(judged, as_json)


def _show_verdict(judged: ResultsReport, as_json: bool) -> None:
    from workbench.cli import printed
    from workbench.commands import outcomes

    if as_json:
        terminal.print_json(judged.result.as_json())
    else:
        printed.verdict(terminal.console(), judged)
    if not judged.result.usable:
        raise typer.Exit(outcomes.UNUSABLE)


@results.command()
def combine(
    studies: Annotated[
        list[str],
        typer.Argument(metavar="STUDY...", help="Names of confirmed studies, with one metric."),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of page, tables and figures.")] = None,
    home: Home = HERE,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Combine finished studies: a verdict over data sets, or over searches of one data set."""
    from workbench.commands import across

    with terminal.errors(also=(ValueError,)):
        judged = across.combine(studies, home.absolute(), out)
    _show_verdict(judged, as_json)


@results.command()
def sync(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="A study's name.")],
    home: Home = HERE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Send MLflow what it is missing, after an outage or a crash."""
    from workbench.commands import report as publish
    from workbench.messages import counted

    with terminal.errors():
        sent = publish.sync(name, home.absolute())
    done = f"sent {counted(sent, 'trial')} to MLflow" if sent else "MLflow is up to date"
    typer.echo(f"{name}: {done}.")


@results.command("list")
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


@results.command()
def show(
    study: Annotated[
        str,
        typer.Argument(metavar="STUDY", help="Study name; or STUDY/STRATEGY, STUDY/TRIAL."),
    ],
    within: Annotated[
        str | None,
        typer.Argument(
            metavar="[TRIAL]",
            help="A trial (adamw-2/007, confirmation/adamw-2/000) or a strategy (adamw-2).",
        ),
    ] = None,
    home: Home = HERE,
    as_json: Json = False,
) -> None:
    """Show a study, the trials of a strategy (best first), or one trial with its epochs."""
    from workbench.cli import printed
    from workbench.commands import browse
    from workbench.commands.summaries import StudyDetails

    with terminal.errors():
        name, second = browse.split_name(study)
        found = browse.found(home.absolute(), name, within or second)
    if as_json:
        terminal.print_json(found.as_json())
    elif isinstance(found, StudyDetails):
        printed.study(terminal.console(), found)
    else:
        printed.trial(terminal.console(), found)


@results.command()
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
        Path | None,
        typer.Option(metavar="FILE", help="CSV file for the predictions; printed by default."),
    ] = None,
    home: Home = HERE,
) -> None:
    """Predict with a trained model: one CSV line per sample."""
    from workbench.commands import predict, saved_model
    from workbench.verdict.wording.numbers import measured

    if out is not None and out.exists() and data.exists() and out.samefile(data):
        raise typer.BadParameter("the predictions would overwrite the data", param_hint="--out")
    with terminal.errors(also=(saved_model.ModelError,)):
        found = predict.predict(home.absolute(), run, data)
        if out is not None:
            with out.open("w", encoding="utf-8", newline="") as file:
                found.write(file)
    if out is None:
        found.write(sys.stdout)
    where = "" if out is None else f": {out}"
    typer.echo(f"{len(found.rows)} predictions of {found.model}{where}", err=True)
    if found.measured:
        typer.echo(f"{found.measured}.", err=True)
    if found.scores:
        scores = ", ".join(f"{name} {measured(value)}" for name, value in found.scores.items())
        typer.echo(f"Scores on the labelled data: {scores}", err=True)
    elif found.unscored:
        typer.echo(f"No scores: {found.unscored}.", err=True)


@results.command()
def export(
    model: Annotated[
        str, typer.Argument(metavar="RUN", help="STUDY/STRATEGY, as `workbench predict` takes it.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    onnx: Annotated[bool, typer.Option("--onnx", help="Write model.onnx as well.")] = False,
    pt2: Annotated[
        bool, typer.Option("--pt2", help="Write model.pt2 (torch.export) as well.")
    ] = False,
    home: Home = HERE,
) -> None:
    """Write a model as a folder for other programs, with a model card.

    Load a transformers model with transformers, and any other model from its state dict.
    """
    from workbench.commands import export, saved_model
    from workbench.commands.program_export import Format

    formats = [*([Format.ONNX] if onnx else []), *([Format.PT2] if pt2 else [])]
    with terminal.errors(also=(saved_model.ModelError,)):
        found = export.export(home.absolute(), model, folder, formats=formats)
    typer.echo(f"{found.name}: {folder}")
    if found.measured:
        typer.echo(f"{found.measured}.")


@results.command()
def register(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A study's name.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the registered model; the study's by default.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="Register this strategy's model, confirmed or not.")
    ] = None,
    home: Home = HERE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Register the confirmed leader's model in MLflow, as champion if the verdict allows it."""
    from workbench.commands import saved_model
    from workbench.commands.register import register

    with terminal.errors(also=(saved_model.ModelError,)):
        done = register(home.absolute(), study, name=name, strategy=strategy)
    typer.echo(f"{done.model} is version {done.version} of {done.name}: {done.uri}")
    if done.no_champion:
        typer.echo(f"Not marked as champion: {done.no_champion}")


@results.command()
def ui(
    study: Annotated[
        str | None, typer.Argument(metavar="[STUDY]", help="Open the table of this study's trials.")
    ] = None,
    home: Home = HERE,
    tracking_uri: TrackingUri = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000,
    optuna: Annotated[
        bool,
        typer.Option("--optuna", help="Open Optuna's dashboard of the study instead (read-only)."),
    ] = False,
) -> None:
    """Start the MLflow UI of this home, or print the address of a shared server."""
    from workbench.commands import ui

    with terminal.errors():
        if optuna:
            storage = ui.storage_of(home.absolute(), study)
            typer.echo(f"Optuna's dashboard (Ctrl-C stops it): http://127.0.0.1:{port}/")
            sys.stdout.flush()
            ui.serve_optuna(storage, port)
            return
        url = ui.page(home.absolute(), port, study)
        if ui.server_of(home.absolute(), study) is not None:
            typer.echo(url)
            return
        typer.echo(f"The MLflow UI opens in about 20 seconds (Ctrl-C stops it): {url}")
        # Now: the server replaces this process, and its buffer would be lost.
        sys.stdout.flush()
        ui.serve(home.absolute(), port, study)
