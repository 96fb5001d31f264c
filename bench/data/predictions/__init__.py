"""Predictions as files of other programs: read to be scored without a model, and written from a run; one file a format.

`model config predictions/files` names such files in a suite, `bench score --predictions` on the command line. The
formats: label maps, probability maps, COCO results, panoptic PNGs with JSON, and YOLO's text files. A reader matches
what it finds with the images of a split by their ids, once, when it is opened; whatever is missing, superfluous or
converted is counted and named.
"""

ADAPTER = "predictions"
"""Name of the adapter whose models are read from files instead of run."""
