"""Options that several commands have, with their names and help."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

FileOrName = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study file, or a study's name.")
]
HERE = Path()  # the home, unless another one is chosen

File = Annotated[Path, typer.Argument(metavar="STUDY", help="A study file.")]
Home = Annotated[
    Path,
    typer.Option(
        envvar="WORKBENCH_HOME",
        # A mistyped home must not be made: every study would start again in it.
        exists=True,
        file_okay=False,
        help="Directory that contains mlruns/ and reports/.",
    ),
]


def _set_tracking_uri(context: typer.Context, uri: str | None) -> None:
    """For this command, as if the environment had it: MLflow's other tools read it there."""
    if uri is None:
        return
    variable = "MLFLOW_TRACKING_URI"
    before = os.environ.get(variable)
    os.environ[variable] = uri

    def restore() -> None:
        if before is None:
            os.environ.pop(variable, None)
        else:
            os.environ[variable] = before

    context.call_on_close(restore)


TrackingUri = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        callback=_set_tracking_uri,
        expose_value=False,
        show_default=False,
        help="MLflow server or database for the runs, instead of the home's own store. Can also "
        "be set with MLFLOW_TRACKING_URI or in mlruns/workbench.toml.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set recipe.epochs=3."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Number of workers; by default as many as fit on the machine or cluster.",
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="ray[://HOST:PORT]",
        help="Run trials on a Ray cluster, or on this machine through Ray.",
    ),
]
Inline = Annotated[
    bool, typer.Option("--inline", help="Run trials in this process, for debugging.")
]
Wait = Annotated[
    bool, typer.Option("--wait", help="If another process is running this study, wait for it.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only warnings and a one-line summary.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
