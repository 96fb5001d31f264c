"""Predictions become scores here: reductions between tasks, statistics per image, thresholds."""
