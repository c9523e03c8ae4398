"""The training loop, its methods and its optimizers; reads no file and no store."""
