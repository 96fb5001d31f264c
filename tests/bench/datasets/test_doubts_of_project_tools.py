"""Outlines of Supervisely and Label Studio that contradict their images are found; annotations of no image are told."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from bench.data.formats.by_name import open_dataset
from bench.errors import DatasetError
from tests.bench.datasets.test_doubts import findings


def supervisely(root, exterior):
    """A project of one image of 40 × 60 pixels with one polygon."""
    for folder in ("test/img", "test/ann"):
        (root / folder).mkdir(parents=True)
    Image.new("RGB", (60, 40)).save(root / "test" / "img" / "a.png")
    shape = {"classTitle": "cell", "geometryType": "polygon", "points": {"exterior": exterior, "interior": []}}
    document = {"size": {"height": 40, "width": 60}, "objects": [shape]}
    (root / "test" / "ann" / "a.png.json").write_text(json.dumps(document))
    (root / "meta.json").write_text(json.dumps({"classes": [{"title": "cell", "shape": "polygon"}]}))
    return open_dataset("supervisely", {"root": str(root)})


def label_studio(root, points):
    """An export of one image of 40 × 60 pixels with one polygon, in percent."""
    (root / "images").mkdir(parents=True)
    Image.new("RGB", (60, 40)).save(root / "images" / "a.png")
    size = {"original_width": 60, "original_height": 40}
    result = {**size, "type": "polygonlabels", "value": {"points": points, "polygonlabels": ["cell"]}}
    task = {"id": 1, "data": {"image": "/data/upload/1/a.png"}, "annotations": [{"id": 1, "result": [result]}]}
    (root / "p.json").write_text(json.dumps([task]))
    return open_dataset("label_studio", {"root": str(root), "fractions": {"test": 1.0}})


@pytest.mark.parametrize(
    ("make", "points", "kind", "words"),
    [
        (supervisely, [[-5, 2], [30, 2], [30, 30]], "cut", "reach beyond the image and are cut"),
        (supervisely, [[70, 2], [90, 2], [90, 30]], "scale", "lie for the most part outside the image"),
        (supervisely, [[0.1, 0.1], [0.5, 0.1], [0.5, 0.9]], "scale", "shares of the size"),
        (label_studio, [[-5, 2], [50, 2], [50, 90]], "cut", "reach beyond the image and are cut"),
        (label_studio, [[120, 20], [300, 20], [300, 190]], "scale", "lie for the most part outside the image"),
        (label_studio, [[0.1, 0.1], [0.5, 0.1], [0.5, 0.9]], "scale", "where Label Studio has percent"),
    ],
)
def test_outlines_of_project_tools_that_contradict_their_images_are_found(tmp_path, make, points, kind, words):
    dataset = make(tmp_path / "d", points)
    (message,) = findings(dataset, tmp_path / "cache", dataset.name)[kind]
    assert message.startswith("1 of 1 objects ")
    assert words in message


@pytest.mark.parametrize(("make", "scale"), [(supervisely, 1.0), (label_studio, 2.0)])
def test_outlines_within_their_images_are_left_in_peace(tmp_path, make, scale):
    points = [[5 * scale, 2 * scale], [40 * scale, 2 * scale], [20 * scale, 30 * scale]]
    dataset = make(tmp_path / "d", points)
    assert not {"cut", "scale"} & findings(dataset, tmp_path / "cache", dataset.name).keys()


def test_annotations_of_no_image_are_told_and_named_where_an_image_has_none(tmp_path):
    dataset = supervisely(tmp_path, [[5, 2], [30, 2], [30, 30]])
    strange = tmp_path / "test" / "ann" / "b.png.json"
    strange.write_text((tmp_path / "test" / "ann" / "a.png.json").read_text())
    assert dataset.notes("test") == (f"1 annotations fit no image and are left out, for example {strange}",)
    (tmp_path / "test" / "ann" / "a.png.json").unlink()
    with pytest.raises(
        DatasetError, match=r"of whose files 1 are missing.*1 annotations fit no image, for example .*b"
    ):
        open_dataset("supervisely", {"root": str(tmp_path)}).ids("test")
