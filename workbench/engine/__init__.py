"""The training loop, the fine-tuning methods and the optimizers; used by ``trial``."""
