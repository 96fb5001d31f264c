"""Ground truth as comparable values, whatever the order and the numbers of their objects."""

from __future__ import annotations

from collections import Counter

import numpy as np

from bench.data.formats.by_name import open_dataset as open_by_name
from bench.datasets.shapes import Options, open_dataset
from bench.records import Size
from bench.records.instances import EncodedInstances
from bench.records.predictions import check_prediction


def scenes(*, train=20, val=6, test=4, size=(48, 64)):
    """Scenes with everything that is hard: crowds, void, holes, objects in two parts, a class that never occurs."""
    dataset = open_dataset(Options(size=Size(*size), train=train, val=val, test=test))
    ground_truths = [dataset.target(i) for s in dataset.splits() for i in dataset.ids(s)]
    assert any(t.instances.crowd.any() for t in ground_truths)
    assert any((t.semantic.labels == 255).any() for t in ground_truths)
    return dataset


def all_ids(dataset):
    return [image_id for split in dataset.splits() for image_id in dataset.ids(split)]


def reopened(exported):
    """The data set that an export says how to open; every ground truth of it is checked against the contract."""
    dataset = open_by_name(exported.dataset, dict(exported.options))
    for image_id in all_ids(dataset):
        ground_truth, size = dataset.target(image_id), dataset.size(image_id)
        assert dataset.image(image_id).shape == (*size, 3)
        for kind in dataset.tasks:
            encoded = type(ground_truth.instances) is EncodedInstances
            where = {"size": size, "image_id": image_id, "model": "truth", "encoded": encoded}
            check_prediction(ground_truth.of(kind), kind=kind, num_classes=len(dataset.classes), **where)
    return dataset


def labels(ground_truth, class_of=None, void=255):
    """Class ids of a ground truth as a list, renamed by `class_of`."""
    found = ground_truth.semantic.labels
    if class_of is not None:
        table = np.full(256, void, np.uint8)
        table[: len(class_of)] = class_of
        found = table[found]
    return found.tolist()


def objects(instances, class_of=None, *, crowds=True):
    """How often each (class, crowd, mask) occurs."""
    rows = zip(instances.masks, instances.class_ids.tolist(), instances.crowd.tolist(), strict=True)
    return Counter(
        (c if class_of is None else class_of[c], k, m.shape, np.packbits(m).tobytes())
        for m, c, k in rows
        if crowds or not k
    )


def segments(panoptic, class_of=None):
    """The (class, crowd, mask) of a panoptic map, crowds of one class put together."""
    together = {}
    for s in panoptic.segments:
        class_id = s.class_id if class_of is None else class_of[s.class_id]
        key = (class_id, s.crowd, 0 if s.crowd else s.id)
        together[key] = together.get(key, False) | (panoptic.segment_ids == s.id)
    return Counter((c, k, np.packbits(m).tobytes()) for (c, k, _), m in together.items())


def assert_the_same_shapes(source, dataset, exported):
    """Hold an export as shapes, which know no crowds and no object without a pixel, against what it was made of."""
    for image_id in all_ids(source):
        ground_truth, back = source.target(image_id), dataset.target(exported.ids[image_id])
        assert labels(back) == labels(ground_truth)
        flat = {(c, m, p) for c, _, m, p in objects(ground_truth.instances) if np.frombuffer(p, np.uint8).any()}
        assert {(c, m, p) for c, _, m, p in objects(back.instances)} == flat
