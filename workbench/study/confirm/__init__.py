"""The confirmation as two fixed lists of runs: the selection on validation data, then the test.

Reads and writes records alone.
"""
