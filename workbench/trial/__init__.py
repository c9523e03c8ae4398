"""One trial in a worker, from its specification to its result."""
