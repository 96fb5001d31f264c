"""Slices are put together to volumes, and metrics of volumes equal a 3-D distance transform on the whole."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from bench.dataset import GroundTruth, Place
from bench.errors import BenchError, ShapeError
from bench.metric import VolumeMetric, load_metric, metric_names
from bench.records import ClassSpec, Spacing, TaskSpec
from bench.records.predictions import SemanticMap
from bench.score.scoring import observe_all, score_metric
from bench.score.volumes import Volumes

CLASSES = (
    ClassSpec(name="background", colour=(0, 0, 0)),
    ClassSpec(name="liver", colour=(1, 1, 1)),
    ClassSpec(name="lesion", colour=(2, 2, 2)),
)
SPACING = Spacing(0.7, 0.8, 3.0)


def body(seed, shape=(6, 20, 24)):
    values = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(3, *shape)), (0, 1, 3, 3))
    return values.argmax(axis=0).astype(np.uint8)


def collected(true, seen, levels, spacing=SPACING, order=None):
    """Volumes that come out of slices of one volume, beside an image of another."""
    places = [Place("a", level) for level in levels]
    volumes = Volumes([*places, Place("b", 0)])
    found = []
    for i in order or range(len(levels)):
        found.append(volumes.add(i, SemanticMap(true[i], spacing=spacing), SemanticMap(seen[i])))
    assert found[:-1] == [None] * (len(levels) - 1)
    return found[-1]


def surface_distances(true, seen, class_id, steps):
    masks = [(one == class_id) & (true != 255) for one in (true, seen)]
    edges = [one & ~ndimage.binary_erosion(one) for one in masks]
    return [ndimage.distance_transform_edt(~edges[1 - i], sampling=steps)[edges[i]] for i in (0, 1)]


@pytest.mark.parametrize("seed", range(8))
def test_metrics_of_volumes_equal_a_distance_transform_of_the_whole(seed):
    true, seen = body(seed), body(seed + 100)
    volume = collected(true, seen, range(6), order=np.random.default_rng(seed).permutation(6).tolist())
    np.testing.assert_array_equal(volume.target.labels, true)
    steps = (3.0, 0.7, 0.8)
    directed = [surface_distances(true, seen, c, steps) for c in (1, 2)]
    both = [np.concatenate(one) for one in directed]
    expected = {
        "volume_hausdorff": np.mean([one.max() for one in both]),
        "volume_hd95": np.mean([max(np.percentile(d, 95) for d in one) for one in directed]),
        "volume_assd": np.mean([one.mean() for one in both]),
        "volume_nsd@1.5": np.mean([(one <= 1.5).mean() for one in both]),
        "volume_dice": np.mean(
            [2 * ((true == c) & (seen == c)).sum() / ((true == c).sum() + (seen == c).sum()) for c in (1, 2)]
        ),
    }
    for name, value in expected.items():
        metric = load_metric(name)
        assert isinstance(metric, VolumeMetric)
        rows = [metric.empty(CLASSES)] * 5 + [metric.observe_volume(volume.target, volume.predicted, CLASSES)]
        score = metric.score(np.stack(rows), CLASSES, seed=0)
        assert score.value == pytest.approx(value), name


def test_slices_that_are_no_images_are_void_and_every_second_slice_has_twice_the_distance():
    true = body(1)
    volume = collected(true[[0, 2, 4]], true[[0, 2, 4]], [10, 12, 14])
    assert volume.target.labels.shape[0] == 3
    assert volume.target.spacing == Spacing(0.7, 0.8, 6.0)
    volume = collected(true[[0, 1, 4]], true[[0, 1, 4]], [10, 11, 14])
    assert (volume.target.labels[2:4] == 255).all()
    assert volume.target.spacing == SPACING


def test_uneven_slices_leave_a_volume_without_millimetres():
    true = body(2)
    assert collected(true, true, range(6), spacing=Spacing(0.7, 0.8)).target.spacing is None


def test_slices_of_other_sizes_or_twice_the_same_slice_are_refused():
    true = body(3)
    with pytest.raises(BenchError, match="one slice twice"):
        collected(true, true, [0, 0, 1, 2, 3, 4])
    with pytest.raises(ShapeError, match="original image size"):
        Volumes([Place("a", 0)]).add(0, SemanticMap(true[0]), SemanticMap(true[0][:-1]))


def test_without_volumes_a_metric_of_volumes_is_undefined_and_says_why():
    for name in metric_names():
        metric = load_metric(name)
        if isinstance(metric, VolumeMetric) and metric.by_volume:
            score = metric.score(np.stack([metric.empty(CLASSES)] * 3), CLASSES, seed=0)
            assert score.value is None
            assert "slice of a volume" in score.undefined_because


def test_a_class_that_is_missed_in_a_volume_takes_its_diagonal():
    true, seen = np.zeros((2, 30, 40), np.uint8), np.zeros((2, 30, 40), np.uint8)
    true[:, 5:9, 5:9] = 1
    volume = collected(true, seen, [0, 1], spacing=Spacing(1.0, 1.0, 5.0))
    metric = load_metric("volume_hd95")
    score = metric.score(metric.observe_volume(volume.target, volume.predicted, CLASSES)[None], CLASSES, seed=0)
    assert score.value == pytest.approx((30**2 + 40**2 + 10**2) ** 0.5)
    assert (score.unit, score.counts) == ("mm", {"volumes": 1, "missed": 1, "invented": 0})


class OfVolumes:
    """Two slices of each of five volumes, without groups of its own."""

    classes, tasks, source, licence = CLASSES, ("semantic",), "drawn in a test", "none"

    def __init__(self):
        self.maps = {f"v{v}-{s}": body(10 * v + s)[0] for v in range(5) for s in (0, 1)}

    def splits(self):
        return ("test",)

    def ids(self, split):
        return tuple(self.maps)

    def place(self, image_id):
        return Place(image_id[:2], int(image_id[-1]))

    def target(self, image_id):
        return GroundTruth(SemanticMap(self.maps[image_id]))


@pytest.mark.parametrize("name", ["volume_dice", "mean_iou"])
def test_intervals_of_slices_leave_out_volumes_where_the_data_set_knows_no_groups(name):
    dataset, metric, task = OfVolumes(), load_metric(name), TaskSpec(kind="semantic", classes=CLASSES)
    seen = {image_id: SemanticMap(np.roll(labels, 2, axis=1)) for image_id, labels in dataset.maps.items()}
    observed = observe_all([metric], task, dataset, tuple(seen), seen.__getitem__)
    score = score_metric(metric, task, observed, len(seen), seed=0)
    assert score.groups == 5
    left_out = []
    for volume in range(5):
        kept = tuple(image_id for image_id in seen if not image_id.startswith(f"v{volume}"))
        rest = observe_all([metric], task, dataset, kept, seen.__getitem__)
        left_out.append(score_metric(metric, task, rest, len(kept), seed=0).value)
    # The jackknife over five volumes.
    expected = (4 / 5 * ((np.array(left_out) - np.mean(left_out)) ** 2).sum()) ** 0.5
    assert score.error == pytest.approx(expected)
