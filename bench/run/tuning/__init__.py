"""Searches of recipes: proposals by Optuna, trials as ordinary jobs, early ends, and the best trained once per seed."""
