"""Metrics, one file each; the contract is `bench.metric`. `bench list metrics` prints them.

What a metric of your own that counts pixels is made of can be imported from here: see `bench new metric`.
"""

from bench.metrics._bootstrap import mean_of_defined, ratio
from bench.metrics._semantic import ClassTotals, ConfusionMetric, Formula

__all__ = ["ClassTotals", "ConfusionMetric", "Formula", "mean_of_defined", "ratio"]
