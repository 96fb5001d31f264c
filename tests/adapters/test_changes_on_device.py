"""Random changes that the training device makes of images with objects are those of the loader, by the same draws."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make install")
pytest.importorskip("torchvision", reason="torchvision is not installed; make install")

from adapters._torch.images import boxes_around
from adapters._torch.training import augment as random_changes
from adapters.torchvision.training import InstanceTrainee
from bench.records import IGNORE_LABEL, Augmentation, Size
from tests.adapters.rectangles import INSTANCES, PANOPTIC, THREE_CLASSES, Rectangles, TrainingData, short_recipe

CPU = torch.device("cpu")
CHANGES = Augmentation(scale=(0.4, 2.5), rotate_deg=40, elastic_px=2, colour=0.3, blur_px=1, noise=0.05)
"""Strong enough that objects leave the image."""


class ManySizes:
    """Images of another size each, so that a batch has padding."""

    def __init__(self, task):
        sizes = (Size(24, 32), Size(33, 20), Size(28, 28), Size(20, 40))
        self._splits = [Rectangles(1, seed=i, size=size, kind=task.kind) for i, size in enumerate(sizes)]

    def __len__(self):
        return len(self._splits)

    def image(self, index):
        return self._splits[index].image(0)

    def semantic(self, index):
        return self._splits[index].semantic(0)

    def ground_truth(self, index):
        return self._splits[index].ground_truth(0)


def data_of(task):
    return TrainingData(train=ManySizes(task), val=ManySizes(task), task=task)


def by_loader_and_device(monkeypatch, make):
    """Batches of the first four steps as the network sees them, changed by the loader and by the device."""
    made = []
    for on_device in (False, True):
        monkeypatch.setattr(random_changes, "made_on", lambda device, on_device=on_device: on_device)
        trainee = make()
        batches = [trainee.load(trainee.order.batch(step)) for step in range(4)]
        assert all((batch[-1] is not None) == on_device for batch in batches)
        made.append([trainee.changed(batch) for batch in batches])
    return zip(*made, strict=True)


@pytest.mark.parametrize("crop", [None, Size(16, 16)])
def test_mask_rcnn_sees_the_same_images_boxes_and_masks(monkeypatch, crop):
    transform = SimpleNamespace(image_mean=(0.5, 0.4, 0.3))
    things = np.flatnonzero([spec.is_thing for spec in INSTANCES.classes])
    network = SimpleNamespace(
        things=things, module=SimpleNamespace(transform=transform), architecture={}, class_names=()
    )
    recipe = short_recipe(augmentation=CHANGES, random_crop=crop, flip=True)
    counts = set()
    for (pixels, fields), (others, other_fields) in by_loader_and_device(
        monkeypatch, lambda: InstanceTrainee(network, SimpleNamespace(short_edge=None), data_of(INSTANCES), recipe, CPU)
    ):
        for one, other in zip(pixels, others, strict=True):
            assert torch.equal(one, other)
        for one, other in zip(fields, other_fields, strict=True):
            counts.add(len(one["labels"]))
            assert {name: tensor.tolist() for name, tensor in one.items()} == {
                name: tensor.tolist() for name, tensor in other.items()
            }
    assert len(counts) > 1  # some objects were lost


@pytest.mark.parametrize("task", [THREE_CLASSES, INSTANCES, PANOPTIC], ids=lambda task: task.kind)
@pytest.mark.parametrize("crop", [None, Size(16, 16)])
def test_networks_that_classify_masks_see_the_same_images_and_masks(monkeypatch, task, crop):
    pytest.importorskip("transformers", reason="transformers is not installed; make install")
    from adapters.transformers.classes import Classes
    from adapters.transformers.training import MaskTrainee

    network = SimpleNamespace(classes=Classes.of(task, "tested"), architecture={}, class_names=())
    recipe = short_recipe(augmentation=CHANGES, random_crop=crop, flip=True)
    for batch, other in by_loader_and_device(
        monkeypatch, lambda: MaskTrainee(network, data_of(task), recipe, CPU, lambda _: None)
    ):
        assert torch.equal(batch[0], other[0])
        for ones, others in zip(batch[1:], other[1:], strict=True):
            for one, theirs in zip(ones, others, strict=True):
                assert torch.equal(one, theirs)


def test_boxes_are_those_of_a_loop_over_pixels():
    random = np.random.default_rng(0)
    for _ in range(20):
        masks = random.random((3, 7, 9)) < 0.1
        masks[:, random.integers(7), random.integers(9)] = True
        expected = [
            [min(x), min(y), max(x) + 1, max(y) + 1]
            for mask in masks
            for y, x in [tuple(zip(*np.argwhere(mask).tolist(), strict=True))]
        ]
        assert boxes_around(torch.from_numpy(masks)).tolist() == expected


def test_the_split_that_is_kept_in_memory_stays_as_it_is(monkeypatch):
    network = SimpleNamespace(
        things=np.flatnonzero([spec.is_thing for spec in INSTANCES.classes]),
        module=SimpleNamespace(transform=SimpleNamespace(image_mean=(0.5, 0.4, 0.3))),
        architecture={},
        class_names=(),
    )
    monkeypatch.setattr(random_changes, "made_on", lambda device: True)
    trainee = InstanceTrainee(
        network,
        SimpleNamespace(short_edge=None),
        data_of(INSTANCES),
        short_recipe(augmentation=CHANGES, flip=False),
        CPU,
    )
    before = [(one.image.copy(), one.masks.copy()) for one in (trainee._train[i] for i in range(4))]
    trainee.changed(trainee.load(trainee.order.batch(0)))
    for i, (image, masks) in enumerate(before):
        assert np.array_equal(trainee._train[i].image, image)
        assert np.array_equal(trainee._train[i].masks, masks)
        assert IGNORE_LABEL not in masks
