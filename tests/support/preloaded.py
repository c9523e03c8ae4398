"""What processes of tests import: a server does so once, and forks each process from itself."""

import optuna  # noqa: F401
import sklearn.datasets  # noqa: F401
import torch._dynamo  # noqa: F401  # loaded by the first optimizer

import workbench.cli.app
import workbench.commands.confirm
import workbench.commands.run
import workbench.study.search
import workbench.tracker.client
import workbench.trial.run  # noqa: F401
