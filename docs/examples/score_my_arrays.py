"""Label maps of your own, scored against a data set: no model, no files.

python docs/examples/score_my_arrays.py
"""

import numpy as np

import bench
from bench.data.labels.dataset import open_labelled
from bench.records import DatasetSpec

dataset = open_labelled(DatasetSpec(name="shapes", label="shapes", options={"preset": "easy", "test": 8}))
ground_truth = {image_id: dataset.target(image_id).semantic.labels for image_id in dataset.ids("test")}

# A "model" that is right everywhere but in the left half of each image, where it says class 0.
predictions = {image_id: np.where(labels == 255, 0, labels) for image_id, labels in ground_truth.items()}
for labels in predictions.values():
    labels[:, : labels.shape[1] // 2] = 0

for name, score in bench.score(predictions, dataset, ["mean_iou", "boundary_iou"]).items():
    print(f"{name} {score.value:.3f} ({score.low:.3f}–{score.high:.3f}): {score.definition}")
    print({label: round(value, 3) for label, value in score.per_class.items() if value is not None})
