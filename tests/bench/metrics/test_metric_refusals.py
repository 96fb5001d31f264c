"""Metrics refuse predictions of another form or size than their ground truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.dataset import Place
from bench.errors import BenchError, ShapeError
from bench.metrics import _surface_metrics, object_hd95
from bench.metrics._confusion import confusion_counts
from bench.metrics._matching import as_instances
from bench.metrics._semantic import as_label_maps
from bench.metrics.panoptic_quality import as_panoptic
from bench.records import ClassSpec, Size
from bench.records.png import encode_png
from bench.records.predictions import Instances, Panoptic, Segment, SemanticMap, check_prediction
from bench.records.probabilities import quantised
from bench.score.volumes import Volumes

LABELS = SemanticMap(np.zeros((4, 5), np.uint8))
WIDER = SemanticMap(np.zeros((4, 6), np.uint8))
OBJECTS = Instances(np.zeros((0, 4, 5), bool), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
WIDER_OBJECTS = replace(OBJECTS, masks=np.zeros((0, 4, 6), bool))
SEGMENTS = Panoptic(np.zeros((4, 5), np.int32))
WIDER_SEGMENTS = Panoptic(np.zeros((4, 6), np.int32))


@pytest.mark.parametrize(
    ("compare", "target", "predicted", "told"),
    [
        (as_label_maps, LABELS, OBJECTS, "a semantic metric compares two SemanticMaps, not SemanticMap and Instances"),
        (as_label_maps, LABELS, WIDER, r"the target has size \(4, 5\) and the prediction \(4, 6\)"),
        (as_panoptic, SEGMENTS, LABELS, "a panoptic metric compares two Panoptic maps, not Panoptic and SemanticMap"),
        (as_panoptic, SEGMENTS, WIDER_SEGMENTS, r"the target has size \(4, 5\) and the prediction \(4, 6\)"),
        (as_instances, LABELS, OBJECTS, "an instance metric compares two Instances, not SemanticMap and Instances"),
        (as_instances, OBJECTS, WIDER_OBJECTS, r"the target has size \(4, 5\) and the prediction \(4, 6\)"),
    ],
)
def test_another_form_or_size_than_the_ground_truth(compare, target, predicted, told):
    further = ((),) if compare is as_instances else ()
    with pytest.raises(ShapeError, match=told):
        compare(target, predicted, *further)


def test_pixels_of_maps_of_other_sizes_or_of_no_whole_numbers_are_not_counted():
    counted = {"num_classes": 2, "ignore": None}
    with pytest.raises(ShapeError, match=r"the target has shape \(2, 2\) and the prediction \(2, 3\)"):
        confusion_counts(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), **counted)
    with pytest.raises(ShapeError, match="has dtype float64; a label map holds integer class ids"):
        confusion_counts(np.zeros((2, 2), np.uint8), np.zeros((2, 2)), **counted)


def test_slices_of_a_volume_that_fit_no_grid():
    stacks = Volumes([Place("v", 0), Place("v", 1)])
    stacks.add(0, LABELS, LABELS)
    with pytest.raises(BenchError, match="has slices of different sizes, or one slice twice"):
        stacks.add(1, WIDER, WIDER)
    with pytest.raises(ShapeError, match=r"the target of image 0 has size \(4, 5\) and the prediction \(4, 6\)"):
        stacks.add(0, LABELS, WIDER)


@pytest.mark.parametrize(
    ("segments", "told"),
    [
        ([Segment(1, 0)], "segments as list; a tuple is expected"),
        ((1,), "a int in its segments; Segment is expected"),
        ((Segment(1, 0, crowd=1),), "crowd 1; true or false is expected"),
        ((Segment(1, 0), Segment(1, 0)), "two segments of id 1"),
    ],
)
def test_segments_of_other_types_are_invalid_output(segments, told):
    ids = np.ones((4, 5), np.int32)
    with pytest.raises(ShapeError, match=told):
        check_prediction(
            Panoptic(ids, segments), kind="panoptic", num_classes=1, size=Size(4, 5), image_id="a", model="m"
        )


@pytest.mark.parametrize("score", [-0.1, 2.0, np.nan])
def test_a_score_that_is_no_share_is_invalid_output(score):
    found = Instances(np.ones((1, 4, 5), bool), np.zeros(1, np.int64), np.array([score]), np.zeros(1, bool))
    with pytest.raises(ShapeError, match=r"scores outside 0-1\. See adapters/README\.md, rule 5"):
        check_prediction(found, kind="instance", num_classes=1, size=Size(4, 5), image_id="a", model="m")


def test_an_array_that_no_png_holds():
    with pytest.raises(ShapeError, match=r"an array of shape \(0, 3\) and dtype uint8 cannot be encoded as PNG"):
        encode_png(np.zeros((0, 3), np.uint8))


def test_surfaces_of_matched_objects_without_pixels(monkeypatch):
    """No object of a data set has none; two that match would have no distance."""
    empty = replace(
        OBJECTS,
        masks=np.zeros((1, 4, 5), bool),
        class_ids=np.zeros(1, np.int64),
        scores=np.ones(1),
        crowd=np.zeros(1, bool),
    )
    monkeypatch.setattr(_surface_metrics, "_matches", lambda *_: (np.zeros(1, np.int64), np.zeros(1, bool)))
    with pytest.raises(ShapeError, match="two matched objects have no pixels"):
        object_hd95.METRIC.observe(empty, empty, (ClassSpec(name="a", colour=(0, 0, 0), is_thing=True),))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.zeros((2, 4, 5), np.uint8), "returned for image 'i', which is (4, 5), probabilities as uint8"),
        ([0.5], "probabilities as list"),
        (np.zeros((3, 4, 5), np.float32), "probabilities of shape (3, 4, 5); expected (2, 4, 5)"),
        (np.full((2, 4, 5), 1.5, np.float32), "probabilities from 1.5 to 1.5"),
        (np.full((2, 4, 5), np.nan, np.float32), "probabilities from nan to nan"),
    ],
)
def test_probabilities_that_are_none(values, told):
    with pytest.raises(ShapeError) as refused:
        quantised(values, num_classes=2, size=Size(4, 5), image_id="i", model="m")
    assert told in str(refused.value)
    assert "probabilities() must return floats from 0 to 1 at the original size" in str(refused.value)
