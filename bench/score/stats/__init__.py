"""Percentiles, intervals, comparisons and the Pareto front; each function names its source."""
