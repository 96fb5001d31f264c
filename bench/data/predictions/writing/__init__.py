"""Predictions of a run as files of other programs: one file for each format, named as the option `--format`.

A module has `KIND`, the form that the format holds, and `def write(predicted: Predicted, folder: Path) -> list[str]`,
which writes all files and returns what the format could not hold, a sentence each. What is written is read back by
`bench score --predictions` with the same scores, up to that loss; COCO results and panoptic maps come with their ground
truth, for pycocotools and panopticapi.
"""

FORMATS = ("coco", "panoptic", "png", "yolo")
"""Names of the formats."""
