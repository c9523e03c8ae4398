"""``python -m workbench``."""

from workbench.cli.app import app

app()
