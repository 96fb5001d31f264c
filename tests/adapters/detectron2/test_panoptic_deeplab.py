from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("detectron2", reason="Detectron2 is not installed; make install")

from detectron2.data import MetadataCatalog

from adapters.detectron2.labels import LabelSpace
from adapters.detectron2.panoptic_deeplab import LABEL_DIVISOR, CentreTargets, mirrored_targets
from adapters.detectron2.training import fit
from bench.adapter import predict
from bench.records import Size, Target
from bench.records.predictions import Panoptic, Segment, check_prediction
from tests.adapters.detectron2.made import built
from tests.adapters.rectangles import PANOPTIC, Recorder, Rectangles, rectangles, short_recipe

KEEPS_ALL = {"center_score": 0.0, "combine_stuff_area": 0}
LABELS = LabelSpace.of(PANOPTIC, things_apart=True)


def one_square():
    """Red from row 4 to 7 and column 10 to 15, ground elsewhere, void in a corner."""
    ids = np.ones((16, 24), dtype=np.int32)
    ids[4:8, 10:16] = 70_000  # as large as COCO's ids
    ids[0, 0] = 0
    return Panoptic(ids, (Segment(1, 0), Segment(70_000, 1)))


def targets(ground_truth, size=None):
    return CentreTargets(LABELS, sigma=2, small_area=25, small_weight=3)(ground_truth, size)


def test_every_pixel_of_a_thing_points_to_its_centre_of_mass():
    found = targets(one_square())
    rows, columns = torch.nonzero(found["offset_weights"][0]).T
    assert len(rows) == 24
    assert torch.allclose(rows + found["offset"][0, rows, columns], torch.tensor(5.5))
    assert torch.allclose(columns + found["offset"][1, rows, columns], torch.tensor(12.5))
    assert found["center"].max() == 1
    assert tuple(np.unravel_index(int(found["center"].argmax()), (16, 24))) in {(5, 12), (6, 12), (5, 13), (6, 13)}
    assert found["sem_seg"][0, 0] == 255
    assert found["center_weights"][0, 0, 0] == 0
    assert found["sem_seg"][5, 12] == 1
    assert (found["sem_seg_weights"][4:8, 10:16] == 3).all()
    assert found["sem_seg_weights"].sum() == 16 * 24 + 2 * 24


def test_targets_come_at_the_training_size():
    found = targets(one_square(), Size(32, 48))
    assert all(tensor.shape[-2:] == (32, 48) for tensor in found.values())
    assert int(found["offset_weights"].sum()) == 4 * 24


def test_mirrored_targets_are_the_targets_of_the_mirrored_ground_truth():
    ground_truth = one_square()
    mirrored = Panoptic(np.ascontiguousarray(ground_truth.segment_ids[:, ::-1]), ground_truth.segments)
    found, expected = mirrored_targets(targets(ground_truth)), targets(mirrored)
    for name in ("sem_seg", "sem_seg_weights", "center_weights", "offset", "offset_weights"):
        assert torch.equal(found[name], expected[name]), name
    # The bump lies on a whole pixel, and half a pixel rounds to one side alone.
    assert (found["center"] - expected["center"]).abs().max() < 0.3


def test_stages_find_what_detectron2s_own_forward_finds():
    adapter = built("panoptic_deeplab", **KEEPS_ALL)
    picture = Rectangles(1, seed=3, size=Size(32, 48)).image(0)
    (found,) = predict(adapter, [picture])
    module = adapter._network.module
    module.meta = MetadataCatalog.get("unregistered")
    module.meta.thing_dataset_id_to_contiguous_id, module.meta.label_divisor = {1: 1, 2: 2}, LABEL_DIVISOR
    bgr = torch.from_numpy(picture[..., ::-1].transpose(2, 0, 1).copy())
    with torch.inference_mode():
        own = module([{"image": bgr, "height": 32, "width": 48}])[0]
    ids = own["panoptic_seg"][0].numpy()
    classes = np.vectorize({s.id: s.class_id for s in found.segments}.get)(found.segment_ids)
    assert np.array_equal(classes, ids // LABEL_DIVISOR)
    assert len(found.segments) == len(np.unique(ids))
    pairs = set(zip(found.segment_ids.flat, ids.flat, strict=True))
    assert len(pairs) == len(found.segments), "segments are not the framework's"
    things = {s.id: s.score for s in found.segments if s.score is not None}
    assert things, "no thing in this answer: the test needs another seed"
    own_scores = sorted(own["instances"].scores.clamp(0, 1).tolist())
    assert np.allclose(sorted(things.values()), own_scores, atol=1e-6)


def test_offsets_grow_with_the_image():
    """At twice the network's size a pixel's way to its centre is twice as many pixels."""
    adapter = built("panoptic_deeplab", target=Target(threads=1, image_size=Size(32, 32)), **KEEPS_ALL)
    batch, (logits, centres, offsets) = adapter.infer(adapter.preprocess([np.zeros((64, 64, 3), np.uint8)]))
    logits = torch.zeros_like(logits)
    logits[:, 1] = 5.0  # red everywhere
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    bumps = [torch.exp(-((rows - at) ** 2 + (columns - at) ** 2) / 8) for at in (8.3, 24.3)]
    centres = torch.maximum(*bumps)[None, None]
    left = columns < 16
    to = torch.where(left, 8.0, 24.0)
    offsets = torch.stack([to - rows, to - columns])[None]
    (found,) = adapter.postprocess((batch, (logits, centres, offsets)), [Size(64, 64)])
    assert len(found.segments) == 2
    halves = [found.segment_ids[:, :31], found.segment_ids[:, 33:]]
    assert [len(np.unique(half)) for half in halves] == [1, 1]


@pytest.mark.parametrize("size", [Size(1, 1), Size(1, 40), Size(41, 23)])
def test_images_of_any_size_get_an_answer_of_theirs(size):
    adapter = built("panoptic_deeplab", **KEEPS_ALL)
    (found,) = predict(adapter, [np.full((*size, 3), 7, np.uint8)])
    check_prediction(found, kind="panoptic", num_classes=3, size=size, image_id="drawn", model="tested")


def test_a_training_learns_and_keeps_nothing_in_the_frameworks_catalogue(tmp_path):
    before = set(MetadataCatalog.list())
    adapter, recorder = built("panoptic_deeplab"), Recorder()
    recipe = short_recipe(budget={"steps": 12}, learning_rate=0.003, validate_every=None)
    data = rectangles(8, 2, task=PANOPTIC)
    result = fit(adapter._fresh_network(0), adapter._options, adapter._labels, data, recipe, tmp_path, recorder)
    assert recorder.steps[-1]["loss"] < recorder.steps[0]["loss"]
    assert result.steps == 12
    assert set(MetadataCatalog.list()) - before <= {"unregistered"}
