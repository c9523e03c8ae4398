"""Verdicts over several data sets."""
