"""Rows of COCO results that are written the usual way, which are read many at once, are those that are read singly."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.errors import BenchError
from bench.records.instances import Instances
from bench.records.mask_runs import MaskRuns
from tests.bench.data.predictions.scenes import reader, scenes

DATASET, IDS = scenes()
SIZE = DATASET.size(IDS[0])


def annotations(folder):
    document = {
        "images": [{"id": n, "file_name": f"{i}.png"} for n, i in enumerate(IDS)],
        "annotations": [],
        "categories": [{"id": 7 + n, "name": spec.name} for n, spec in enumerate(DATASET.classes)],
    }
    (folder / "annotations.json").write_text(json.dumps(document))
    return str(folder / "annotations.json")


def rows(count, seed):
    """Rows of images in any order, some neighbours of one image, and what they say: image, class, score and mask."""
    random = np.random.default_rng(seed)
    masks = random.random((count, *SIZE)) < random.random((count, 1, 1))
    texts = MaskRuns.of_masks(masks).texts()
    things = [n for n, spec in enumerate(DATASET.classes) if spec.is_thing]
    said = [
        (int(random.integers(len(IDS))), int(random.choice(things)), round(float(random.random()), 3))
        for _ in range(count)
    ]
    said[1::3] = [(said[n - 1][0], *own[1:]) for n, own in enumerate(said) if n % 3 == 1]
    written = [
        {"image_id": image, "category_id": 7 + label, "score": score,
         "segmentation": {"size": [*SIZE], "counts": text}}
        for (image, label, score), text in zip(said, texts, strict=True)
    ]  # fmt: skip
    return written, said, masks


def unusual(row, way):
    change = {
        "text": {"image_id": str(row["image_id"])},
        "whole score": {"score": 1},
        "three keys": {"segmentation": {**row["segmentation"], "more": 1}},
    }
    return {**row, **change[way]}


@pytest.mark.parametrize("way", [None, "text", "whole score", "three keys"])
def test_every_image_gets_its_rows_in_their_order(tmp_path, way):
    written, said, masks = rows(240, seed=len(str(way)))
    if way is not None:
        written[100:240:7] = [unusual(row, way) for row in written[100:240:7]]
    (tmp_path / "results.json").write_text(json.dumps(written))
    found = reader(tmp_path / "results.json", DATASET, annotations=annotations(tmp_path))
    for number, image_id in enumerate(IDS):
        own = [n for n, (image, _, _) in enumerate(said) if image == number]
        read = found.read(image_id, SIZE)
        assert isinstance(read, Instances)
        assert read.class_ids.tolist() == [said[n][1] for n in own]
        assert read.scores.tolist() == [written[n]["score"] for n in own]
        np.testing.assert_array_equal(read.masks, masks[own])


@pytest.mark.parametrize("score", [-0.001, 1.001, float("nan")])
def test_a_score_out_of_range_among_usual_rows_is_refused(tmp_path, score):
    written, _, _ = rows(30, seed=1)
    written[20]["score"] = score
    (tmp_path / "results.json").write_text(json.dumps(written))
    with pytest.raises(BenchError, match="1 of 30 rows have no score within 0 and 1"):
        reader(tmp_path / "results.json", DATASET, annotations=annotations(tmp_path))


def test_a_mask_of_another_size_among_usual_rows_is_refused_by_its_image(tmp_path):
    written, said, _ = rows(30, seed=1)
    written[20]["segmentation"]["size"] = [SIZE.width, SIZE.height]
    (tmp_path / "results.json").write_text(json.dumps(written))
    found = reader(tmp_path / "results.json", DATASET, annotations=annotations(tmp_path))
    with pytest.raises(BenchError, match=IDS[said[20][0]]):
        found.read(IDS[said[20][0]], SIZE)
