"""Options that several commands have, with their names and help."""

from __future__ import annotations

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
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set recipe.epochs=3."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Processes; by default as many as the machine or cluster has room for.",
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
    bool, typer.Option("--quiet", "-q", help="Print only warnings and how it ended, in a line.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
