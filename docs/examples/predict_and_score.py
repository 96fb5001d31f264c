"""A model of a finished run predicts images in this process, and its predictions are scored like those of the run.

python docs/examples/predict_and_score.py results/smoke/2026-01-31T10-22-07 CASE
"""

import sys

import bench
from bench.data.labels.dataset import open_labelled

run, case = sys.argv[1], sys.argv[2]
model = bench.load_model(case, run=run)
print(f"{model.name}: {model.task} predictions of {', '.join(spec.name for spec in model.classes)}")

spec = next(view.case.dataset for view in bench.load_run(run).run.cases if view.case.id == case)
dataset = open_labelled(spec)
ids = dataset.ids(spec.test)
predictions = dict(zip(ids, model.predict([dataset.image(image_id) for image_id in ids]), strict=True))

for name, score in bench.score(predictions, dataset, ["mean_iou", "pixel_accuracy"], split=spec.test).items():
    print(f"{name} {score.value:.3f} ({score.low:.3f}–{score.high:.3f})")
