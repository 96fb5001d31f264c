from __future__ import annotations

import cv2
import numpy as np
import pytest
import yaml

from adapters.ultralytics.export import ExportCounts, export, padded_to_square, polygon
from bench.adapter import TrainingData
from bench.records import Size
from bench.records.png import read_png
from bench.records.predictions import Instances
from tests.adapters.rectangles import INSTANCES, THREE_CLASSES, Rectangles
from tests.adapters.ultralytics import yolo  # noqa: F401 - brings the framework in, or skips

SIZE = Size(40, 48)


class OneScene:
    """A `bench.adapter.Split` of one grey image with given instances of class 1 (red)."""

    def __init__(self, *masks, crowd=(), class_id=1):
        self._masks, self._crowd, self._class_id = masks, crowd, class_id

    def __len__(self):
        return 1

    def image(self, index):
        return np.full((*SIZE, 3), 90, dtype=np.uint8)

    def ground_truth(self, index):
        count = len(self._masks)
        return Instances(
            masks=np.stack(self._masks),
            class_ids=np.full(count, self._class_id),
            scores=np.ones(count),
            crowd=np.isin(np.arange(count), self._crowd),
        )


def drawn(draw):
    canvas = np.zeros(SIZE, dtype=np.uint8)
    draw(canvas)
    return canvas.astype(bool)


SQUARE = drawn(lambda c: cv2.rectangle(c, (5, 6), (20, 18), 1, -1))
DISC = drawn(lambda c: cv2.circle(c, (24, 20), 14, 1, -1))
RING = DISC & ~drawn(lambda c: cv2.circle(c, (24, 20), 8, 1, -1))
DUMBBELL = drawn(lambda c: (cv2.circle(c, (10, 20), 6, 1, -1), cv2.circle(c, (36, 20), 6, 1, -1)))
DOT = drawn(lambda c: c.__setitem__((3, 4), 1))


def redrawn(corners, size=SIZE):
    """What the framework's training draws of a polygon."""
    from ultralytics.data.utils import polygon2mask

    return polygon2mask(tuple(size), [corners.astype(np.float32).ravel()]).astype(bool)


def exported(tmp_path, split, task=INSTANCES):
    return export(TrainingData(split, split, task), ["red", "green"], [1, 2], tmp_path)


@pytest.mark.parametrize(
    ("masks", "crowd", "changed"),
    [
        ([SQUARE], [], {}),
        ([SQUARE, RING], [], {"holes_filled": 1}),
        ([SQUARE, DUMBBELL], [], {"parts_bridged": 1}),
        ([SQUARE, RING], [1], {"crowds_dropped": 1}),
        ([SQUARE, DOT], [], {"too_small": 1}),
        ([SQUARE, RING, DUMBBELL, DOT], [0], dict.fromkeys(["holes_filled", "parts_bridged", "too_small"], 1)),
    ],
)
def test_what_the_format_loses_is_counted(tmp_path, masks, crowd, changed):
    changed = {"crowds_dropped": len(crowd), **changed}
    counts = exported(tmp_path, OneScene(*masks, crowd=crowd)).counts
    assert counts == ExportCounts(instances=len(masks), **changed)
    left_out = counts.crowds_dropped + counts.too_small
    rows = (tmp_path / "labels/train/000000.txt").read_text().splitlines()
    assert len(rows) == len(masks) - left_out


def test_counts_are_told_in_words_and_as_values():
    counts = ExportCounts(instances=9, holes_filled=2, crowds_dropped=1)
    assert "9 instances" in str(counts)
    assert counts.as_values()["export_holes_filled"] == 2.0
    assert len(counts.as_values()) == 5


def test_a_ring_comes_back_as_a_disc_and_a_dumbbell_with_a_thin_bridge():
    counts = ExportCounts()
    disc, bridged = redrawn(polygon(RING, counts)), redrawn(polygon(DUMBBELL, counts))
    assert np.array_equal(disc, DISC)
    assert (DUMBBELL & ~bridged).sum() == 0
    # From 16 to 30 along one row: at most two rows of thirteen pixels between the balls.
    assert 0 < (bridged & ~DUMBBELL).sum() <= 2 * 13


@pytest.mark.parametrize("seed", range(30))
def test_a_solid_outline_is_drawn_back_pixel_by_pixel_and_its_box_is_that_of_the_mask(seed):
    random = np.random.default_rng(seed)
    axes = random.integers(2, 15, 2)
    centre = [int(random.integers(axes[0], SIZE.width - axes[0])), int(random.integers(axes[1], SIZE.height - axes[1]))]
    mask = drawn(lambda c: cv2.ellipse(c, centre, axes.tolist(), 0, 0, 360, 1, -1))
    corners = polygon(mask, ExportCounts())
    assert np.array_equal(redrawn(corners), mask)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert np.abs(np.concatenate([corners.min(0), corners.max(0)]) - box).max() <= 0.0101


def test_classes_are_numbered_as_the_network_numbers_them(tmp_path):
    folder = exported(tmp_path, OneScene(SQUARE, class_id=2)).yaml.parent
    row = (folder / "labels/train/000000.txt").read_text().split()
    assert row[0] == "1"  # green is class 2 of the task and class 1 of the network
    described = yaml.safe_load((folder / "data.yaml").read_text())
    assert described["names"] == {"0": "red", "1": "green"} or described["names"] == {0: "red", 1: "green"}


def test_the_framework_reads_every_exported_image_and_instance(tmp_path):
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset
    from ultralytics.data.utils import check_det_dataset

    from adapters.ultralytics import environment

    split = Rectangles(5, seed=1, kind="instance")
    with environment.contained():
        data = check_det_dataset(str(exported(tmp_path, split).yaml))
        cfg = get_cfg(overrides={"task": "segment", "imgsz": 64})
        dataset = build_yolo_dataset(cfg, data["train"], 2, data, mode="val")
    assert data["names"] == {0: "red", 1: "green"}
    assert [len(label["segments"]) for label in dataset.labels] == [
        len(split.ground_truth(i).class_ids) for i in range(5)
    ]
    assert [label["cls"].ravel().tolist() for label in dataset.labels] == [
        [class_id - 1 for class_id in split.ground_truth(i).class_ids] for i in range(5)
    ]


def test_label_maps_are_kept_as_they_are_but_padded_to_a_square_with_void(tmp_path):
    split = Rectangles(2, seed=1)
    export(TrainingData(split, split, THREE_CLASSES), ["ground", "red", "green"], [0, 1, 2], tmp_path)
    kept = read_png(tmp_path / "masks/train/000001.png")
    assert kept.shape == (32, 32)
    assert np.array_equal(kept[4:28], split.semantic(1))  # 24 rows of 32
    assert (np.delete(kept, np.s_[4:28], axis=0) == 255).all()
    picture = read_png(tmp_path / "images/train/000001.png")
    assert np.array_equal(picture[4:28], split.image(1))
    assert (picture[:4] == 114).all()


def test_a_square_needs_no_padding():
    image, labels = np.zeros((6, 6, 3), dtype=np.uint8), np.arange(36, dtype=np.uint8).reshape(6, 6)
    square, same = padded_to_square(image, labels)
    assert np.array_equal(square, image)
    assert np.array_equal(same, labels)


def test_a_data_set_without_validation_images_is_read_all_the_same(tmp_path):
    train = OneScene(SQUARE)
    export(TrainingData(train, Rectangles(0, seed=1, kind="instance"), INSTANCES), ["red", "green"], [1, 2], tmp_path)
    assert yaml.safe_load((tmp_path / "data.yaml").read_text())["val"] == "images/train"
