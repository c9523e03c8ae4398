"""A study: its file (config), what follows from it, its search (Optuna) and its confirmation."""
