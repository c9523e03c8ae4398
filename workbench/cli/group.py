"""How every command ends on Ctrl-C, and where its output cannot be written; used by ``cli.app``."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import typer
import typer.core


class CommandGroup(typer.core.TyperGroup):
    """The commands; each ends with a line on Ctrl-C, or where its output cannot be written."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            result = super().invoke(ctx)
            # Here, because an error at the end of the process would be a traceback.
            sys.stdout.flush()
            return result
        except KeyboardInterrupt:
            typer.echo("Stopped by Ctrl-C.", err=True)
            raise typer.Exit(130) from None
        except OSError as error:
            # A file that has a name is not the output. Of a closed pipe, as of ``| head``, the
            # reader has seen enough, and click ends quietly.
            if error.filename is not None or error.errno == errno.EPIPE:
                raise
            typer.echo(f"The output cannot be written: {error.strerror}.", err=True)
            # What is left in the buffer would fail again when the process ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(4) from None
