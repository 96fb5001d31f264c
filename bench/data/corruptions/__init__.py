"""Corruptions of images, by name and severity, seeded for each image: what a model meets outside its data set.

One file per family. `dataset.py` applies them to a split as it is read; nothing is written.
"""
