"""The terminal: commands, progress and printed output."""
