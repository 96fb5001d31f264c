"""Predictions of a run as files of other programs, in the formats of `formats`, by the names of the option `--format`.

What is written is read back by `bench score --predictions` with the same scores, up to what the format could not hold;
COCO results and panoptic maps come with their ground truth, for pycocotools and panopticapi.
"""
