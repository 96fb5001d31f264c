"""Tests that files of several generations of YOLO networks are read alike: one picture, the same objects."""

from __future__ import annotations

import numpy as np
import pytest

from adapters._torch.fitting import Placement
from adapters._torch.runtimes.cpu_sessions import Port
from adapters._torch.runtimes.file_objects import YoloReader
from adapters._torch.runtimes.file_options import ObjectFileOptions
from bench.errors import BenchError
from bench.records import ClassSpec, Size, TaskSpec

MASKS = 3
SIZE = Size(32, 32)
NAMES = ("red", "green")
PROTOTYPES = np.ones((MASKS, 8, 8), np.float32)
OBJECTS = ((8, 8, 10, 8, 0.9, 0), (22, 20, 6, 12, 0.6, -1), (8, 9, 10, 8, 0.5, 0))
"""Centre, width, height, score and class of candidates; -1 is the last class. The last overlaps the first."""


def drawn(classes):
    """Candidates as YOLOv8 to v26 leave them, (4 + K + M, anchors), among others that are sure of nothing."""
    rows = np.zeros((20, 4 + classes + MASKS), np.float32)
    rows[:, 2:4] = 4
    rows[:, 4 : 4 + classes] = np.random.default_rng(0).uniform(0, 1e-4, (20, classes))
    for row, (x, y, width, height, score, number) in zip(rows[5:], OBJECTS, strict=False):
        row[:4], row[4 + number % classes] = (x, y, width, height), score
    rows[:, -MASKS:] = 1
    return rows.T


def of_v5(candidates, classes):
    """The same with the score of an object before those of the classes, which are the greater for it."""
    boxes, scores, masks = np.split(candidates.T, [4, 4 + classes], axis=1)
    return np.concatenate([boxes, np.full((20, 1), 0.95, np.float32), scores / 0.95, masks], axis=1)


def of_free_head(candidates, classes):
    """What a head without suppression leaves of them, padded with nothing."""
    rows = np.zeros((30, 6 + MASKS), np.float32)
    for row, (x, y, width, height, score, number) in zip(rows, OBJECTS[:2], strict=False):
        row[:4] = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        row[4:6], row[6:] = (score, number % classes), 1
    return rows


FORMS = {
    "v8": lambda c, _: c,
    "transposed": lambda c, _: c.T,
    "v5": of_v5,
    "a head without suppression": of_free_head,
}


def reader(classes):
    task = TaskSpec(
        kind="instance",
        classes=tuple(ClassSpec(name=n, colour=(0, 0, 0), is_thing=True) for n in NAMES[:classes]),
    )
    ports = (Port("a", (1, None, None), np.dtype("f4")), Port("b", (1, MASKS, 8, 8), np.dtype("f4")))
    return YoloReader(ObjectFileOptions(), NAMES[:classes], task, ports, "mine")


@pytest.mark.parametrize("classes", [1, 2])  # with these few, forms are as wide as each other
@pytest.mark.parametrize("form", FORMS)
def test_the_same_objects_are_read_from_every_form(form, classes):
    candidates = FORMS[form](drawn(classes), classes)
    found = reader(classes).prediction((candidates, PROTOTYPES), Placement(SIZE, SIZE), SIZE)
    assert found.scores.tolist() == pytest.approx([0.9, 0.6], abs=1e-6)
    assert found.class_ids.tolist() == [0, classes - 1]
    assert [int(mask.sum()) for mask in found.masks] == [80, 72]


def test_candidates_of_another_width_are_refused_with_the_widths_that_are_known():
    with pytest.raises(BenchError, match=r"\(9, anchors\), \(anchors, 10\) or \(found, 9\) is expected"):
        reader(2).prediction((np.zeros((20, 12), np.float32), PROTOTYPES), Placement(SIZE, SIZE), SIZE)
