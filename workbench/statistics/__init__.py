"""Statistics of a comparison: pure functions on arrays, each with its source.

Know neither strategies nor words: what a number allows one to say is for ``verdict``.
"""
