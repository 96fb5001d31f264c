"""Finds doubts about labels that many images, seen together, raise and one image alone could not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.orientation import better_pose
from bench.data.labels.dataset import on_disk
from bench.data.scan import Finding, Listed, Row, rows_by_split
from bench.dataset import Dataset

ENDS = 0.55
"""Share of width and height in which all labels of a data set lie that were drawn for images of half the size."""
ENOUGH_IMAGES = 10
"""Images with labels, from which it is said that all of them end early."""
ENOUGH_OBJECTS, RECTANGLES = 20, 0.9
"""This many objects, of which such a share are rectangles, along the axes or turned, were drawn as boxes."""
APART, ALIKE = 0.95, 0.25
"""Probability that an image of one split has more of a class than one of another: from `APART` on the splits differ;
within `ALIKE` of one half they are alike."""
ENOUGH_OF_SPLIT = 5


def doubts_of_splits(dataset: Dataset, images: Sequence[Listed], rows: dict[str, Row]) -> Iterator[Finding]:
    """Yield findings about labels that follow from many images.

    Args:
        images: Images in the order of the splits.
        rows: Rows of `inspect`, by image id.
    """
    of_split = rows_by_split(images, rows)
    for split, seen in of_split.items():
        told = better_pose([row.get("poses", {}) for row in seen])
        if told is not None:
            yield Finding("pose", split, "", f"{split}: {told}. Look at them with bench data preview.")
    yield from _ends_early(images, rows)
    yield from _rectangles(of_split)
    yield from _swapped(dataset, of_split)
    yield from _groups_in_two_splits(dataset, images)


def _ends_early(images: Sequence[Listed], rows: dict[str, Row]) -> Iterator[Finding]:
    """Yield labels of another resolution than their images: all lie in the left upper part."""
    reach = np.array([rows[i.image_id]["reach"] for i in images if rows[i.image_id].get("reach")]).reshape(-1, 2)
    if len(reach) >= ENOUGH_IMAGES and (reach.max(axis=0) <= ENDS).all():
        across, down = reach.max(axis=0).tolist()
        told = (
            f"the labels of all {len(reach)} images end at {across:.0%} of the width and {down:.0%} of the height: "
            "they were most likely drawn on smaller copies of the images. Write their coordinates for the images "
            "that are read, or read the copies."
        )
        yield Finding("scale", "", "", told)


def _rectangles(of_split: dict[str, list[Row]]) -> Iterator[Finding]:
    for split, seen in of_split.items():
        objects = sum(row.get("sizeable", 0) for row in seen)
        boxes = sum(row.get("rectangles", 0) for row in seen)
        if objects >= ENOUGH_OBJECTS and boxes >= RECTANGLES * objects:
            told = f"{split}: {boxes} of {objects} objects are rectangles, along the sides of the image or turned"
            yield Finding("rectangles", split, "", f"{told}: boxes for detection, most likely, written as outlines")


def _swapped(dataset: Dataset, of_split: dict[str, list[Row]]) -> Iterator[Finding]:
    """Yield two classes that have changed places between two splits, by the shares of the images that they cover."""
    keys = [str(index) for index in range(len(dataset.classes))]
    shares = {
        split: np.array([[row["shares"].get(key, 0.0) for key in keys] for row in seen if row.get("shares")])
        for split, seen in of_split.items()
    }
    large = {split: found for split, found in shares.items() if len(found) >= ENOUGH_OF_SPLIT}
    for (one, first), (other, second) in combinations(large.items(), 2):
        apart = [k for k in range(first.shape[1]) if abs(_more(first[:, k], second[:, k]) - 0.5) >= APART - 0.5]
        for a, b in combinations(apart, 2):
            if max(abs(_more(first[:, x], second[:, y]) - 0.5) for x, y in ((a, b), (b, a))) <= ALIKE:
                names = f"{dataset.classes[a].name} and {dataset.classes[b].name}"
                told = (
                    f"{names} cover such shares of the images of {other} as in {one} the other one covers: the masks "
                    "of one of the two splits may have other values for them. Look at both with bench data preview"
                )
                yield Finding("swapped", other, "", told)


def _more(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Probability that a value of one is larger than one of the other, ties by half."""
    difference = one[:, None] - other[None]
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


def _groups_in_two_splits(dataset: Dataset, images: Sequence[Listed]) -> Iterator[Finding]:
    """Patients, scenes or films of which two splits have images."""
    files = on_disk(dataset)
    if files is None:
        return
    splits: dict[str, dict[str, int]] = defaultdict(dict)
    for image in images:
        group = files.entry(image.image_id).group
        if group:
            splits[group][image.split] = splits[group].get(image.split, 0) + 1
    for group, counts in splits.items():
        if len(counts) > 1:
            told = ", ".join(f"{count} in {split}" for split, count in counts.items())
            yield Finding("group", [*counts][-1], "", f"{group}: {told}")
