"""One trial in a worker, from its specification to its result; used by ``driver.workers``."""
