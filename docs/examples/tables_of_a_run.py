"""Loads the tables of a run as pandas frames, to see which classes each model loses and on which images.

python docs/examples/tables_of_a_run.py results/smoke/2026-01-31T10-22-07
"""

import sys

import bench

run = bench.load_run(sys.argv[1] if len(sys.argv) > 1 else None)

print(run.cases[["model", "status", "mean_iou", "mean_iou_low", "mean_iou_high", "end_to_end_p50_ms"]])

worst = run.per_class.query("metric == 'mean_iou'").sort_values("value").groupby("model").head(2)
print(worst[["model", "class", "value"]])

images = run.per_image.pivot(index="image", columns="model", values="mean_iou")
print((images.max(axis=1) - images.min(axis=1)).nlargest(5).rename("models differ by"))

samples = run.samples.query("clock == 'end_to_end' and accepted")
print(samples.groupby(["model", "replicate"])["total_ms"].describe()[["count", "50%", "max"]])
