"""Predictions: what is refused, and what comes back from disk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from bench.errors import ShapeError
from bench.records import Size
from bench.records.mask_runs import mask_from_run_lengths, run_lengths
from bench.records.predictions import (
    Instances,
    Panoptic,
    Segment,
    SemanticMap,
    check_prediction,
    load_prediction,
    save_prediction,
)


def check(prediction, kind="semantic"):
    return check_prediction(prediction, kind=kind, num_classes=3, size=Size(2, 3), image_id="000139", model="unet/a")


def instances(masks, class_ids=None, scores=None):
    count = len(masks)
    return Instances(
        masks=np.asarray(masks, dtype=bool),
        class_ids=np.asarray(class_ids if class_ids is not None else [0] * count, dtype=np.int64),
        scores=np.asarray(scores if scores is not None else [0.5] * count, dtype=np.float64),
        crowd=np.zeros(count, dtype=bool),
    )


@pytest.mark.parametrize(
    ("prediction", "kind", "said"),
    [
        (SemanticMap(np.zeros((2, 2), np.uint8)), "semantic", "(2, 2) and dtype uint8; expected (2, 3) and uint8"),
        (SemanticMap(np.zeros((2, 3), np.int64)), "semantic", "dtype int64"),
        (SemanticMap(np.full((2, 3), 3, np.uint8)), "semantic", "class id 3; valid ids are 0..2"),
        (SemanticMap([[0]]), "semantic", "as list; a host NumPy array"),
        (np.zeros((2, 3)), "semantic", "a ndarray; a semantic model must return SemanticMap"),
        (instances(np.zeros((1, 2, 3)), class_ids=[-1]), "instance", "class id -1"),
        (instances(np.zeros((1, 2, 3)), scores=[1.5]), "instance", "scores outside 0-1"),
        (Panoptic(np.ones((2, 3), np.int32), ()), "panoptic", "segment ids [1]"),
    ],
)
def test_what_breaks_the_contract_is_named_with_model_image_and_size(prediction, kind, said):
    with pytest.raises(ShapeError) as caught:
        check(prediction, kind)
    assert said in str(caught.value)
    assert "unet/a returned for image '000139', which is (2, 3)," in str(caught.value)


def test_a_pixel_may_name_no_class():
    assert check(SemanticMap(np.full((2, 3), 255, np.uint8)))


@given(arrays(bool, st.tuples(st.integers(0, 9), st.integers(0, 9))))
def test_run_lengths_come_back_as_the_same_mask(mask):
    assert (mask_from_run_lengths(run_lengths(mask), Size(*mask.shape)) == mask).all()


def test_run_lengths_are_column_major_and_start_with_zeros_as_cocos_are():
    # columns: 1 1 | 0 1 -> zeros 0, ones 2, zeros 1, ones 1
    assert run_lengths(np.array([[True, False], [True, True]])) == [0, 2, 1, 1]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
@pytest.mark.parametrize("runs", [[6], [6, 0], [2, 0, 4], [0, 2, 0, 1, 3], [0, 6], [1, 0, 0, 0, 0, 4, 1], [5, 1, 0]])
def test_runs_of_no_pixels_are_read_as_pycocotools_reads_them(runs):
    encoded = coco_mask.frPyObjects({"size": [2, 3], "counts": runs}, 2, 3)
    assert mask_from_run_lengths(runs, Size(2, 3)).tolist() == coco_mask.decode(encoded).astype(bool).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_every_kind_of_prediction_comes_back_from_disk_with_the_same_hash(tmp_path, seed):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 3, (7, 5), dtype=np.int32) * 70000
    predictions = {
        "semantic": SemanticMap(rng.integers(0, 3, (7, 5), dtype=np.uint8)),
        "instance": instances(rng.random((4, 7, 5)) > 0.5, class_ids=[0, 1, 2, 0], scores=rng.random(4)),
        "panoptic": Panoptic(ids, tuple(Segment(int(i), 1) for i in np.unique(ids) if i)),
    }
    for kind, prediction in predictions.items():
        save_prediction(prediction, tmp_path / kind, "a")
        assert load_prediction(kind, tmp_path / kind, "a").content_hash() == prediction.content_hash()


def test_no_instances_come_back_as_no_instances(tmp_path):
    save_prediction(instances(np.zeros((0, 4, 6))), tmp_path, "a")
    assert load_prediction("instance", tmp_path, "a").masks.shape == (0, 4, 6)


@pytest.mark.parametrize("content", [b"no", b""])
def test_a_damaged_file_says_what_to_do(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ShapeError, match="not a readable PNG; delete its job folder"):
        load_prediction("semantic", tmp_path, "a")


def test_one_changed_pixel_is_another_hash():
    labels = np.zeros((4, 4), np.uint8)
    other = labels.copy()
    other[2, 2] = 1
    assert SemanticMap(labels).content_hash() != SemanticMap(other).content_hash()


@pytest.mark.parametrize("seed", range(60))
def test_run_lengths_are_those_pycocotools_encodes(seed):
    random = np.random.default_rng(seed)
    height, width = (int(n) for n in random.integers(1, 25, 2))
    mask = random.random((height, width)) < random.choice([0.0, 0.05, 0.5, 0.95, 1.0])
    if seed % 3 == 0:  # whole columns, so that runs go on from one to the next
        mask[:, random.random(width) < 0.5] = True
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    ours = coco_mask.frPyObjects({"size": [height, width], "counts": run_lengths(mask)}, height, width)
    assert ours["counts"] == encoded["counts"]


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        '{"size": [2, 3]}',
        '{"size": [2, 3], "instances": [{"counts": [5]}]}',
        '{"size": 4, "instances": 1}',
        '{"size": [2, 3], "instances": [{"class_id": 0, "score": 2, "crowd": false, "counts": [6]}]}',
        '{"size": [2, 3], "instances": [{"class_id": 0, "score": null, "crowd": false, "counts": [6]}]}',
        '{"size": [2, 3], "instances": [{"class_id": 1e99, "score": 1, "crowd": false, "counts": [6]}]}',
        '{"segments": []}',
    ],
)
@pytest.mark.parametrize("kind", ["instance", "panoptic"])
def test_damaged_segments_and_instances_are_named_with_what_to_do(tmp_path, kind, damage):
    save_prediction(SemanticMap(np.zeros((2, 3), np.uint8)), tmp_path, "a")
    (tmp_path / "a.json").write_text(damage)
    with pytest.raises(ShapeError, match=r"a\.json is not a readable .* prediction .*run the suite again"):
        load_prediction(kind, tmp_path, "a")
