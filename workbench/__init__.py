"""Workbench: which fine-tuning strategy wins, with evidence that a reviewer accepts."""

__version__ = "0.1.0"
