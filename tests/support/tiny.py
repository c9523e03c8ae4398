"""The tiny study, what tests replace in it, and observers that do nothing."""

from __future__ import annotations

from workbench.commands.session import Watcher

TINY = """\
# Which optimizer fits the wines?
name: tiny
recipe:
  dataset: {name: wine, validation: 40, test: 40}
  backbone: {name: mlp, hidden: [8, 8]}
  epochs: 3
  batch_size: 16
compare:
  optimizer: [sgd, adamw]
  freeze_depth: [0, all]
tune:
  learning_rate: {low: 1e-4, high: 1e-1, log: true, default: 1e-2}
  momentum: {when: {optimizer: sgd}, low: 0.5, high: 0.99, default: 0.9}
search: {sampler: tpe, pruner: median, trials_per_strategy: 5, seed: 1}
objective: {metric: validation/accuracy}
"""

# Replacements of its texts.
CONFIRM = "objective: {metric: validation/accuracy}\nconfirm: {smallest_effect: 0.02}"
TWO = ("optimizer: [sgd, adamw]\n  freeze_depth: [0, all]", "optimizer: [sgd, adamw]")
THREE = ("trials_per_strategy: 5", "trials_per_strategy: 3")
NINE = ("[sgd, adamw]\n  freeze_depth: [0, all]", "[sgd, adam, adamw]\n  freeze_depth: [0, 1, all]")
JOINT = (
    ("compare:\n", "tune:\n"),
    ("  freeze_depth: [0, all]\ntune:\n", "  freeze_depth: [0, all]\n"),
    ("trials_per_strategy: 5", "trials: 5"),
)


Unseen = Watcher


class Silent:
    def changed(self, directory: object) -> None:
        return None
