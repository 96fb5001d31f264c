"""Tests what `bench predict` makes of a prediction: run lengths and overlays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bench.data.formats.rasters import text_of_run_lengths
from bench.records import ClassSpec
from bench.records.mask_runs import run_lengths
from bench.records.predictions import Instances, Panoptic, Segment, SemanticMap
from bench.run.predict.worker.outputs import overlay

CLASSES = (
    ClassSpec(name="background", colour=(0, 0, 0)),
    ClassSpec(name="cell", colour=(200, 100, 0), is_thing=True),
)


@pytest.mark.parametrize("seed", range(20))
def test_compressed_run_lengths_are_those_of_pycocotools(seed):
    masks = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(seed)
    mask = cv2.resize(rng.random((6, 7)), (70, 600), interpolation=cv2.INTER_NEAREST) > 0.5
    assert (
        text_of_run_lengths(run_lengths(mask)).encode()
        == masks.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    )


def test_an_overlay_tints_classes_and_leaves_the_background_as_it_is():
    image = np.full((4, 6, 3), 100, dtype=np.uint8)
    labels = np.array([[0, 0, 1, 1, 255, 255]] * 4, dtype=np.uint8)
    painted = overlay(image, SemanticMap(labels), CLASSES)
    assert (painted[labels != 1] == 100).all()
    assert (painted[labels == 1] == (150, 100, 50)).all()


def test_objects_that_touch_have_a_rim_between_them_and_unsure_ones_are_not_shown():
    image = np.full((4, 6, 3), 100, dtype=np.uint8)
    masks = np.zeros((3, 4, 6), dtype=bool)
    masks[0, :, :2], masks[1, :, 2:4], masks[2, :, 5:] = True, True, True
    found = Instances(masks, np.array([1, 1, 1]), np.array([0.9, 0.8, 0.4]), np.zeros(3, dtype=bool))
    row = overlay(image, found, CLASSES)[1].tolist()
    rim, tinted, plain = [255] * 3, [150, 100, 50], [100] * 3
    darker = row[3]
    assert darker not in (tinted, plain)  # the second object has another shade of the class's colour
    assert row == [tinted, tinted, rim, darker, rim, plain]
    ids = np.array([[1, 1, 2, 2, 0, 0]] * 4, dtype=np.int32)
    panoptic = Panoptic(ids, (Segment(1, 1), Segment(2, 1)))
    assert overlay(image, panoptic, CLASSES)[1].tolist() == row
    assert overlay(image, found, CLASSES, show_from=0.3)[1].tolist() == [*row[:5], rim]
