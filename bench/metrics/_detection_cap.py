"""Counts what a limit of detections leaves out, to be told beside the score that it limits.

COCO counts the 100 surest detections of an image and a class. Where an image holds more objects than that, as
micrographs and crowds do, even a perfect detector cannot find them all, and the score says nothing about it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics._matching import CLASS, GROUND_TRUTH, IGNORED, IMAGE, KIND, LEFT_OUT, NUMBER
from bench.records import Flag


def cap_flags(rows: NDArray[np.float64], *, name: str, most: int, of_all_classes: bool) -> tuple[Flag, ...]:
    """Say how many objects are beyond the cap, and how many detections it left out; nothing where none are.

    Args:
        rows: Rows of all images, see `bench.metrics._matching`, shape (rows, 8).
        most: Detections that count, of an image and a class.
        of_all_classes: True if they are counted over all classes of an image.
    """
    counted = rows[(rows[:, KIND] == GROUND_TRUTH) & (rows[:, IGNORED] == 0)]
    places = counted[:, [NUMBER]] if of_all_classes else counted[:, [NUMBER, CLASS]]
    groups, objects = np.unique(places, axis=0, return_counts=True)
    crowded = len(np.unique(groups[objects > most, 0]))
    left_out = rows[rows[:, KIND] == IMAGE, LEFT_OUT]
    cut = int((left_out > 0).sum())
    if not crowded and not cut:
        return ()
    images, whole = len(left_out), "image" if of_all_classes else "image and class"
    said = [f"{name} counts the {most} surest detections of an {whole}"]
    if crowded:
        share = np.minimum(objects, most).sum() / objects.sum()
        of_a = "objects" if of_all_classes else "objects of a class"
        said.append(
            f"{crowded} of {images} images hold more {of_a} (up to {objects.max()}), so that at most {share:.1%} of "
            "all can be found"
        )
    if cut:
        said.append(f"{int(left_out.sum())} detections in {cut} of {images} images are left out")
    enough = max(int(objects.max()) if crowded else 0, most + int(left_out.max()) if cut else 0)
    return (
        Flag(
            name="max_detections",
            seen=f"{said[0]}: {', and '.join(said[1:])}",
            advice=f"to count more of them, score with metrics: [{{name: {name}, max_detections: {enough}}}], which is "
            f"called {name}_{enough} and is not comparable with published {name}",
        ),
    )
