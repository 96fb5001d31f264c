"""Metrics, one file each; the contract is `bench.metric`. `bench list metrics` prints them.

What a metric of your own that counts pixels is made of can be imported from here: see `bench new metric`.
"""

from bench.metrics._bootstrap import mean_of_defined as mean_of_defined
from bench.metrics._bootstrap import ratio as ratio
from bench.metrics._semantic import ClassTotals as ClassTotals
from bench.metrics._semantic import ConfusionMetric as ConfusionMetric
from bench.metrics._semantic import Formula as Formula
from bench.metrics._semantic import class_dice as class_dice
from bench.metrics._semantic import class_iou as class_iou
from bench.metrics._semantic import class_recall as class_recall
from bench.metrics._semantic import class_totals as class_totals
from bench.metrics._semantic import defined as defined
